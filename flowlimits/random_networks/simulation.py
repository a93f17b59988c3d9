"""Networks of finite width as a result: accepted guesses, or networks that were trained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results, streams
from ..core.checks import check_elements
from ..core.threads import run_threads
from . import equations
from .physics import LAWS, TRAINED, GuessAndCheckPhysics

if TYPE_CHECKING:
    import xarray as xr


#: Guesses per block, and blocks between two looks at how many were accepted; neither depends on the threads.
BLOCK = 4096
ROUND = 8
#: A standard error needs two.
FEWEST_RUNS = 2


def _stream(root: np.random.SeedSequence, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, *key)))


def _data(physics: GuessAndCheckPhysics) -> tuple[np.ndarray, ...]:
    return tuple(np.array(values) for values in (physics.X, physics.y, physics.X_test, physics.y_test))


def guess_widths(
    physics: GuessAndCheckPhysics,
    widths: list[int],
    runs: int,
    max_networks: int,
    root: np.random.SeedSequence,
    threads: int | None,
    progress: bool | None,
    assemble: Callable[[np.ndarray, list[int], list[int]], Any],
) -> Any:
    """Return what `assemble` makes of the test errors of accepted networks, shape (runs, widths), how many were accepted, and how
    many guessed; an interrupt leaves it the widths that were finished.

    More are accepted than reported: the last block is counted as a whole.
    """

    def one(column: int) -> tuple[np.ndarray, int, int]:
        return _guess_width(physics, widths[column], column, runs, max_networks, root, threads, progress)

    def join(outcomes: list[tuple[np.ndarray, int, int]]) -> Any:
        errors = np.full((runs, len(outcomes)), np.nan)
        for column, (kept, _, _) in enumerate(outcomes):
            errors[: kept.size, column] = kept
        return assemble(errors, [accepted for _, accepted, _ in outcomes], [guesses for _, _, guesses in outcomes])

    # One width after the other: the threads and the bar are those of its blocks.
    return run_threads(one, len(widths), threads=1, progress=False, description="widths", assemble=join)


def _guess_width(
    physics: GuessAndCheckPhysics,
    width: int,
    column: int,
    runs: int,
    max_networks: int,
    root: np.random.SeedSequence,
    threads: int | None,
    progress: bool | None,
) -> tuple[np.ndarray, int, int]:

    data, law = _data(physics), LAWS[physics.law]
    found: list[np.ndarray] = []
    guesses, accepted, block = 0, 0, 0
    while accepted < runs and guesses < max_networks:
        sizes = [min(BLOCK, max_networks - guesses - i * BLOCK) for i in range(ROUND)]
        sizes = [size for size in sizes if size > 0]

        def one(i: int, first: int = block, sizes: list[int] = sizes) -> np.ndarray:
            space = np.empty(sizes[i])
            number = equations.guess(
                _stream(root, column, first + i), law, width, physics.depth, *data, sizes[i], space
            )
            return space[:number]

        blocks = run_threads(
            one, len(sizes), threads=threads, progress=progress, description=f"guesses of width {width}"
        )
        for size, values in zip(sizes, blocks):
            # Blocks beyond the one that completes the runs exist for the threads' sake only.
            if accepted >= runs:
                break
            guesses += size
            accepted += values.size
            found.append(values)
        block += len(sizes)
    if accepted == 0:
        raise RuntimeError(
            f"None of {guesses} networks of width {width} classifies all {len(physics.y)} training points: raise `max_networks`, "
            "or take fewer points."
        )
    return np.concatenate(found)[:runs], accepted, guesses


def train_widths(
    physics: GuessAndCheckPhysics,
    widths: list[int],
    runs: int,
    method: str,
    settings: dict[str, Any],
    root: np.random.SeedSequence,
    threads: int | None,
    progress: bool | None,
    assemble: Callable[[np.ndarray, np.ndarray], Any],
) -> Any:
    """Return what `assemble` makes of test errors (NaN for networks that misclassify a training point) and losses, shapes
    (runs, widths); an interrupt leaves it the runs that were finished at all widths."""

    data, law = _data(physics), LAWS[physics.law]
    rate = settings["tolerance"] if method == "flow" else settings["learning_rate"]

    def one(index: int) -> np.ndarray:
        run, column = divmod(index, len(widths))
        outcome = np.empty(4)
        equations.train(
            _stream(root, column, run), law, widths[column], physics.depth, *data, int(method == "flow"), rate, settings["steps"],
            settings["loss"], outcome,
        )  # fmt: skip
        if not np.isfinite(outcome[0]):
            raise RuntimeError(f"Training diverged at width {widths[column]}: lower `learning_rate`.")
        return outcome

    def join(outcomes: list[np.ndarray]) -> Any:
        whole = len(outcomes) // len(widths)
        if whole < FEWEST_RUNS:
            return None
        table = np.array(outcomes[: whole * len(widths)]).reshape(whole, len(widths), 4)
        return assemble(np.where(table[..., 1] == 0, table[..., 3], np.nan), table[..., 0])

    return run_threads(
        one, runs * len(widths), threads=threads, progress=progress, description="training runs", assemble=join
    )


def simulate(
    physics: GuessAndCheckPhysics,
    widths: Any,
    runs: int,
    method: str,
    rng: Any,
    max_networks: int,
    settings: dict[str, Any],
    threads: int | None,
    progress: bool | None,
) -> xr.Dataset:
    """Return the result of `GuessAndCheck.simulate`."""
    sizes = _widths(widths)
    count = streams.runs(runs, FEWEST_RUNS)
    checks.choice("method", method, ("guess", *TRAINED))
    check_elements("runs", count, float(count) * len(sizes))
    weights = float(max(sizes)) * (physics.X.shape[1] + max(sizes) * (physics.depth - 1) + 1)
    check_elements("widths", max(sizes), weights)
    root = streams.root(rng)
    began = time.perf_counter()

    def finish(
        errors: np.ndarray, losses: np.ndarray | None, accepted: Any, tried: list[int], settings: dict[str, Any]
    ) -> xr.Dataset:
        done, reached = errors.shape
        return results.build(
            physics,
            kind="simulation",
            times=None,
            variables={},
            call={"verb": "simulate", "widths": sizes[:reached], "runs": done, "method": method} | settings,
            provenance={"method": method, "networks": tried, "wall_time": time.perf_counter() - began},
            coords={"width": ("width", sizes[:reached], {"long_name": "width of the hidden layers", "symbol": "m"})},
            extra=_variables(physics, errors, losses, np.array(accepted), np.array(tried)),
            root=root,
        )

    if method == "guess":
        limit = checks.integer("max_networks", max_networks, minimum=1)

        def guessed(errors: np.ndarray, accepted: list[int], tried: list[int]) -> xr.Dataset:
            return finish(errors, None, accepted, tried, {"max_networks": limit})

        return guess_widths(physics, sizes, count, limit, root, threads, progress, guessed)
    checked = {
        "learning_rate": checks.number("learning_rate", settings["learning_rate"], positive=True),
        "steps": checks.integer("steps", settings["steps"], minimum=1),
        "loss": checks.number("loss", settings["loss"], nonnegative=True),
        "tolerance": checks.number("tolerance", settings["tolerance"], positive=True),
    }

    def trained(errors: np.ndarray, losses: np.ndarray) -> xr.Dataset:
        return finish(errors, losses, np.isfinite(errors).sum(axis=0), [len(errors)] * len(sizes), checked)

    return train_widths(physics, sizes, count, method, checked, root, threads, progress, trained)


def _variables(
    physics: GuessAndCheckPhysics,
    errors: np.ndarray,
    losses: np.ndarray | None,
    accepted: np.ndarray,
    tried: np.ndarray,
) -> dict[str, tuple[tuple[str, ...], Any, dict[str, str]]]:
    share = accepted / tried
    samples = [column[np.isfinite(column)] for column in errors.T]
    spreads = [s.std(ddof=1) / np.sqrt(s.size) if s.size > 1 else math.nan for s in samples]
    values = {
        "acceptance": share,
        "acceptance_standard_error": np.sqrt(share * (1 - share) / tried),
        "test_error": np.array([s.mean() if s.size else math.nan for s in samples]),
        "test_error_standard_error": np.array(spreads),
    }
    described = {name: physics.variables[name].attributes() for name in physics.variables}
    found: dict[str, tuple[tuple[str, ...], Any, dict[str, str]]]
    found = {name: (("width",), value, described[name]) for name, value in values.items()}
    found["network_test_error"] = (("run", "width"), errors, described["network_test_error"])
    if losses is not None:
        found["network_loss"] = (("run", "width"), losses, described["network_loss"])
    return found


def _widths(value: Any) -> list[int]:
    sizes = checks.integers("widths", value, minimum=1)
    if not sizes:
        raise ValueError("Argument `widths` must hold at least one width, but is empty.")
    if len(set(sizes)) < len(sizes):
        twice = next(size for i, size in enumerate(sizes) if size in sizes[:i])
        raise ValueError(f"Argument `widths` must hold every width once, but holds {twice} twice.")
    return sizes
