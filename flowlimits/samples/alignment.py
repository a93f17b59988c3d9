"""Early alignment of the hidden units of a ReLU network with a small start."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core import checks, results, streams
from ..core import threads as parallel
from ..core.problem import Problem
from ..core.results import Variable
from .kinks import check_sample, distinct_kinks, residual_at

if TYPE_CHECKING:
    import xarray as xr

_ABSENT = checks.SEED | {
    "bias": "append a column of ones to `X`.",
    "activation": "the alignment flow is that of ReLU units.",
    "scale": "the flow is the limit of a vanishing scale; `simulate(times, scale=...)` takes a finite one.",
}
_NAMES = ("directions", "width", "balance", "drift", "rng")


@dataclass(frozen=True, eq=False, repr=False, init=False)
class EarlyAlignment(Problem):
    r"""The flow of single units on the sphere while the output of the network is small.

    With :math:`u = w/|w|` and the balance :math:`s = a/|w|`, each unit follows on its own (``docs/samples.md``, eq. (S2); Boursier and
    Flammarion, arXiv 2401.10791)

    .. math:: \dot u = s\,(D(u) - \langle D(u), u\rangle u), \quad \dot s = (1 - s^2)\langle D(u), u\rangle, \quad
              D(u) = D_0 + \frac1n\sum_i 1(u\cdot x_i>0)\,y_i\,x_i .

    *Asymptotic* in the scale of the start, with corrections of the order of its square; given the limit, `solve` is *exact*: between two
    kinks the flow is integrated in closed form, and units slide along kinks that attract from both sides.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs.
    y : array_like, shape (n,)
        Labels.
    directions : array_like, shape (m, d), optional
        Start of the units, normalised here.  Either `directions` or `width` is given.
    width : int, optional
        Number of units with uniformly random directions.
    balance : float or array_like, shape (m,), optional
        a/abs(w) at the start, in [-1, 1]; +-1 (default +1 and -1 in turn) is the balanced start, which stays so.
    drift : array_like, shape (d,), optional
        Part of D that does not depend on the unit.  `population` uses it alone.
    rng : None, int or Generator
        For `width`.

    Raises
    ------
    ValueError
        If shapes do not fit, an input or a direction is zero, or nothing is given to align with.
    """

    X: np.ndarray
    y: np.ndarray
    directions: np.ndarray
    balance: np.ndarray
    drift: np.ndarray

    clock: ClassVar[str] = "t"
    kind: ClassVar[str] = "limit"
    size_name: ClassVar[str] = ""
    papers: ClassVar[tuple[str, ...]] = ("boursier2024",)
    variables: ClassVar[dict[str, Any]] = {
        "direction": Variable("directions of the units", "$u$", ("unit", "input")),
        "balance": Variable("second layer over norm", "$s$", ("unit",)),
        "log_norm": Variable("growth of the norm", r"$\log|w(t)|/|w(0)|$", ("unit",)),
        "residual": Variable(
            "distance to an extremal direction", r"$\min_\theta|D_\theta - \langle D_\theta,u\rangle u|$", ("unit",)
        ),
    }

    def __init__(
        self,
        X: Any,
        y: Any,
        directions: Any = None,
        *,
        width: int | None = None,
        balance: Any = None,
        drift: Any = None,
        rng: Any = None,
        **other: Any,
    ) -> None:
        checks.unknown_arguments("EarlyAlignment", other, _NAMES, _ABSENT)
        X, y = check_sample(X, y, allow_none=drift is not None)
        d = X.shape[1]
        self._freeze("X", X)
        self._freeze("y", y)
        self._freeze("drift", np.zeros(d) if drift is None else checks.array("drift", drift, (d,)))
        if (directions is None) == (width is None):
            raise ValueError("Either argument `directions` or `width` must be given, and not both.")
        if directions is None:
            generator = np.random.default_rng(streams.root(rng))
            directions = generator.standard_normal((checks.integer("width", width, minimum=1), d))
        directions = checks.array("directions", directions, (None, d))
        lengths = np.linalg.norm(directions, axis=1)
        if (lengths == 0).any():
            raise ValueError(
                f"Argument `directions` must not hold the zero vector, but does at index [{int(np.argmin(lengths))}]."
            )
        # Directions that are normalised already stay the same bits: a stored problem is rebuilt as it was.
        rounded = np.abs(lengths - 1) < 1e-15
        self._freeze("directions", directions / np.where(rounded, 1.0, lengths)[:, None])
        m = len(directions)
        if balance is None:
            balance = np.where(np.arange(m) % 2 == 0, 1.0, -1.0)
        values = (
            np.broadcast_to(checks.array("balance", balance), (m,))
            if checks.is_single(balance)
            else checks.array("balance", balance, (m,))
        )
        if (np.abs(values) > 1).any():
            raise ValueError(f"Argument `balance` must lie in [-1, 1], but is {values[np.abs(values) > 1][0]:g}.")
        self._freeze("balance", values)

    @classmethod
    def population(
        cls, drift: Any, directions: Any = None, *, width: int | None = None, balance: Any = None, rng: Any = None
    ) -> EarlyAlignment:
        r"""Return the flow in the population, for inputs of symmetric law and labels :math:`\beta\cdot x` plus noise, eq. (S4).

        Parameters
        ----------
        drift : array_like, shape (d,)
            :math:`D = \Sigma\beta/2`, the same for every direction, since
            :math:`\mathbb E[1(w\cdot x>0)xx^\top] = \Sigma/2` for every w.
        """
        drift = checks.array("drift", drift, ("d",))
        return cls(
            np.zeros((0, drift.size)), np.zeros(0), directions, width=width, balance=balance, drift=drift, rng=rng
        )

    @checks.named_arguments()
    def solve(
        self, times: Any, *, max_kinks: int = 1_000_000, threads: int | None = None, progress: bool | None = None
    ) -> xr.Dataset:
        """Return the directions, balances and norms, exact up to round-off.

        Parameters
        ----------
        times : array_like, shape (n,)
            On the clock t of the gradient flow.
        max_kinks : int
            Largest number of pieces per unit.
        threads : int, optional
            Units are independent; their number of threads changes no bit.
        progress : bool or None
            A bar over units; None shows it after two seconds.

        Returns
        -------
        xarray.Dataset
            `direction`, `balance`, `log_norm` and `residual`.  The residual vanishes at extremal directions, those on kinks included.

        Raises
        ------
        RuntimeError
            If a unit needs more pieces than `max_kinks`.
        """
        from .equations_alignment import align

        wanted = checks.times(times)
        max_kinks = checks.integer("max_kinks", max_kinks, minimum=1)
        m, d = self.directions.shape
        began = time.perf_counter()
        direction, balance, log_norm = (
            np.empty((m, wanted.size, d)),
            np.empty((m, wanted.size)),
            np.empty((m, wanted.size)),
        )
        kinks = np.zeros((m, 2))
        X, y, drift = distinct_kinks(np.array(self.X), np.array(self.y), np.array(self.drift))
        start, balances = np.array(self.directions), np.array(self.balance)

        def follow(j: int) -> list[float]:
            status = align(
                start[j], balances[j], drift, X, y, wanted, max_kinks, direction[j], balance[j], log_norm[j], kinks[j]
            )  # fmt: skip
            if status != 0:
                raise RuntimeError(f"Unit {j} met more than max_kinks = {max_kinks} kinks: raise `max_kinks`.")
            return [residual_at(u, X, y, drift) for u in direction[j]]

        found = parallel.run_threads(follow, m, threads=threads, progress=progress, description="units")
        residual = np.array(found).T
        variables = {
            "direction": np.swapaxes(direction, 0, 1), "balance": balance.T, "log_norm": log_norm.T, "residual": residual,
        }  # fmt: skip
        provenance: dict[str, Any] = {
            "method": "exact, kink by kink",
            "kinks": int(kinks[:, 0].sum()),
            "sliding": int(kinks[:, 1].sum()),
        }
        provenance["wall_time"] = time.perf_counter() - began
        call = {"verb": "solve", "max_kinks": max_kinks}
        return results.build(self, kind="limit", times=wanted, variables=variables, call=call, provenance=provenance)

    @checks.named_arguments()
    def simulate(
        self, times: Any, *, scale: float, rtol: float = 1e-8, kink_step: float | None = None, max_steps: int = 10_000_000, progress: bool | None = False
    ) -> xr.Dataset:  # fmt: skip
        """Return the gradient flow of the whole network, started at norms ``scale / sqrt(m)`` in the same directions.

        Parameters
        ----------
        scale : float
            Of the start.
        rtol, kink_step, max_steps, progress
            As in `SampleFlow.solve`; `kink_step` is by default 0.003 of the default there.

        Warns
        -----
        UserWarning
            If the largest output on the sample has left the regime of small outputs (above a tenth of the largest label).
        """
        from .problem import SampleFlow
        from .stepping import default_kink_step

        if self.X.shape[0] == 0:
            raise ValueError("The population limit has no sample to simulate on: give `X` and `y`.")
        if np.any(self.drift != 0):
            raise ValueError("A problem with `drift` cannot be simulated: the drift has no sample.")
        scale = checks.number("scale", scale, positive=True)
        rtol = checks.number("rtol", rtol, positive=True)
        m = len(self.directions)
        W = scale / math.sqrt(m) * self.directions
        flow = SampleFlow(self.X, self.y, weights=(W, scale / math.sqrt(m) * self.balance))
        shortest = (
            0.003 * default_kink_step(np.array(self.X), np.array(self.y), "squared") if kink_step is None else kink_step
        )
        shown = ["risk", "hidden", "second_layer", "output"]
        run = flow.solve(
            times, rtol=rtol, kink_step=shortest, max_steps=max_steps, observables=shown, progress=progress
        )
        hidden = run["hidden"].values
        norms = np.linalg.norm(hidden, axis=2)
        largest = float(np.abs(run["output"].values).max())
        if largest > 0.1 * np.abs(self.y).max():
            checks.warn(
                f"At scale {scale:g} the norm of the network, sqrt(sum_j |w_j|^2), reaches {float(np.sqrt((norms**2).sum(axis=1)).max()):.3g} and its "
                f"output {largest:.3g} by t = {float(run.time[-1]):g}, above a tenth of the largest label: the alignment limit needs a smaller scale or "
                "an earlier time."
            )
        direction = hidden / norms[:, :, None]
        X, y, drift = distinct_kinks(np.array(self.X), np.array(self.y), np.array(self.drift))
        variables = {
            "direction": direction,
            "balance": run["second_layer"].values / norms,
            "log_norm": np.log(norms * math.sqrt(m) / scale),
            "residual": np.array([[residual_at(u, X, y, drift, 1e-6) for u in row] for row in direction]),
        }
        call = {"verb": "simulate", "scale": scale, "rtol": rtol, "kink_step": kink_step, "max_steps": max_steps}
        provenance = dict(results.provenance(run), call=call)
        return results.build(
            self,
            kind="simulation",
            times=run.time.values,
            variables=variables,
            call=call,
            provenance=provenance,
            attrs={"scale": scale},
        )
