"""The tables of TOML files follow from the tables of fields: their keys and types.

What the values must satisfy is said once, by the problem itself, and defaults are those of the problem.  Nothing that
stands in a file is executed, and array files are read without pickles.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Discriminator, Field, Tag, create_model

from ..core import fields
from ..core.checks import show
from ..core.problem import Description, Problem, description_class
from .values import Array, Grid, Matrix, Nested, NumberOrArray, Table, arrays


class SpectrumTable(Nested):
    """A spectral law, made by the constructor that `kind` names; see `flowlimits.Spectrum`."""

    normalised: bool = False

    def build(self) -> Description:
        given, spectrum = self.given(), cast(Any, description_class("Spectrum"))
        kind, normalised = given.pop("kind", "nodes"), given.pop("normalised", False)
        constructors = {"nodes": spectrum, "eigenvalues": spectrum.from_eigenvalues}
        made = (constructors.get(kind) or getattr(spectrum, kind))(**given)
        return made.normalised() if normalised else made


class OrthonormalTable(SpectrumTable):
    kind: Literal["orthonormal"]
    ratio: float


class MarchenkoPasturTable(SpectrumTable):
    kind: Literal["marchenko_pastur"]
    ratio: float
    nodes: int | Literal["auto"] = "auto"


class NodesTable(SpectrumTable):
    kind: Literal["nodes"] = "nodes"
    nodes: Array
    weights: Array


class SymmetricTable(SpectrumTable):
    kind: Literal["symmetric"]
    nodes: Array
    weights: Array = None


class EigenvaluesTable(SpectrumTable):
    kind: Literal["eigenvalues"]
    values: Array


WORD = "(a word)"  # the tag of what is no table; no key can have this name by accident
SPECTRA: dict[str, type[SpectrumTable]] = {
    "orthonormal": OrthonormalTable,
    "marchenko_pastur": MarchenkoPasturTable,
    "nodes": NodesTable,
    "eigenvalues": EigenvaluesTable,
    "symmetric": SymmetricTable,
}


def _spectrum_kind(value: Any) -> Any:
    return value.get("kind", "nodes") if isinstance(value, Mapping) else None


def _start_kind(value: Any) -> Any:
    return _spectrum_kind(value) if isinstance(value, Mapping) else WORD


SpectrumField = Annotated[
    Annotated[OrthonormalTable, Tag("orthonormal")]
    | Annotated[MarchenkoPasturTable, Tag("marchenko_pastur")]
    | Annotated[NodesTable, Tag("nodes")]
    | Annotated[EigenvaluesTable, Tag("eigenvalues")]
    | Annotated[SymmetricTable, Tag("symmetric")],
    Discriminator(_spectrum_kind),
]
StartField = Annotated[
    Annotated[Literal["orthonormal", "gaussian"], Tag(WORD)]
    | Annotated[OrthonormalTable, Tag("orthonormal")]
    | Annotated[MarchenkoPasturTable, Tag("marchenko_pastur")]
    | Annotated[NodesTable, Tag("nodes")]
    | Annotated[EigenvaluesTable, Tag("eigenvalues")],
    Discriminator(_start_kind),
]


class ModelTable(Nested):
    """A model of a margin flow; its class says which keys it needs."""

    class_: str = Field(alias="class")
    width: int = 0
    second_layer: str = ""
    signs: Array = None
    directions: Array = None

    def build(self) -> Description:
        given = self.given()
        name = given.pop("class_")
        kind = description_class(name)
        try:
            return kind(**given)
        except TypeError as error:
            raise ValueError(f"model: {name} cannot be made of these keys ({error}).") from None


class EnsembleTable(Nested):
    """A law of units at the start; see `flowlimits.Ensemble`."""

    kind: Literal["gaussian", "uniform_sphere"]
    dimension: int | Literal["infinity"]
    scale: float = 1.0
    second_layer: Any = 1.0

    def build(self) -> Any:
        given = self.given()
        ensemble: Any = description_class("Ensemble")
        return getattr(ensemble, given.pop("kind"))(**given)


class ProblemTable(Table):
    """The section [problem]; `class` selects its keys."""

    class_: str = Field(alias="class")

    def build(self) -> Problem:
        """Return the problem; its own checks raise."""
        given = self.given()
        name = given.pop("class_")
        table = fields.table_of(name)
        kind: Any = description_class(name)
        for field in table.fields:
            if field.kind == "rate" and isinstance(given.get(field.name), dict):
                given[field.name] = description_class("Schedule")(**given[field.name])
        return kind(**given) if table.draw is None else _drawn(kind, table.draw, given)


def _drawn(kind: Any, draw: fields.Draw, given: dict[str, Any]) -> Any:
    """Return a problem whose start is given, or else drawn."""
    drawn = {field.name for field in draw.fields} & set(given)
    stated = set(draw.instead_of) & set(given)
    if drawn and stated:
        raise ValueError(f"`{min(stated)}` and `{min(drawn)}` exclude each other: {draw.advice}")
    missing = [name for name in (draw.instead_of if stated else draw.needed) if name not in given]
    if missing:
        raise ValueError(f"{', '.join(missing)}: missing key.")
    if stated:
        return kind(**given)
    chosen = {field.name: field.default for field in draw.fields}.get(draw.constructor, draw.constructor)
    return getattr(kind, given.pop(draw.constructor, chosen))(**given)


def _committee_activation(value: Any) -> Any:
    """Return a name, a polynomial as text, or coefficients; what they mean is for the problem to say."""
    if isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    ):
        return value
    raise ValueError(f"must be text or a list of coefficients, but is {show(value)}")


def _rate(value: Any) -> Any:
    """Return a number, or the times and values of a schedule."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, dict) and set(value) == {"times", "values"}:
        return value
    raise ValueError(f"must be a number, or a table with the keys times and values, but is {show(value)}")


