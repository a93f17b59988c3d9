"""Simulate the XOR mixture at finite dimension: one-pass SGD, and descent on fixed or fresh samples."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results, streams
from ..core.checks import check_elements, steps_at
from ..core.results import Variable
from ..core.threads import advance, run_threads
from . import LOSSES, equations_sampled
from .limit import observe, pack
from .physics import XorMixturePhysics

if TYPE_CHECKING:
    import xarray as xr

METHODS = ("overlaps", "samples", "descent", "fresh")
ERROR_POINTS = 1024
#: Steps between two looks at interrupts.
SLICE = 20_000

TRAINING = {
    "train_risk": Variable("mean loss on the training sample", r"$\mathcal{R}_{\rm train}$"),
    "train_error": Variable("classification error on the training sample, ties one half", r"$\epsilon_{\rm train}$"),
}


def simulate(
    physics: XorMixturePhysics,
    times: Any,
    *,
    dimension: int,
    weights: Any,
    runs: int,
    rng: Any,
    method: str | None,
    step: float | None,
    samples: int | None,
    threads: int | None,
    progress: bool | None,
) -> xr.Dataset:
    """Return a simulation; see `XorMixture.simulate`."""
    wanted = checks.times(times)
    runs = streams.runs(runs)
    dimension = checks.integer("dimension", dimension, minimum=2)
    method = _method(physics, method, step, samples, dimension)
    if weights is None:
        W = physics.weights(dimension)
    else:
        W = checks.array("weights", weights, (physics.width, dimension))
    root = streams.root(rng)
    generators = streams.generators(root, runs)
    began = time.perf_counter()
    if method in ("descent", "fresh"):
        step = checks.number("step", 0.1 if step is None else step, positive=True)
    length = physics.learning_rate / dimension if step is None else step
    counts = steps_at(wanted, length)
    realised = counts * length
    if wanted.size > 1 and (np.diff(counts) == 0).any():
        raise ValueError(
            "Argument `times` asks for two times within one step of the simulation: take them further apart."
        )

    def one(index: int) -> tuple[np.ndarray, np.ndarray]:
        if method == "overlaps":
            return _chain(physics, W, dimension, counts, generators[index])
        if method == "samples":
            return _one_pass(physics, W, counts, generators[index])
        return _descend(physics, W, counts, generators[index], float(step or 0), int(samples or 0), method == "fresh")

    def assemble(outcomes: list[tuple[np.ndarray, np.ndarray]]) -> xr.Dataset:
        states = np.stack([state for state, _ in outcomes])
        errors: dict[str, float] = {}
        points = max(ERROR_POINTS, 1 << (2 * physics.width + 3).bit_length())
        flat = observe(physics, states.reshape(-1, states.shape[-1]), points, set(physics.variables), errors)
        variables = {
            name: values.reshape(len(outcomes), wanted.size, *values.shape[1:]) for name, values in flat.items()
        }
        extra = {}
        if method == "descent":
            training = np.stack([values for _, values in outcomes])
            for i, (name, variable) in enumerate(TRAINING.items()):
                extra[name] = (("run", "time"), training[:, :, i], variable.attributes())
        call = {
            "verb": "simulate", "dimension": dimension, "runs": len(outcomes), "method": method, "step": step, "samples": samples,
        }  # fmt: skip
        if weights is not None:
            call["weights"] = {"array": "start_weights"}
            extra["start_weights"] = (("student", "dimension"), W, {"long_name": "starting weights"})
        return results.build(
            physics, kind="simulation", times=realised, variables=variables, call=call, run=True, dimension=dimension, root=root,
            extra=extra, provenance={"method": method, "wall_time": time.perf_counter() - began, "steps": int(counts[-1])} | errors,
        )  # fmt: skip

    return run_threads(one, runs, threads=threads, progress=progress, description="runs", assemble=assemble)


def _method(physics: XorMixturePhysics, method: str | None, step: Any, samples: Any, dimension: int) -> str:
    one_pass = physics.learning_rate > 0
    if method is None:
        method = "overlaps" if one_pass else "descent"
    checks.choice("method", method, METHODS)
    if method in ("overlaps", "samples"):
        if not one_pass:
            raise ValueError(
                f'Method "{method}" is one-pass SGD and needs learning_rate > 0; at 0 use "descent" or "fresh" with `samples=`.'
            )
        if step is not None or samples is not None:
            raise ValueError(
                f'Arguments `step` and `samples` belong to the methods "descent" and "fresh", not to "{method}".'
            )
    else:
        if one_pass:
            raise ValueError(
                f'Method "{method}" simulates gradient flow and needs learning_rate = 0, but it is {physics.learning_rate:g}.'
            )
        if samples is None:
            raise ValueError(
                f'Argument `samples`, the number of inputs per step, must be given for the method "{method}".'
            )
        check_elements("samples", samples, float(checks.integer("samples", samples, minimum=1)) * dimension)
    return method


def _chain(
    physics: XorMixturePhysics, W: np.ndarray, dimension: int, counts: np.ndarray, generator: Any
) -> tuple[np.ndarray, np.ndarray]:
    if dimension < physics.width + 2:
        raise ValueError(
            f'Argument `dimension` must be at least width + 2 = {physics.width + 2} for the method "overlaps", but is {dimension}.'
        )
    Q, R, a = W @ W.T, np.ascontiguousarray(W[:, :2] * physics.separation), np.array(physics.second_layer)

    def steps(now: int) -> None:
        equations_sampled.overlap_steps(generator, Q, R, a, *_numbers(physics), dimension, now)

    return _march(counts, SLICE, steps, lambda: pack(Q, R, a))


def _one_pass(
    physics: XorMixturePhysics, W: np.ndarray, counts: np.ndarray, generator: Any
) -> tuple[np.ndarray, np.ndarray]:
    W, a = np.array(W), np.array(physics.second_layer)

    def steps(now: int) -> None:
        equations_sampled.sample_steps(generator, W, a, *_numbers(physics), now)

    return _march(counts, max(1, SLICE * 50 // W.size), steps, lambda: _overlaps(physics, W, a))


def _numbers(physics: XorMixturePhysics) -> tuple[Any, ...]:
    """Return what the steps of one-pass SGD read of the problem."""
    names = ("separation", "noise_scale", "label_noise", "learning_rate", "second_layer_rate")
    return (*(getattr(physics, name) for name in names), LOSSES.index(physics.loss))


def _march(
    counts: np.ndarray, most: int, steps: Callable[[int], None], state: Callable[[], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the states after so many steps, taken at most so many at once."""
    rows, done = [], 0
    for count in counts:
        while done < count:
            now = min(most, int(count) - done)
            steps(now)
            done += now
            advance(done / max(int(counts[-1]), 1))
        rows.append(_finite(state(), done))
    return np.array(rows), np.zeros(0)


