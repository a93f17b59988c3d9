"""These are the commands `flowlimits study` and `flowlimits report`."""

from __future__ import annotations

from typing import Any

import click

from .text import say


@click.command(short_help="Compute a study that a TOML file describes.")
@click.argument("file", metavar="STUDY.toml", type=click.Path(dir_okay=False))
@click.option(
    "--folder",
    type=click.Path(file_okay=False),
    help="Where the points are stored.  [default: as in the file, or named after it]",
)
@click.option(
    "--part", metavar="I/N", help="Compute every N-th point from the I-th on: one task of a job array, I from 1."
)
@click.option(
    "--executor",
    type=click.Choice(["threads", "processes", "mpi"]),
    help="What computes the points.  [default: threads]",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Address of a dask scheduler, or its JSON file: its workers compute the points.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Number of threads or processes.  [default: all processors]"
)
@click.option("--retry-failed", is_flag=True, help="Compute the points again that failed.")
@click.option(
    "--changed",
    type=click.Choice(["refuse", "keep", "anew"]),
    default="refuse",
    show_default=True,
    help="What to do if the folder holds a study of another definition.",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def study(
    file: str, folder: str | None, scheduler: str | None, executor: str | None, quiet: bool, **options: Any
) -> int:
    """Compute a study that a TOML file describes, or go on with it.

    Every call goes on where the last one ended, however it ended, and several may work in one folder.  The table is
    study.nc in the folder.  Exit status 1: some points failed.
    """
    if scheduler and executor:
        raise click.UsageError("--scheduler and --executor exclude each other.")
    from ..studies.from_toml import read_study
    from ..studies.grid import study as run

    found = read_study(file)
    place = folder or found.folder
    client = _client(scheduler) if scheduler else None
    try:
        table = run(
            found.function,
            found.axes,
            folder=place,
            executor=client or executor,
            progress=not quiet,
            **found.arguments,
            **options,
        )
    finally:
        if client is not None:
            client.close()
    status = table["status"].values
    counts = [(1, "finished"), (2, "failed"), (0, "missing")]
    words = ", ".join(f"{int((status == code).sum())} {word}" for code, word in counts if (status == code).any())
    say(f"{status.size} points: {words}.  The table is {place}/study.nc.")
    return 1 if (status == 2).any() else 0


def _client(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise click.UsageError('--scheduler needs dask: pip install "flowlimits[distributed]".') from None
    return Client(scheduler_file=scheduler) if scheduler.endswith(".json") else Client(scheduler)


@click.command(short_help="Write an HTML page about a study.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The page.  [default: report.html in the folder]")
def report(folder: str, output: str | None) -> int:
    """Write one self-contained HTML page about the folder of a study, finished or not: plots, definition, failures."""
    from ..studies.report import write_report

    say(f"Saved to {write_report(folder, output)}.")
    return 0
