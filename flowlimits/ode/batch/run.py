"""Run a batch: distribute groups of problems over threads with SIMD lanes, integrate the stiff rest singly."""

from __future__ import annotations

import functools
import warnings

import numpy as np

from ...core.threads import for_each, one_blas_thread
from .. import layout
from ..driver import Integration, StoppableIntegration
from ..functions import address_of
from ..inputs import check_jacobian
from ..report import IntegrationError, IntegrationInterrupted, Status, status_of
from . import layout as lanes_layout
from .batch import Batch

#: Methods that run in lanes.
IN_LANES = ("auto", "dop853")


def run(batch: Batch) -> None:
    """Run everything; after an interrupt, what is finished stays."""
    try:
        with one_blas_thread():
            if batch.method in IN_LANES and lanes_work():
                run_lanes(batch)
                stiff = np.flatnonzero(batch.outcome[:, lanes_layout.STATUS] == layout.STIFF)
                run_singly(batch, stiff, None)
            else:
                run_singly(batch, np.arange(len(batch.y0s)), 0 if batch.method in IN_LANES else None)
    except KeyboardInterrupt:
        pass
    finally:
        batch.close()


@functools.cache
def lanes_work() -> bool:
    """Whether SIMD lanes can be used with this Numba; if not, a warning says so once."""
    try:
        from . import lanes  # noqa: F401
    except Exception as error:  # whatever another Numba makes of the types, there is the way without them
        import numba

        warnings.warn(
            f"SIMD lanes cannot be used with Numba {numba.__version__} ({type(error).__name__}: {error}): batches are "
            "integrated problem by problem, with the same results.",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def run_lanes(batch: Batch) -> None:
    """Run the explicit method in lanes; stiff problems are left with the status STIFF."""
    from .groups import group
    from .lanes import Lanes

    if batch.method == "auto":
        jacobian = check_jacobian(batch.rhs, batch.y0s.shape[1], None, None)
        probe = Integration(0, batch.y0s[0], batch.times, batch.params[0], atol=batch.atol, jacobian=jacobian)
        batch.settings[lanes_layout.PATIENCE] = probe.patience()
    span = (float(batch.settings[lanes_layout.START]), float(batch.times[-1]))
    for equations in group(batch.rhs, batch.y0s, batch.params, batch.work_size, span, batch.equations, batch.instead):
        batch.operations = max(batch.operations, equations.operations)
        Lanes(batch, equations).run()


def run_singly(batch: Batch, indices: np.ndarray, dense_from: int | None) -> None:
    """Integrate problems one by one, as `integrate` does; `dense_from` 0: with steps that end on the requested times."""
    if not indices.size:
        return
    jacobian, address = check_jacobian(batch.rhs, batch.y0s.shape[1], None, None), address_of(batch.rhs.function)
    settings = batch.settings
    codes = {
        status_of(code): code
        for code in (layout.SUCCESS, *range(layout.NOT_FINITE, layout.NEWTON_FAILED + 1), layout.INTERRUPTED)
    }

    def one(index: int) -> None:
        integration = StoppableIntegration(
            batch.stop, address, batch.y0s[index], batch.times, batch.params[min(index, len(batch.params) - 1)],
            start=settings[lanes_layout.START], rtol=settings[lanes_layout.RTOL], atol=batch.atol, method=batch.method,
            jacobian=jacobian, max_steps=int(settings[lanes_layout.MAX_STEPS]), work_size=batch.work_size,
            first_step=settings[lanes_layout.FIRST_STEP], max_step=settings[lanes_layout.MAX_STEP], dense_from=dense_from,
        )  # fmt: skip
        try:
            _, states, report = integration.run()
        except (IntegrationError, IntegrationInterrupted) as error:
            states, report = error.states, error.report
        batch.states[index, : len(states)] = states
        batch.states[index, len(states) :] = np.nan
        earlier = batch.outcome[index, lanes_layout.STEPS_MADE : lanes_layout.CALLS + 1].copy()
        batch.outcome[index] = codes[report.status], len(states), report.steps, report.rejected, report.evaluations
        batch.outcome[index, lanes_layout.STEPS_MADE : lanes_layout.CALLS + 1] += earlier
        batch.reached[index] = report.reached
        batch.methods[index] = report.method
        if report.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        batch.finished(1)

    for_each(one, indices, batch.threads, batch.stop)
