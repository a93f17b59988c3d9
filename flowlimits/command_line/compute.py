"""These are the commands `flowlimits solve` and `flowlimits simulate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from . import text
from .problems import FLAGS, Flags, ProblemGroup, Stated
from .types import GRID, Output

NETCDF = (".nc", ".nc4", ".h5")


def output_option() -> click.Option:
    return click.Option(["-o", "--output"], type=Output(NETCDF), help="Save the result to this netCDF file.")


def times_option() -> click.Option:
    return click.Option(
        ["--times"], type=GRID, help="Times as START:STOP:COUNT[:linear|:log] or as a list such as 0.1,1,10."
    )


def observables_option() -> click.Option:
    return click.Option(["--observables"], help="Further variables, such as eigenvalues; several with commas.")


def runs_options() -> list[click.Option]:
    return [
        click.Option(["--runs"], type=int, help="Number of independent runs."),
        click.Option(["--rng"], type=int, help="Random stream: equal numbers give equal runs.  [default: fresh]"),
        click.Option(
            ["--threads"], type=int, help="Number of threads; it changes no number.  [default: all processors]"
        ),
    ]


def _solve_options(problem: str) -> list[click.Option]:
    options = [
        times_option(),
        click.Option(["--rtol"], type=float, help="Relative tolerance."),
        click.Option(["--atol"], type=float, help="Absolute tolerance."),
        click.Option(["--method"], help="Method of integration."),
        observables_option(),
    ]
    if problem not in FLAGS or FLAGS[problem].has_spectrum:
        options.append(
            click.Option(["--spectrum"], type=GRID, help="Energies of the spectral density, written like times.")
        )
    return [*options, output_option()]


def _simulate_options(problem: str) -> list[click.Option]:
    if problem not in FLAGS:
        size = [
            click.Option(
                ["--size", "--dimension", "--student-width", "size"], type=int, help="Dimension, or student width."
            )
        ]
    elif FLAGS[problem].size_flag:
        size = [click.Option([FLAGS[problem].size_flag, "size"], type=int, help=FLAGS[problem].size_help)]
    else:
        size = []
    return [
        *size,
        times_option(),
        *(runs_options() if size else []),
        click.Option(
            ["--method"], help="Exact, or exact in law, by default; gd is gradient descent with a finite step."
        ),
        click.Option(["--step"], type=float, required=problem in FLAGS and not size, help="Step of gradient descent."),
        observables_option(),
        output_option(),
    ]


def arguments(stated: Flags, flags: Flags, names: tuple[str, ...]) -> Flags:
    """Return the arguments of a call: flags come before the file, and what neither gives is left to the library."""
    merged = stated | {name: value for name, value in flags.items() if value is not None}
    chosen = {name: merged[name] for name in names if name in merged}
    if isinstance(chosen.get("observables"), str):
        chosen["observables"] = [word.strip() for word in chosen["observables"].split(",")]
    return chosen


def take_times(stated: Flags, flags: Flags, *others: Flags) -> Any:
    """Return the times that the flags, the section or another section of the file state."""
    for source in (flags, stated, *others):
        if source.get("times") is not None:
            return source["times"]
    raise click.UsageError("The times are missing: give --times, or `times` in the section [solve] of the file.")


def take_size(problem: Any, stated: Flags, flags: Flags) -> Flags:
    """Return the size of a simulation under the name that the problem gives it."""
    name = problem.size_name
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
    times = take_times(stated.solve, flags)
    chosen = arguments(stated.solve, flags, ("rtol", "atol", "method", "spectrum", "observables"))
    with announced(), kept(flags["output"]):
        result = stated.problem.solve(times, **chosen)
    _finish(result, flags["output"])
    return 0


def _simulate(stated: Stated, flags: Flags) -> int:
    times = take_times(stated.simulate, flags, stated.solve)
    chosen = arguments(stated.simulate, flags, ("runs", "rng", "threads", "method", "step", "weights", "observables"))
    size = take_size(stated.problem, stated.simulate, flags)
    with announced(), kept(flags["output"]):
        result = stated.problem.simulate(times, **size, **chosen)
    _finish(result, flags["output"])
    return 0


@contextmanager
def announced() -> Iterator[None]:
    """Say on stderr when equations are being compiled, which is the long part of the first use on a machine."""
    from numba.core import event

    class Announcement(event.Listener):
        said = False

        def on_start(self, event: Any) -> None:
            if not self.said:
                click.echo("Compiling the equations: the first use on a machine takes up to a minute.", err=True)
            self.said = True

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Announcement()):
        yield


@contextmanager
def kept(output: str | None) -> Iterator[None]:
    """Save what an interrupted or failed computation had finished, and say so in its message."""
    try:
        yield
    except (KeyboardInterrupt, RuntimeError) as error:
        partial = getattr(error, "partial", None)
        if output and partial is not None:
            from ..core.results import save

            save(partial, output)
            error.args = (f"{error.args[0]} The finished part is saved in {output}.",)
        raise


def _finish(result: Any, output: str | None) -> None:
    # Saved first: an interrupt or a closed pipe while the table is printed loses nothing.
    if output:
        from ..core.results import save

        save(result, output)
    click.echo(text.describe(result))
    if output:
        click.echo(f"Saved to {output}.")


solve = ProblemGroup("solve", _solve, _solve_options, help="Compute the limit, or the exact flow, of a problem.")
simulate = ProblemGroup("simulate", _simulate, _simulate_options, help="Simulate a problem at finite size.")
