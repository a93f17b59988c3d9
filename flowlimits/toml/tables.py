"""The tables of TOML files: their keys and types.

A class of problems is added by one table here and one entry of `PROBLEMS`.  What the values must satisfy is said once,
by the problem itself, and defaults are those of the problem.  Nothing that stands in a file is executed, and array
files are read without pickles.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo

from ..core import checks
from ..core.checks import show
from ..core.problem import Description, Problem
from ..core.rebuild import description_class
from .grids import make_grid, parse_grid


class Table(BaseModel):
    """A table of a TOML file: its keys are known, and nothing is converted but whole numbers to numbers."""

    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)

    def given(self) -> dict[str, Any]:
        """Return what the file sets, nested tables built; everything else is left to the library's defaults."""
        return {name: _built(getattr(self, name)) for name in self.model_fields_set}


def _built(value: Any) -> Any:
    return value.build() if isinstance(value, SpectrumTable) else value


def _array(value: Any, info: ValidationInfo) -> np.ndarray:
    """Return a nested list of numbers, or the array in a .npy file beside the TOML file."""
    if isinstance(value, str):
        folder = (info.context or {}).get("folder", ".")
        try:
            return np.load(Path(folder, value), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot read the array file {value} ({error})") from None
    if not isinstance(value, list):
        raise ValueError(f"must be a list of numbers or the name of a .npy file, but is {show(value)}")
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"must be a list of numbers or of rows of equal length, but is {show(value)}") from None


