"""The three forms of the equations: which serves, and the numbers that its compiled functions read."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..committee import activations
from . import equations, moments, rules
from .physics import GRID
from .rules import Particles

if TYPE_CHECKING:
    from .physics import MeanFieldPhysics

FORMS = ("pairs", "function", "low rank")
MODULES = {"pairs": "equations_pairs", "function": "equations", "low rank": "equations_low_rank"}
#: Monomials beyond which the low-rank form costs more than it saves.
MOST_MONOMIALS = 5000
#: Points per angle in the coarsest rule for erf and ReLU.
ANGLES = 6
#: Points per direction of the grid on which a target is projected, at the coarsest level.
PROJECTION = {1: 64, 2: 40, 3: 20}


@dataclass(frozen=True)
class Form:
    """Compiled equations with their parameters, for one set of particles; `refines` if a grid or angles can be finer."""

    name: str
    particles: int
    directions: int
    params: np.ndarray
    work_size: int
    cost: float
    refines: bool

    @property
    def module(self) -> Any:
        """The module of the compiled functions, loaded when first used."""
        return importlib.import_module(f".{MODULES[self.name]}", __package__)

    def risks(self, states: np.ndarray) -> np.ndarray:
        """Return the risk at states (n, size)."""
        states = np.ascontiguousarray(states)
        out = np.zeros(len(states))
        work = np.zeros(self.work_size + states.shape[-1])
        if self.name == "function":
            errors = np.zeros((len(states), int(self.params[equations.NODES])))
            self.module.errors(states, self.params, work, errors)
            rows = self.directions + int(self.params[equations.REMAINDERS])
            at = equations.HEADER + self.particles + 3 * rows + self.directions * errors.shape[1]
            return 0.5 * (errors**2) @ self.params[at : at + errors.shape[1]]
        self.module.risks(states, self.params, work, out)
        # Round-off of the moments may leave a risk of -1e-17 at a perfect student; NaN stays.
        return np.where(out < 0.0, 0.0, out)


def choose(physics: MeanFieldPhysics, size: int) -> str:
    """Return the form that serves, for that many particles."""
    if activations.is_polynomial(physics.activation):
        if _monomials(physics) <= MOST_MONOMIALS or not physics.closed or physics.target is not None:
            return "low rank"
        return "pairs"
    if physics.target is not None or not physics.closed:
        return "function"
    m = physics.directions
    smooth = physics.activation == "erf" and physics.dimension is None and m in GRID
    return "function" if smooth and size > 2 * GRID[m] ** m else "pairs"


def check(physics: MeanFieldPhysics, name: str) -> str:
    """Return the name of a form that serves the problem."""
    reason = ""
    if name == "pairs" and (physics.target is not None or not physics.closed):
        reason = "it needs a teacher whose moments with the student have a closed form"
    if name == "low rank" and not activations.is_polynomial(physics.activation):
        reason = "it needs a polynomial activation"
    if name == "function" and physics.dimension is not None:
        reason = "it needs infinite dimension"
    if name == "function" and physics.directions not in GRID:
        reason = f"its grid holds at most {max(GRID)} directions"
    if reason:
        raise ValueError(f'Argument `form` must suit the problem, but is "{name}": {reason}.')
    return name


def _monomials(physics: MeanFieldPhysics) -> int:
    n = activations.degree(physics.activation)
    return math.comb(physics.directions + (physics.dimension is not None) + n, n)


def build(physics: MeanFieldPhysics, name: str, particles: Particles, level: int) -> Form:
    """Return the form; each level doubles the points per angle or per direction of the grid."""
    make = {"pairs": pairs, "function": function, "low rank": low_rank}[name]
    return make(physics, particles, level)


def table_of_rows(physics: MeanFieldPhysics) -> np.ndarray:
    """Return speed, temperature and inverse eigenvalue of each row of the state, shape (3, m + R)."""
    groups, temperature = physics.covariance, physics.temperature
    if groups is None:
        one = np.ones(physics.directions + 1)
        return np.stack([one, temperature * one, one])
    c, q = groups.eigenvalues[physics.row_groups], groups.weights[physics.row_groups]
    return np.stack([c, temperature * c * q, 1.0 / c])


def header(physics: MeanFieldPhysics, particles: Particles, remainders: int) -> np.ndarray:
    """Return what every form reads first."""
    head = np.zeros(equations.HEADER)
    head[equations.REMAINDERS] = remainders
    P, m = particles.projections.shape
    head[equations.PARTICLES], head[equations.DIRECTIONS] = P, m
    head[equations.RATE], head[equations.DECAY] = physics.second_layer_rate, physics.weight_decay
    head[equations.HEATED], head[equations.SPHERICAL] = physics.temperature > 0, physics.spherical
    head[equations.KIND], head[equations.DEGREE], _ = described(physics.activation)
    head[equations.CENTRED] = physics.activation == "centred"
    return head


def described(activation: activations.Activation) -> tuple[int, int, np.ndarray]:
    """Return the kind of an activation, and degree and table of a polynomial."""
    if activations.is_polynomial(activation):
        return equations.POLYNOMIAL, activations.degree(activation), activations.table(activation).ravel()
    return (equations.ERF if activation == "erf" else equations.RELU), 0, np.zeros(1)


def outside(physics: MeanFieldPhysics) -> int | None:
    """Return the number D of dimensions outside the span; None if infinite."""
    return None if physics.dimension is None else physics.dimension - physics.directions


def pairs(physics: MeanFieldPhysics, particles: Particles, level: int, nodes: int | None = None) -> Form:
    """Return the pair form."""
    if activations.is_polynomial(physics.activation):
        count, refines = activations.degree(physics.activation) // 2 + 1, False
    else:
        count = ANGLES * 2**level if nodes is None else nodes
        refines = (outside(physics) or 0) > 1
    table = table_of_rows(physics)
    return pairs_with(physics, particles, table, physics.teacher_rows, *rules.angles(outside(physics), count), refines)


def pairs_with(
    physics: MeanFieldPhysics,
    particles: Particles,
    rows: np.ndarray,
    U: np.ndarray,
    h: np.ndarray,
    shares: np.ndarray,
    refines: bool,
) -> Form:
    """Return the pair form for given rows of the state, cosines, and a teacher with rows U in as many coordinates as the particles have."""
    from .equations_pairs import work_size

    head = header(physics, particles, rows.shape[1] - particles.projections.shape[1])
    (P, m), k = particles.projections.shape, len(U)
    b = physics.teacher_shares if k else np.zeros(0)
    head[equations.TEACHERS], head[equations.NODES] = k, len(h)
    tables = []
    if head[equations.KIND] == equations.POLYNOMIAL:
        tables.append(activations.table(physics.activation).ravel())
        if k:
            head[equations.TEACHER_DEGREE] = activations.degree(physics.teacher_activation)
            tables.append(activations.table(physics.teacher_activation).ravel())
    if k:
        head[equations.REST] = teacher_energy(physics, U)
    params = np.concatenate([head, particles.masses, rows.ravel(), h, shares, U.ravel(), b, *tables])
    size = work_size(P, k, int(head[equations.DEGREE]), int(head[equations.TEACHER_DEGREE]))
    return Form("pairs", P, m, params, size, float(P * P * len(h)) + 0.1 * P * P * m, refines)


def teacher_energy(physics: MeanFieldPhysics, U: np.ndarray) -> float:
    """Return half the mean square of the teacher's output."""
    from .equations_pairs import energy

    kind, degree, table = described(physics.teacher_activation)
    b = np.ascontiguousarray(physics.teacher_shares)
    return float(energy(kind, np.array(U), b, table, degree, np.zeros(len(U) * (degree + 1))))


