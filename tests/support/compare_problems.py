"""Limits with known corrections of finite size, and their simulations, for the tests of verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import toy

from flowlimits.core import checks, results, streams
from flowlimits.core.problem import Problem
from flowlimits.core.results import Variable

TIMES = np.geomspace(0.1, 2, 12)
CLOCK = "tau = t/d"


@dataclass(frozen=True, eq=False, repr=False)
class Rounded(Problem):
    """A limit that depends on a width over the dimension, which is rounded in a simulation."""

    student_ratio: float

    clock: ClassVar[str] = CLOCK
    kind: ClassVar[str] = "limit"
    variables: ClassVar[dict[str, Variable]] = {"overlap": Variable("overlap", r"\chi")}

    def _curve(self, times):
        return 1 - np.exp(-self.student_ratio * times)

    def realised(self, dimension, student_width=None):
        return Rounded(round(self.student_ratio * dimension) / dimension)

    def solve(self, times, *, rtol=1e-9, atol=1e-11):
        call = {"verb": "solve", "rtol": rtol, "atol": atol}
        return results.build(
            self, kind="limit", times=checks.times(times), variables={"overlap": self._curve(times)}, call=call
        )

    def simulate(self, times, *, dimension, runs, rng=None, threads=None, progress=None):
        noise = np.array([g.standard_normal() for g in streams.generators(streams.root(rng), runs)])
        curves = self.realised(dimension)._curve(times) * (1 + (1 + noise[:, None]) / dimension)
        attrs = {"realised_student_ratio": self.realised(dimension).student_ratio}
        return results.build(
            self,
            kind="simulation",
            times=times,
            variables={"overlap": curves},
            call={"verb": "simulate"},
            run=True,
            dimension=dimension,
            attrs=attrs,
        )


def theory(rate=2.0):
    return toy.make(rate).solve(TIMES)


def runs(dimension, count=16, rng=0, rate=2.0, times=TIMES):
    return toy.make(rate).simulate(times, dimension=dimension, runs=count, rng=rng)


def several(sizes=(50, 100, 200), **options):
    return [runs(size, rng=size, **options) for size in sizes]
