"""A result is computed anew from what it states (`rerun`), and carried on to further times (`extend`)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..core import checks, streams
from ..core.problem import load_problem, rebuild
from ..core.results import SCHEMA, provenance, versions
from ..core.storage import ARRAYS, load

if TYPE_CHECKING:
    from ..verdict.comparison import Comparison


VERBS = ("solve", "simulate", "bayes", "thresholds", "fixed_points")


def state_convergence(comparison: Comparison, root: np.random.SeedSequence, call: Mapping[str, Any]) -> xr.Dataset:
    """Return the data of a convergence with all that repeats it: the problem, the call, the random streams.

    Parameters
    ----------
    comparison : Comparison
        What `flowlimits.convergence` returned.
    root : numpy.random.SeedSequence
        The random streams that it was given.
    call : mapping
        Its other arguments, JSON-ready, times apart.
    """
    theory = comparison.theory
    details = {"call": {"verb": "convergence", **call}, "root_seed": streams.describe(root), "versions": versions()}
    stated = comparison.dataset.copy()
    stated.attrs |= {name: theory.attrs[name] for name in (ARRAYS,) if name in theory.attrs}
    stated.attrs |= {
        "problem": theory.attrs["problem"],
        "provenance": json.dumps(details),
        "sentences": str(comparison),
        "exponent": comparison.exponent,
        "exponent_error": comparison.exponent_error,
        "schema": SCHEMA,
    }
    return stated


def rerun(result: xr.Dataset | str | os.PathLike[str], *, progress: bool | None = None) -> xr.Dataset:
    """Compute a result anew from what it states: the same problem, call and random streams.

    On the same machine, with the same versions, all numbers are the same bits.

    Parameters
    ----------
    result : xarray.Dataset or path
        A result, or the file of one.
    progress : bool, optional
        Show a bar.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    TypeError, ValueError
        If `result` is no result, or does not state how it was computed.

    Examples
    --------
    >>> import flowlimits as fl
    >>> result = fl.Committee([[0.5]], [[0.1]], [[1.0]]).solve([0.0, 1.0])
    >>> bool((fl.rerun(result)["risk"] == result["risk"]).all())
    True
    """
    if isinstance(result, str | os.PathLike):
        result = load(result)
    if not isinstance(result, xr.Dataset):
        raise TypeError(f"Argument `result` must be a result or the path of one, but is {checks.show(result)}.")
    problem = load_problem(result)
    details = provenance(result)
    call = dict(details.get("call") or {})
    verb = call.pop("verb", None)
    if verb not in (*VERBS, "convergence"):
        raise ValueError("This Dataset does not state the call that made it, so it cannot be repeated.")
    unused = problem.retired.get(verb, ())
    arguments = {name: _rebuilt(value, result) for name, value in call.items() if name not in unused}
    times = arguments.pop("times", None)
    if times is None and "time" in result.coords:
        times = result["time"].values
    if "root_seed" in details:
        arguments["rng"] = streams.rebuild(details["root_seed"])
    if progress is not None:
        arguments["progress"] = progress
    leading = () if times is None else (np.asarray(times, dtype=float),)
    if verb == "convergence":
        from ..verdict.compare import convergence

        if "rng" not in arguments:
            raise ValueError(
                "This Dataset does not state the random streams of its simulations, so it cannot be repeated."
            )
        again: Any = convergence(problem, *leading, **arguments)
        stated = {name: value for name, value in call.items() if name != "times"}
        return state_convergence(again, streams.root(arguments["rng"]), stated)
    return getattr(problem, verb)(*leading, **arguments)


def _rebuilt(value: Any, result: xr.Dataset) -> Any:
    """Return an argument from its plain form: descriptions, references to variables of the result, lists of these."""
    if isinstance(value, dict) and "class" in value:
        return rebuild(value, {str(name): array.values for name, array in result.variables.items()})
    if isinstance(value, dict) and set(value) == {"array"}:
        if not isinstance(value["array"], str) or value["array"] not in result.variables:
            raise ValueError(f"The result holds no variable `{value['array']}`, to which its call refers.")
        return result[value["array"]].values
    if isinstance(value, list):
        return [_rebuilt(item, result) for item in value]
    return value


def differing(first: xr.Dataset, second: xr.Dataset) -> list[str]:
    """Return the names of the coordinates and variables that are not equal bit for bit."""
    groups = (first.coords, first.data_vars, second.coords, second.data_vars)
    names = list(dict.fromkeys(str(name) for group in groups for name in group))
    return [name for name in names if not _same(first, second, name)]


def _same(first: xr.Dataset, second: xr.Dataset, name: str) -> bool:
    if name not in first.variables or name not in second.variables:
        return False
    one, two = first.variables[name], second.variables[name]
    if one.dims != two.dims or one.shape != two.shape:
        return False
    a, b = np.asarray(one.values), np.asarray(two.values)
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        # A NaN equals itself here, and 0.0 differs from -0.0.
        return a.dtype == b.dtype and bool(
            (np.ascontiguousarray(a).view(np.uint8) == np.ascontiguousarray(b).view(np.uint8)).all()
        )
    return bool(np.array_equal(a, b))


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
    details = provenance(result)
    call = dict(details.get("call") or {})
    # Simulations state the times of their steps, and what stopped at an event not all times: the call holds those asked for.
    details["call"] = call | {"times": np.union1d(call.get("times", old), new[~known]).tolist()}
    return rerun(result.assign_attrs(provenance=json.dumps(details)))
