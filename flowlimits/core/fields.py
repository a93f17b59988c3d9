"""A table of fields states what a problem class takes: names, kinds, bounds, defaults, help, and hints for what is absent.

From the table of a class follow the checks and the did-you-mean of its constructor, the keys of its TOML files and the
flags of the command line; `parse_grid` and its like read the text of grids there.  Only the standard library is imported here, so that flags can be listed in no time.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .registry import PROBLEMS

if TYPE_CHECKING:
    import numpy as np


#: The default of a field that must be given.
REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()

KINDS = (
    "number", "integer", "boolean", "choice", "array", "arrays", "number_or_array", "number_or_word", "spectrum", "law",
    "activation", "rate", "model", "ensemble", "grid", "words", "integers", "text",
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One field of a problem, or one argument of a verb.

    Attributes
    ----------
    name, kind, help : str
    default : Any
        REQUIRED if there is none.
    choices : tuple of str
        The words of a choice, a law or a number_or_word.
    shape : sequence, optional
        Of an array, as `checks.array` takes it.
    positive, nonnegative, below, minimum
        Bounds, as `checks.number` and `checks.integer` take them.
    flag : str
        The name of the flag, if it is another one than that of the field.
    """

    name: str
    kind: str
    help: str
    default: Any = REQUIRED
    choices: tuple[str, ...] = ()
    shape: Sequence[int | str | None] | None = None
    positive: bool = False
    nonnegative: bool = False
    below: float = math.inf
    minimum: int | None = None
    flag: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Field `{self.name}` has the unknown kind {self.kind!r}.")

    def check(self, value: Any) -> Any:
        """Return a value in the form in which the problem keeps it; kinds of several fields are for the class to check."""
        from . import checks

        if value is None and self.default is None:
            return None
        if self.kind == "number":
            return checks.number(
                self.name, value, positive=self.positive, nonnegative=self.nonnegative, below=self.below
            )
        if self.kind == "integer":
            return checks.integer(self.name, value, minimum=self.minimum)
        if self.kind == "boolean":
            return checks.boolean(self.name, value)
        if self.kind == "choice":
            return checks.choice(self.name, value, self.choices)
        if self.kind == "array":
            return checks.array(self.name, value, self.shape)
        return value


@dataclass(frozen=True)
class Draw:
    """A start that is drawn: fields that stand for others.

    Attributes
    ----------
    fields : tuple of Field
        Those of the draw; the ones without a default must all be given.
    instead_of : tuple of str
        The fields that they stand for.
    constructor : str
        The constructor that draws, or the field that names it.
    advice : str
        Ends the sentence that refuses both at once.
    """

    fields: tuple[Field, ...]
    instead_of: tuple[str, ...]
    constructor: str
    advice: str

    @property
    def needed(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if field.default is REQUIRED)


@dataclass(frozen=True)
class Table:
    """The fields of a class of problems, in the order of its constructor.

    Attributes
    ----------
    fields : tuple of Field
    absent : mapping
        Sentences about arguments that are not here.
    draw : Draw, optional
    solve, simulate : tuple of str
        Arguments of the verbs that TOML files and flags reach, of `ARGUMENTS`; those of `required` must be given.
    size, size_help : str
        Name of the size in `simulate`, and help of its flag.
    outside : tuple of str
        Arguments of the constructor that no file can hold, such as functions.
    shows : tuple of str
        Properties, such as widths that follow from arrays, with which a problem shows itself beside its fields.
    """

    fields: tuple[Field, ...]
    absent: Mapping[str, str]
    draw: Draw | None = None
    solve: tuple[str, ...] = ("times", "rtol", "atol", "method", "observables")
    simulate: tuple[str, ...] = ("times", "runs", "rng", "threads", "method", "step", "observables")
    required: tuple[str, ...] = ()
    size: str = ""
    size_help: str = ""
    outside: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    @property
    def keys(self) -> tuple[Field, ...]:
        """The fields and those of the draw, which stand behind the ones that they replace."""
        if self.draw is None:
            return self.fields
        replaced = [field for field in self.fields if field.name in self.draw.instead_of]
        others = [field for field in self.fields if field.name not in self.draw.instead_of]
        return (*replaced, *self.draw.fields, *others)

    def refuse(self, owner: str, given: Iterable[str]) -> None:
        """Refuse arguments that a constructor does not take, with a hint."""
        from .checks import unknown_arguments

        unknown_arguments(owner, given, (*self.names, *self.outside), dict(self.absent))

    def check(self, owner: str, other: Iterable[str] = (), **values: Any) -> dict[str, Any]:
        """Return checked values, in the order of the table; `other` are the names of arguments beyond it."""
        self.refuse(owner, other)
        return {field.name: field.check(values[field.name]) for field in self.fields if field.name in values}


def number(name: str, help: str, default: Any = REQUIRED, **bounds: Any) -> Field:
    return Field(name, "number", help, default, **bounds)


def integer(name: str, help: str, default: Any = REQUIRED, **bounds: Any) -> Field:
    return Field(name, "integer", help, default, **bounds)


def boolean(name: str, help: str, default: Any = False, **more: Any) -> Field:
    return Field(name, "boolean", help, default, **more)


def choice(name: str, help: str, choices: Sequence[str], default: Any = REQUIRED) -> Field:
    return Field(name, "choice", help, default, choices=tuple(choices))


