"""A TOML file describes a study of any problem class, with any of its numbers as an axis.

.. code-block:: toml

    [problem]
    class = "ExtensiveQuadratic"
    teacher = { kind = "orthonormal" }

    [study]
    quantity = "risk"
    times = [10.0]
    folder = "width"

    [study.axes]
    student_ratio = "0.05:1:40"
    "teacher.ratio" = "0.05:1:40"

An axis is a key of the section [problem], with a dot for a key of a table in it, or a key of the section [solve] or
[simulate], written ``solve.rtol``.  Its name in the table of results has an underscore for each dot.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator

from ..core.fields import table_of
from ..core.registry import PROBLEMS, did_you_mean
from ..core.storage import check_path
from ..toml.file import SECTIONS, ConfigError, check_table, problem_from_table, read_toml
from ..toml.values import Grid, Table, check_grid, is_array_file, read_array
from .table import check_axes

#: Options of `solve` that many problems can share.
BATCH_OPTIONS = {"rtol", "atol", "method", "max_steps", "observables"}


class EventTable(Table):
    """The event whose time is the quantity."""

    variable: str
    value: float


def _axes_values(value: Any) -> Any:
    if not isinstance(value, Mapping) or not value:
        raise ValueError("must be a table with at least one axis")
    axes = {}
    for name, values in value.items():
        try:
            axes[str(name)] = values if isinstance(values, list) else check_grid(values)
            check_axes({str(name).replace(".", "_"): axes[str(name)]})
        except (TypeError, ValueError) as error:
            raise ValueError(str(error)) from None
    return axes


def _words(value: Any) -> list[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise ValueError("must be the name of a variable or a list of such names")
    return words


class StudyTable(Table):
    """The section [study]."""

    axes: Annotated[Any, AfterValidator(_axes_values)]
    times: Grid
    quantity: Annotated[Any, AfterValidator(_words)] = None
    event: EventTable = None  # type: ignore[assignment]
    verb: Literal["solve", "simulate"] = "solve"
    folder: str = ""
    repeats: int = 1
    rng: int = 0
    version: str = ""


class StudyFile(NamedTuple):
    """A study as `flowlimits.study` takes it: its function, axes, folder and further arguments."""

    function: Callable[..., Any]
    axes: dict[str, Any]
    folder: Path
    arguments: dict[str, Any]


def read_study(path: str | Path) -> StudyFile:
    """Return the study that a TOML file describes.

    Raises
    ------
    ConfigError
        If the file has faults: one line for each.
    """
    source = Path(check_path(path))
    raw = read_toml(source)
    sections: dict[str, type[Table]] = {"study": StudyTable, **SECTIONS}
    known = ("problem", *sections)
    faults = [f"[{name}]: unknown section{did_you_mean(name, known) or '.'}" for name in raw if name not in known]
    faults += [f"[{name}]: missing section." for name in ("problem", "study") if name not in raw]
    if not isinstance(raw.get("problem", {}), Mapping):
        faults.append("[problem]: must be a section.")
    parts = {}
    for name, model in sections.items():
        if name in raw:
            parts[name], more = check_table(model, raw[name], f"{name}.", source.parent)
            faults += more
    if not faults:
        faults = _quantity_faults(parts["study"])
    if not faults:
        try:
            return _study(source, raw, parts)
        except (TypeError, ValueError) as error:
            faults = str(error).splitlines()
    raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))


def _quantity_faults(study: StudyTable) -> list[str]:
    if (study.quantity is None) == (study.event is None):
        return ["study: give either `quantity` (names of variables) or `event` (a variable and a value)."]
    if study.event is not None and study.verb == "simulate":
        return ["study.event: the time of an event is computed by `solve`, not by `simulate`."]
    return []


def _study(source: Path, raw: Mapping[str, Any], parts: Mapping[str, Any]) -> StudyFile:
    study: StudyTable = parts["study"]
    verb = study.verb
    paths = {name.replace(".", "_"): name for name in study.axes}
    if len(paths) < len(study.axes):
        raise ValueError("study.axes: two axes have the same name once dots are underscores.")
    axes = {name: study.axes[path] for name, path in paths.items()}
    options = parts[verb].given() if verb in parts else {}
    options.pop("times", None)
    wrong = [path for path in paths.values() if path.split(".")[0] in SECTIONS and path.split(".")[0] != verb]
    if wrong:
        raise ValueError(f"study.axes: `{wrong[0]}` has no effect on a study whose verb is `{verb}`.")
    parameters = {
        "problem": _with_arrays(dict(raw["problem"]), source.parent, "", _matrices(raw["problem"].get("class"))),
        "paths": paths,
        "times": np.asarray(study.times, dtype=float),
        "options": options,
        "quantity": tuple(study.quantity or ()),
    }
    if study.event is not None:
        parameters["event"] = (study.event.variable, study.event.value)
    # The first point is built here, so that faults of the file are told before anything is computed.
    _check_quantity(
        _build(parameters["problem"], paths, {name: check_axes({name: v})[name][0] for name, v in axes.items()}),
        study,
        options,
    )
    arguments: dict[str, Any] = {"parameters": parameters, "repeats": study.repeats, "version": study.version}
    if "rng" in study.model_fields_set:
        arguments["rng"] = study.rng
    folder = source.parent / (study.folder or source.stem)
    return StudyFile({"solve": solve_point, "simulate": simulate_point}[verb], axes, folder, arguments)


def _check_quantity(problem: Any, study: StudyTable, options: Mapping[str, Any]) -> None:
    known = [*problem.variables, *options.get("observables", ())]
    for name in study.quantity or [study.event.variable]:
        if problem.variables and name not in known:
            raise ValueError(
                f"study.quantity: {type(problem).__name__} has no variable `{name}`{did_you_mean(name, known) or '.'}"
            )


def _with_arrays(value: Any, folder: Path, name: str = "", matrices: frozenset[str] = frozenset()) -> Any:
    """Return a table with array files replaced by what they hold, so that the key of the study covers it."""
    if isinstance(value, Mapping):
        return {key: _with_arrays(item, folder, str(key), matrices) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_arrays(item, folder, name, matrices) for item in value]
    return read_array(value, folder, name, matrix=name in matrices).tolist() if is_array_file(value) else value


def _matrices(name: Any) -> frozenset[str]:
    """Return the fields of a class that are matrices, of one column too."""
    table = table_of(name).fields if name in PROBLEMS else ()
    return frozenset(field.name for field in table if field.kind == "array" and len(field.shape or ()) == 2)


def _build(table: Mapping[str, Any], paths: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    chosen = copy.deepcopy(dict(table))
    for name, value in values.items():
        keys = paths[name].split(".")
        if keys[0] in SECTIONS:
            continue
        inner = chosen
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise ValueError(f"study.axes: `{paths[name]}` leads into `{key}`, which is no table.")
        inner[keys[-1]] = value
    return problem_from_table(chosen)


def _options(options: Mapping[str, Any], paths: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    varied = {
        paths[name].split(".", 1)[1]: value for name, value in values.items() if paths[name].split(".")[0] in SECTIONS
    }
    return {**options, **varied}


def solve_point(
    *, problem: Any, paths: Any, times: Any, options: Any, quantity: Any, event: Any = None, **values: Any
) -> Any:
    """Return the quantity of the solution at one point of a study."""
    built, arguments = _build(problem, paths, values), _options(options, paths, values)
    if in_batches(type(built).__name__, arguments, event):
        batch = _of_batch([built], times, arguments, quantity, 1)
        if batch.failures:
            raise batch.failures[0]
        return batch.example
    if event is not None:
        from ..core.events import Event

        solution = built.solve(times, events=[Event(*event)], **arguments)
        return {"event_time": float(solution["event_time"].values[0])}
    return _chosen(built.solve(times, **arguments), quantity)


def in_batches(owner: str, options: Mapping[str, Any], event: Any) -> bool:
    """Whether points of a class are solved by `flowlimits.solve_many`, alone or side by side with the same bits."""
    from ..many import ROOMS

    return owner in ROOMS and event is None and set(options) <= BATCH_OPTIONS


class Batch(NamedTuple):
    """Results of problems of one shape: those that were solved, their values by name, one of them, and the failures."""

    solved: np.ndarray
    values: dict[str, np.ndarray]
    example: Any
    failures: dict[int, Exception]


def solve_points(
    points: Sequence[Mapping[str, Any]],
    *,
    problem: Any,
    paths: Any,
    times: Any,
    options: Any,
    quantity: Any,
    threads: int,
) -> list[Batch]:
    """Return what `solve_point` returns at many points, solved side by side; `solved` and `failures` count the points."""
    groups: dict[Any, tuple[list[int], list[Any]]] = {}
    failures: dict[int, Exception] = {}
    for place, values in enumerate(points):
        try:
            built = _build(problem, paths, values)
        except (TypeError, ValueError) as error:
            failures[place] = error
            continue
        shapes = tuple(value.shape for value in built._fields().values() if isinstance(value, np.ndarray))
        places, problems = groups.setdefault(shapes, ([], []))
        places.append(place)
        problems.append(built)
    batches = [Batch(np.zeros(0, dtype=int), {}, None, failures)] if failures else []
    for places, problems in groups.values():
        try:
            batch = _of_batch(problems, times, options, quantity, threads)
        except (TypeError, ValueError) as error:
            # As one by one: each of them is refused.
            batches.append(Batch(np.zeros(0, dtype=int), {}, None, dict.fromkeys(places, error)))
            continue
        index = np.array(places)
        batches.append(
            batch._replace(
                solved=index[batch.solved], failures={places[k]: error for k, error in batch.failures.items()}
            )
        )
    return batches


def _of_batch(built: list[Any], times: Any, options: Mapping[str, Any], quantity: Any, threads: int) -> Batch:
    from ..core.one_by_one import INTERRUPTED, SUCCESS, UnsolvedError
    from ..many import solve_list

    dataset, messages = solve_list(built, times, threads=threads, progress=False, **options)
    words = dataset["status"].values
    if INTERRUPTED in words:
        raise KeyboardInterrupt
    solved = np.flatnonzero(words == SUCCESS)
    failures: dict[int, Exception] = {index: UnsolvedError(message) for index, message in messages.items()}
    if not solved.size:
        return Batch(solved, {}, None, failures)
    plain = dataset.drop_vars([str(name) for name in dataset.coords if name != "time"])
    chosen = _chosen(plain, quantity)
    values = {name: value.values[solved] for name, value in chosen.items()}
    return Batch(solved, values, {name: value.isel(problem=solved[0]) for name, value in chosen.items()}, failures)


def simulate_point(
    *, problem: Any, paths: Any, times: Any, options: Any, quantity: Any, rng: np.random.Generator, **values: Any
) -> Any:
    """Return the quantity of the simulated runs at one point of a study."""
    arguments = {"threads": 1, "progress": False} | _options(options, paths, values) | {"rng": rng}
    return _chosen(_build(problem, paths, values).simulate(times, **arguments), quantity)


def _chosen(result: Any, quantity: Any) -> dict[str, Any]:
    """Return variables by name; of a single time as numbers."""
    single = "time" in result.dims and result.sizes["time"] == 1
    return {
        name: result[name].isel(time=0, drop=True) if single and "time" in result[name].dims else result[name]
        for name in quantity
    }
