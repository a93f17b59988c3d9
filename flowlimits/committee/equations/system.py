"""Which compiled equations belong to a problem, and the numbers they read."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import activations
from . import layout

if TYPE_CHECKING:
    from ..physics import Physics


@dataclass(frozen=True)
class Family:
    """Compiled equations: velocities, risk as an event function, and the scratch they need."""

    name: str
    rhs: Any
    risk: Any
    work_size: int


def choose(problem: Physics) -> Family:
    """Return the equations of a problem."""
    return _choose(problem.activation, problem.teacher_activation, *problem.R.shape)


@functools.lru_cache(maxsize=256)
def _choose(student: activations.Activation, teacher: activations.Activation, p: int, k: int) -> Family:
    """Return the equations of two activations at some widths; what is not needed is not compiled."""
    name = activations.name_of(student, teacher)
    if name == "square":
        from . import square

        if p + k > square.LOOPS:
            # Compiled code that calls BLAS needs scipy.linalg, whose import takes a while.
            import scipy.linalg  # noqa: F401

            from . import square_blas

            return Family(name, square_blas.rhs, square.risk_event, square.work_size(p, k))
        return Family(name, square.rhs, square.risk_event, square.work_size(p, k))
    if name == "polynomial":
        from . import polynomial

        top = max(activations.degree(student), activations.degree(teacher))
        return Family(name, polynomial.rhs, polynomial.risk_event, polynomial.work_size(p, k, top))
    if name == "erf":
        from . import erf

        return Family(name, erf.rhs, erf.risk_event, erf.work_size(p, k))
    from . import relu

    return Family(name, relu.rhs, relu.risk_event, relu.work_size(p, k))


def parameters(problem: Physics, rate: float, slope: float = 0.0, start: float = 0.0) -> np.ndarray:
    """Return the parameters of the compiled equations with a learning rate that is linear in time from `start` on."""
    student, teacher = problem.activation, problem.teacher_activation
    head = np.zeros(layout.HEADER)
    head[layout.STUDENT_WIDTH], head[layout.TEACHER_WIDTH] = problem.R.shape
    head[layout.LEARNING_RATE], head[layout.LEARNING_RATE_SLOPE], head[layout.SCHEDULE_START] = rate, slope, start
    head[layout.NOISE], head[layout.WEIGHT_DECAY] = problem.noise, problem.weight_decay
    head[layout.SECOND_LAYER_RATE] = problem.second_layer_rate
    head[layout.SPHERICAL], head[layout.TRAINED] = problem.spherical, problem.second_layer_rate > 0
    b = problem.teacher_second_layer
    parts = [head, b, problem.second_layer, problem.T.ravel()]
    name = choose(problem).name
    if name == "square":
        for activation, centred, offset in (
            (student, layout.STUDENT_CENTRED, layout.STUDENT_OFFSET),
            (teacher, layout.TEACHER_CENTRED, layout.TEACHER_OFFSET),
        ):
            form = activations.quadratic_form(activation)
            assert form is not None
            head[centred], head[offset] = form
        head[layout.TEACHER_CONSTANT] = teacher_constant(problem.T, b)
    elif name == "polynomial":
        head[layout.STUDENT_DEGREE], head[layout.TEACHER_DEGREE] = (
            activations.degree(student),
            activations.degree(teacher),
        )
        parts += [activations.table(student).ravel(), activations.table(teacher).ravel()]
    return np.concatenate(parts)


def teacher_constant(T: np.ndarray, b: np.ndarray) -> Any:
    """Return tr(A T A T) of teachers T (..., k, k) with second layers b (..., k), A = diag(b) / k.

    Term by term: the sums of a library may be taken in another order where there are more teachers.
    """
    k = b.shape[-1]
    # Numbers of Python are faster than arrays of one, with the same bits.
    entries = np.moveaxis(T, (-2, -1), (0, 1))
    w, square = np.divide(b.T, k, order="C"), np.multiply(entries, entries, order="C")
    weights, squares = (w.tolist(), square.tolist()) if b.ndim == 1 else (w, square)
    total = np.zeros(b.shape[:-1]) if b.ndim > 1 else 0.0
    for r in range(k):
        for s in range(k):
            total = total + weights[r] * squares[r][s] * weights[s]
    return total


@functools.cache
def upper(p: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the upper triangle in the order in which states hold it."""
    rows, columns = np.triu_indices(p)
    rows.flags.writeable = columns.flags.writeable = False
    return rows, columns


