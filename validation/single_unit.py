r"""One unit: linear and logistic regression and phase retrieval against what is known of them, and SGD against its limit.

Linear, inputs of unit variance: the mean square error of SGD obeys :math:`\dot\epsilon = -2\epsilon + \eta(\epsilon + \Delta)`, noise :math:`\Delta`.
Phase retrieval: :math:`\dot R = 6(T - Q)R` and :math:`\dot Q = -4(3Q - T)Q + 8R^2`, so that a student that does not know the direction
waits at the saddle Q = T/3, of risk 4/3, and leaves it at the rate 4 (docs/single_unit.md; the saddle is that of the population risk).
Logistic loss on separable labels: an aligned student of norm :math:`\rho` has the risk :math:`A/\rho`, :math:`A = \sqrt{2/\pi}\,\pi^2/12`, whence
:math:`\rho = (3At)^{1/3}` (the law :math:`t^{-1/3}` of softmax regression).  Labels drawn from the logistic law: the student becomes the teacher,
and over a power law of the inputs the excess risk falls with the exponent of (U9).  Runs of SGD share no equation with the limit.
"""

from __future__ import annotations

import math

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from . import cross_common as cross
from .record import Record

PAGE = "docs/single_unit.md"
TIMES = np.array([0.5, 2.0, 6.0])
GROUPS = fl.Spectrum([2.0, 1.0, 0.25], [0.25, 0.35, 0.4])


def linear(record: Record) -> None:
    """Compare SGD of a linear unit with its closed form."""
    rate, noise, times = 0.8, 0.3, np.array([0.5, 2.0, 8.0])
    found = fl.SingleUnit("linear", Q=0.0, T=1.0, learning_rate=rate, noise=noise).solve(times, rtol=1e-11, atol=1e-13)
    last = rate * noise / (2 - rate)
    exact = 0.5 * (last + (1 - last) * np.exp(-(2 - rate) * times))
    worst = float(np.abs(found["risk"].values / exact - 1).max())
    record.below(PAGE, "linear, SGD: risk over the closed form, largest difference from one", worst, 1e-9)


def phase_retrieval(record: Record) -> None:
    """Compare the plateau of phase retrieval with the saddle and its rate."""
    times = np.array([2.5, 3.5])
    found = fl.SingleUnit("square", "intensity", Q=0.5, R=1e-9, T=1.0).solve(times, rtol=1e-11, atol=1e-16)
    plateau = float(found["risk"][0])
    record.close(PAGE, "phase retrieval: risk of the plateau", plateau, 4 / 3, rtol=1e-6)
    rate = float(np.diff(np.log(found["R"].values))[0])
    record.close(PAGE, "phase retrieval: rate at which the direction is found", rate, 4.0, rtol=1e-5)
    end = fl.SingleUnit("square", "intensity", Q=0.5, R=1e-3, T=1.0).solve([10.0])
    record.below(PAGE, "phase retrieval: risk at t = 10", float(end["risk"][0]), 1e-10)


def separable(record: Record) -> tuple[np.ndarray, np.ndarray, float]:
    """Compare logistic regression on separable labels with t^(-1/3)."""
    times = np.geomspace(1e2, 1e5, 7)
    risk = fl.SingleUnit("sign", "logistic", Q=0.0, T=1.0).solve(times)["risk"].values
    A = math.sqrt(2 / math.pi) * math.pi**2 / 12
    law = A / (3 * A * times) ** (1 / 3)
    record.close(
        PAGE, "logistic loss, separable: risk at t = 1e5 over A/(3At)^(1/3)", risk[-1] / law[-1], 1.0, rtol=2e-3
    )
    slope = float(-np.log(risk[-1] / risk[-3]) / np.log(times[-1] / times[-3]))
    record.close(PAGE, "logistic loss, separable: exponent from t = 1e4 to 1e5", slope, 1 / 3, atol=2e-3)
    record.wrong_theory(
        PAGE, "1/2, as if the risk were exponential in the norm", seen=slope, failed=abs(slope - 0.5) > 0.1
    )
    return times, risk, A


def power_law(record: Record) -> None:
    """Compare the excess risk of logistic regression over a power law with its exponent."""
    alpha, b, times = 1.5, 0.5, np.array([1e5, 1e6])
    law = fl.Spectrum.power_law(alpha, 10**12, accuracy=1e-4)
    T = law.shares(b / alpha)
    T = T / (law.groups[0] @ T)
    least = float(fl.SingleUnit("logistic", Q=T, R=T, T=T, covariance=law).solve([0.0])["risk"][0])
    problem = fl.SingleUnit("logistic", Q=0.0 * T, R=0.0 * T, T=T, covariance=law)
    excess = problem.solve(times, rtol=1e-10, atol=1e-13)["risk"].values - least
    seen = float(-np.diff(np.log(excess))[0] / np.log(10))
    record.close(
        PAGE, "logistic regression, c = l^-1.5, T ~ l^-0.5: exponent of the excess risk from t = 1e5 to 1e6",
        seen, (alpha - 1 + b) / alpha, atol=5e-3,
    )  # fmt: skip


def runs_of(link: str, rate: float, **physics: float) -> tuple[fl.SingleUnit, fl.SingleUnit]:
    """Return a problem with three groups, and the one whose learning rate is a third too large for it."""
    make = {"Q": 0.3, "R": 0.2, "T": 1.0, "covariance": GROUPS} | physics
    return tuple(fl.SingleUnit(link, learning_rate=factor * rate, **make) for factor in (1.0, 4 / 3))


def runs(record: Record, full: bool) -> None:
    """Judge the limit, and a wrong one, by runs at finite dimension."""
    sizes = [400, 1600] if not full else [400, 1600, 6400]
    for link, rate, noise in (("logistic", 2.0, 0.0), ("square", 0.08, 0.05)):
        right, wrong = runs_of(link, rate, noise=noise) if noise else runs_of(link, rate)
        drawn = [
            right.simulate(TIMES, dimension=size, runs=64 if not full else 128, rng=size, progress=False)
            for size in sizes
        ]
        verdict = fl.compare(right.solve(TIMES), *drawn)
        record.claim(
            PAGE, f"{link}, three groups, runs at d = {sizes} against the limit",
            expected="no difference", seen=verdict.verdict, passed=verdict.passed is not False,
        )  # fmt: skip
        # The same clock: runs of one rate against the limit of another.
        other = fl.compare(wrong.solve(TIMES), *drawn)
        record.wrong_theory(
            PAGE, f"{link}: a learning rate a third too large", seen=other.verdict, failed=other.passed is False
        )


def run(record: Record, full: bool) -> None:
    """Compute the claims."""
    linear(record)
    phase_retrieval(record)
    power_law(record)
    runs(record, full)
    times, risk, A = separable(record)
    figure, (left,) = cross.panels(1)
    left.loglog(times, risk, color=style.COLOURS[0], label="logistic loss, separable")
    left.loglog(times, A / (3 * A * times) ** (1 / 3), ":", color=style.GUIDE, label=r"$A\,(3At)^{-1/3}$")
    left.set(xlabel="time  $t$", ylabel="risk")
    style.add_legend(left, loc="lower left")
    record.figure(figure, "separable")
