"""A problem is a frozen, validated description with a plain form, from which `rebuild` makes it again.

A problem knows the physics and no numerics and no file.  Its plain form is JSON-ready: numbers, words, lists,
nested descriptions, and references ``{"array": NAME}`` to arrays that are stored beside the JSON.
"""

from __future__ import annotations

import dataclasses
import functools
import html
import importlib
import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from . import fields
from .checks import show
from .registry import DESCRIPTIONS, did_you_mean
from .storage import ARRAY_PREFIX, arrays_of, load

if TYPE_CHECKING:
    import xarray as xr

#: Numbers of an array that is shown with all of them.
SMALL = 6


class Description:
    """Base of frozen dataclasses that are compared, hashed, shown and stored by content.

    Subclasses are declared with ``@dataclass(frozen=True, eq=False, repr=False)`` and check and normalise their
    fields in ``__post_init__``, arrays through `freeze`.
    """

    #: Fields that came later: left out where they are None, so that descriptions are as they were before.
    _later: ClassVar[tuple[str, ...]] = ()

    def _fields(self) -> dict[str, Any]:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in fields.items() if value is not None or name not in self._later}

    def _freeze(self, name: str, value: np.ndarray) -> None:
        """Set field `name` to a read-only copy of `value`."""
        copy = np.array(value, order="C")
        copy.flags.writeable = False
        object.__setattr__(self, name, copy)

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle the fields alone, and nothing that was computed from them."""
        return self._fields()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy or a pickle, in which NumPy forgets that arrays are read-only."""
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def _content(self) -> tuple[Any, ...]:
        return (type(self).__name__, *((name, _content(value)) for name, value in self._fields().items()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Description):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_show(value)}" for name, value in self._fields().items())
        return f"{type(self).__name__}({shown})"

    def to_plain(self, arrays: dict[str, np.ndarray], prefix: str = ARRAY_PREFIX) -> dict[str, Any]:
        """Return the JSON-ready form; arrays are put into `arrays` under names that start with `prefix`."""
        plain: dict[str, Any] = {"class": type(self).__name__}
        for name, value in self._fields().items():
            plain[name] = _to_plain(value, arrays, prefix + name)
        return plain

    @classmethod
    def from_plain(cls, fields: Mapping[str, Any]) -> Description:
        """Build the object from its fields (nested descriptions and arrays already rebuilt)."""
        return cls(**fields)


class Problem(Description, ABC):
    """A learning problem: what is learnt, by what, from which start.

    Every problem offers ``solve(times, ...)``, its limit or exact flow, and ``simulate(times, ...)``, its
    simulation at finite size, on the clock that `clock` names.

    Attributes
    ----------
    clock : str
        The meaning of the coordinate `time`.
    kind : str
        "exact" or "limit": what `solve` returns.
    size_name : str
        The name of the size in `simulate`: "dimension" or "student_width"; empty where there is none.
    variables : dict
        The `flowlimits.core.results.Variable` of every variable of its results.
    papers : tuple of str
        Keys into the bibliography of `flowlimits.cite`.
    ends : bool
        Whether ``solve()`` and ``simulate(end=True)``, without times, give the end of training.
    retired : mapping
        Arguments that earlier versions took and recorded without using them, by verb: they are left out when a result is repeated.
    """

    clock: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    size_name: ClassVar[str] = "dimension"
    variables: ClassVar[dict[str, Any]] = {}
    papers: ClassVar[tuple[str, ...]] = ()
    retired: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    ends: ClassVar[bool] = False
    #: Returns the compiled functions that `simulate` needs, in the order of need, where they are worth a second process.
    _compiled: ClassVar[Any] = tuple

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in cls.__dict__:
            cls.__init__ = _answering(cls.__init__)  # type: ignore[method-assign]

    @abstractmethod
    def solve(self, *arguments: Any, **options: Any) -> xr.Dataset:
        """Return the limit or the exact flow."""

    def simulate(self, *arguments: Any, **options: Any) -> xr.Dataset:
        """Return a simulation at finite size."""
        raise TypeError(f"{type(self).__name__} has no simulation at finite size.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={text}' for name, text, _ in self._shown())})"

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._shown()
        )
        title = f"<b>{type(self).__name__}</b>" + (f", on the clock {html.escape(self.clock)}" if self.clock else "")
        return f"<div>{title}<table>{rows}</table></div>"

    def _shown(self) -> list[tuple[str, str, str]]:
        """Return name, value and meaning of what matters: the sizes, the activation, and every field that is not at its default."""
        values, table = self._fields(), fields.find_table(type(self).__name__)
        if table is None:
            return [(name, _show(value), "") for name, value in values.items()]
        derived = [(name, _show(getattr(self, name)), "") for name in table.shows if getattr(self, name) is not None]
        meant = {field.name: field for field in table.fields}
        told = [
            (name, _show(value), meant[name].help if name in meant else "")
            for name, value in values.items()
            if name not in meant or name in ("activation", "model") or not _is_default(value, meant[name].default)
        ]
        return derived + [row for row in told if row[1] != "None"]

    @property
    def solves_in_time(self) -> bool:
        """Whether ``solve(times)`` is known."""
        return True

    def realised(self, size: int, student_width: int | None = None) -> Problem:
        """Return the problem with the ratios that its simulation of that size has; itself where nothing is rounded.

        Runs from own weights may have another student width than the nearest one.
        """
        return self

    def relaxation_time(self, size: int) -> float:
        """Return the time after which a simulation of that size follows the limit; 0 where it does from the start."""
        return 0.0

    def extend(self, result: xr.Dataset, times: np.ndarray) -> xr.Dataset | None:
        """Return the result at `times`, which hold all its own; None where the call that made it has to be repeated."""
        return None