def grid_of(physics: MeanFieldPhysics, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (G, m) and weights of the grid over the span."""
    m = physics.directions
    points, weights = rules.tensor(*rules.hermite(GRID[m] * 2**level), m)
    # Weights below round-off of the sum only cost time.
    kept = weights > 1e-22
    return points[kept], weights[kept]


def function(physics: MeanFieldPhysics, particles: Particles, level: int) -> Form:
    """Return the function form on a grid over the span."""
    points, weights = grid_of(physics, level)
    return function_at(physics, particles, points, weights, physics.target_values(points))


def function_at(
    physics: MeanFieldPhysics, particles: Particles, points: np.ndarray, weights: np.ndarray, target: np.ndarray
) -> Form:
    """Return the function form at given points of the span."""
    rows = table_of_rows(physics)
    head = header(physics, particles, rows.shape[1] - physics.directions)
    P, m = particles.projections.shape
    head[equations.NODES] = len(points)
    params = np.concatenate(
        [head, particles.masses, rows.ravel(), points.T.ravel(), weights, target, smoothing(physics)]
    )
    return Form("function", P, m, params, equations.work_size(P, len(points)), float(P * len(points)), True)


def smoothing(physics: MeanFieldPhysics) -> np.ndarray:
    """Return powers, nodes and weights by which a polynomial is averaged over the remainder."""
    if not activations.is_polynomial(physics.activation):
        return np.zeros(3)
    degree = activations.degree(physics.activation)
    return np.concatenate([activations.coefficients(physics.activation), *rules.hermite(degree // 2 + 1)])


def low_rank(physics: MeanFieldPhysics, particles: Particles, level: int) -> Form:
    """Return the low-rank form."""
    from .equations_low_rank import work_size

    speeds = table_of_rows(physics)
    head = header(physics, particles, speeds.shape[1] - physics.directions)
    P, m = particles.projections.shape
    degree = activations.degree(physics.activation)
    away = outside(physics)
    listed = moments.indices(m + (1 if away else 0), degree)
    place = {beta: number for number, beta in enumerate(listed)}
    in_span = [beta for beta in listed if not any(beta[m:])]
    points = PROJECTION.get(m, 0) * 2**level
    targets = dict(zip(in_span, moments.teacher_components(physics, [beta[:m] for beta in in_span], points)))
    rows = []
    for beta in listed:
        weight = rules.angle_moment(away, sum(beta[m:])) / moments.factorial(beta)
        last = max((c for c, n in enumerate(beta) if n), default=0)
        row = [sum(beta), place.get(_less(beta, last), 0), last, weight, targets.get(beta, 0.0)]
        for c in range(m + 1):
            power = beta[c] if c < len(beta) else 0
            row += [power, place.get(_less(beta, c), 0) if power else 0]
        rows.append(row)
    head[equations.NODES] = len(listed)
    explained = 0.5 * sum(targets[beta] ** 2 / moments.factorial(beta) for beta in in_span)
    head[equations.REST] = _unlearnable(physics, degree, explained, points)
    params = np.concatenate(
        [head, particles.masses, speeds.ravel(), activations.table(physics.activation).ravel(), np.ravel(rows)]
    )
    return Form(
        "low rank", P, m, params, work_size(P, len(listed), degree), float(P * len(listed)), physics.target is not None
    )


def _unlearnable(physics: MeanFieldPhysics, degree: int, explained: float, points: int) -> float:
    """Return half the mean square of the target beyond the activation's degree."""
    if physics.target is None and activations.is_polynomial(physics.teacher_activation):
        top = activations.degree(physics.teacher_activation)
        beyond = [beta for beta in moments.indices(physics.directions, max(top, degree)) if sum(beta) > degree]
        if not beyond:
            return 0.0
        values = moments.teacher_components(physics, beyond, points)
        return 0.5 * sum(float(value) ** 2 / moments.factorial(beta) for value, beta in zip(values, beyond))
    if physics.target is None:
        return max(teacher_energy(physics, physics.teacher_rows) - explained, 0.0)
    grid, weights = rules.tensor(*rules.hermite(points), physics.directions)
    return max(0.5 * float(weights @ physics.target_values(grid) ** 2) - explained, 0.0)


def _less(beta: moments.Index, coordinate: int) -> moments.Index:
    return tuple(n - (c == coordinate) for c, n in enumerate(beta))
