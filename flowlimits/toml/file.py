"""`read_config` reads problems and computations from TOML files: every fault is found at once and told in a sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..core.checks import show
from ..core.problem import Problem
from ..core.registry import PROBLEMS, did_you_mean
from ..core.storage import check_path
from .tables import SPECTRA, WORD, ProblemTable, SimulateTable, SolveTable, problem_table
from .values import Table


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
    source = Path(check_path(path))
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
        problem, more = check_table(problem_table(raw["problem"]["class"]), raw["problem"], "", folder)
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