def _answering(make: Any) -> Any:
    """Let a constructor answer what is missing in a sentence, after what it does not take, with its hint."""
    parameters = inspect.signature(make).parameters
    needed = [
        (place, name)
        for place, (name, one) in enumerate(parameters.items())
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]

    @functools.wraps(make)
    def made(self: Any, *values: Any, **given: Any) -> None:
        missing = [name for place, name in needed if place > len(values) and name not in given]
        if missing:
            owner, table = type(self).__name__, fields.find_table(type(self).__name__)
            if table is not None:
                table.refuse(owner, [name for name in given if name not in parameters])
            drawn = [name for name in ("random", "orthonormal", "gaussian") if hasattr(self, name)]
            hint = f"; {owner}.{drawn[0]} draws a start." if drawn else "."
            raise TypeError(f"Argument `{missing[0]}` is missing: {owner} needs it{hint}")
        make(self, *values, **given)

    return made


def _content(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, Description):
        return value._content()
    if isinstance(value, list | tuple):
        return tuple(_content(item) for item in value)
    return value


def _is_default(value: Any, default: Any) -> bool:
    if isinstance(value, np.ndarray) and default is None:
        return bool((value == 1).all())  # a layer that was not given
    try:
        return bool(_content(value) == _content(default))
    except ValueError:
        return False


def _digits(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"[{', '.join(map(_digits, value))}]"


def _show(value: Any) -> str:
    if isinstance(value, np.ndarray):
        if 0 < value.size <= SMALL and value.dtype.kind == "f":
            return _digits(value.tolist())
        norm = f", norm {np.linalg.norm(value):.4g}" if value.dtype.kind == "f" else ""
        return f"<array {'x'.join(map(str, value.shape))}{norm}>"
    return repr(value)


def _to_plain(value: Any, arrays: dict[str, np.ndarray], name: str) -> Any:
    if isinstance(value, Description):
        return value.to_plain(arrays, name + "_")
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, list | tuple):
        return [_to_plain(item, arrays, f"{name}_{i}") for i, item in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if callable(value):  # a function of the user is named, not stored
        return getattr(value, "__qualname__", type(value).__name__)
    raise TypeError(f"A field of type {type(value).__name__} has no plain form.")


def description_class(name: str) -> type[Description]:
    """Return the class of that name."""
    if name not in DESCRIPTIONS:
        raise ValueError(f"There is no problem class `{name}`{did_you_mean(name, DESCRIPTIONS) or '.'}")
    return cast(type[Description], getattr(importlib.import_module(DESCRIPTIONS[name]), name))


def rebuild(plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Description:
    """Return the object that `Description.to_plain` described.

    Raises
    ------
    ValueError
        If the class or one of its fields is unknown, or an array is missing.
    """
    kind = description_class(str(plain.get("class")))
    fields = {key: _rebuild(value, arrays) for key, value in plain.items() if key != "class"}
    try:
        return kind.from_plain(fields)
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # what stands in a file can be wrong in any way
        reason = str(error) if isinstance(error, TypeError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"This version of flowlimits cannot rebuild {kind.__name__}: {reason}") from error


def _rebuild(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, Mapping):
        if "class" in value:
            return rebuild(value, arrays)
        if set(value) == {"array"}:
            if not isinstance(value["array"], str) or value["array"] not in arrays:
                raise ValueError(f"The result holds no array `{value['array']}`, to which its problem refers.")
            return np.asarray(arrays[value["array"]])
    if isinstance(value, list):
        return tuple(_rebuild(item, arrays) for item in value)
    return value


def load_problem(source: xr.Dataset | str | os.PathLike[str]) -> Problem:
    """Return the problem of a result.

    Parameters
    ----------
    source : xarray.Dataset or path
        A result, or the file of one.

    Raises
    ------
    ValueError
        If the source holds no problem, or one that this version does not know.
    """
    if isinstance(source, str | os.PathLike):
        source = load(source)
    if not hasattr(source, "attrs") or not hasattr(source, "dims"):
        raise TypeError(f"Argument `source` must be a result or the path of one, but is {show(source)}.")
    dataset = cast("xr.Dataset", source)
    text = dataset.attrs.get("problem")
    if not text and "problem" in dataset.dims:
        raise ValueError(
            "This Dataset holds the numbers of many problems, and not the problems: keep the list or the arrays given to fl.solve_many."
        )
    if not text:
        raise ValueError("This Dataset holds no problem: its attribute `problem` is missing.")
    from .attributes import problem_of

    try:
        problem = rebuild(problem_of(dataset), arrays_of(dataset))
    except RecursionError:
        raise ValueError("The problem of this Dataset is nested too deeply to be one.") from None
    if not isinstance(problem, Problem):
        raise ValueError(f"This Dataset holds no problem, but a {type(problem).__name__}.")
    return problem
