"""The compiled equations of a problem: their choice, parameters and states, and what is known where a flow fails."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import ode
from ...ode.jacobians import Structure, arrow
from ...spectrum.groups import CovarianceGroups
from .. import activations
from . import evaluate, layout

if TYPE_CHECKING:
    from ..physics import Physics


UNFEASIBLE = (
    "A negative eigenvalue of [[Q, R], [R.T, T]] of the size of round-off has grown: near this saddle the "
    "overlaps do not hold what decides the solution. Start from weights, Committee.from_weights(W, W_star), or farther from it."
)


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

        rhs = square.rhs
        if p + k > square.LOOPS:
            # Compiled code that calls BLAS needs scipy.linalg, whose import takes a while.
            import scipy.linalg  # noqa: F401

            rhs = square.rhs_blas
        return Family(name, rhs, square.risk_event, square.work_size(p, k))
    from . import moments

    if name == "polynomial":
        top = max(activations.degree(student), activations.degree(teacher))
        return Family(name, moments.rhs_polynomial, moments.risk_polynomial, moments.work_size_polynomial(p, k, top))
    if name == "erf":
        return Family(name, moments.rhs_erf, moments.risk_erf, moments.work_size_erf(p, k))
    return Family(name, moments.rhs_relu, moments.risk_relu, moments.work_size_relu(p, k))


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
    """Return the state vector of overlaps, of one group after the other if there are any, and of a trained second layer, if any."""
    rows = np.concatenate([Q[..., *upper(Q.shape[-1])], R.reshape(*R.shape[:-2], -1)], axis=-1).ravel()
    return rows if a is None else np.concatenate([rows, a])


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
    """Return parameters and scratch of the equations of `factor.descend`."""
    params, stride = with_tables(problem, parameters(problem, 0.0))
    p, k = problem.student_width, problem.teacher_width
    return params, np.zeros(layout.work_shared(p, k) + (2 * p + k) * stride)


def with_tables(problem: Physics, params: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the parameters with degrees and tables where squares count as polynomials, and the length of a row of coefficients."""
    student, teacher = problem.activation, problem.teacher_activation
    if not activations.is_polynomial(student):
        return params, 1
    degrees = activations.degree(student), activations.degree(teacher)
    params[layout.STUDENT_DEGREE], params[layout.TEACHER_DEGREE] = degrees
    if activations.name_of(student, teacher) == "square":
        params = np.concatenate([params, activations.table(student).ravel(), activations.table(teacher).ravel()])
    return params, max(degrees) + 1


def group_parameters(
    fields: Physics, covariance: CovarianceGroups, T: np.ndarray, rate: float, slope: float = 0.0, start: float = 0.0
) -> tuple[np.ndarray, int]:
    """Return the parameters of `groups.rhs`, and the length of its scratch.

    Parameters
    ----------
    fields : Physics
        The same problem with standard normal inputs and the overlaps sum of c_l Q_l, R_l, T_l.
    covariance : CovarianceGroups
    T : ndarray, shape (L, k, k)
    rate, slope, start : float
        A learning rate that is linear in time from `start` on.
    """
    from . import groups, moments

    p, k = fields.R.shape
    base, stride = with_tables(fields, parameters(fields, rate, slope, start))
    name = activations.name_of(fields.activation, fields.teacher_activation)
    polynomial = moments.work_size_polynomial(p, k, stride - 1)
    scratch = choose(fields).work_size if name in ("erf", "relu") else polynomial
    table = [covariance.count, scratch, {"erf": moments.ERF, "relu": moments.RELU}.get(name, moments.POLYNOMIAL)]
    rows = groups.rows_of(p, k).ravel()
    parts = (base, table, covariance.eigenvalues, covariance.weights, np.moveaxis(T, 0, -1).ravel(), rows, [base.size])
    return np.concatenate(parts), groups.work_size(scratch, p, k, covariance.count)


def group_structure(fields: Physics, L: int) -> Structure:
    """Return the arrow of a problem with L groups, of rank p (p + 1)/2 + p k, and p more for the sphere and the second layer."""
    from . import groups

    p, k = fields.R.shape
    border, picks = p if fields.second_layer_rate > 0 else 0, p if fields.spherical else 0
    return arrow(groups.jacobian, L, p * (p + 1) // 2 + p * k, border, picks)


def diverged(problem: Physics) -> dict[ode.Status, str]:
    """Return what a failure means: a gradient flow has a finite length in a finite time, so that it only fails off its domain."""
    flow = problem.kind == "exact" and not problem.factored
    text = UNFEASIBLE if flow else "The flow diverged."
    return {ode.Status.NOT_FINITE: text, ode.Status.STEP_TOO_SMALL: text, ode.Status.INFEASIBLE: UNFEASIBLE}


def advice(problem: Physics, family: Family, rate: float) -> str:
    """Return what is known about the learning rate at which the risk starts to grow, given the one that failed."""
    if rate == 0.0:
        return ""
    bound = descent_bound(problem, family)
    if not np.isfinite(bound):
        known = "at this start its noise cannot raise the risk"
    elif rate < bound:
        known = f"it is below {bound:.3g}, so that the risk decreases at this start, but its noise grew later"
    else:
        known = f"at this start the risk decreases only for learning rates below {bound:.3g}"
    text = f"Lower the learning rate, {rate:g}: {known}."
    if problem.spherical and problem.student_width == 1 and family.name == "square":
        text += f" A single unit on the sphere leaves the plateau only below 2/(12 + noise) = {2 / (12 + problem.noise):.3g}."
    return text


def descent_bound(problem: Physics, family: Family) -> float:
    """Return the learning rate above which the noise of SGD raises the risk at the start; infinity if none does."""
    state = start(problem)
    work = np.zeros(family.work_size)
    slopes = []
    for rate in (0.0, 1.0):
        velocity = velocity_at(problem, family, state, rate, work)
        step = 1e-6 * max(np.abs(state).max(), 1e-300) / max(np.abs(velocity).max(), 1e-300)
        pair = np.array([state + step * velocity, state - step * velocity])
        out = np.empty(2)
        evaluate.evaluate(family.risk.address, pair, parameters(problem, 0.0), work, out)
        slopes.append((out[0] - out[1]) / (2 * step))
    return -slopes[0] / (slopes[1] - slopes[0]) if slopes[1] > slopes[0] else np.inf


def velocity_at(problem: Physics, family: Family, state: np.ndarray, rate: float, work: np.ndarray) -> np.ndarray:
    """Return dy/dt at a state and a learning rate."""
    out = np.empty((1, state.size))
    evaluate.velocities(family.rhs.address, state[None, :], parameters(problem, rate), work, out)
    return out[0]
