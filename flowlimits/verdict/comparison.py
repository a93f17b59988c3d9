"""The answer of a comparison: numbers, data, and sentences; it is stored as one Dataset, in which its parts stand side by side."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from .judge import Judgement
from .points import Points

SEPARATOR = "__"
WORDS = (
    "verdict",
    "passed",
    "largest",
    "unit",
    "allowed",
    "level",
    "exponent",
    "exponent_error",
    "sentences",
    "unseen",
)


class At(NamedTuple):
    """The point at which a deviation is largest."""

    variable: str
    time: float


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """A verdict on how theory and runs agree; it prints itself as sentences.

    Attributes
    ----------
    verdict : str
        "agrees", "differs" or "undecided: ...": "one size" where the deviation may be a finite-size effect that only further
        sizes can tell from an error of the theory, "not resolved" where more than the resolution could go unseen, "sizes too
        small for 1/d" where the sizes show no expansion in their inverse, "one run", "few runs", "skewed runs".
    passed : bool or None
        True, False, and None where the verdict is open.
    largest : float
        The largest deviation, in units of `unit`; nan where a single run gives no standard error.
    unit : str
        "standard errors" or, between two theories, "tolerances".
    allowed : float
        The value that `largest` must not exceed.
    at : At
        Where it is largest: ``at.variable`` and ``at.time``.
    level : float
        Probability that a right theory fails, over all variables and times together.
    dataset : xarray.Dataset
        Per variable, size and time: `theory`, `mean`, `deviation`, `standard_error`, `score` (deviation in standard
        errors) and `judged`; with several sizes `extrapolated_deviation`, `extrapolated_error` and
        `extrapolated_score` per variable and time.
    theory : xarray.Dataset
        The theory.
    runs : tuple of xarray.Dataset
        What it was compared with.
    exponent, exponent_error : float
        Several sizes: the deviation goes as d to this power (expected -1); nan where it is below the noise.
    extrapolated : xarray.Dataset or None
        Several sizes: the runs extrapolated to infinite size, every variable with its ``_error``.
    sentences : tuple of str
        What is printed.
    unseen : float
        The largest deviation that could go unseen, in units of the largest value of its variable; nan where nothing is judged.
    """

    verdict: str
    passed: bool | None
    largest: float
    unit: str
    allowed: float
    at: At
    level: float
    dataset: xr.Dataset
    theory: xr.Dataset
    runs: tuple[xr.Dataset, ...]
    exponent: float = float("nan")
    exponent_error: float = float("nan")
    extrapolated: xr.Dataset | None = None
    sentences: tuple[str, ...] = ()
    unseen: float = float("nan")

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    __repr__ = __str__

    def __bool__(self) -> bool:
        # An object is true by default, and `assert fl.compare(...)` would pass whatever the verdict.
        raise TypeError(
            "A comparison has three outcomes: ask for its attribute `passed`, which is True, False or None."
        )

    def _repr_html_(self) -> str:
        first, *rest = (html.escape(sentence) for sentence in self.sentences)
        word, colon, tail = first.partition(":")
        paragraphs = [f"<b>{word}</b>{colon}{tail}", *rest]
        return "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)


def to_dataset(comparison: Comparison) -> xr.Dataset:
    """Return a comparison as one Dataset that `fl.save` can write."""
    parts = {"dataset": comparison.dataset, "theory": comparison.theory}
    parts |= {f"run{i}": run for i, run in enumerate(comparison.runs)}
    if comparison.extrapolated is not None:
        parts["extrapolated"] = comparison.extrapolated
    data: dict[str, Any] = {}
    described: dict[str, Any] = {}
    for part, dataset in parts.items():
        for name, values in dataset.variables.items():
            dims = tuple(f"{part}{SEPARATOR}{dim}" for dim in values.dims)
            data[f"{part}{SEPARATOR}{name}"] = (dims, values.values, dict(values.attrs))
        attributes = {str(key): _plain(value) for key, value in dataset.attrs.items()}
        described[part] = {"coords": [str(name) for name in dataset.coords], "attrs": attributes}
    said = {word: getattr(comparison, word) for word in WORDS if hasattr(comparison, word)}
    details = {"words": said, "at": list(comparison.at), "parts": described}
    return xr.Dataset(data, attrs={"kind": "verdict", "comparison": json.dumps(details, default=_plain)})


def from_dataset(stored: xr.Dataset) -> Comparison:
    """Return the comparison that `to_dataset` wrote.

    Raises
    ------
    ValueError
        If the Dataset holds none.
    """
    try:
        details = json.loads(stored.attrs["comparison"])
        parts = {name: _part(stored, name, found) for name, found in details["parts"].items()}
        runs = tuple(parts[f"run{i}"] for i in range(sum(name.startswith("run") for name in parts)))
        words = {name: value for name, value in details["words"].items() if name in WORDS}
        words["sentences"] = tuple(words.get("sentences", ()))
        known = {field.name for field in dataclasses.fields(Comparison)}
        return Comparison(
            at=At(*details["at"]),
            dataset=parts["dataset"],
            theory=parts["theory"],
            runs=runs,
            extrapolated=parts.get("extrapolated"),
            **{name: value for name, value in words.items() if name in known},
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"This Dataset holds no verdict of this version ({type(error).__name__}: {error}).") from None


def _part(stored: xr.Dataset, part: str, found: dict[str, Any]) -> xr.Dataset:
    prefix = part + SEPARATOR
    variables = {
        str(name).removeprefix(prefix): (
            tuple(str(dim).removeprefix(prefix) for dim in values.dims), values.values, values.attrs,
        )
        for name, values in stored.variables.items()
        if str(name).startswith(prefix)
    }  # fmt: skip
    coords = {name: variables.pop(name) for name in found["coords"]}
    return xr.Dataset(variables, coords=coords, attrs=found["attrs"])


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def curves(like: xr.Dataset, chosen: Points, values: np.ndarray, errors: np.ndarray) -> dict[str, Any]:
    """Return values at points, with their errors, as variables in time of the names and dimensions of a result."""
    data: dict[str, Any] = {}
    for number, variable in enumerate(chosen.variables):
        here = chosen.owner == number
        dims = [str(dim) for dim in like[variable].dims if dim not in ("run", "time")]
        shape = tuple(like[variable].sizes[dim] for dim in dims)
        for suffix, array in (("", values), ("_error", errors)):
            table = np.moveaxis(chosen.table(array)[here].reshape(*shape, chosen.times.size), -1, 0)
            data[variable + suffix] = (("time", *dims), table, {} if suffix else dict(like[variable].attrs))
    return data


def assemble(
    judgement: Judgement,
    chosen: Points,
    unit: str,
    level: float,
    dataset: xr.Dataset,
    theory: xr.Dataset,
    runs: tuple[xr.Dataset, ...],
    told: Sequence[str],
    extrapolated: xr.Dataset | None = None,
) -> Comparison:
    """Return a comparison whose Dataset has the attributes of one."""
    dataset.attrs |= {"kind": "comparison", "clock": theory.attrs.get("clock", ""), "verdict": judgement.verdict}
    dataset.attrs["unseen"] = judgement.unseen
    dataset.attrs |= {"exponent": judgement.exponent, "exponent_error": judgement.exponent_error}
    return Comparison(
        judgement.verdict, judgement.passed, judgement.largest, unit, judgement.allowed, At(*chosen.where(judgement.index)),
        level, dataset, theory, runs, judgement.exponent, judgement.exponent_error, extrapolated, tuple(told), judgement.unseen,
    )  # fmt: skip


def table_of(chosen: Points, arrays: dict[str, np.ndarray], name: str = "", sizes: Sequence[int] = ()) -> xr.Dataset:
    """Return arrays over points as variables of entries and times, and of sizes where they have such an axis."""
    data: dict[str, Any] = {}
    for key, values in arrays.items():
        lead = ("size",) if values.ndim == 2 else ()
        data[key] = ((*lead, "variable", "time"), chosen.table(values))
    coords: dict[str, Any] = {"variable": list(chosen.entries), "time": chosen.times}
    if sizes:
        coords["size"] = ("size", list(sizes), {"long_name": name})
    return xr.Dataset(data, coords=coords)
