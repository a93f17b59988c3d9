"""Carry a result of a `Committee` on to further times."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ...core import results, streams
from .run import State
from .simulate import carry_on

if TYPE_CHECKING:
    from ..physics import Physics


def extend(problem: Physics, result: xr.Dataset, times: np.ndarray) -> xr.Dataset | None:
    """Return the result at `times`, which hold all its own times; None where it is computed anew from its call.

    A simulation with a kept state goes on from there, bit for bit as if it had been asked for all times at once, but not
    if it is asked for times before its last one.
    """
    details = results.provenance(result)
    call = dict(details["call"])
    old = np.asarray(result["time"].values)
    # Simulations state the times of steps; the times that were asked for lie in the call.
    asked = np.asarray(call.get("times", old))
    new = times[~np.isclose(times[:, None], old[None, :], rtol=1e-12, atol=0).any(axis=1)]
    union = np.union1d(asked, new)
    if call["verb"] == "simulate" and "state_W" in result and new.size and new[0] > asked[-1]:
        return _simulate_on(problem, result, call, details, union, asked.size)
    return None


def _simulate_on(
    problem: Physics, result: xr.Dataset, call: dict[str, Any], details: dict[str, Any], times: np.ndarray, done: int
) -> xr.Dataset:
    random_states = json.loads(result["state_W"].attrs["streams"])

    def begin(index: int) -> State:
        generator = np.random.default_rng()
        generator.bit_generator.state = random_states[index]
        W, W_star, a = (
            np.array(result[name].values[index], order="C")
            for name in ("state_W", "state_W_star", "state_second_layer")
        )
        used = result["state_used"].values[index]
        return State(W, W_star, a, np.array(used, order="C") if np.ndim(used) else int(used), generator)

    later = carry_on(
        problem, begin, times, done, runs=result.sizes["run"], method=call["method"], step=call["step"] or 0.0,
        dimension=call["dimension"], names=tuple(call["observables"] or ()), keep_state=True, threads=None, progress=None,
        call=call | {"times": times.tolist()}, extra={str(name): result[name].variable for name in result if str(name).startswith("start_")},
        root=streams.rebuild(details["root_seed"]),
    )  # fmt: skip
    timed = [name for name, values in result.data_vars.items() if "time" in values.dims]
    joined = xr.concat([result[timed], later[timed]], dim="time", combine_attrs="override")
    rest = [name for name in later.data_vars if "time" not in later[name].dims]
    return joined.assign({name: later[name] for name in rest}).assign_attrs(later.attrs)
