"""Random and trained networks of finite width, in blocks with streams of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.threads import run_threads
from . import entry
from .physics import LAWS, GuessAndCheckPhysics

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
            number = entry.guess_block(
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
        entry.train(
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
