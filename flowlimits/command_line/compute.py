"""These are the commands that compute: `flowlimits solve`, `simulate`, and, with exit status 0 agrees, 1 differs, 3 undecided, `compare` and `converge`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..core import fields
from ..core.files import check_writable
from . import text
from .problems import Flags, ProblemGroup, Stated
from .results import FILE, save_figure
from .text import GRID, NETCDF, SIZES, Output, say


def output_option() -> click.Option:
    return click.Option(["-o", "--output"], type=Output(NETCDF), help="Save the result to this netCDF file.")


TYPES: dict[str, Any] = {
    "grid": GRID, "number": float, "integer": int, "text": str, "words": str, "integers": SIZES,
}  # fmt: skip
#: Arguments of a file whose class is not known yet.
SOLVE = ("times", "rtol", "atol", "method", "observables", "spectrum")
SIMULATE = ("times", "runs", "rng", "threads", "method", "step", "observables")
#: The coordinate of a solution, by whatever name its class has for it.
LEADING = ("times", "log_losses", "widths")


#: What may follow.
OPTIONS = tuple(name for name in fields.ARGUMENTS if name not in LEADING)


def option_of(name: str, required: bool = False) -> click.Option:
    """Return the flag of an argument of a verb."""
    field = fields.ARGUMENTS[name]
    flag = f"--{name.replace('_', '-')}"
    kind = click.Choice(field.choices) if field.kind == "choice" else TYPES[field.kind]
    return click.Option([flag, name], type=kind, required=required, help=field.help)


def _solve_options(table: fields.Table | None) -> list[click.Option]:
    return [*map(option_of, SOLVE if table is None else table.solve), output_option()]


def _simulate_options(table: fields.Table | None) -> list[click.Option]:
    if table is None:
        flags, text = ["--size", "--dimension", "--student-width", "size"], "Dimension, or student width."
    elif table.size:
        flags, text = [f"--{table.size.replace('_', '-')}", "size"], table.size_help
    else:
        flags, text = [], ""
    size = [click.Option(flags, type=int, help=text)] if flags else []
    names, required = (SIMULATE, ()) if table is None else (table.simulate, table.required)
    options = [option_of(name, name in required and name not in LEADING) for name in names]
    for option in options:
        if option.name == "method":
            option.help = "Exact, or exact in law, by default; gd is gradient descent with a finite step."
    return [*size, *options, output_option()]


def arguments(stated: Flags, flags: Flags, names: tuple[str, ...]) -> Flags:
    """Return the arguments of a call: flags come before the file, and what neither gives is left to the library."""
    merged = stated | {name: value for name, value in flags.items() if value is not None}
    chosen = {name: merged[name] for name in names if name in merged}
    if isinstance(chosen.get("observables"), str):
        chosen["observables"] = [word.strip() for word in chosen["observables"].split(",")]
    return chosen


def take_times(stated: Flags, flags: Flags, *others: Flags, name: str = "times") -> Any:
    """Return the times that the flags, the section or another section of the file state."""
    for source in (flags, stated, *others):
        if source.get(name) is not None:
            return source[name]
    flag = f"--{name.replace('_', '-')}"
    raise click.UsageError(
        f"The {name.replace('_', ' ')} are missing: give {flag}, or `{name}` in the section [solve] of the file."
    )


def leading(verb: Any, stated: Flags, flags: Flags, *others: Flags) -> list[Any]:
    """Return the coordinate that a verb takes first, if it takes one: times, or what stands in their place."""
    first = next(iter(inspect.signature(verb).parameters.values()), None)
    if first is None or first.name not in LEADING:
        return []
    given = any(source.get(first.name) is not None for source in (flags, stated, *others))
    if not given and first.default is not first.empty:
        return []
    return [take_times(stated, flags, *others, name=first.name)]


def take_size(problem: Any, stated: Flags, flags: Flags) -> Flags:
    """Return the size of a simulation under the name that the problem gives it."""
    name = fields.table_of(type(problem).__name__).size
    wrong = {"dimension", "student_width"} & set(stated) - {name}
    if wrong:
        raise ValueError(f"The size of a simulation of {type(problem).__name__} is `{name}`, not `{wrong.pop()}`.")
    size = flags.get("size") if flags.get("size") is not None else stated.get(name)
    if not name:
        if size is not None:
            raise ValueError(f"{type(problem).__name__} has a size of its own: a simulation of it takes none.")
        return {}
    if size is None:
        raise click.UsageError(
            f"The size is missing: give --{name.replace('_', '-')}, or `{name}` in the section [simulate]."
        )
    return {name: size}


def _solve(stated: Stated, flags: Flags) -> int:
    times = leading(stated.problem.solve, stated.solve, flags)
    chosen = arguments(stated.solve, flags, OPTIONS)
    with kept(flags["output"]):
        result = stated.problem.solve(*times, **chosen)
    _finish(result, flags["output"])
    return 0


def _simulate(stated: Stated, flags: Flags) -> int:
    times = leading(stated.problem.simulate, stated.simulate, flags, stated.solve)
    chosen = arguments(stated.simulate, flags, (*OPTIONS, "weights"))
    size = take_size(stated.problem, stated.simulate, flags)
    with kept(flags["output"]):
        result = stated.problem.simulate(*times, **size, **chosen)
    _finish(result, flags["output"])
    return 0


@contextmanager
def kept(output: str | None) -> Iterator[None]:
    """Save what an interrupted or failed computation had finished, and say so in its message."""
    try:
        yield
    except (KeyboardInterrupt, RuntimeError) as error:
        partial = getattr(error, "partial", None)
        if output and partial is not None:
            from ..core.storage import save

            save(partial, output)
            error.args = (f"{error.args[0]} The finished part is saved in {output}.",)
        raise


def _finish(result: Any, output: str | None) -> None:
    # Saved first: an interrupt or a closed pipe while the table is printed loses nothing.
    if output:
        from ..core.storage import save

        save(result, output)
    say(text.describe(result))
    if output:
        say(f"Saved to {output}.")


solve = ProblemGroup("solve", _solve, _solve_options, help="Compute the limit, or the exact flow, of a problem.")
simulate = ProblemGroup("simulate", _simulate, _simulate_options, help="Simulate a problem at finite size.")


STATUS = {True: 0, False: 1, None: 3}
DEFAULTS: Flags = {"sizes": [60, 120, 240], "runs": 24}
DEFAULT_TIMES = "0.05:5:30:log"
KINDS = (".pdf", ".png", ".nc")


class Prefix(click.ParamType):
    """Folder and name, without ending, of several files to be written."""

    name = "prefix"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            for kind in KINDS:
                check_writable(f"{value}{kind}")
        except OSError as error:
            self.fail(str(error), param, ctx)
        return str(value)


@click.command(short_help="Judge simulations against a theory.")
@click.argument("theory", type=FILE)
@click.argument("runs", nargs=-1, required=True, metavar="RUNS...", type=FILE)
@click.option("--variable", "variables", multiple=True, help="Variable to judge, once per variable.  [default: all]")
@click.option(
    "--level", type=float, help="Probability that a right theory fails, over all times and variables.  [default: 0.01]"
)
@click.option(
    "--tolerance",
    type=float,
    help="Deviation, in units of the variable's scale, that is put down to the numerics of the runs.",
)
@click.option("-o", "--output", type=Output(NETCDF), help="Save the deviations to this netCDF file.")
def compare(
    theory: str, runs: tuple[str, ...], variables: tuple[str, ...], output: str | None, **numbers: float | None
) -> int:
    """Judge simulations against a theory, or a second theory against the first.

    Exit status: 0 agrees, 1 differs, 3 undecided.
    """
    from ..core.storage import load, save
    from ..verdict.compare import compare as judge

    options: Flags = {"variables": list(variables) or None}
    options |= {name: value for name, value in numbers.items() if value is not None}
    comparison = judge(load(theory), *map(load, runs), **options)
    say(str(comparison))
    if output:
        save(comparison.dataset.assign_attrs(sentences=str(comparison)), output)
        say(f"Saved to {output}.")
    return STATUS[comparison.passed]


def _converge_options(table: fields.Table | None) -> list[click.Option]:
    times = option_of("times")
    times.help = f"{times.help}  [default: {DEFAULT_TIMES}]"
    return [
        click.Option(["--sizes"], type=SIZES, help="Sizes to simulate; three or more.  [default: 60,120,240]"),
        times,
        *map(option_of, ("runs", "rng", "threads")),
        click.Option(["--level"], type=float, help="Probability that a right theory fails.  [default: 0.01]"),
        click.Option(["--out"], type=Prefix(), help="Save the figure as OUT.pdf and OUT.png, and the data as OUT.nc."),
    ]


def _converge(stated: Stated, flags: Flags) -> int:
    from ..core import streams
    from ..core.fields import parse_grid
    from ..verdict.compare import convergence

    times = take_times(stated.simulate, flags, stated.solve, {"times": parse_grid(DEFAULT_TIMES)})
    chosen = DEFAULTS | arguments(stated.simulate, flags, ("sizes", "runs", "rng", "threads"))
    judged = {} if flags["level"] is None else {"level": flags["level"]}
    root = streams.root(chosen.pop("rng", None))
    try:
        comparison = convergence(stated.problem, times, rng=root, **chosen, **judged)
    except KeyboardInterrupt as error:
        error.args = (
            f"{error.args[0] if error.args else 'Interrupted.'} Nothing is saved: a verdict needs all sizes.",
        )
        raise
    say(str(comparison))
    if flags["out"]:
        _leave(comparison, root, {name: chosen[name] for name in ("sizes", "runs")} | judged, flags["out"])
    return STATUS[comparison.passed]


def _leave(comparison: Any, root: Any, call: Flags, prefix: str) -> None:
    from ..core.storage import save
    from ..data.rerun import state_convergence

    save(state_convergence(comparison, root, call), f"{prefix}.nc")
    written = [f"{prefix}.nc"]
    if len(comparison.dataset["size"]) > 1:
        from ..plot import overview

        figure = overview(comparison)
        for kind in (".pdf", ".png"):
            save_figure(figure, f"{prefix}{kind}")
            written.insert(0, f"{prefix}{kind}")
    say(f"Saved to {', '.join(os.path.normpath(name) for name in written)}.")


converge = ProblemGroup(
    "converge",
    _converge,
    _converge_options,
    short_help="Simulate several sizes and judge the limit by them.",
    help="Simulate several sizes of a problem and judge its limit by them.  Exit status: 0 agrees, 1 differs, 3 undecided.",
)
