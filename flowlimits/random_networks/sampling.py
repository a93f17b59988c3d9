"""Random and trained networks of finite width, in blocks with streams of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..parallel import run_threads

if TYPE_CHECKING:
    from .guess_and_check import GuessAndCheck

#: Guesses per block, and blocks between two looks at how many were accepted; neither depends on the threads.
BLOCK = 4096
ROUND = 8


def _stream(root: np.random.SeedSequence, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, *key)))


def _data(problem: GuessAndCheck) -> tuple[np.ndarray, ...]:
    return tuple(np.array(values) for values in (problem.X, problem.y, problem.X_test, problem.y_test))


def guess_widths(
    problem: GuessAndCheck,
    widths: list[int],
    runs: int,
    max_networks: int,
    root: np.random.SeedSequence,
    threads: int | None,
    progress: bool | None,
) -> tuple[np.ndarray, list[int], list[int]]:
    """Return the test errors of accepted networks, shape (runs, widths), how many were accepted, and how many guessed.

    More are accepted than reported: the last block is counted as a whole.
    """
    from .entry import guess_block
    from .guess_and_check import LAWS

    data, law = _data(problem), LAWS[problem.law]
    errors = np.full((runs, len(widths)), np.nan)
    totals: list[int] = []
    tried: list[int] = []
    for column, width in enumerate(widths):
        found: list[np.ndarray] = []
        guesses, accepted, block = 0, 0, 0
        while accepted < runs and guesses < max_networks:
            sizes = [min(BLOCK, max_networks - guesses - i * BLOCK) for i in range(ROUND)]
            sizes = [size for size in sizes if size > 0]

            def one(
                i: int, width: int = width, first: int = block, sizes: list[int] = sizes, column: int = column
            ) -> np.ndarray:
                space = np.empty(sizes[i])
                number = guess_block(
                    _stream(root, column, first + i), law, width, problem.depth, *data, sizes[i], space
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
        kept = np.concatenate(found)[:runs]
        errors[: kept.size, column] = kept
        totals.append(accepted)
        tried.append(guesses)
    return errors, totals, tried


def train_widths(
    problem: GuessAndCheck,
    widths: list[int],
    runs: int,
    method: str,
    settings: dict[str, Any],
    root: np.random.SeedSequence,
    threads: int | None,
    progress: bool | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return test errors (NaN for networks that misclassify a training point) and losses, shapes (runs, widths)."""
    from .entry import train
    from .guess_and_check import LAWS

    data, law = _data(problem), LAWS[problem.law]
    rate = settings["tolerance"] if method == "flow" else settings["learning_rate"]

    def one(index: int) -> np.ndarray:
        run, column = divmod(index, len(widths))
        outcome = np.empty(4)
        train(
            _stream(root, column, run), law, widths[column], problem.depth, *data, int(method == "flow"), rate, settings["steps"],
            settings["loss"], outcome,
        )  # fmt: skip
        return outcome

    table = np.array(
        run_threads(one, runs * len(widths), threads=threads, progress=progress, description="training runs")
    ).reshape(runs, len(widths), 4)
    if not np.isfinite(table[..., 0]).all():
        raise RuntimeError(
            f"Training diverged at width {widths[int(np.argwhere(~np.isfinite(table[..., 0]))[0][1])]}: lower `learning_rate`."
        )
    return np.where(table[..., 1] == 0, table[..., 3], np.nan), table[..., 0]
