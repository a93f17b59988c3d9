r"""Early alignment, every unit on its own in closed form; and the semi-exact route, which then merges units that the flow cannot tell apart.

Units of equal pattern on the sample share :math:`D = \frac1n\sum_i g_i 1(w\cdot x_i>0)x_i`, so that :math:`z_j = (a_j, w_j)` obey one linear equation
and :math:`M = \sum_j z_jz_j^\top`, which fixes their part :math:`\sum_j a_jw_j` of the output, closes, eq. (S7).  Each eigenvector of M with its
eigenvalue acts as one unit; while aligned, M has rank one, and the trace it leaves out is reported.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results
from ..core.threads import run_threads
from .equations_alignment import align
from .physics import EarlyAlignmentPhysics, SampleFlowPhysics, distinct_kinks, residual_at

if TYPE_CHECKING:
    import xarray as xr

#: The outputs at the merging time, relative to the largest label.
SMALL = 1e-2


def align_and_merge(physics: SampleFlowPhysics, horizon: float) -> tuple[np.ndarray, np.ndarray, float, dict[str, Any]]:
    """Return merged weights (W, a), the time at which they stand for the network, and what was left out.

    Raises
    ------
    ValueError
        If the start is too large: its outputs are not small.
    """
    X, y = physics.inputs(), np.array(physics.y)
    start, balance = np.array(physics.W), np.array(physics.second_layer)
    lengths = np.linalg.norm(start, axis=1)
    if np.any(np.abs(balance) > lengths * (1 + 1e-12)):
        raise ValueError(
            'Method "merged" needs a start with |a_j| <= |w_j| for every unit; the "dominated" start has larger second layers.'
        )
    bound = SMALL * float(np.abs(y).max())
    single, labels, drift = distinct_kinks(X, y, np.zeros(X.shape[1]))

    def at(t: float) -> tuple[np.ndarray, np.ndarray, float]:
        W, a = np.empty_like(start), np.empty_like(balance)
        for j in range(len(balance)):
            direction, share, growth = np.empty((1, start.shape[1])), np.empty(1), np.empty(1)
            status = align(
                start[j] / lengths[j],
                _clip(balance[j] / lengths[j]),
                drift,
                single,
                labels,
                np.array([t]),
                1_000_000,
                direction,
                share,
                growth,
                np.zeros(2),
            )
            if status != 0:
                raise RuntimeError(f"Unit {j} met more than a million kinks while aligning.")
            norm = lengths[j] * np.exp(min(growth[0], 600.0))
            W[j], a[j] = norm * direction[0], norm * share[0]
        largest = float(np.abs(physics.predict(W, a, physics.X)).max())
        # Far beyond the merging time outputs of both signs overflow, and their sum is no number.
        return W, a, largest if np.isfinite(largest) else np.inf

    if at(0.0)[2] > bound:
        raise ValueError(
            f'Method "merged" needs a small start, but that of norm {float(np.sqrt((lengths**2).sum())):.3g} has outputs up to {at(0.0)[2]:.3g}, '
            f"above {SMALL:g} of the largest label: lower `scale`."
        )
    low, high = 0.0, horizon
    if at(high)[2] > bound:
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if at(middle)[2] <= bound else (low, middle)
    else:
        low = high
    W, a, _ = at(low)
    merged_W, merged_a, left_out = merge(W, a, X)
    return merged_W, merged_a, low, {"merged_at": low, "units": len(merged_a), "left_out": left_out}


def _clip(share: float) -> float:
    return float(np.sign(share)) if abs(share) > 1 - 1e-12 else float(share)


def merge(W: np.ndarray, a: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return one unit per sign and pattern, and the largest share of the trace of M that its first eigenvector leaves out.

    Inputs on a kink of a unit (a sliding unit) count as off, so that units that slide together are merged.
    """
    scale = np.linalg.norm(X, axis=1) * np.linalg.norm(W, axis=1)[:, None]
    patterns = 1e-9 * scale < W @ X.T
    groups: dict[tuple[float, bytes], list[int]] = {}
    for j in range(len(a)):
        groups.setdefault((float(np.sign(a[j])), patterns[j].tobytes()), []).append(j)
    units, left_out = [], 0.0
    for members in groups.values():
        z = np.column_stack([a[members], W[members]])
        values, vectors = np.linalg.eigh(z.T @ z)
        unit = np.sqrt(values[-1]) * vectors[:, -1]
        # The eigenvector is defined up to its sign; the unit points the way of its members.
        unit *= np.sign(unit @ z.sum(axis=0)) or 1.0
        units.append(unit)
        left_out = max(left_out, float(1 - values[-1] / values.sum()))
    merged = np.array(units)
    return merged[:, 1:], merged[:, 0], left_out


def solve_alignment(
    physics: EarlyAlignmentPhysics, times: Any, *, max_kinks: int, threads: int | None, progress: bool | None
) -> xr.Dataset:
    """Return the alignment; see `EarlyAlignment.solve`."""
    wanted = checks.times(times)
    max_kinks = checks.integer("max_kinks", max_kinks, minimum=1)
    m, d = physics.directions.shape
    began = time.perf_counter()
    direction, balance, log_norm = (np.empty((m, wanted.size, *shape)) for shape in ((d,), (), ()))
    kinks = np.zeros((m, 2))
    X, y, drift = distinct_kinks(np.array(physics.X), np.array(physics.y), np.array(physics.drift))
    start, balances = np.array(physics.directions), np.array(physics.balance)

    def follow(j: int) -> list[float]:
        status = align(
            start[j], balances[j], drift, X, y, wanted, max_kinks, direction[j], balance[j], log_norm[j], kinks[j]
        )  # fmt: skip
        if status != 0:
            raise RuntimeError(f"Unit {j} met more than max_kinks = {max_kinks} kinks: raise `max_kinks`.")
        return [residual_at(u, X, y, drift) for u in direction[j]]

    found = run_threads(follow, m, threads=threads, progress=progress, description="units")
    residual = np.array(found).T
    variables = {
        "direction": np.swapaxes(direction, 0, 1), "balance": balance.T, "log_norm": log_norm.T, "residual": residual,
    }  # fmt: skip
    provenance = {
        "method": "exact, kink by kink", "kinks": int(kinks[:, 0].sum()), "sliding": int(kinks[:, 1].sum()),
        "wall_time": time.perf_counter() - began,
    }  # fmt: skip
    call = {"verb": "solve", "max_kinks": max_kinks}
    return results.build(physics, kind="limit", times=wanted, variables=variables, call=call, provenance=provenance)
