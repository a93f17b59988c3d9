"""The verb `warm-up`: compile the equations ahead of their first use."""

from __future__ import annotations

import importlib
import pkgutil
import time
from types import ModuleType

import click

#: Rooms that can be compiled ahead, and what they are good for.
ROOMS = {
    "ode": "integrators, and batches on SIMD lanes",
    "quadratic": "QuadraticFlow, ExtensiveQuadratic, MeanFieldQuadratic",
    "committee": "Committee",
    "mixture": "XorMixture",
    "samples": "SampleFlow, EarlyAlignment",
    "margin": "MarginFlow",
    "random_networks": "GuessAndCheck",
}
#: What every room needs.
SHARED = ("gaussian", "spectrum", "ode")


@click.command("warm-up")
@click.argument("rooms", nargs=-1, metavar="[ROOM ...]")
def warm_up(rooms: tuple[str, ...]) -> int:
    """Compile equations ahead of their first use.

    Those of all rooms, or of the rooms named; Numba keeps them in its cache. For containers and clusters: the first computation in each of their processes then starts at once. Rooms: ode,
    quadratic, committee, mixture, samples, margin, random_networks.
    """
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
