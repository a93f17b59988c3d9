"""`extend` carries a result on to further times."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from ..core import checks, results
from ..core.problem import load_problem
from .rerun import repeat


def extend(result: xr.Dataset, times: Any) -> xr.Dataset:
    """Carry a result on to further times.

    Parameters
    ----------
    result : xarray.Dataset
        A result of ``solve`` or ``simulate``.
    times : array_like, shape (n,)
        Further times, on the same clock; those that the result has already are kept once.

    Returns
    -------
    xarray.Dataset
        The result at all times, old and new.

    Raises
    ------
    ValueError
        If the result does not state the call that made it.

    Notes
    -----
    A problem that can continue from a kept state does so.  Otherwise the call that the result states is repeated
    at all times together: exact within tolerances for solutions, and for simulations the same runs, since the root
    of their random streams is stored.
    """
    if not isinstance(result, xr.Dataset):
        raise TypeError(f"Argument `result` must be a result (an xarray.Dataset), but is {checks.show(result)}.")
    new = checks.times(times)
    if "time" not in result.dims or "time" not in result.coords:
        raise ValueError("Argument `result` must be a result in time: it has no coordinate `time`.")
    old = np.asarray(result["time"].values, dtype=float)
    known = np.isclose(new[:, None], old[None, :], rtol=1e-12, atol=0).any(axis=1)
    union = np.union1d(old, new[~known])
    continued = load_problem(result).extend(result, union)
    if continued is not None:
        return continued
    details = results.provenance(result)
    call = dict(details.get("call") or {})
    # Simulations state the times of their steps, and what stopped at an event not all times: the call holds those asked for.
    details["call"] = call | {"times": np.union1d(call.get("times", old), new[~known]).tolist()}
    return repeat(result.assign_attrs(provenance=json.dumps(details)))