def array(name: str, help: str, shape: Any = None, default: Any = REQUIRED, **more: Any) -> Field:
    return Field(name, "array", help, default, shape=shape, **more)


#: The arguments of verbs that TOML files and flags can state.
ARGUMENTS = {
    field.name: field
    for field in (
        Field("times", "grid", "Times as START:STOP:COUNT[:linear|:log] or as a list such as 0.1,1,10.", None),
        Field("log_losses", "grid", "Values of minus log loss, written like times.", None),
        Field("sample_ratios", "grid", "Sample ratios, written like times.", None),
        Field("weight_decays", "grid", "Weight decays, written like times.", None),
        Field("widths", "integers", "Widths, such as 10,30,100.", None),
        integer("runs", "Number of independent runs.", None),
        choice("start", "Draw the student's start anew in every run.", ("random", "gaussian"), None),
        integer("rng", "Random stream: equal numbers give equal runs.  [default: fresh]", None),
        integer("threads", "Number of threads; it changes no number.  [default: all processors]", None),
        number("rtol", "Relative tolerance.", None),
        number("atol", "Absolute tolerance.", None),
        Field("method", "text", "Method of integration.", None),
        number("step", "Step of gradient descent.", None),
        Field("spectrum", "grid", "Energies of the spectral density, written like times.", None),
        Field("observables", "words", "Further variables, such as eigenvalues; several with commas.", None),
        integer("max_steps", "Most steps of the integrator.", None),
        integer("max_kinks", "Most pieces of a unit's path.", None),
        number("kink_step", "Time within which sliding units stay near their kink.", None),
        integer("points", "Points of a quadrature.", None),
        integer("particles", "Particles that stand for the law.", None),
        Field("form", "text", "Form of the equations.", None),
        integer("error_points", "Points of the quadrature of the classification error.", None),
        number("accuracy", "Relative standard error of the test error to reach.", None),
        integer("max_points", "Most points of the quadrature.", None),
        number("scale", "Scale of the start.", None),
        integer("samples", "Size of a fixed sample; fresh inputs otherwise.", None),
        number("learning_rate", "Learning rate of gradient descent.", None),
        integer("batch", "Inputs per step; all of them otherwise.", None),
        integer("steps", "Steps of gradient descent.", None),
        number("loss", "Loss at which gradient descent stops.", None),
        number("tolerance", "Tolerance of the flow.", None),
        integer("max_networks", "Most networks that are drawn.", None),
    )
}


def table_of(name: str) -> Table:
    """Return the table of a class of problems, which its room offers."""
    package, room, *_ = PROBLEMS[name].module.split(".")
    tables: dict[str, Table] = importlib.import_module(f"{package}.{room}").TABLES
    return tables[name]


def find_table(name: str) -> Table | None:
    """Return the table of a class of problems; None of a class that is in no registry."""
    return table_of(name) if name in PROBLEMS else None


# Times and lists of numbers as text, on a command line or in a TOML file.

SPACINGS = ("linear", "log")
FORM = "START:STOP:COUNT[:linear|:log] or a list such as 0.1,1,10"


def parse_numbers(text: str) -> list[float]:
    """Return the numbers of a comma-separated list."""
    return [_number(part, text) for part in text.split(",") if part.strip()]


def parse_sizes(text: str) -> list[int]:
    """Return the whole numbers of a comma-separated list."""
    values = parse_numbers(text)
    if any(value != int(value) for value in values):
        raise ValueError(f"'{text}' must be a list of whole numbers such as 60,120,240.")
    return [int(value) for value in values]


def parse_grid(text: str) -> np.ndarray:
    """Return the numbers of ``START:STOP:COUNT``, evenly spaced, or of ``START:STOP:COUNT:log``, or of a list.

    Raises
    ------
    ValueError
        If the text is none of these, or asks for a logarithmic grid that starts at 0 or below.
    """
    import numpy as np

    if ":" not in text:
        values = parse_numbers(text)
        if not values:
            raise ValueError(f"'{text}' must be {FORM}.")
        return np.array(values)
    parts = [part.strip() for part in text.split(":")]
    if len(parts) not in (3, 4):
        raise ValueError(f"'{text}' must be {FORM}.")
    return make_grid(_number(parts[0], text), _number(parts[1], text), _count(parts[2], text), *parts[3:])


def make_grid(start: float, stop: float, count: int, spacing: str = "linear") -> np.ndarray:
    """Return `count` numbers from `start` to `stop`, both included."""
    import numpy as np

    from .checks import choice

    choice("spacing", spacing, SPACINGS)
    if count < 1:
        raise ValueError(f"A grid must have at least one point, but has {count}.")
    if spacing == "linear":
        return np.linspace(start, stop, count)
    if min(start, stop) <= 0:
        raise ValueError(f"A logarithmic grid must start and stop above 0, but goes from {start:g} to {stop:g}.")
    return np.geomspace(start, stop, count)


def _number(part: str, text: str) -> float:
    try:
        return float(part)
    except ValueError:
        raise ValueError(f"'{text}' must be {FORM}, but '{part.strip()}' is no number.") from None


def _count(part: str, text: str) -> int:
    try:
        return int(part)
    except ValueError:
        raise ValueError(f"'{text}' must be {FORM}, but the count '{part}' is no whole number.") from None
