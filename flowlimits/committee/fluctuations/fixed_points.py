r"""Fixed points of the overlaps' equations, F = 0, by damped Newton steps with the Jacobian of `derivatives`, and their stability.

A step solves :math:`(A^\top A+\mu^2)\,\delta=-A^\top f` in units of the natural size of each overlap (Levenberg, 1944; Marquardt, 1963), so
that points of continuous families, where A is singular, are reached too.  On the sphere the norms are held.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import checks, results, streams
from ...core.solve import Options
from .. import limit
from ..equations import system
from ..schedule import Schedule
from .derivatives import Equations
from .increments import root
from .track import LARGEST

if TYPE_CHECKING:
    import xarray as xr

#: Newton steps from one start.
MOST = 200
#: A point is one where F is below this share of the largest rate of its linear equations, in units of the overlaps' sizes.
FIXED = 1e-10
#: Rates below this share of the largest one count as zero.
ZERO = 1e-6
#: Points nearer than this share of the overlaps' sizes are one; overlaps may miss positivity by a tenth of it.
SAME = 1e-6
#: Newton steps may miss positivity by this share.
NEAR = 0.3
#: Students whose permutations are all tried.
TRIED = 6
#: Overlaps of students without weights change as those of units with this share of the largest norm.
LEAST = 1e-2


@dataclass(frozen=True)
class Point:
    """A fixed point: its state, the eigenvalues of the Jacobian, the last largest first, and how many are positive or zero."""

    state: np.ndarray
    eigenvalues: np.ndarray
    unstable: int
    flat: int


def fixed_points(problem: Any, starts: Any, rng: Any) -> xr.Dataset:
    """Return the distinct fixed points that Newton steps reach from the starts; see `Committee.fixed_points`."""
    if isinstance(problem.learning_rate, Schedule):
        raise ValueError(
            "Argument `learning_rate` must be a number for fixed points, but is a Schedule: the equations then change in time."
        )
    if problem.coordinates is not None:
        problem = copy.copy(problem)
        object.__setattr__(problem, "coordinates", None)
    options = Options(1e-8, 1e-10, "auto", (), (), 1_000_000, False, False, {})
    equations = Equations(limit.path(problem, options, 0.0), LEAST)
    if equations.count > LARGEST:
        raise ValueError(
            f"Fixed points are looked for among at most {LARGEST} order parameters, but this problem has {equations.count}: take fewer units or groups."
        )
    call: dict[str, Any] = {"verb": "fixed_points", "starts": None}
    stream = None
    if starts is None:
        states = equations.path.start[None]
    elif checks.is_single(starts):
        count = call["starts"] = checks.integer("starts", starts, minimum=1)
        stream = streams.root(rng)
        states = random_states(problem, equations, count, np.random.default_rng(stream))
    else:
        arrays = given_starts(problem, equations, starts)
        call["starts"] = [one.tolist() for one in arrays]
        layers = arrays[2] if equations.trained else [None] * len(arrays[0])
        states = np.stack([system.pack(Q, R, a) for Q, R, a in zip(arrays[0], arrays[1], layers)])
    if rng is not None and stream is None:
        raise ValueError("Argument `rng` belongs to random starts: give their number as `starts`.")
    return _described(problem, equations, [find(equations, state) for state in states], call, stream)


def given_starts(problem: Any, equations: Equations, starts: Any) -> list[np.ndarray]:
    """Return Q, R, and the second layer if it is trained, each with a leading axis of starts."""
    names = ["Q", "R", "second_layer"][: 2 + equations.trained]
    wanted = f"None, a number of random starts, or the arrays ({', '.join(names)})"
    parts = [None] if isinstance(starts, dict | str) else list(starts)
    if len(parts) != len(names):
        raise ValueError(f"Argument `starts` must be {wanted}, but is {checks.show(starts)}.")
    found = []
    for name, part in zip(names, parts):
        shape = getattr(problem, name).shape
        array = checks.array("starts", part)
        if array.shape[array.ndim - len(shape) :] != shape or array.ndim > len(shape) + 1:
            raise ValueError(
                f"Argument `starts` must hold {name} of shape {shape}, or (starts, {', '.join(map(str, shape))}), but it has shape {array.shape}."
            )
        found.append(array.reshape(-1, *shape))
    lengths = [len(one) for one in found]
    if len(set(lengths)) > 1:
        raise ValueError(f"Argument `starts` must hold arrays of equally many starts, but they have {lengths}.")
    return found


def random_states(problem: Any, equations: Equations, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return states of students whose weights are Gaussian in p + k directions that span the teacher, of the teacher's size."""
    p, k = equations.p, equations.k
    teachers = equations.T
    scale = np.einsum("lrr->l", teachers) / k
    scale = np.where(scale > 0, scale, equations.weights * scale.sum() / max(equations.weights.sum(), 1e-300))
    states = []
    for _ in range(count):
        W = rng.normal(size=(len(teachers), p, p + k)) * np.sqrt(scale / (p + k) * k)[:, None, None]
        if problem.spherical:
            wanted = np.einsum("lii->i", problem.Q.reshape(-1, p, p))
            W *= np.sqrt(wanted / np.einsum("lic,lic->i", W, W))[:, None]
        Q, R = W @ np.swapaxes(W, 1, 2), W[:, :, :k] @ np.swapaxes(root(teachers), 1, 2)
        a = None
        if equations.trained:
            size = float(np.sqrt(np.mean(problem.second_layer**2)))
            a = rng.normal(size=p) * (size if size > 0 else 1.0)
        states.append(system.pack(Q, R, a))
    return np.array(states)


