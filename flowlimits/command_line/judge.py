"""These are the commands `flowlimits compare` and `flowlimits converge`; exit status 0 agrees, 1 differs, 3 undecided."""

from __future__ import annotations

import os
from typing import Any

import click

from ..core import fields
from ..core.files import check_writable
from .compute import NETCDF, arguments, runs_options, take_times, times_option
from .problems import Flags, ProblemGroup, Stated
from .results import FILE, save_figure
from .text import SIZES, Output, say

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
    theory: str,
    runs: tuple[str, ...],
    variables: tuple[str, ...],
    output: str | None,
    **numbers: float | None,
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
    times = times_option()
    times.help = f"{times.help}  [default: {DEFAULT_TIMES}]"
    return [
        click.Option(["--sizes"], type=SIZES, help="Sizes to simulate; three or more.  [default: 60,120,240]"),
        times,
        *runs_options(),
        click.Option(["--level"], type=float, help="Probability that a right theory fails.  [default: 0.01]"),
        click.Option(["--out"], type=Prefix(), help="Save the figure as OUT.pdf and OUT.png, and the data as OUT.nc."),
    ]


def _converge(stated: Stated, flags: Flags) -> int:
    from ..core import streams
    from ..toml.grids import parse_grid
    from ..verdict.compare import convergence

    times = take_times(stated.simulate, flags, stated.solve, {"times": parse_grid(DEFAULT_TIMES)})
    chosen = DEFAULTS | arguments(stated.simulate, flags, ("sizes", "runs", "rng", "threads"))
    judged = {} if flags["level"] is None else {"level": flags["level"]}
    root = streams.root(chosen.pop("rng", None))
    comparison = convergence(stated.problem, times, rng=root, **chosen, **judged)
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
