"""The verb `warm-up`: compile the equations ahead of their first use."""

from __future__ import annotations

import importlib
import pkgutil
import time
from types import ModuleType

import click

from ..core.registry import PROBLEMS

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
    """Import the modules of the rooms, and say how long it took."""
    for room in rooms:
        if room not in ROOMS:
            raise click.UsageError(f"There is no room `{room}`; the rooms are {', '.join(ROOMS)}.")
    began = time.perf_counter()
    for room in dict.fromkeys((*SHARED, *(rooms or ROOMS))):
        compile_room(room)
    click.echo(f"Compiled in {time.perf_counter() - began:.0f} s: {', '.join(rooms or ROOMS)}.")
    return 0


def compile_room(room: str) -> None:
    """Compile, or find in the cache, the functions of every module of a room."""
    from ..compiled.jit import compile_now

    for module in modules(importlib.import_module(f"flowlimits.{room}")):
        for value in vars(importlib.import_module(module)).values():
            compile_now(value)


def modules(package: ModuleType) -> list[str]:
    """Return the names of all modules of a package."""
    return [one.name for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
