r"""State of a margin flow: its data as the compiled equations see them, its observables, its distance from critical points.

The limit direction of a margin flow satisfies the KKT conditions of maximising the margin at fixed norm (Lyu & Li,
1906.05890, theorem 4.4): in the l2 geometry :math:`u = \sum_i\lambda_i h_i` with :math:`\lambda \ge 0` on the support vectors and
:math:`h_i` in the Clarke subdifferential of :math:`q_i`.  For ReLU units whose hyperplane contains a sample the gate is any
number in [0, 1]: units come to *slide* on such kinks, and with a fixed gate the residual never falls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core import checks
from . import equations
from .equations import evaluate
from .models import MarginModel, ReLUModel, SkipReLUModel

#: Samples whose logits lie within this of the smallest count as support vectors.
SUPPORT = 20.0
#: A unit counts as sitting on the kink of a sample when their cosine is below this.
KINK = 1e-3
#: Weight of the rows that bound the gates, as equations, in the least-squares problem.
HEAVY = 1e4


def kinks(weights: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return which samples lie on the kink of which unit, shape (n, width)."""
    scale = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(weights, axis=1)[None, :]
    return np.abs(X @ weights.T) <= KINK * scale


def columns(
    q: np.ndarray, gradients: np.ndarray, hidden: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the generators of the cone of subgradients.

    Parameters
    ----------
    q : ndarray, shape (n,)
        Logits (margins at the actual norm).
    gradients : ndarray, shape (n, size)
        Gradients of the margins, kinks with any gate.
    hidden : tuple of (W, a, X, y), optional
        Layers and data of a ReLU model.

    Returns
    -------
    generators : ndarray, shape (size, support + gates)
        First the gradients with all free gates closed, then the parts that an open gate adds.
    owner : ndarray, shape (gates,)
        For each gate the column of its sample.
    support : int
        Number of support vectors.
    """
    support = np.flatnonzero(q <= q.min() + SUPPORT)
    base = gradients[support].T.copy()
    parts, owner = [], []
    if hidden is not None:
        W, a, X, y = hidden
        d = W.shape[1]
        free = kinks(W, X)
        for column, i in enumerate(support):
            for j in np.flatnonzero(free[i]):
                rows = slice(j * d, (j + 1) * d)
                base[rows, column] = 0.0
                part = np.zeros(base.shape[0])
                part[rows] = y[i] * a[j] * X[i]
                parts.append(part)
                owner.append(column)
    generators = np.column_stack([base, *parts]) if parts else base
    return generators, np.array(owner, dtype=int), support.size


def residual_l2(direction: np.ndarray, generators: np.ndarray, owner: np.ndarray, support: int) -> float:
    """Return the distance of the unit vector `direction` from the cone, by non-negative least squares."""
    from scipy.optimize import nnls

    gates = owner.size
    if gates == 0:
        return float(nnls(generators, direction)[1])
    # Unknowns: lambda (support), zeta (gates), eta (gates) with zeta + eta = lambda of the gate's sample.
    size = generators.shape[0]
    scale = HEAVY * np.abs(generators).max()
    A = np.zeros((size + gates, support + 2 * gates))
    A[:size, : support + gates] = generators
    for g, sample in enumerate(owner):
        A[size + g, [support + g, support + gates + g]] = scale
        A[size + g, sample] = -scale
    b = np.concatenate([direction, np.zeros(gates)])
    solution = nnls(A, b, maxiter=50 * A.shape[1])[0]
    return float(np.linalg.norm(generators @ solution[: support + gates] - direction))


def residual_dual(
    geometry: str, direction: np.ndarray, generators: np.ndarray, owner: np.ndarray, support: int
) -> float:
    """Return the relative gap min_lambda N_*(sum lambda_i h_i) / <theta, sum lambda_i h_i> - 1 for N = linf or l1.

    It vanishes exactly at the KKT points of the margin problem in the norm N.
    """
    from scipy.optimize import linprog

    size, gates = generators.shape[0], owner.size
    known = generators.shape[1]
    inner = direction @ generators
    bound = size if geometry == "linf" else 1  # dual norms: l1 of the combination, or linf
    # Unknowns: multipliers, then the moduli (linf) or their maximum (l1); normalised to <theta, h> = 1.
    cost = np.concatenate([np.zeros(known), np.ones(bound)])
    cap = -np.eye(size) if geometry == "linf" else -np.ones((size, 1))
    inequalities = np.block([[generators, cap], [-generators, cap]])
    gate_rows = np.zeros((gates, known + bound))
    for g, sample in enumerate(owner):
        gate_rows[g, support + g] = 1.0
        gate_rows[g, sample] = -1.0
    A = np.vstack([inequalities, gate_rows])
    outcome = linprog(
        cost, A_ub=A, b_ub=np.zeros(A.shape[0]), A_eq=np.concatenate([inner, np.zeros(bound)])[None, :], b_eq=[1.0]
    )
    return max(float(outcome.fun) - 1.0, 0.0) if outcome.status == 0 else float("nan")


def residual(
    geometry: str,
    theta: np.ndarray,
    q: np.ndarray,
    gradients: np.ndarray,
    hidden: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None,
) -> float:
    """Return the KKT residual of the weights `theta` in a geometry; 0 at a critical direction."""
    generators, owner, support = columns(q, gradients, hidden)
    # Scaling the generators keeps the least-squares problem well conditioned; the cone does not change.
    generators = generators / np.linalg.norm(generators, axis=0).max()
    if geometry == "l2":
        return residual_l2(theta / np.linalg.norm(theta), generators, owner, support)
    norm = np.abs(theta).max() if geometry == "linf" else np.abs(theta).sum()
    return residual_dual(geometry, theta / norm, generators, owner, support)


LOSSES = {"exponential": equations.EXPONENTIAL, "logistic": equations.LOGISTIC}
#: Values up to this are taken for losses: as minus log losses they say that the loss is one.
LOOKS_LIKE_LOSS = 1e-3
GEOMETRIES = {"l2": 0, "linf": 1, "l1": 2}


class NoMarginError(ValueError):
    """The flow does not separate the data.

    Attributes
    ----------
    margin : float
        The largest normalised margin on the way, not positive.
    log_loss : float
        The logarithm of the loss at which the flow stopped.
    """

    def __init__(self, message: str, margin: float, log_loss: float) -> None:
        super().__init__(message)
        self.margin = margin
        self.log_loss = log_loss

    def __reduce__(self):
        return type(self), (str(self), self.margin, self.log_loss)


class BudgetError(RuntimeError):
    """The asked horizon costs more steps than the budget; `partial` holds what was computed, or None."""

    def __init__(self, message: str, partial: Any = None) -> None:
        super().__init__(message)
        self.partial = partial

    def __reduce__(self):
        return type(self), (str(self), self.partial)


def checked_clock(log_losses: Any) -> np.ndarray:
    """Return minus log losses as increasing times; refuse what looks like losses."""
    values = np.atleast_1d(checks.array("log_losses", log_losses, allow_empty=True, largest=math.inf))
    if values.ndim == 1 and values.size:
        falls = values.size > 1 and (np.diff(values) < 0).all()
        if (values > 0).all() and ((falls and values.max() <= 1) or values.max() <= LOOKS_LIKE_LOSS):
            raise ValueError(
                f"Argument `log_losses` must hold minus the logarithms of losses, but {values[0]:g} looks like a loss: give -np.log(losses)."
            )
    return checks.times(values, "log_losses")


@dataclass
class Trajectory:
    """Weights at the requested losses, T = t * loss, the path length, and how they were found."""

    weights: np.ndarray
    scaled_times: np.ndarray
    path_lengths: np.ndarray
    report: dict[str, Any] = field(default_factory=dict)
    sentence: str = ""


class State:
    """The data of a problem in the form of the compiled equations."""

    def __init__(
        self, model: MarginModel, X: np.ndarray, y: np.ndarray, weights: np.ndarray, loss: str, geometry: str
    ) -> None:
        self.model, self.norm_name = model, geometry
        self.X = model.prepare(np.array(X))
        self.y = np.array(y)
        self.extra = np.ascontiguousarray(model.extra(), dtype=np.float64)
        self.kind, self.order = int(model.kind), float(model.order)
        self.loss, self.geometry = LOSSES[loss], GEOMETRIES[geometry]
        self.start = np.array(weights)
        self.clock = self.evaluate(self.start)[0]

    #: Minus log loss below which some sample may still be misclassified.
    @property
    def threshold(self) -> float:
        return 0.0 if self.loss == equations.EXPONENTIAL else -math.log(math.log(2.0))

    def evaluate(self, theta: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray, np.ndarray]:
        """Return minus log loss, B, the margins, p and the gradients of the margins."""
        n = self.y.size
        q, p, gradients = np.empty(n), np.empty(n), np.empty((n, theta.size))
        ell, B = evaluate(self.kind, self.loss, np.array(theta), self.X, self.y, self.extra, q, p, gradients)
        return ell, B, q, p, gradients

    def norm(self, theta: np.ndarray, *, dual: bool = False) -> float:
        """Return the norm of the geometry, or its dual."""
        name = self.norm_name
        if name == "l2":
            return float(np.linalg.norm(theta))
        largest = (name == "linf") != dual
        return float(np.abs(theta).max() if largest else np.abs(theta).sum())

    def margin(self, theta: np.ndarray) -> float:
        """Return the normalised margin of some weights; minus infinity at the origin."""
        norm = self.norm(theta)
        return float(self.evaluate(theta)[2].min()) / norm**self.order if norm > 0 else -math.inf

    def check_start(self) -> None:
        """Refuse starts from which the flow does not move, or at which the model is not finite."""
        ell, _, _, p, gradients = self.evaluate(self.start)
        if not (math.isfinite(ell) and np.isfinite(gradients).all()):
            raise ValueError("The model is not finite at the starting weights.")
        size = float(p @ np.linalg.norm(gradients, axis=1))
        if np.linalg.norm(p @ gradients) <= 1e-13 * size or size == 0:
            raise ValueError(
                "The flow does not move from these weights: the gradients of the samples cancel or vanish, as at a sign-symmetric "
                "start or at the origin. Draw or shift the weights."
            )

    @property
    def start_loss(self) -> str:
        """The loss of the start, which need not be a floating-point number."""
        return f"{math.exp(-self.clock):.4g}" if self.clock > -700 else f"e^{-self.clock:.4g}"

    def check_clock(self, clock: np.ndarray) -> None:
        """Refuse losses above that of the start."""
        if clock[0] < self.clock:
            raise ValueError(
                f"Argument `log_losses` must not begin before the start, whose minus log loss is {self.clock:.6g}, but begins at {clock[0]:g}."
            )

    def no_margin(self, weights: list[np.ndarray], log_loss: float, why: str) -> NoMarginError:
        """Return the error for a flow that does not separate the data."""
        best = max((self.margin(theta) for theta in weights), default=-math.inf)
        return NoMarginError(
            f"The flow has no margin: it {why} at the loss {math.exp(log_loss):.4g}, above the one that guarantees that all samples are "
            f"classified; the best normalised margin found is {best:.3g}. The model cannot separate the data, or not from this start.",
            best,
            log_loss,
        )

    def out_of_steps(self, weights: list[np.ndarray], log_loss: float, budget: int) -> NoMarginError | BudgetError:
        """Return the error for a first phase that the budget ended: it separates the data already, or may never do so."""
        error = self.no_margin(weights, log_loss, f"still is after max_steps={budget} steps")
        if error.margin <= 0:
            message = str(error).removesuffix(".") + ", or `max_steps` is too small."
            return NoMarginError(message, error.margin, log_loss)
        return BudgetError(
            f"The flow separates the data (normalised margin {error.margin:.3g}), but reached no loss below {math.exp(log_loss):.4g} in "
            f"max_steps={budget} steps: raise `max_steps`."
        )

    def observe(self, clock: np.ndarray, trajectory: Trajectory, kkt: bool) -> dict[str, np.ndarray]:
        """Return the variables of a result."""
        rows = [self._observe_one(theta, kkt) for theta in trajectory.weights]
        names = ("margin", "smoothed_margin", "log_norm", "alignment", "kkt_residual")
        variables = {name: np.array([row[i] for row in rows]) for i, name in enumerate(names)}
        if not kkt:
            del variables["kkt_residual"]
        with np.errstate(divide="ignore"):
            variables["log_time"] = clock + np.log(trajectory.scaled_times)
        variables["path_length"] = trajectory.path_lengths
        norms = np.array([self.norm(theta) for theta in trajectory.weights])
        with np.errstate(invalid="ignore"):
            variables["direction"] = trajectory.weights / norms[:, None]
        return variables

    def _observe_one(self, theta: np.ndarray, kkt: bool) -> tuple[float, ...]:
        norm = self.norm(theta)
        if norm == 0:
            return (math.nan,) * 2 + (-math.inf,) + (math.nan,) * 2
        ell, _, q, p, gradients = self.evaluate(theta)
        G = p @ gradients
        scale = norm**self.order
        alignment = float(G @ theta) / (norm * self.norm(G, dual=True))
        gap = residual(self.norm_name, theta, q, gradients, self.hidden(theta)) if kkt else math.nan
        return q.min() / scale, equations.inverse_loss.py_func(self.loss, ell) / scale, math.log(norm), alignment, gap

    def hidden(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
        """Return the layers and data of a ReLU model, for the gates at its kinks; None for other models."""
        if not isinstance(self.model, ReLUModel | SkipReLUModel):
            return None
        blocks = self.model.unpack(theta, self.X.shape[1])
        return blocks["W"], blocks["a"], self.X, self.y
