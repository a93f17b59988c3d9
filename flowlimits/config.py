"""Problems and computations from TOML files: every fault is found at once and told in a sentence.

A class of problems is added by one table here and one entry of `PROBLEMS`.  Tables name the fields and their types;
what the values must satisfy is said once, by the problem itself, and defaults are those of the problem.  Nothing that
stands in a file is executed, and array files are read without pickles.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, ValidationInfo

from .checks import did_you_mean, show
from .grids import make_grid, parse_grid
from .load import description_class
from .problem import Description, Problem


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
            raise ValueError(f"must have the keys start, stop, count and perhaps spacing, but has {', '.join(value) or 'none'}")
        return make_grid(**value)
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
            raise ValueError(f"`{min(weights)}` and `{min(drawn)}` exclude each other: give the weights or an ensemble.")
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


PROBLEMS: dict[str, type[ProblemTable]] = {
    "ExtensiveQuadratic": ExtensiveQuadraticTable,
    "QuadraticFlow": QuadraticFlowTable,
    "MeanFieldQuadratic": MeanFieldQuadraticTable,
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


class ConfigError(ValueError):
    """A TOML file with faults: one line for each."""


@dataclass(frozen=True)
class Config:
    """What a TOML file states: the problem, and the arguments of `solve` and `simulate`."""

    problem: Problem
    solve: dict[str, Any] = field(default_factory=dict)
    simulate: dict[str, Any] = field(default_factory=dict)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return what a TOML file holds; ConfigError, with the name of the file, if it cannot be read."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a TOML file: it is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not a TOML file: {error}.") from None


def read_config(path: str | Path) -> Config:
    """Return the problem and the arguments that a TOML file states.

    Raises
    ------
    ConfigError
        If the file is unreadable or not TOML, or has unknown keys, wrong types or missing sections: one line per
        fault, each with the name of the file and of the key.
    """
    source = Path(path)
    raw = read_toml(source)
    problem, parts, faults = _validate(raw, source.parent)
    if not faults and problem is not None:
        try:
            return Config(problem.build(), parts["solve"], parts["simulate"])
        except (TypeError, ValueError) as error:
            faults = [str(error)]
    raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))


def problem_from_table(table: Mapping[str, Any]) -> Problem:
    """Return the problem of a [problem] table given as a dict, the form into which command-line flags are put.

    Raises
    ------
    ValueError, TypeError
        If the table has faults, or the problem refuses its values.
    """
    problem, _, faults = _validate({"problem": dict(table)}, Path("."))
    if faults or problem is None:
        raise ConfigError("\n".join(faults))
    return problem.build()


SECTIONS: dict[str, type[Table]] = {"solve": SolveTable, "simulate": SimulateTable}


def _validate(raw: Mapping[str, Any], folder: Path) -> tuple[ProblemTable | None, dict[str, dict[str, Any]], list[str]]:
    known = ("problem", *SECTIONS)
    faults = [f"[{name}]: unknown section{did_you_mean(name, known) or '.'}" for name in raw if name not in known]
    problem: ProblemTable | None = None
    parts: dict[str, dict[str, Any]] = {}
    if "problem" not in raw:
        faults.append("[problem]: missing section.")
    elif not isinstance(raw["problem"], Mapping):
        faults.append(f"[problem]: must be a section, but is {show(raw['problem'])}.")
    elif str(raw["problem"].get("class")) not in PROBLEMS:
        faults.append(_class_fault(raw["problem"]))
    else:
        problem, more = check_table(PROBLEMS[raw["problem"]["class"]], raw["problem"], "", folder)
        faults += more
    for name, model in SECTIONS.items():
        section, more = check_table(model, raw.get(name, {}), f"{name}.", folder)
        faults += more
        parts[name] = section.given() if section else {}
    return problem, parts, faults


def _class_fault(section: Mapping[str, Any]) -> str:
    if "class" not in section:
        return f"class: missing key; it is one of {', '.join(PROBLEMS)}."
    return f"class: there is no problem class {show(section['class'])}{did_you_mean(section['class'], PROBLEMS) or '.'}"


def check_table(model: type[Any], raw: Any, prefix: str, folder: Path) -> tuple[Any, list[str]]:
    """Return a section as an instance of its model, None if it has faults, and the faults."""
    if not isinstance(raw, Mapping):
        return None, [f"[{prefix.rstrip('.')}]: must be a section, but is {show(raw)}."]
    try:
        return model.model_validate(dict(raw), context={"folder": folder}), []
    except ValidationError as error:
        return None, [_fault(model, fault, prefix) for fault in error.errors()]


EXPECTED = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def _fault(model: type[Table], fault: Mapping[str, Any], prefix: str) -> str:
    """Return one of pydantic's errors as a sentence."""
    names, known = _resolve(model, fault["loc"])
    where = prefix + ".".join(names)
    kind, value, context = fault["type"], fault["input"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{where}: unknown key{did_you_mean(names[-1], known) or '.'}"
    if kind == "missing":
        return f"{where}: missing key."
    if kind in EXPECTED:
        return f"{where}: must be {EXPECTED[kind]}, but is {show(value)}."
    if kind == "literal_error":
        return f"{where}: must be {context['expected']}, but is {show(value)}."
    if kind == "union_tag_invalid":
        return f"{where}.kind: must be one of {', '.join(map(repr, SPECTRA))}, but is {show(value.get('kind'))}."
    if kind == "union_tag_not_found":
        return f"{where}: must be a table, but is {show(value)}."
    if kind == "value_error":
        return f"{where}: {str(context['error']).rstrip('.')}."
    return f"{where}: {fault['msg']}."


def _resolve(model: type[Table], location: tuple[int | str, ...]) -> tuple[list[str], list[str]]:
    """Return the keys of a location without pydantic's tags of unions, and the keys known in its innermost table."""
    names: list[str] = []
    current: type[Table] | None = model
    for part in location:
        if current is None and part in SPECTRA:
            current = SPECTRA[str(part)]
        elif part != WORD:
            if isinstance(part, int):
                names[-1] += f"[{part}]"
            else:
                names.append(str(part))
            current = None if current is not None and part in _keys(current) else current
    return names, _keys(current or model)


def _keys(model: type[Table]) -> list[str]:
    return [entry.alias or name for name, entry in model.model_fields.items()]
