"""One unit in high dimension, any loss and link, inputs of any covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks
from ..spectrum.covariance import decompose
from .physics import SingleUnitPhysics

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False, repr=False, init=False)
class SingleUnit(SingleUnitPhysics):
    r"""One unit that learns from a teacher by gradient flow or one-pass SGD, with any loss and link.

    Labels follow from the teacher's field :math:`\lambda_\star = w_\star\cdot x/\sqrt d` by the `link`, the student's field
    :math:`\lambda = w\cdot x/\sqrt d` is judged by the `loss` :math:`\ell(\lambda, y)`, and inputs are
    :math:`x \sim N(0, S)`, :math:`S = \sum_l c_l P_l`.  The overlaps :math:`Q_l = w P_l w/d`, :math:`R_l = w P_l w_\star/d`,
    :math:`T_l = w_\star P_l w_\star/d` in each eigenspace obey a closed system, (U4).  With learning_rate = 0 it is the
    gradient flow of the population risk and *exact* at every dimension; with a positive one it is one-pass SGD
    :math:`w \leftarrow w - \text{learning\_rate}\,\ell'(\lambda, y)\,x/\sqrt d` as the dimension grows, *asymptotic*: what
    replaces the dimension in deviations is :math:`(\operatorname{tr} S)^2/\operatorname{tr} S^2`.

    Parameters
    ----------
    link : str or SymPy expression
        The label as a function of the teacher's field: "linear", "square", "abs", "sign", "relu", "tanh", "erf", or an
        expression of v such as "v**3 - 3*v"; or "logistic", "probit": labels 1 and -1 with that probability of 1.
    loss : str or SymPy expression, optional
        "squared" :math:`\frac12(\lambda - y)^2`, "intensity" :math:`\frac12(\lambda^2 - y)^2` (phase retrieval), "logistic"
        :math:`\log(1 + e^{-y\lambda})`, "erf", "tanh" (squared loss of such a unit), "exponential", "logcosh", or a smooth
        expression of u and y such as "log(1 + exp(-y*u))".  If not given, that of the link.
    Q, R, T : float or array_like, shape (L,)
        Overlaps of the start; a number stands for isotropic weights.
    covariance : Spectrum, array_like of shape (d,) or (d, d), optional
        Of the inputs.  The groups of a `Spectrum` are its nodes in the order in which they are given.
    learning_rate : float
        Of SGD; 0 is gradient flow.
    noise : float
        Variance of what is added to the label.
    weight_decay : float
        The term -weight_decay w in dw/dt.

    Raises
    ------
    ValueError, TypeError
        If overlaps of a group are not feasible, the covariance is none, a rate is negative or beyond the bound (U7), or loss
        or link cannot be read.

    Notes
    -----
    The clock is t = steps * learning_rate / d.  For the squared loss it is that of `Committee` with one unit each.

    Examples
    --------
    >>> import flowlimits as fl
    >>> law = fl.Spectrum.power_law(1.5, 1000).normalised()
    >>> problem = fl.SingleUnit("logistic", Q=0.0, T=1.0, covariance=law, learning_rate=0.5)
    >>> problem.solve([0.0, 10.0])["overlap"].values.round(3).tolist()  # doctest: +SKIP
    """

    @classmethod
    @checks.named_arguments()
    def from_weights(cls, w: Any, w_star: Any, link: Any = "linear", loss: Any = None, **physics: Any) -> SingleUnit:
        """Return the problem that starts from the weights w with the teacher w_star, both of shape (d,).

        Raises
        ------
        ValueError
            If they have different lengths, or the covariance another size.
        """
        overlaps = [name for name in ("Q", "R", "T") if name in physics]
        if overlaps:
            raise TypeError(f"Argument `{overlaps[0]}` is not taken here: the overlaps are those of the weights.")
        first = checks.array("w", w, ("d",), largest=checks.LARGEST_WEIGHT)
        second = checks.array("w_star", w_star, (first.size,), largest=checks.LARGEST_WEIGHT)
        found = decompose(physics.pop("covariance", None), first.size, weights="w", entries="entries")
        C = found.overlaps(np.stack([first, second]))
        given: dict[str, Any] = {"Q": C[:, 0, 0], "R": C[:, 0, 1], "T": C[:, 1, 1], "covariance": found.groups}
        return cls(link, loss, **given, **physics)

    @checks.named_arguments()
    def solve(
        self,
        times: Any,
        *,
        rtol: float = 1e-8,
        atol: float = 1e-10,
        method: str = "auto",
        observables: Any = None,
        events: Any = (),
        max_steps: int = 1_000_000,
        progress: bool | None = False,
    ) -> xr.Dataset:
        """Return the overlaps in time.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the problem's clock.
        rtol, atol : float
            Tolerances of the integrator; atol is shared out over the groups by their size.
        method : str
            "auto", or a method of `flowlimits.ode.integrate`.  Where time spans many relaxation times of the fastest
            group, "auto" is the implicit method, whose cost grows with the number of groups only linearly.
        observables : sequence of str, optional
            Further variables: "Q_groups", "R_groups".
        events : sequence of fl.Event, optional
            On "risk", "Q", "R" or "overlap"; `event_time` holds the first time of each.

        Returns
        -------
        xarray.Dataset
            With `risk`, the covariances `Q` and `R` of the fields, and `overlap`.

        Raises
        ------
        flowlimits.ode.IntegrationError
            If the flow diverges; `partial` holds the finished part.
        """
        from ..core.solve import solve
        from . import limit

        return solve(
            self, limit, times, rtol=rtol, atol=atol, method=method, observables=observables, events=events,
            max_steps=max_steps, progress=progress,
        )  # fmt: skip

    @checks.named_arguments()
    def simulate(
        self,
        times: Any,
        *,
        dimension: int,
        runs: int = 1,
        rng: Any = None,
        method: str | None = None,
        step: float | None = None,
        observables: Any = None,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Return a simulation at finite dimension, from exactly the problem's overlaps, on the same clock.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the problem's clock; the result states the times of the nearest steps.
        dimension : int
            Each group gets its share of directions, by largest remainders; at least the rank of its overlaps.
        runs, rng
            Number of runs, and the root of their random streams.
        method : {"overlaps", "samples", "gd"}, optional
            "overlaps" (default for SGD): two coordinates and a length in each group, exact in law at a cost per step that does
            not depend on the dimension.  "samples": Gaussian inputs on real weights.  "gd" (default at learning_rate = 0):
            population gradient descent, deterministic, so one run.
        step : float, optional
            Of "gd", on the clock; default 0.01.
        observables : sequence of str, optional
            Further variables: "Q_groups", "R_groups".
        threads, progress
            Number of threads (does not change the result), and whether to show a bar.

        Returns
        -------
        xarray.Dataset
            With the leading dimension `run`.

        Raises
        ------
        FloatingPointError
            If a run leaves the finite range; the message says when.
        """
        from .simulation import simulate

        return simulate(
            self, times, dimension=dimension, runs=runs, rng=rng, method=method, step=step, observables=observables,
            threads=threads, progress=progress,
        )  # fmt: skip
