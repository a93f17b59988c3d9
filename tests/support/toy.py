"""A small problem with a closed form, for tests of what all problems share: x' = -rate x, x(0) a weighted mean."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flowlimits.core import checks, results, streams
from flowlimits.core.problem import Description, Problem
from flowlimits.core.results import Variable
from flowlimits.core.threads import run_threads


@dataclass(frozen=True, eq=False, repr=False)
class Law(Description):
    nodes: np.ndarray
    weights: np.ndarray

    def __post_init__(self) -> None:
        self._freeze("nodes", checks.array("nodes", self.nodes, ("n",)))
        self._freeze("weights", checks.array("weights", self.weights, ("n",)))


@dataclass(frozen=True, eq=False, repr=False)
class Decay(Problem):
    rate: float
    law: Law = Law([0.0, 2.0], [0.5, 0.5])
    laws: tuple[Law, ...] = ()
    word: str = "plain"
    delay: float = 0.0

    clock: ClassVar[str] = "tau = t/d"
    kind: ClassVar[str] = "limit"
    papers: ClassVar[tuple[str, ...]] = ("martin2024",)
    variables: ClassVar[dict[str, Variable]] = {
        "risk": Variable("population risk", r"\mathcal{R}"),
        "overlap": Variable("overlap", r"\chi"),
        "misalignment": Variable("misalignment", r"1 - \chi"),
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", checks.number("rate", self.rate, positive=True))

    def _values(self, times: np.ndarray, shift: float = 0.0) -> dict[str, np.ndarray]:
        start = float(self.law.nodes @ self.law.weights)
        gap = 0.5 * (1 + shift) * np.exp(-self.rate * times)
        return {"risk": start * gap**2, "overlap": 1 - gap, "misalignment": gap}

    def solve(self, times, *, rtol=1e-8):
        times = checks.times(times)
        call = {"verb": "solve", "rtol": rtol}
        return results.build(
            self,
            kind="limit",
            times=times,
            variables=self._values(times),
            call=call,
            provenance={"method": "closed form"},
        )

    def simulate(self, times, *, dimension, runs=1, rng=None, threads=None, progress=None):
        times = checks.times(times)
        checks.integer("runs", runs, minimum=1)
        root = streams.root(rng)
        generators = streams.generators(root, runs)

        def run(index):
            time.sleep(self.delay)
            shift = 1 / dimension + generators[index].standard_normal() / dimension
            return self._values(times, shift)

        def assemble(made):
            variables = {name: np.stack([values[name] for values in made]) for name in made[0]}
            call = {"verb": "simulate", "dimension": dimension, "runs": len(made)}
            return results.build(
                self,
                kind="simulation",
                times=times,
                variables=variables,
                call=call,
                run=True,
                dimension=dimension,
                root=root,
            )

        return run_threads(run, runs, threads=threads, progress=progress, assemble=assemble)


TABLE = {"Decay": "toy", "Law": "toy"}


def make(rate: float = 2.0, **fields) -> Decay:
    return Decay(rate, Law([0.0, 2.0], [0.5, 0.5]), **fields)
