"""A result is an `xarray.Dataset` that knows its problem, its clock and how it was computed.

A result is a function of its own file: `problem` rebuilds the problem and `provenance["call"]` the call, so that
`flowlimits rerun FILE` repeats it bit for bit on the same machine.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray.core.indexes import PandasIndex

from . import streams
from .problem import Description, Problem
from .storage import ARRAYS, pack

SCHEMA = 1
_RATIO = "nan where the weights vanish, or are too small for the digits of a ratio of them"
#: Where variables that many rooms share may be nan.
UNDEFINED = {"overlap": _RATIO, "misalignment": _RATIO, "specialisation": _RATIO}
#: Between which numbers variables lie that are made of cosines, in whichever room.
BOUNDS = {
    "overlap": (-1.0, 1.0),
    "misalignment": (0.0, 2.0),
    "specialisation": (-1.0, 1.0),
    "subspace_share": (0.0, 1.0),
}
#: By how much rounding may take a cosine beyond its bounds.
ROUNDING = 1e-9
_ADVICE = "Smaller tolerances or an earlier last time may help; please report it, for this should not happen."
#: Whether this version of xarray can be given the parts of a Dataset.
DIRECT = hasattr(xr.Dataset, "_construct_direct") and {*PandasIndex.__slots__} == {"coord_dtype", "dim", "index"}
#: Characters of a description from which on it is made anew for each result.
LONG = 100_000
#: Greek letters that clocks are named by.
GREEK = ("tau", "gamma", "theta", "sigma")


@dataclass(frozen=True)
class Variable:
    """How a variable of a result is described: dimensions after `time`, name, symbol (LaTeX), and scale if rescaled.

    `undefined` says in a sentence where it may be nan or infinite; without one it must be finite in every result.
    """

    long_name: str
    symbol: str
    dims: tuple[str, ...] = ()
    scale: str = ""
    timed: bool = True
    undefined: str = ""

    def attributes(self) -> dict[str, str]:
        named = {"long_name": self.long_name, "symbol": self.symbol}
        return named | ({"scale": self.scale} if self.scale else {})


@cache
def versions() -> dict[str, str]:
    """Return the versions of everything that can change a number."""
    # The metadata is read where importing the package would cost more than the first curve does.
    from importlib.metadata import version

    from .. import __version__

    return {
        "flowlimits": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": version("scipy"),
        "numba": version("numba"),
        "xarray": xr.__version__,
        "h5netcdf": version("h5netcdf"),
        "machine": platform.machine(),
    }


def build(
    problem: Problem,
    *,
    kind: str,
    times: np.ndarray | None,
    variables: Mapping[str, np.ndarray],
    call: Mapping[str, Any],
    provenance: Mapping[str, Any] | None = None,
    run: bool = False,
    coords: Mapping[str, Any] | None = None,
    extra: Mapping[str, tuple[tuple[str, ...], Any, dict[str, str]]] | None = None,
    dimension: int | None = None,
    root: np.random.SeedSequence | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Return the Dataset of a computation.

    Parameters
    ----------
    problem : Problem
        What was computed; its class describes the variables.
    kind : {"limit", "exact", "simulation"}
        What the numbers are.
    times : ndarray, shape (n,), or None
        The coordinate `time`, on the problem's clock; None where the problem has no time.
    variables : mapping
        Arrays by name; the axes are ``run`` (if `run`), ``time`` and the `dims` of the problem's table.
    call : mapping
        ``{"verb": "solve", ...}`` with the arguments that repeat the call, JSON-ready (times and arrays apart).
    provenance : mapping, optional
        How it was computed: method, tolerances, steps, rejected, evaluations, wall time.
    run : bool
        Whether the first axis of the variables is `run`.
    coords : mapping, optional
        Further coordinates by name: an array, or a tuple (dims, array, attributes).
    extra : mapping, optional
        Further variables, as (dims, array, attributes).
    dimension : int, optional
        The size of a simulation.
    root : numpy.random.SeedSequence, optional
        The root of the random streams.
    """
    data: dict[str, Any] = {}
    for name, values in variables.items():
        variable = problem.variables[name]
        lead = (("run",) if run else ()) + (("time",) if times is not None and variable.timed else ())
        values, undefined = checked(problem, name, values)
        data[name] = (lead + variable.dims, values, variable.attributes() | undefined)
    data.update(extra or {})

    index: dict[str, Any] = dict(coords or {})
    if times is not None:
        index["time"] = ("time", times, {"long_name": problem.clock, "symbol": clock_symbol(problem.clock)})
    details = dict(provenance or {}) | {"call": dict(call), "versions": versions()}
    if root is not None:
        details["root_seed"] = streams.describe(root)
    attributes: dict[str, Any] = {"kind": kind, "clock": problem.clock} | _described(problem)
    if dimension is not None:
        attributes["dimension"] = dimension
    attributes |= dict(attrs or {})
    attributes |= {"provenance": json.dumps(details, default=_jsonable), "schema": SCHEMA}
    return _dataset(data, index, attributes)


