"""The command `flowlimits`.

Exit status: 0 done, or theory and simulation agree; 1 they differ, or a repeated result differs; 2 the input is
wrong, or the computation failed; 3 undecided; 130 interrupted; 143 ended by SIGTERM, as batch systems send it.
"""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys
import threading
import time
import warnings
from types import ModuleType
from typing import Any

import click

from .. import __version__
from ..core.registry import PROBLEMS
from .compute import compare, converge, simulate, solve
from .results import cite, plot, rerun, show
from .text import say

# The commands `flowlimits study` and `flowlimits report`.


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


#: Rooms that can be compiled ahead: those of the classes of problems, and the integrators.
ROOMS = ("ode", *dict.fromkeys(entry.module.split(".")[1] for entry in PROBLEMS.values()))
#: What every room needs.
SHARED = ("gaussian", "spectrum", "ode")


@click.command(
    "warm-up",
    short_help="Compile equations ahead of their first use.",
    help="Compile equations ahead of their first use.\n\nThose of all rooms, or of the rooms named; Numba keeps them in its cache. For containers "
    f"and clusters: the first computation in each of their processes then starts at once. Rooms: {', '.join(ROOMS)}.",
)
@click.argument("rooms", nargs=-1, metavar="[ROOM ...]")
def warm_up(rooms: tuple[str, ...]) -> int:
    """Compile the functions of the rooms, and say how long it took."""
    for room in rooms:
        if room not in ROOMS:
            raise click.UsageError(f"There is no room `{room}`; the rooms are {', '.join(ROOMS)}.")
    from ..compiled.beside import beside
    from ..compiled.jit import compile_now
    from ..core.threads import available_threads

    began = time.perf_counter()
    functions = [one for room in dict.fromkeys((*SHARED, *(rooms or ROOMS))) for one in functions_of(room)]
    with beside(functions, available_threads()):
        for function in functions:
            compile_now(function)
    click.echo(f"Compiled in {time.perf_counter() - began:.0f} s: {', '.join(rooms or ROOMS)}.")
    return 0


def functions_of(room: str) -> list[Any]:
    """Return the compiled functions and callbacks of every module of a room."""
    from ..compiled.jit import is_callback, is_compiled

    found = [vars(importlib.import_module(one)) for one in modules(importlib.import_module(f"flowlimits.{room}"))]
    return [one for space in found for one in space.values() if is_callback(one) or is_compiled(one)]


def modules(package: ModuleType) -> list[str]:
    """Return the names of all modules of a package."""
    return [one.name for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]


EPILOG = (
    "Exit status: 0 done, or agrees; 1 differs; 2 wrong input or failed; 3 undecided; 130 interrupted.  "
    "`flowlimits VERB --help` lists the problems of a verb, `flowlimits VERB PROBLEM --help` their flags."
)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="flowlimits")
@click.option("--debug", is_flag=True, help="Show where an error arose.")
def command(debug: bool) -> None:
    """Training dynamics of two-layer networks: limits, exact flows, simulations, and verdicts.

    \b
    flowlimits solve extensive --student-ratio 0.5 --teacher-ratio 0.25 --times 0.01:10:200:log -o limit.nc
    flowlimits converge extensive --student-ratio 0.5 --teacher-ratio 0.25 --out figures/martin2024
    """


for _command in (solve, simulate, compare, converge, study, report, plot, show, rerun, cite, warm_up):
    command.add_command(_command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status; every error that the user can mend is one sentence."""
    given = sys.argv[1:] if arguments is None else arguments
    before = signal.getsignal(signal.SIGTERM)
    ended = _answer_sigterm()
    debug = "--debug" in given[:1]
    warnings.showwarning = _show_warning
    try:
        status = command.main(args=given, prog_name="flowlimits", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(sys.stdout)
        status = 0
    except click.ClickException as error:
        error.show()
        status = 2
    except (click.Abort, KeyboardInterrupt) as error:
        if debug:
            raise
        say(_interrupt_sentence(error), err=True)
        status = 143 if ended else 130
    except (ValueError, TypeError, OSError, RuntimeError, MemoryError, ArithmeticError) as error:
        if debug:
            raise
        say(_sentence(error), err=True)
        status = 2
    if threading.current_thread() is threading.main_thread() and before is not None:
        signal.signal(signal.SIGTERM, before)
    sys.exit(status if isinstance(status, int) else 0)


def _answer_sigterm() -> list[int]:
    """Let SIGTERM be answered as Ctrl-C is; return a list that holds the signal once it came."""
    ended: list[int] = []

    def interrupt(number: int, _frame: Any) -> None:
        if not ended:  # a second one, while finished parts are saved, changes nothing
            ended.append(number)
            raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)
    return ended


def _sentence(error: Exception) -> str:
    from ..toml.file import ConfigError

    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.errno and error.filename is None:
        # Whatever writes a file names it.
        text = f"Cannot write to standard output: {error.strerror}."
    if isinstance(error, MemoryError):
        text = f"Not enough memory: {text}"
    return text if isinstance(error, ConfigError) else f"Error: {text}"


def _interrupt_sentence(error: BaseException) -> str:
    """Return what an interrupt left; click wraps the KeyboardInterrupt that says it."""
    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, KeyboardInterrupt) and cause.args:
            return str(cause.args[0])
    return "Interrupted."


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"Warning: {message}", err=True)