def tangent(equations: Equations, sizes: np.ndarray) -> np.ndarray:
    """Return orthonormal directions (D, m) in which a state may move, in units of the sizes: on the sphere the norms stay."""
    if not equations.problem.spherical:
        return np.eye(equations.count)
    return np.linalg.svd(equations.norms() * sizes)[2][equations.p :].T


def find(equations: Equations, state: np.ndarray) -> Point | str:
    """Return the fixed point that is reached from a state, or why there is none."""
    zero, damping = np.zeros(1), 1e-2
    J, F = (one[0] for one in equations.jacobians(zero, state[None]))
    residual, speed, fresh = np.inf, 1.0, True
    for _ in range(MOST):
        if fresh:
            sizes = equations.natural(state[None], LEAST)[0]
            N = tangent(equations, sizes)
            f = F / sizes
            left, singular, right = np.linalg.svd(J * sizes / sizes[:, None] @ N, full_matrices=False)
            speed, residual = max(float(singular[0]), 1e-300), float(np.abs(f).max())
            if residual <= 1e-15 * speed:
                break
        gain = singular / (singular**2 + (damping * speed) ** 2)
        step = -N @ (right.T @ (gain * (left.T @ f)))
        step /= max(1.0, float(np.abs(step).max()))
        moved = state + sizes * step
        G = equations.velocities(moved[None], np.array([equations.rate(0.0)]))[0]
        fresh = feasible(equations, moved, NEAR) and bool(np.isfinite(G).all())
        fresh = fresh and float(np.linalg.norm(G / sizes)) < float(np.linalg.norm(f))
        if fresh:
            K, G = (one[0] for one in equations.jacobians(zero, moved[None]))
            fresh = bool(np.isfinite(K).all())
        if fresh:
            state, J, F, damping = moved, K, G, max(0.1 * damping, 1e-9)
        else:
            damping *= 4.0
            if damping > 1e6:
                break
    if residual > FIXED * speed:
        return "Newton steps did not converge"
    if not feasible(equations, state, 0.1 * SAME):
        return "they ended at overlaps that no weights have"
    found = np.linalg.eigvals(N.T @ (J * sizes / sizes[:, None]) @ N)
    found = found[np.lexsort((-found.imag, -found.real))]
    bound = ZERO * speed
    flat = int((np.abs(found) <= bound).sum())
    return Point(state, found, int((found.real > bound).sum()), flat)


def feasible(equations: Equations, state: np.ndarray, slack: float) -> bool:
    """Whether overlaps are positive semidefinite up to a share of the largest."""
    C = equations.covariances(state[None])[0]
    return bool(np.linalg.eigvalsh(C).min() >= -slack * np.abs(C).max())


def distinct(equations: Equations, points: list[Point]) -> tuple[list[Point], np.ndarray]:
    """Return the points of which no two are the same up to a permutation of students, by risk, and to which each one belongs."""
    risks = equations.risks(np.array([one.state for one in points]))
    kept: list[int] = []
    belongs = np.empty(len(points), dtype=int)
    for i in np.argsort(risks, kind="stable"):
        for n, j in enumerate(kept):
            if same(equations, points[i].state, points[j].state):
                belongs[i] = n
                break
        else:
            belongs[i] = len(kept)
            kept.append(int(i))
    return [points[i] for i in kept], belongs


