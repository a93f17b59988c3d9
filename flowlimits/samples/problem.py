"""Gradient flow of a two-layer network on a finite sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core import checks, streams
from ..core.problem import Problem
from ..core.results import Variable
from .equations import ACTIVATIONS, LOSSES
from .kinks import check_sample

if TYPE_CHECKING:
    import xarray as xr

_ABSENT = checks.SEED | {
    "learning_rate": "this is gradient flow; its time t is steps times step.",
    "lr": "this is gradient flow; its time t is steps times step.",
    "batch": "the whole sample is used at each time.",
}
_NAMES = ("width", "weights", "scale", "start", "activation", "bias", "loss", "X_test", "y_test", "rng")
STARTS = ("balanced", "unbalanced", "dominated")


@dataclass(frozen=True, eq=False, repr=False, init=False)
class SampleFlow(Problem):
    r"""Full-batch gradient flow of :math:`h(x) = \sum_j a_j\sigma(w_j\cdot x)` on :math:`L = \frac1n\sum_i\ell(h(x_i), y_i)`.

    *Exact* for the sample, up to the integrator (``docs/samples.md``, eq. (S1)).  The squared loss is :math:`\frac12(h - y)^2`.

    Parameters
    ----------
    X, y : array_like, shapes (n, d), (n,)
        The sample; labels are +-1 for the logistic and exponential losses.
    width : int, optional
        Draw the start: ``w_j ~ N(0, scale^2/m)`` and a second layer by `start`.  Either `width` or `weights` is given.
    weights : tuple of array_like, shapes (m, d), (m,), optional
        Own start (W, a); with `bias` W has d + 1 columns.
    scale : float
        Of the drawn start.
    start : {"balanced", "unbalanced", "dominated"}
        ``a_j = +-abs(w_j)``, half and half; ``a_j ~ N(0, scale^2/m)``; ``a_j = +-2 abs(w_j)``.
    activation : {"relu", "square", "tanh", "softplus"}
    bias : bool
        Append the coordinate 1 to every input.
    loss : {"squared", "logistic", "exponential"}
    X_test, y_test : array_like, optional
        Adds `test_risk`.
    rng : None, int or Generator

    Raises
    ------
    ValueError
        If shapes do not fit, labels are not +-1 where needed, or the sample is empty or holds a zero input.
    """

    X: np.ndarray
    y: np.ndarray
    W: np.ndarray
    second_layer: np.ndarray
    activation: str
    bias: bool
    loss: str
    X_test: np.ndarray | None
    y_test: np.ndarray | None

    clock: ClassVar[str] = "t"
    kind: ClassVar[str] = "exact"
    size_name: ClassVar[str] = ""
    papers: ClassVar[tuple[str, ...]] = ("boursier2024", "boursier2025")
    variables: ClassVar[dict[str, Any]] = {
        "risk": Variable("training loss", r"$L$"),
        "test_risk": Variable("test loss", r"$L_{\rm test}$"),
        "output": Variable("output on the sample", "$h(x_i)$", ("sample",)),
        "directions": Variable("directions of the units", r"$w_j/|w_j|$", ("unit", "input")),
        "hidden": Variable("hidden weights", "$w_j$", ("unit", "input")),
        "second_layer": Variable("second layer", "$a_j$", ("unit",)),
    }

    def __init__(
        self, X: Any, y: Any, *, width: int | None = None, weights: Any = None, scale: float = 1e-3, start: str = "balanced",
        activation: str = "relu", bias: bool = False, loss: str = "squared", X_test: Any = None, y_test: Any = None, rng: Any = None, **other: Any,
    ) -> None:  # fmt: skip
        if {"W", "second_layer"} <= set(other):
            weights = (other.pop("W"), other.pop("second_layer"))
        checks.unknown_arguments("SampleFlow", other, _NAMES, _ABSENT)
        put = object.__setattr__
        X, y = check_sample(X, y, allow_zero=checks.boolean("bias", bias))
        self._freeze("X", X)
        put(self, "activation", checks.choice("activation", activation, ACTIVATIONS))
        put(self, "bias", bool(bias))
        put(self, "loss", checks.choice("loss", loss, LOSSES))
        if self.loss != "squared" and not np.isin(y, (-1.0, 1.0)).all():
            raise ValueError(
                f"Argument `y` must hold +1 and -1 for the {self.loss} loss, but holds {y[~np.isin(y, (-1.0, 1.0))][0]:g}."
            )
        self._freeze("y", y)
        d = X.shape[1] + self.bias
        if (width is None) == (weights is None):
            raise ValueError("Either argument `width` or `weights` must be given, and not both.")
        if weights is None:
            weights = _draw(
                checks.integer("width", width, minimum=1),
                d,
                checks.number("scale", scale, positive=True),
                checks.choice("start", start, STARTS),
                rng,
            )
        if not isinstance(weights, tuple | list) or len(weights) != 2:
            raise ValueError(
                f"Argument `weights` must be a pair (W, a) of hidden weights and second layer, but is {checks.show(weights)}."
            )
        W = checks.array("weights", weights[0], ("m", d))
        self._freeze("W", W)
        self._freeze("second_layer", checks.array("weights", weights[1], (len(W),)))
        if (X_test is None) != (y_test is None):
            raise ValueError("Arguments `X_test` and `y_test` must be given together.")
        if X_test is None:
            put(self, "X_test", None)
            put(self, "y_test", None)
        else:
            X_test = checks.array("X_test", X_test, ("n", X.shape[1]))
            self._freeze("X_test", X_test)
            self._freeze("y_test", checks.array("y_test", y_test, (len(X_test),)))

    def inputs(self, X: Any = None) -> np.ndarray:
        """Return the inputs that the units see, shape (n, d) or with `bias` (n, d + 1)."""
        X = np.array(self.X) if X is None else checks.array("X", X, ("n", self.X.shape[1]))
        return np.hstack([X, np.ones((len(X), 1))]) if self.bias else X

    def predict(self, W: Any, a: Any, X: Any) -> np.ndarray:
        """Return the outputs of given weights at inputs X, shape (n,)."""
        from . import equations

        inputs = self.inputs(X)
        W = checks.array("W", W, ("m", inputs.shape[1]))
        values = np.empty(len(inputs))
        equations.outputs(
            inputs,
            np.ascontiguousarray(W.T),
            checks.array("a", a, (len(W),)),
            ACTIVATIONS.index(self.activation),
            values,
        )
        return values

    @checks.named_arguments()
    def solve(
        self, times: Any, *, rtol: float | None = None, atol: float | None = None, method: str = "auto", kink_step: float | None = None,
        observables: Any = None, events: Any = (), max_steps: int = 10_000_000, keep_state: bool = False, progress: bool | None = False,
    ) -> xr.Dataset:  # fmt: skip
        r"""Return the flow of the training loss.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the clock t; take them geometric.
        rtol, atol : float, optional
            Default 1e-5 and 0 for "kinks", where they bound the error of a step in the root mean square over units, each relative to
            :math:`\sqrt{|z_j|\max_k|z_k|}` with :math:`z_j = (w_j, a_j)`; otherwise 1e-8 and 1e-12.
        method : {"auto", "kinks", "merged"} or a method of `fl.ode.integrate`
            "auto" takes "kinks" for ReLU and the automatic choice otherwise.  "kinks" never takes steps below `kink_step` because of a
            kink.  "merged" (ReLU, squared loss) aligns the units in closed form until the outputs reach a hundredth of the labels,
            merges units of equal sign and equal pattern on the sample, and follows the few that are left: asymptotic in the scale of
            the start.
        kink_step : float, optional
            Units that slide along a kink stay within this time's travel of it.  Default: a hundredth of the shortest time in which a unit
            may align, :math:`0.01\,/\,\frac1n\sum_i|y_i||x_i|`.
        observables : sequence of str, optional
            Default: `risk`, `test_risk` if there are test data, `second_layer`.  Also `output`, `directions`, `hidden`.
        events : sequence of fl.Event
            On `risk` and `test_risk`.
        max_steps : int
        keep_state : bool
            Add the variable `state` of the last time: W transposed, row by row, then a.
        progress : bool or None
            A bar over time; None shows it after two seconds.

        Returns
        -------
        xarray.Dataset
            With the attributes `end_state` ("interpolating", "OLS", "split OLS", "other"), `end_state_distances` and
            `distinct_directions` of the last time; "merged" adds `end_point_risk`, the loss at the end in closed form if the patterns
            of the last time stay, and whether they can (`end_point_consistent`).  For ReLU the flow is solved twice more, with 4 and 16 times `rtol`
            and 2 and 4 times `kink_step`: the larger difference of the loss stands in the provenance as `risk_error`, absolute, and
            `relative_risk_error`.  Errors are of first order in `kink_step`; in `rtol` they scatter where many small kinks are crossed
            per step, with a mean that falls roughly as its square root.  So the estimate is one, and no bound; a unit that
            passes close to the corner of two kinks may part two solutions, which it then shows.  `forced_steps` and `forced_error` count the steps taken at `kink_step` against `rtol`, and add up their errors.

        Raises
        ------
        flowlimits.ode.IntegrationError
            If the integration cannot go on; the error carries the finished part.
        """
        from .limit import solve

        return solve(
            self, times, rtol=rtol, atol=atol, method=method, kink_step=kink_step, observables=observables, events=events,
            max_steps=max_steps, keep_state=keep_state, progress=progress,
        )  # fmt: skip

    @checks.named_arguments()
    def simulate(self, times: Any, *, step: float = 0.01, observables: Any = None) -> xr.Dataset:
        """Return plain gradient descent ``w <- w - step grad`` from the same start, on the same clock."""
        from .limit import descend

        return descend(self, times, step=step, observables=observables)


def _draw(width: int, d: int, scale: float, start: str, rng: Any) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(streams.root(rng))
    W = scale / math.sqrt(width) * generator.standard_normal((width, d))
    sign = np.where(np.arange(width) % 2 == 0, 1.0, -1.0)
    if start == "unbalanced":
        return W, scale / math.sqrt(width) * generator.standard_normal(width)
    return W, (2.0 if start == "dominated" else 1.0) * sign * np.linalg.norm(W, axis=1)
