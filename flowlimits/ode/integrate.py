"""The public verb `integrate`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from . import inputs
from .driver import Integration, Jacobian
from .functions import RightHandSide
from .solution import Report, Status


def integrate(
    rhs: RightHandSide,
    y0: Any,
    times: Any,
    params: Any = (),
    *,
    start: float = 0.0,
    rtol: float = 1e-8,
    atol: Any = 1e-10,
    method: str = "auto",
    events: Any = (),
    max_steps: int = 1_000_000,
    work_size: int = 0,
    first_step: float | None = None,
    max_step: float | None = None,
    dense: Any = "auto",
    progress: bool | None = False,
    rank: int | None = None,
    sparsity: Any = None,
    advice: dict[Status, str] | None = None,
) -> tuple[np.ndarray, np.ndarray, Report]:
    rhs = inputs.check_rhs(rhs)
    begin = checks.number("start", start)
    state = checks.array("y0", np.atleast_1d(np.asarray(y0)), ["n"])
    relative, absolute = inputs.check_tolerances(rtol, atol, state.size)
    integration = Integration(
        rhs.function.address,
        state,
        inputs.check_times(times, begin),
        checks.array("params", params, ["m"], allow_empty=True),
        start=begin,
        rtol=relative,
        atol=absolute,
        method=checks.choice("method", method, inputs.METHODS),
        jacobian=inputs.check_jacobian(rhs, state.size, rank, sparsity),
        events=tuple((e.function.address, e.terminal, e.direction) for e in inputs.check_events(events)),
        max_steps=checks.integer("max_steps", max_steps, minimum=1),
        work_size=checks.integer("work_size", work_size, minimum=0),
        first_step=0.0 if first_step is None else checks.number("first_step", first_step, positive=True),
        max_step=np.inf if max_step is None else checks.number("max_step", max_step, positive=True),
        dense_from=inputs.check_dense(dense),
    )
    return integration.run(progress, advice)


def _solve(
    address: int, y0: np.ndarray, times: np.ndarray, params: np.ndarray, **options: Any
) -> tuple[np.ndarray, np.ndarray, Report]:
    """Integrate without checks, for callers whose equations are callbacks of their own.

    Parameters
    ----------
    address : int
        Address of the right-hand side; the caller keeps the callback alive.
    y0, times, params : ndarray
        Contiguous float64 arrays; `times` increasing, from `start` on.
    **options
        Keywords of `driver.Integration` (`atol` is required, shape (n,); `jacobian` is a `driver.Jacobian`; events
        are tuples (address, terminal, direction)), and `progress` and `advice` as in `integrate`.
    """
    progress, advice = options.pop("progress", False), options.pop("advice", None)
    return Integration(address, y0, times, params, **options).run(progress, advice)