def _number_or_word(words: tuple[str, ...]) -> Any:
    def check(value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if value in words:
            return value
        raise ValueError(f"must be a number or one of {', '.join(map(repr, words))}, but is {show(value)}")

    return Annotated[Any, AfterValidator(check)]


def _model(words: tuple[str, ...]) -> Any:
    def check(value: ModelTable) -> ModelTable:
        if value.class_ not in words:
            raise ValueError(f"class must be one of {', '.join(words)}, but is {show(value.class_)}")
        return value

    return Annotated[ModelTable, AfterValidator(check)]


def _type_of(field: fields.Field) -> Any:
    """Return the type of a key, from the kind of its field."""
    if field.kind == "choice":
        return Literal[field.choices]
    if field.kind == "array" and len(field.shape or ()) == 2:
        return Matrix
    if field.kind == "law":
        return StartField
    if field.kind == "number_or_word":
        return _number_or_word(field.choices)
    if field.kind == "model":
        return _model(field.choices)
    return TYPES[field.kind]


TYPES: dict[str, Any] = {
    "number": float,
    "integer": int,
    "boolean": bool,
    "text": str,
    "words": list[str],
    "integers": list[int],
    "grid": Grid,
    "array": Array,
    "arrays": Annotated[Any, AfterValidator(arrays)],
    "number_or_array": NumberOrArray,
    "spectrum": SpectrumField,
    "ensemble": EnsembleTable,
    "activation": Annotated[Any, AfterValidator(_committee_activation)],
    "rate": Annotated[Any, AfterValidator(_rate)],
}


@cache
def problem_table(name: str) -> type[ProblemTable]:
    """Return the section [problem] of a class, made from the table of its fields."""
    table = fields.table_of(name)
    replaced = table.draw.instead_of if table.draw else ()
    keys: dict[str, Any] = {}
    for field in table.keys:
        optional = table.draw is not None and (field.name in replaced or field in table.draw.fields)
        keys[field.name] = (_type_of(field), ... if field.default is fields.REQUIRED and not optional else None)
    return create_model(f"{name}Table", __base__=ProblemTable, **keys)


def _section(name: str, *more: fields.Field) -> type[Table]:
    first, *others = fields.ARGUMENTS.values()
    keys: dict[str, Any] = {field.name: (_type_of(field), None) for field in (first, *more, *others)}
    return create_model(name, __base__=Table, **keys)


#: The section [solve]: arguments of `solve`.
SolveTable = _section("SolveTable")
#: The section [simulate]: arguments of `simulate`, and the sizes of `converge`.
SimulateTable = _section(
    "SimulateTable",
    fields.Field("dimension", "integer", "Dimension of a simulation."),
    fields.Field("student_width", "integer", "Student width of a simulation."),
    fields.Field("sizes", "integers", "Sizes of `converge`."),
    fields.Field("weights", "array", "Own starting weights."),
)
