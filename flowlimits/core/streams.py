"""Random streams: one per run, spawned from one root, so that neither threads nor their order change a bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import integer, show

#: More runs than this are refused: their streams alone would take a gigabyte.
MOST_RUNS = 1_000_000


def runs(value: Any, minimum: int = 1) -> int:
    """Return the number of independent runs."""
    count = integer("runs", value, minimum=minimum)
    if count > MOST_RUNS:
        raise ValueError(
            f"Argument `runs` must be at most {MOST_RUNS}, but is {count}: make several results, each with its own `rng`."
        )
    return count


def root(rng: Any) -> np.random.SeedSequence:
    """Return the seed sequence behind `rng`.

    Parameters
    ----------
    rng : None, int, numpy.random.SeedSequence or numpy.random.Generator
        None takes fresh entropy from the operating system.  A Generator gives a new child of itself at every
        call, as NumPy's `spawn` does, and is advanced by nothing else.
    """
    if rng is None:
        return np.random.SeedSequence()
    if isinstance(rng, np.random.SeedSequence):
        return rng
    if isinstance(rng, np.random.Generator):
        return rng.bit_generator.seed_seq.spawn(1)[0]  # type: ignore[attr-defined]
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        if rng < 0:
            raise ValueError(f"Argument `rng` must not be negative, but is {int(rng)}.")
        return np.random.SeedSequence(int(rng))
    raise TypeError(f"Argument `rng` must be None, a whole number or a numpy Generator, but is {show(rng)}.")


def describe(sequence: np.random.SeedSequence) -> dict[str, Any]:
    """Return the plain form of a root, enough to rebuild it with `rebuild`."""
    entropy = sequence.entropy
    words = [int(word) for word in np.atleast_1d(np.asarray(0 if entropy is None else entropy, dtype=object))]
    # Decimal text: entropy has 128 bits, more than JSON readers keep in a number.
    return {"entropy": [str(word) for word in words], "spawn_key": [int(k) for k in sequence.spawn_key]}


def rebuild(plain: dict[str, Any]) -> np.random.SeedSequence:
    """Return the root that `describe` wrote."""
    words = [int(word) for word in plain["entropy"]]
    return np.random.SeedSequence(words[0] if len(words) == 1 else words, spawn_key=tuple(plain["spawn_key"]))


def generators(sequence: np.random.SeedSequence, runs: int) -> list[np.random.Generator]:
    """Return one independent Generator per run.

    The children are built from their index and not by `spawn`, whose counter would make a second call on the
    same root give other streams.
    """
    return [
        np.random.default_rng(np.random.SeedSequence(sequence.entropy, spawn_key=(*sequence.spawn_key, i)))
        for i in range(runs)
    ]
