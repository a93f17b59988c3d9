"""Labels of results: the kind or size of each, and the parameters, numbers or words, in which they differ."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import show
from ..core.storage import arrays_of

if TYPE_CHECKING:
    import xarray as xr

THEORIES = ("limit", "exact")
SIZES = {"dimension": "$d$", "student_width": "$p$"}
#: Arguments of a call that change what is computed; the others, such as threads, do not tell results apart.
CALLED = ("method", "step", "dt", "learning_rate", "start", "order", "rtol")
LONGEST = 28  # characters of one line of a legend
MOST_KEYS = 3  # parameters in one label; further ones would leave no room for the curves


def is_theory(result: xr.Dataset) -> bool:
    """Return whether a result is a theory, drawn as a line."""
    return result.attrs.get("kind") in THEORIES


def size_label(result: xr.Dataset) -> str:
    """Return the size of a simulation, such as d = 200, or what it is if it names none."""
    sizes = [f"{letter} = {int(result.attrs[key])}" for key, letter in SIZES.items() if key in result.attrs]
    return sizes[0] if sizes else str(result.attrs.get("kind", "result"))


def result_labels(results: Sequence[xr.Dataset], labels: Sequence[str] | None) -> list[str]:
    """Return the labels that were given, or those that tell the results apart."""
    if labels is not None:
        if not isinstance(labels, str | list | tuple | np.ndarray):
            raise TypeError(f"Argument `labels` must be a sequence of labels, one per result, but is {show(labels)}.")
        if isinstance(labels, str) or len(labels) != len(results):
            count = "a single string" if isinstance(labels, str) else len(labels)
            raise ValueError(
                f"Argument `labels` must hold one label per result, that is {len(results)}, but is {count}."
            )
        return [str(label) for label in labels]
    made = _with_differences(results, [_kind(result) for result in results], [_parameters(r) for r in results])
    if len(set(made)) < len(made):
        made = _with_differences(results, made, [_call(result) for result in results])
    repeated = {label for label in made if made.count(label) > 1}
    told = [f"{label} ({made[:i].count(label) + 1})" if label in repeated else label for i, label in enumerate(made)]
    return [folded(label) for label in told]


def folded(label: str) -> str:
    """Return a label in lines that fit into a legend; a label with a formula is left as it is."""
    if len(label) <= LONGEST or "$" in label:
        return label
    lines = [""]
    for part in label.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        lines[-1:] = [joined] if len(joined) <= LONGEST or not lines[-1] else [lines[-1] + ",", part]
    return "\n".join(lines)


def _kind(result: xr.Dataset) -> str:
    told = str(result.attrs.get("kind")) if is_theory(result) else size_label(result)
    return f"{told}, {result.sizes['run']} runs" if result.sizes.get("run", 1) > 1 else told


def _with_differences(results: Sequence[xr.Dataset], kinds: list[str], fields: Sequence[dict[str, Any]]) -> list[str]:
    """Put in front of every label the fields whose values are not equal in all results that have them."""
    keys = list(dict.fromkeys(key for one in fields for key in one))
    differing = [key for key in keys if len({_hashable(one.get(key)) for one in fields if one}) > 1]
    differing = [key for key in differing if not _follows(key, differing)][:MOST_KEYS]
    told = [[_told(key, one[key]) for key in differing if key in one] for one in fields]
    # A kind that all results have says nothing where their parameters tell them apart.
    same = len(set(kinds)) == 1 and all(told)
    return [", ".join(words if same else [*words, kind]) for words, kind in zip(told, kinds)]


def _follows(key: str, differing: list[str]) -> bool:
    """Return whether an array, such as the nodes of a spectrum, differs only because its description does."""
    head, dot, tail = key.rpartition(".")
    return bool(dot) and tail in ("nodes", "weights", "refine") and f"{head}.kind" in differing


def identity(result: xr.Dataset) -> Hashable:
    """Return what is equal for results of the same problem, its arrays included."""
    arrays = {key: value for key, value in _parameters(result).items() if isinstance(value, np.ndarray)}
    told = tuple((key, _hashable(value)) for key, value in sorted(arrays.items()))
    return str(result.attrs.get("problem", "")), told


def _hashable(value: Any) -> Any:
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def _told(key: str, value: Any) -> str:
    words = key.removesuffix(".kind").removesuffix(".class").replace("_", " ").replace(".", " ")
    if isinstance(value, bool):
        return words if value else f"not {words}"
    if isinstance(value, np.ndarray):
        if value.size == 1:
            return f"{words} {value.item():.3g}"
        shown = np.unique(value)
        if shown.size == 1:
            return f"{words} {shown[0]:.3g}"
        return f"{words}[{', '.join('0' * value.ndim)}] {value.flat[0]:.3g}"
    text = f"{value:.3g}" if isinstance(value, float | int) else str(value).replace("_", " ")
    return f"{words} {text}"


def _parameters(result: xr.Dataset) -> dict[str, Any]:
    """Return numbers, words and arrays of the problem behind a result, nested ones by their path."""
    found: dict[str, Any] = {}
    _collect(arrays_of(result), _plain(result.attrs.get("problem")), "", found)
    return found


def _call(result: xr.Dataset) -> dict[str, Any]:
    call = _plain(result.attrs.get("provenance")).get("call", {})
    return {key: call[key] for key in CALLED if isinstance(call.get(key), bool | int | float | str)}


def _plain(text: Any) -> dict[str, Any]:
    try:
        read = json.loads(text or "{}")
    except (TypeError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _collect(arrays: dict[str, np.ndarray], value: Any, path: str, found: dict[str, Any]) -> None:
    if isinstance(value, dict) and "array" in value:
        array = arrays.get(value["array"])
        if array is not None and array.dtype.kind in "fiub":
            found[path] = array
    elif isinstance(value, dict):
        for key, inner in value.items():
            _collect(arrays, inner, f"{path}.{key}" if path else key, found)
    elif isinstance(value, bool | int | float | str):
        found[path] = value


def entry_labels(result: xr.Dataset, name: str) -> list[str]:
    """Return one label per curve of a variable: the problem of a batch and the place in a matrix."""
    values = result[name]
    rest = [str(dim) for dim in values.dims if dim not in ("run", "time")]
    if not rest:
        return [""]
    told = []
    count = values.sizes.get("problem", 0)
    named = [_problem_label(result, number) for number in range(count)]
    # Problems that differ in an array have the same words.
    named = [f"problem {number}, {one}" if named.count(one) > 1 else one for number, one in enumerate(named)]
    for place in np.ndindex(*[values.sizes[dim] for dim in rest]):
        where = dict(zip(rest, place))
        number = where.pop("problem", None)
        parts = [] if number is None else [named[number]]
        if where:
            parts.append(f"{name}[{', '.join(str(i) for i in where.values())}]")
        told.append(", ".join(parts))
    return told


def _problem_label(result: xr.Dataset, number: int) -> str:
    """Return what coordinates along the batch say of a problem, or its number; a failure is named."""
    own = [
        str(key)
        for key, coord in result.coords.items()
        if coord.dims == ("problem",) and key not in ("problem", "status", "reached")
    ]
    told = ", ".join(_told(key, result[key].values[number].item()) for key in own) or f"problem {number}"
    status = str(result["status"].values[number]) if "status" in result.coords else "success"
    return told if status == "success" else f"{told} (failed)"