def _overlaps(physics: XorMixturePhysics, W: np.ndarray, a: np.ndarray) -> np.ndarray:
    return pack(W @ W.T, W[:, :2] * physics.separation, a)


def _finite(state: np.ndarray, done: int) -> np.ndarray:
    if not np.isfinite(state).all():
        raise FloatingPointError(
            f"The simulation left the finite range within {done} steps: lower the learning rate or the step."
        )
    return state


def draw(
    physics: XorMixturePhysics, samples: int, dimension: int, generator: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs (n, d), the labels they carry, and the clean labels."""
    axis = generator.integers(0, 2, samples)
    sign = 2.0 * generator.integers(0, 2, samples) - 1
    X = physics.noise_scale * generator.standard_normal((samples, dimension))
    X[np.arange(samples), axis] += sign * physics.separation
    clean = 1.0 - 2.0 * axis
    flipped = generator.random(samples) < physics.label_noise
    return X, np.where(flipped, -clean, clean), clean


def _pull(loss: str, output: np.ndarray, y: np.ndarray) -> np.ndarray:
    if loss == "squared":
        return y - output
    if loss == "logistic":
        return y * (0.5 * (1 + np.tanh(0.5 * (-y * output))))
    return y * np.exp(-y * output)


def _mean_loss(loss: str, output: np.ndarray, y: np.ndarray) -> float:
    if loss == "squared":
        return 0.5 * float(np.mean((y - output) ** 2))
    return float(np.mean(np.logaddexp(0, -y * output) if loss == "logistic" else np.exp(-y * output)))


@np.errstate(over="ignore", invalid="ignore")  # divergence is found at the next requested time, and told in a sentence
def _descend(
    physics: XorMixturePhysics,
    W: np.ndarray,
    counts: np.ndarray,
    generator: Any,
    step: float,
    samples: int,
    fresh: bool,
) -> tuple[np.ndarray, np.ndarray]:
    W, a = np.array(W), np.array(physics.second_layer)
    dimension = W.shape[1]
    X, y, _ = draw(physics, samples, dimension, generator)
    rows, training = [], []
    done = 0
    for count in counts:
        while done < count:
            if fresh and done:
                X, y, _ = draw(physics, samples, dimension, generator)
            hidden = np.maximum(X @ W.T, 0)
            force = _pull(physics.loss, hidden @ a, y) / samples
            change = step * ((hidden > 0) * force[:, None] * a).T @ X
            if physics.second_layer_rate > 0:
                a += step * physics.second_layer_rate * (force @ hidden)
            W += change
            done += 1
        rows.append(_finite(_overlaps(physics, W, a), done))
        output = np.maximum(X @ W.T, 0) @ a
        wrong = np.mean((y * output < 0) + 0.5 * (output == 0))
        training.append([_mean_loss(physics.loss, output, y), wrong])
    return np.array(rows), np.array(training)
