"""State of a margin flow: its data as the compiled equations see them, and its observables."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core import checks
from . import equations
from .equations import evaluate
from .kkt import residual
from .models import MarginModel, ReLUModel, SkipReLUModel

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
    values = np.atleast_1d(checks.array("log_losses", log_losses, allow_empty=True))
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
