"""Checks of overlaps and of the physics of a `Committee`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks
from . import activations
from .equations import choose as families
from .schedule import Schedule

if TYPE_CHECKING:
    from .problem import Committee

#: Overlaps may miss symmetry and positivity by this share of their largest entry.
SLACK = 1e-9
#: What a moment of four fields costs, in multiplications of half a nanosecond.
FOUR_FIELDS = {"erf": 2, "relu": 2400}


def check(Q: Any, R: Any, T: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the overlaps as symmetric float arrays of fitting shapes, positive semidefinite together."""
    for name, value in (("Q", Q), ("T", T)):
        shape = checks.array(name, value).shape
        if len(shape) == 2 and shape[0] < shape[1]:
            letter = "p" if name == "Q" else "k"
            raise ValueError(
                f"Argument `{name}` must have shape ({letter}, {letter}), but has shape {shape}; Committee.from_weights(W, W_star) takes weights."
            )
    Q, T = checks.array("Q", Q, ("p", "p")), checks.array("T", T, ("k", "k"))
    R = checks.array("R", R, (Q.shape[0], T.shape[0]))
    Q, T = _symmetric("Q", Q), _symmetric("T", T)
    C = np.block([[Q, R], [R.T, T]])
    scale = max(float(np.diag(C).max()), 0.0)
    try:
        np.linalg.cholesky(C + (SLACK * scale + 1e-300) * np.eye(len(C)))
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(C)[0])
        raise ValueError(
            f"Overlaps are not feasible: [[Q, R], [R.T, T]] has the eigenvalue {smallest:.3g}. "
            "Overlaps of weight matrices are positive semidefinite."
        ) from None
    return Q, R, T


def _symmetric(name: str, value: np.ndarray) -> np.ndarray:
    difference = np.abs(value - value.T)
    if difference.max() > SLACK * max(np.abs(value).max(), 1e-300):
        i, j = np.unravel_index(int(difference.argmax()), value.shape)
        raise ValueError(
            f"Argument `{name}` must be symmetric, but {name}[{i}, {j}] is {value[i, j]:.6g} and {name}[{j}, {i}] is {value[j, i]:.6g}."
        )
    return 0.5 * (value + value.T)


def check_physics(problem: Committee) -> None:
    """Refuse activations that cannot be combined, moments that take too long, and constraints that are not defined."""
    student, teacher = problem.activation, problem.teacher_activation
    name = families.name_of(student, teacher)
    if not name:
        raise ValueError(
            "Arguments `activation` and `teacher_activation` may differ if both are polynomials; the moments of "
            f"{_show(student)} with {_show(teacher)} are not here."
        )
    norms = np.diag(problem.Q)
    if (norms <= 0).any() and (problem.spherical or name == "relu"):
        reason = "a row of norm zero has no direction" if problem.spherical else "ReLU has no derivative at 0"
        raise ValueError(
            f"Argument `Q` must have a positive diagonal, but Q[{int(norms.argmin())}, {int(norms.argmin())}] is 0: {reason}."
        )
    if name == "relu" and (np.diag(problem.T) <= 0).any():
        raise ValueError(
            'Argument `T` must have a positive diagonal for the activation "relu": leave teachers of norm zero out.'
        )
    if name != "square" and (isinstance(problem.learning_rate, Schedule) or problem.learning_rate > 0):
        _check_cost(problem, name)


def _check_cost(problem: Committee, name: str) -> None:
    p, k = problem.student_width, problem.teacher_width
    n = p + k
    if name == "polynomial":
        degrees = activations.degree(problem.activation), activations.degree(problem.teacher_activation)
        entries = degrees[0] * (degrees[0] + 1) // 2
        work = p * (p + 1) // 2 * n * max(degrees) * entries * (entries + n)
        what, lower = f"activations of degree {max(degrees)}", "the degree or the widths"
    else:
        work = p * (p + 1) // 2 * n * (n + 1) // 2 * FOUR_FIELDS[name]
        what, lower = f"the activation {_show(problem.activation)}", "the widths"
    if work > families.LIMIT:
        raise ValueError(
            f"The noise of {what} with p = {p} and k = {k} takes about {work:.1g} multiplications per "
            f"evaluation, and {families.LIMIT:.0g} is the limit: lower {lower}, or set learning_rate=0, which needs none."
        )


def _show(activation: activations.Activation) -> str:
    return f'"{activation}"' if isinstance(activation, str) else "a polynomial"