def _described(problem: Problem) -> dict[str, str]:
    """Return the attributes that hold a problem; they are kept with it, which does not change, unless they are long."""
    kept = vars(problem).get("_attributes")
    if kept is not None:
        return kept
    arrays: dict[str, np.ndarray] = {}
    found = {"problem": json.dumps(problem.to_plain(arrays))}
    if arrays:
        found[ARRAYS] = pack(arrays)
    if sum(map(len, found.values())) < LONG:
        object.__setattr__(problem, "_attributes", found)
    return found


def checked(problem: Problem, name: str, values: Any) -> tuple[Any, dict[str, str]]:
    """Return the values of a variable, and why some are not finite, as its attribute `undefined`.

    This is the one place through which the numbers of all results go: none is nan or infinite in silence, and what is
    made of a cosine stays within its bounds, up to rounding, which is taken away.

    Raises
    ------
    FloatingPointError
        If nothing says why a number is not finite, or if a cosine is beyond its bounds.
    """
    found = np.asarray(values)
    if found.dtype.kind != "f":
        return values, {}
    if name in BOUNDS:
        values = found = _bounded(problem, name, found)
    finite = np.isfinite(found)
    if finite.all():
        return values, {}
    why = problem.variables[name].undefined or UNDEFINED.get(name, "")
    if not why:
        count = found.size - int(finite.sum())
        raise FloatingPointError(
            f"Variable `{name}` of {type(problem).__name__} is not finite in {count} of {found.size} places, and nothing says why: "
            f"the computation failed without noticing. {_ADVICE}"
        )
    return values, {"undefined": why}


def _bounded(problem: Problem, name: str, values: np.ndarray) -> np.ndarray:
    """Return the values within the bounds of the variable; raise if they were beyond by more than rounding."""
    low, high = BOUNDS[name]
    beyond = np.fmax(low - values, values - high)
    worst = np.fmax.reduce(beyond, axis=None, initial=0.0)
    if worst > ROUNDING:
        wrong = values.flat[int(np.nanargmax(beyond))]
        raise FloatingPointError(
            f"Variable `{name}` of {type(problem).__name__} must lie between {low:g} and {high:g}, but is {wrong:.10g}: its numbers are lost "
            f"in their own errors. {_ADVICE}"
        )
    return np.clip(values, low, high) if worst > 0.0 else values


def _dataset(data: Mapping[str, Any], coords: Mapping[str, Any], attributes: dict[str, Any]) -> xr.Dataset:
    """Return ``xr.Dataset(data, coords, attributes)``.

    The general constructor looks for conflicts and alignment, which costs more than a short solution: where `time` is
    the only coordinate and all sizes agree, the same object is put together directly.
    """
    if not DIRECT or coords.keys() != {"time"}:
        return xr.Dataset(data, coords=coords, attrs=attributes)
    dim, times, described = coords["time"]
    sizes: dict[str, int] = {}
    variables: dict[str, xr.Variable] = {}
    for name, (dims, values, *own) in data.items():
        array = np.asarray(values)
        if len(dims) != array.ndim or any(sizes.setdefault(one, n) != n for one, n in zip(dims, array.shape)):
            return xr.Dataset(data, coords=coords, attrs=attributes)
        variables[name] = xr.Variable(dims, array, own[0] if own else None, fastpath=True)
    if sizes.setdefault(dim, len(times)) != len(times):
        return xr.Dataset(data, coords=coords, attrs=attributes)
    # The constructor of an index copies it several times.
    index = object.__new__(PandasIndex)
    index.index = pd.Index(np.array(times), name=dim)
    index.dim, index.coord_dtype = dim, index.index.dtype
    variables |= index.create_variables({dim: xr.Variable(dim, times, described, fastpath=True)})
    return xr.Dataset._construct_direct(variables, {dim}, sizes, attributes, {dim: index})


def clock_symbol(clock: str) -> str:
    r"""Return the LaTeX symbol of a clock: \tau of "tau = t/d", t of "t, the time of the flow", none of a clock in words."""
    head = re.split("[=,(]", clock)[0].strip()
    return rf"\{head}" if head in GREEK else head if len(head) == 1 else ""


def _jsonable(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Description):
        arrays: dict[str, np.ndarray] = {}
        plain = value.to_plain(arrays)
        if not arrays:
            return plain
    raise TypeError(f"{type(value).__name__} has no JSON form.")


def provenance(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the provenance of a result as a dict."""
    from .attributes import provenance_of

    if not dataset.attrs.get("provenance"):
        raise ValueError("This Dataset holds no provenance: it is not a result of flowlimits.")
    return provenance_of(dataset)


def time_variables(dataset: xr.Dataset) -> list[str]:
    """Return the names of the scalar variables that depend on time (and on the run, if there are runs)."""
    allowed: Sequence[set[str]] = ({"time"}, {"run", "time"})
    return [str(name) for name, values in dataset.data_vars.items() if set(map(str, values.dims)) in allowed]
