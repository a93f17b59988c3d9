"""The steps of a simulation to the requested times, and one run of a `Committee` from its state on."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core import checks, threads
from .. import activations
from ..equations import factor, system
from ..equations.layout import WEIGHT_DECAY
from ..equations.moments import ERF, POLYNOMIAL, RELU
from ..schedule import Schedule
from . import overlap_sgd, sample_sgd

if TYPE_CHECKING:
    from ..physics import Physics


#: Seconds of work between two looks at interrupts, about.
SLICE = 0.1


@dataclass(frozen=True)
class Stretch:
    """Steps at a learning rate that grows by a constant factor from step to step: linear in time. `record`: a requested time ends it."""

    steps: int
    rate: float
    factor: float
    record: bool


def plan(rate: float | Schedule, times: np.ndarray, gain: float) -> tuple[list[Stretch], np.ndarray]:
    """Return the stretches to the steps nearest to `times`, and the times of these steps.

    Parameters
    ----------
    rate : float or Schedule
        Learning rate; a step advances the clock by rate * gain, gain = 1/(p d).

    Raises
    ------
    ValueError
        If two times fall on one step.
    """
    if not isinstance(rate, Schedule):
        counts = checks.steps_at(times, rate * gain)
        _check(counts, times, rate * gain)
        return [Stretch(int(n), rate, 1.0, True) for n in np.diff(counts, prepend=0)], counts * (rate * gain)
    stretches: list[Stretch] = []
    realised: list[float] = []
    now, total, counts_at = 0.0, 0, []
    knots = rate.times
    for wanted in times:
        while True:
            following = knots[knots > now * (1 + 1e-12)]
            end = min(wanted, following[0]) if following.size else wanted
            value = rate(now)
            slope = (rate(end) - value) / (end - now) if end > now else 0.0
            steps, factor, now = _advance(now, end, value, slope, gain, up=end < wanted)
            done = end == wanted
            stretches.append(Stretch(steps, value, factor, done))
            total += steps
            if done:
                break
        realised.append(now)
        counts_at.append(total)
    _check(np.array(counts_at), times, float(rate.values.max()) * gain)
    return stretches, np.array(realised)


def total_rate(rate: float, factor: float, steps: int) -> float:
    """Return the sum of the learning rates of `steps` steps that begin at `rate`."""
    return rate * steps if factor == 1.0 else rate * math.expm1(steps * math.log(factor)) / (factor - 1.0)


def _advance(now: float, end: float, value: float, slope: float, gain: float, up: bool) -> tuple[int, float, float]:
    """Return steps, growth factor and the new time; `up` goes past `end` to the next step, else to the nearest."""
    if end <= now:
        return 0, 1.0, now
    growth = slope * gain
    if abs(growth) < 1e-14:
        exact = (end - now) / (value * gain)
    else:
        exact = math.log1p(slope * (end - now) / value) / math.log1p(growth)
    checks.counts(exact, "Argument `times` asks, at the steps of the schedule,")
    steps = math.ceil(exact) if up else round(exact)
    if abs(growth) < 1e-14:
        return steps, 1.0, now + steps * value * gain
    return steps, 1.0 + growth, now + value * math.expm1(steps * math.log1p(growth)) / slope


def _check(counts: np.ndarray, times: np.ndarray, step: float) -> None:
    same = np.flatnonzero(np.diff(counts) == 0)
    if same.size:
        i = int(same[0])
        raise ValueError(
            f"Argument `times` asks for {times[i]:g} and {times[i + 1]:g}, which fall on one step of length {step:.3g}: take times further apart."
        )


@dataclass
class State:
    """Where a run is: weights over sqrt(d) in some coordinates, second layer, coordinates in use, random stream."""

    W: np.ndarray
    W_star: np.ndarray
    a: np.ndarray
    used: int | np.ndarray
    generator: np.random.Generator


class Run:
    """One run, from its state on."""

    def __init__(self, problem: Physics, state: State, dimension: int, method: str, done: int = 0, now: float = 0.0):
        self.problem, self.state, self.dimension, self.method = problem, state, dimension, method
        self.norms = np.diag(problem.Q if problem.covariance is None else problem.Q.sum(axis=0)).copy()
        self.roots = _roots(problem, dimension, state, method)
        self.unexplained = np.zeros((0, 0))
        if problem.unexplained is not None:
            values, vectors = np.linalg.eigh(problem.unexplained)
            self.unexplained = np.ascontiguousarray(vectors * np.sqrt(np.maximum(values, 0.0)))
        self.teacher_second_layer = np.array(problem.teacher_second_layer)
        self.done, self.now = done, now
        self.gain = 1.0 if method == "gd" else 1.0 / (problem.student_width * dimension)
        self.slice = 1000
        if method == "gd":
            self._prepare_descent()
        else:
            self._prepare_steps()

    def _prepare_steps(self) -> None:
        problem = self.problem
        self.settings = np.zeros(overlap_sgd.SETTINGS)
        self.settings[overlap_sgd.DIMENSION] = self.dimension
        self.settings[overlap_sgd.NOISE], self.settings[overlap_sgd.WEIGHT_DECAY] = problem.noise, problem.weight_decay
        self.settings[overlap_sgd.SECOND_LAYER_RATE], self.settings[overlap_sgd.SPHERICAL] = (
            problem.second_layer_rate,
            problem.spherical,
        )
        self.powers = []
        for activation, kind, centred in (
            (problem.activation, overlap_sgd.STUDENT_KIND, overlap_sgd.STUDENT_CENTRED),
            (problem.teacher_activation, overlap_sgd.TEACHER_KIND, overlap_sgd.TEACHER_CENTRED),
        ):
            self.settings[kind] = (
                POLYNOMIAL if activations.is_polynomial(activation) else ERF if activation == "erf" else RELU
            )
            self.settings[centred] = activation == "centred"
            self.powers.append(
                np.array(activations.coefficients(activation)) if activations.is_polynomial(activation) else np.zeros(1)
            )

    def _prepare_descent(self) -> None:
        problem = self.problem
        name = activations.name_of(problem.activation, problem.teacher_activation)
        self.pull = {"erf": factor.pull_erf, "relu": factor.pull_relu}.get(name, factor.pull_polynomial)
        seen = problem.seen()
        self.params, self.work = system.pull_parameters(seen)
        self.start = system.start(seen)
        self.speeds, self.decay = np.ones(self.state.W.shape[1]), 0.0
        if problem.covariance is not None:
            # The gradient has the eigenvalue as a factor, weight decay has not.
            self.speeds, self.decay = self.roots**2, problem.weight_decay
            self.params[WEIGHT_DECAY] = 0.0

    def record(self, stretches: list[Stretch]) -> tuple[np.ndarray, State]:
        """Return the overlaps at the end of every stretch that is recorded, shape (times, n), and the last state."""
        rows = []
        first, total = self.done, max(sum(stretch.steps for stretch in stretches), 1)
        for stretch in stretches:
            # The compiled steps carry the rate on, so that results do not depend on where a slice ends.
            pace, left = np.array([stretch.rate, stretch.factor]), stretch.steps
            while left:
                count = min(left, self.slice)
                began, rate = time.perf_counter(), float(pace[0])
                taken = self.take(count, pace)
                self.done += taken
                self.now += self.gain * total_rate(rate, stretch.factor, taken)
                if taken < count or not (np.isfinite(self.state.W).all() and np.isfinite(self.state.a).all()):
                    raise FloatingPointError(self._diverged(float(pace[0])))
                took = time.perf_counter() - began
                if count == self.slice:
                    self.slice = int(min(max(count * min(SLICE / max(took, 1e-9), 10.0), 1), 10**9))
                left -= count
                threads.advance((self.done - first) / total)
            if stretch.record:
                rows.append(self.overlaps())
        return np.array(rows), self.state

    def overlaps(self) -> np.ndarray:
        """Return the state vector of the overlaps."""
        state = self.state
        if self.method == "overlaps" and self.problem.covariance is not None:
            W, W_star = self.roots[:, None] * state.W, self.roots[:, None] * state.W_star
            Q, R = W.T @ W, W.T @ W_star
        elif self.problem.covariance is not None:
            W, W_star = self.roots * state.W, self.roots * state.W_star
            Q, R = W @ W.T, W @ W_star.T
        elif self.method == "overlaps":
            Q, R = state.W.T @ state.W, state.W[: len(state.W_star)].T @ state.W_star
        else:
            Q, R = state.W @ state.W.T, state.W @ state.W_star.T
        return system.pack(Q, R, state.a if self.problem.second_layer_rate > 0 else None)

    def take(self, count: int, pace: np.ndarray) -> int:
        """Take steps and return how many were taken before something left the finite range."""
        state, problem = self.state, self.problem
        p, k = problem.student_width, problem.teacher_width
        b = self.teacher_second_layer
        if self.method == "overlaps" and problem.covariance is not None:
            return int(
                overlap_sgd.steps_by_group(
                    state.generator, state.W, state.W_star, state.a, b, self.norms, *self.powers, state.used,
                    np.sqrt(problem.covariance.eigenvalues), self.unexplained, count, pace, self.settings, np.empty((2, max(state.W.shape))),
                )
            )  # fmt: skip
        if self.method == "overlaps":
            scratch = np.empty((3, max(state.W.shape)))
            ended = overlap_sgd.steps(
                state.generator, state.W, state.W_star, state.a, b, self.norms, *self.powers, state.used, count, pace, self.settings, scratch,
            )  # fmt: skip
            if ended < 0:
                return int(-1 - ended)
            state.used = ended
            return count
        if self.method == "samples":
            return int(
                sample_sgd.steps(
                    state.generator, state.W, state.W_star, state.a, b, self.norms, *self.powers, count, pace, self.settings,
                    self.roots, self.unexplained, np.empty(self.dimension), np.empty((2, p)),
                )
            )  # fmt: skip
        return int(
            factor.descend(
                self.pull.address, state.W, state.W_star, state.a, self.norms, self.speeds, self.decay, self.start, count, pace[0],
                problem.spherical, self.params, self.work, np.empty(p * (p + k) + p), np.empty_like(state.W),
            )
        )  # fmt: skip

    def _diverged(self, rate: float) -> str:
        where = f"The simulation left the finite range at t={self.now:.3g}, after {self.done} steps."
        if self.method == "gd":
            return f"{where} Lower the step, {rate:g}."
        known = f"Lower the learning rate, {rate:g}."
        if self.problem.covariance is None:
            known = system.advice(self.problem, system.choose(self.problem), rate)
        if activations.is_polynomial(self.problem.activation) and activations.degree(self.problem.activation) > 2:
            known += " A polynomial of degree above 2 amplifies rare inputs; more dimensions make this rarer."
        return f"{where} {known}"


def _roots(problem: Physics, dimension: int, state: State, method: str) -> np.ndarray:
    """Return the standard deviation of the inputs along each coordinate of a state."""
    if problem.covariance is None:
        return np.zeros(0)
    roots = np.sqrt(problem.covariance.eigenvalues)
    if method == "samples":
        return np.repeat(roots, problem.covariance.multiplicities(dimension))
    if method == "gd":
        widest = problem.student_width + problem.teacher_width
        return np.repeat(roots, np.minimum(problem.covariance.multiplicities(dimension), widest))
    assert isinstance(state.used, np.ndarray)
    result = np.zeros(len(state.W))
    for root, first, capacity in zip(roots, state.used[0], state.used[2]):
        result[first : first + capacity] = root
    return result