def same(equations: Equations, one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two states differ by a permutation of students; second layers that stay have to agree."""
    p = equations.p
    (C, D), (a, b) = (make(np.stack([one, other])) for make in (equations.covariances, equations.second_layers))
    sizes = np.abs(C).max()
    slack = max(1.0, float(np.abs(a).max()))
    if np.abs(np.sort(np.einsum("luu->u", C)) - np.sort(np.einsum("luu->u", D))).max() > SAME * sizes * len(C):
        return False
    teachers = np.arange(p, p + equations.k)
    for order in itertools.permutations(range(p)) if p <= TRIED else [_matched(C, D, a, b)]:
        units = np.concatenate([np.array(order, dtype=int), teachers])
        near = np.abs(C[:, units][:, :, units] - D).max() <= SAME * sizes
        if near and np.abs(a[units[:p]] - b).max() <= SAME * slack:
            return True
    return False


def _matched(C: np.ndarray, D: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    """Return the permutation of many students that brings their norms, overlaps with teachers and second layers nearest."""
    from scipy.optimize import linear_sum_assignment

    p = len(a)
    rows = [np.concatenate([A[:, :p, p:].swapaxes(0, 1).reshape(p, -1), np.einsum("lii->il", A[:, :p, :p]), v[:, None]], 1) for A, v in ((D, b), (C, a))]  # fmt: skip
    return tuple(int(i) for i in linear_sum_assignment(((rows[0][:, None] - rows[1]) ** 2).sum(-1))[1])


def _described(
    problem: Any,
    equations: Equations,
    found: list[Point | str],
    call: dict[str, Any],
    stream: np.random.SeedSequence | None,
) -> xr.Dataset:
    points = [one for one in found if isinstance(one, Point)]
    reasons = [one for one in found if isinstance(one, str)]
    if not points:
        listed = "; ".join(f"{one} ({reasons.count(one)})" for one in dict.fromkeys(reasons))
        raise ArithmeticError(
            f"No fixed point was found from {len(found)} starts: {listed}. Start nearer to one, from a late time of a solution, "
            "or from many random starts."
        )
    kept, belongs = distinct(equations, points)
    place = np.full(len(found), -1)
    place[[isinstance(one, Point) for one in found]] = belongs
    states = np.array([one.state for one in kept])
    seen, L = problem.seen(), equations.groups
    Q, R, a = system.unpack(seen, equations.to_fields(states))
    values = {"risk": np.maximum(equations.risks(states), 0.0), "Q": Q, "R": R}
    if equations.trained:
        values["second_layer"] = a
    if equations.grouped:
        blocks = states[:, : L * equations.block].reshape(len(states), L, -1)
        values["Q_groups"], values["R_groups"] = system.unpack_overlaps(seen, blocks)
    extra: dict[str, Any] = {
        name: (("point", *problem.variables[name].dims), array, problem.variables[name].attributes())
        for name, array in values.items()
    }
    spectra = np.array([one.eigenvalues for one in kept])
    for name, dims, array, said, symbol in (
        ("eigenvalues", ("point", "mode"), spectra.real, "real parts of the eigenvalues of the Jacobian: rates of growth", r"$\mathrm{Re}\,\lambda$"),
        ("frequencies", ("point", "mode"), spectra.imag, "imaginary parts of the eigenvalues of the Jacobian", r"$\mathrm{Im}\,\lambda$"),
        ("unstable", ("point",), np.array([one.unstable for one in kept]), "number of unstable directions", r"$n_+$"),
        ("flat", ("point",), np.array([one.flat for one in kept]), "number of directions without a rate: of a continuous family, or of nothing at first order", r"$n_0$"),
        ("converged", ("start",), place >= 0, "whether a fixed point was reached from a start", ""),
        ("reached", ("start",), place, "which point was reached from a start, -1 if none", ""),
    ):  # fmt: skip
        extra[name] = (dims, array, {"long_name": said, "symbol": symbol})
    attrs = {"note": f"{len(reasons)} of {len(found)} starts led to no fixed point"} if reasons else {}
    return results.build(
        problem, kind=problem.kind, times=None, variables={}, call=call, extra=extra, root=stream, attrs=attrs
    )