def check_grid(value: Any) -> np.ndarray:
    """Return times from a string, a list, or a table with start, stop, count and spacing."""
    if isinstance(value, str):
        return parse_grid(value)
    if isinstance(value, dict):
        if not {"start", "stop", "count"} <= set(value) <= {"start", "stop", "count", "spacing"}:
            raise ValueError(
                f"must have the keys start, stop, count and perhaps spacing, but has {', '.join(value) or 'none'}"
            )
        try:
            start, stop = checks.number("start", value["start"]), checks.number("stop", value["stop"])
            return make_grid(start, stop, checks.integer("count", value["count"]), value.get("spacing", "linear"))
        except TypeError as error:
            raise ValueError(str(error)) from None
    if isinstance(value, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
        return np.array(value, dtype=np.float64)
    raise ValueError(f'must be a list of numbers, a string such as "0.01:10:200:log" or a table, but is {show(value)}')


def _number_or_array(value: Any, info: ValidationInfo) -> float | np.ndarray:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return _array(value, info)


NumberOrArray = Annotated[Any, AfterValidator(_number_or_array)]
Array = Annotated[Any, AfterValidator(_array)]
Grid = Annotated[Any, AfterValidator(check_grid)]


class SpectrumTable(Table):
    """A spectral law; see `flowlimits.Spectrum`."""

    normalised: bool = False

    def build(self) -> Description:
        made = self.make(description_class("Spectrum"))
        return made.normalised() if self.normalised else made

    def make(self, spectrum: Any) -> Any:
        raise NotImplementedError


class OrthonormalTable(SpectrumTable):
    kind: Literal["orthonormal"]
    ratio: float

    def make(self, spectrum: Any) -> Any:
        return spectrum.orthonormal(self.ratio)


class MarchenkoPasturTable(SpectrumTable):
    kind: Literal["marchenko_pastur"]
    ratio: float
    nodes: int | Literal["auto"] = "auto"

    def make(self, spectrum: Any) -> Any:
        return spectrum.marchenko_pastur(self.ratio, nodes=self.nodes)


class NodesTable(SpectrumTable):
    kind: Literal["nodes"] = "nodes"
    nodes: Array
    weights: Array

    def make(self, spectrum: Any) -> Any:
        return spectrum(self.nodes, self.weights)


class EigenvaluesTable(SpectrumTable):
    kind: Literal["eigenvalues"]
    values: Array

    def make(self, spectrum: Any) -> Any:
        return spectrum.from_eigenvalues(self.values)


WORD = "(a word)"  # the tag of what is no table; no key can have this name by accident
SPECTRA: dict[str, type[SpectrumTable]] = {
    "orthonormal": OrthonormalTable,
    "marchenko_pastur": MarchenkoPasturTable,
    "nodes": NodesTable,
    "eigenvalues": EigenvaluesTable,
}


def _spectrum_kind(value: Any) -> Any:
    return value.get("kind", "nodes") if isinstance(value, Mapping) else None


def _start_kind(value: Any) -> Any:
    return _spectrum_kind(value) if isinstance(value, Mapping) else WORD


SpectrumField = Annotated[
    Annotated[OrthonormalTable, Tag("orthonormal")]
    | Annotated[MarchenkoPasturTable, Tag("marchenko_pastur")]
    | Annotated[NodesTable, Tag("nodes")]
    | Annotated[EigenvaluesTable, Tag("eigenvalues")],
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
Activation = Literal["square", "centred"]


class ProblemTable(Table):
    """The section [problem]; `class` selects the table."""

    class_: str = Field(alias="class")

    def build(self) -> Problem:
        """Return the problem; its own checks raise."""
        fields = self.given()
        return self.make(description_class(fields.pop("class_")), fields)

    def make(self, kind: Any, fields: dict[str, Any]) -> Any:
        return kind(**fields)


class ExtensiveQuadraticTable(ProblemTable):
    student_ratio: float
    teacher: SpectrumField
    start: StartField = "orthonormal"
    activation: Activation = "square"
    weight_decay: float = 0.0


class QuadraticFlowTable(ProblemTable):
    """Either the weights, or an ensemble to draw them from."""

    W: Array = None
    W_star: Array = None
    ensemble: Literal["orthonormal", "gaussian"] = "orthonormal"
    dimension: int = 0
    student_width: int = 0
    teacher_width: int = 0
    rng: int = 0
    activation: Activation = "square"
    weight_decay: float = 0.0

    def make(self, kind: Any, fields: dict[str, Any]) -> Any:
        drawn = {"ensemble", "dimension", "student_width", "teacher_width", "rng"} & set(fields)
        weights = {"W", "W_star"} & set(fields)
        if drawn and weights:
            raise ValueError(
                f"`{min(weights)}` and `{min(drawn)}` exclude each other: give the weights or an ensemble."
            )
        wanted = ("W", "W_star") if weights else ("dimension", "student_width", "teacher_width")
        missing = [name for name in wanted if name not in fields]
        if missing:
            raise ValueError(f"{', '.join(missing)}: missing key.")
        return kind(**fields) if weights else getattr(kind, fields.pop("ensemble", "orthonormal"))(**fields)


class MeanFieldQuadraticTable(ProblemTable):
    teacher_eigenvalues: Array
    start: NumberOrArray
    activation: Activation = "square"
    weight_decay: float = 0.0


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


class CommitteeTable(ProblemTable):
    """Either the overlaps, or the widths and the dimension of random weights to take them from."""

    Q: Array = None
    R: Array = None
    T: Array = None
    student_width: int = 0
    teacher_width: int = 0
    dimension: int = 0
    rng: int = 0
    scale: float = 1.0
    activation: Annotated[Any, AfterValidator(_committee_activation)] = "square"
    teacher_activation: Annotated[Any, AfterValidator(_committee_activation)] = "square"
    learning_rate: Annotated[Any, AfterValidator(_rate)] = 0.0
    noise: float = 0.0
    second_layer: Array = None
    teacher_second_layer: Array = None
    second_layer_rate: float = 0.0
    weight_decay: float = 0.0
    spherical: bool = False

    def make(self, kind: Any, fields: dict[str, Any]) -> Any:
        drawn = {"student_width", "teacher_width", "dimension", "rng", "scale"} & set(fields)
        given = {"Q", "R", "T"} & set(fields)
        if drawn and given:
            raise ValueError(
                f"`{min(given)}` and `{min(drawn)}` exclude each other: give the overlaps or widths and a dimension."
            )
        wanted = ("Q", "R", "T") if given else ("student_width", "teacher_width", "dimension")
        missing = [name for name in wanted if name not in fields]
        if missing:
            raise ValueError(f"{', '.join(missing)}: missing key.")
        if isinstance(fields.get("learning_rate"), dict):
            fields["learning_rate"] = description_class("Schedule")(**fields["learning_rate"])
        return kind(**fields) if given else kind.random(**fields)


PROBLEMS: dict[str, type[ProblemTable]] = {
    "ExtensiveQuadratic": ExtensiveQuadraticTable,
    "QuadraticFlow": QuadraticFlowTable,
    "MeanFieldQuadratic": MeanFieldQuadraticTable,
    "Committee": CommitteeTable,
}


class SolveTable(Table):
    """The section [solve]: arguments of `solve`."""

    times: Grid = None
    rtol: float = 0.0
    atol: float = 0.0
    method: str = ""
    spectrum: Grid = None
    observables: list[str] = []


class SimulateTable(Table):
    """The section [simulate]: arguments of `simulate`, and the sizes of `converge`."""

    times: Grid = None
    dimension: int = 0
    student_width: int = 0
    sizes: list[int] = []
    runs: int = 0
    rng: int = 0
    threads: int = 0
    method: str = ""
    step: float = 0.0
    weights: Array = None
    observables: list[str] = []