def pack(Q: np.ndarray, R: np.ndarray, a: np.ndarray | None) -> np.ndarray:
    """Return the state vector of overlaps and trained second layer (None if it is not trained)."""
    parts = [Q[upper(len(Q))], R.ravel()]
    return np.concatenate(parts if a is None else [*parts, a])


def start(problem: Physics) -> np.ndarray:
    """Return the state vector of the problem's start."""
    return pack(problem.Q, problem.R, problem.second_layer if problem.second_layer_rate > 0 else None)


def unpack_overlaps(problem: Physics, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Q and R of states (..., n)."""
    p, k = problem.R.shape
    size = p * (p + 1) // 2
    Q = np.empty((*states.shape[:-1], p, p))
    rows, columns = upper(p)
    Q[..., rows, columns] = states[..., :size]
    Q[..., columns, rows] = states[..., :size]
    return Q, states[..., size : size + p * k].reshape(*states.shape[:-1], p, k)


def unpack(problem: Physics, states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Q, R and the second layer of states (..., n); an untrained second layer has no leading axes."""
    Q, R = unpack_overlaps(problem, states)
    if problem.second_layer_rate > 0:
        return Q, R, states[..., Q.shape[-1] * (Q.shape[-1] + 1) // 2 + R.shape[-1] * R.shape[-2] :]
    return Q, R, problem.second_layer


def choose_factor(problem: Physics) -> tuple[Any, np.ndarray, int]:
    """Return the equations of the coordinates of a problem, their parameters and the length of their scratch."""
    from . import factor

    assert problem.coordinates is not None
    params, work = pull_parameters(problem)
    name = choose(problem).name
    rhs = {"erf": factor.rhs_erf, "relu": factor.rhs_relu}.get(name, factor.rhs_polynomial)
    return rhs, np.concatenate([params, problem.coordinates[problem.student_width :].ravel()]), work.size


def factor_start(problem: Physics) -> np.ndarray:
    """Return the coordinates of the students, and the second layer if it is trained."""
    assert problem.coordinates is not None
    rows = problem.coordinates[: problem.student_width].ravel()
    return np.concatenate([rows, problem.second_layer]) if problem.second_layer_rate > 0 else rows.copy()


def factor_overlaps(problem: Physics, states: np.ndarray) -> np.ndarray:
    """Return the states of the overlaps, (times, n), of states of the coordinates."""
    assert problem.coordinates is not None
    p, k = problem.R.shape
    size = p * problem.coordinates.shape[1]
    F = states[:, :size].reshape(len(states), p, -1)
    Q = (F @ F.swapaxes(1, 2))[:, *upper(p)]
    R = (F @ problem.coordinates[p:].T).reshape(len(states), p * k)
    return np.concatenate([Q, R, states[:, size:]], axis=1)


def pull_parameters(problem: Physics) -> tuple[np.ndarray, np.ndarray]:
    """Return parameters and scratch of the equations of `flowlimits.committee.simulation.descent`."""
    from .layout import work_shared

    params = parameters(problem, 0.0)
    p, k = problem.student_width, problem.teacher_width
    stride = 1
    if activations.is_polynomial(problem.activation):
        degrees = activations.degree(problem.activation), activations.degree(problem.teacher_activation)
        params[layout.STUDENT_DEGREE], params[layout.TEACHER_DEGREE] = degrees
        stride = max(degrees) + 1
        if activations.name_of(problem.activation, problem.teacher_activation) == "square":
            tables = [activations.table(one).ravel() for one in (problem.activation, problem.teacher_activation)]
            params = np.concatenate([params, *tables])
    return params, np.zeros(work_shared(p, k) + (2 * p + k) * stride)
