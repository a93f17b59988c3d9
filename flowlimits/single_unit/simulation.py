"""Simulate a `SingleUnit` at finite dimension: SGD in law, SGD on real weights, population gradient descent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ode
from ..core import checks, results, streams
from ..core import threads as pool
from ..core.solve import sgd_or_descent
from . import equations, expressions, limit
from .physics import SingleUnitPhysics

if TYPE_CHECKING:
    import xarray as xr

METHODS = ("overlaps", "samples", "gd")
#: Numbers of a block of inputs that is drawn at once.
BLOCK = 100_000

#: Returns the overlaps after so many further steps, shape (2 L,) as the state of the equations.
Walk = Callable[[int], np.ndarray]


def simulate(
    problem: SingleUnitPhysics,
    times: Any,
    *,
    dimension: int,
    runs: int,
    rng: Any,
    method: str | None,
    step: float | None,
    observables: Any,
    threads: int | None,
    progress: bool | None,
) -> xr.Dataset:
    """Return a simulation; see `SingleUnit.simulate`."""
    wanted = checks.times(times)
    runs = streams.runs(runs)
    names = limit.check_observables(observables)
    method, step = sgd_or_descent(method, step, runs, METHODS, problem.learning_rate > 0)
    C = np.moveaxis(np.array([[problem.Q, problem.R], [problem.R, problem.T]]), 2, 0)
    sizes = problem.covariance.check_dimension(C, dimension)
    dimension = int(sizes.sum())
    problem.check_rate(dimension)
    root = streams.root(rng)
    pace = step if method == "gd" else problem.learning_rate / dimension
    counts = np.rint(wanted / pace).astype(np.int64)
    if (np.diff(counts) == 0).any():
        i = int(np.argmax(np.diff(counts) == 0))
        raise ValueError(
            f"Argument `times` must be further apart than one step, {pace:.3g}, but {wanted[i]:g} and {wanted[i + 1]:g} are not."
        )
    generators = streams.generators(root, runs)
    began = time.perf_counter()
    call = {
        "verb": "simulate", "dimension": dimension, "method": method, "step": step if method == "gd" else None,
        "observables": list(names) or None, "times": wanted.tolist(),
    }  # fmt: skip
    nodes = limit.nodes_of(problem, 1e-8)

    def one(index: int) -> np.ndarray:
        if method == "gd":
            walk = descent(problem, step, nodes)
        elif method == "overlaps":
            walk = chain(problem, sizes, generators[index])
        else:
            walk = samples(problem, sizes, generators[index])
        return np.stack([walk(int(count)) for count in np.diff(counts, prepend=0)])

    def assemble(outcomes: list[np.ndarray]) -> xr.Dataset:
        details = {"method": method, "steps": int(counts[-1]), "nodes": nodes, "wall_time": time.perf_counter() - began}
        return results.build(
            problem, kind="simulation", times=counts * pace, run=True, dimension=dimension, root=root,
            variables=limit.describe(problem, np.stack(outcomes), names, nodes), call=call | {"runs": len(outcomes)},
            provenance=details, coords=limit.coordinates(problem, names),
            attrs={"effective_dimension": problem.covariance.effective_dimension(dimension)},
        )  # fmt: skip

    return pool.run_threads(one, runs, threads=threads, progress=progress, assemble=assemble)


def _loss(problem: SingleUnitPhysics) -> tuple[int, int]:
    """Return kind and address of the loss."""
    own = expressions.compiled_loss(problem.loss)
    if own is None:
        return expressions.LOSSES.index(problem.loss), 0
    return equations.OWN, ode.functions.address_of(own)


def _coordinates(problem: SingleUnitPhysics) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the teacher's length, and the student along and across it, by group; the student alone where T_l = 0."""
    length = np.sqrt(problem.T)
    along = np.divide(problem.R, length, out=np.zeros_like(length), where=length > 0)
    return length, along, np.sqrt(np.maximum(problem.Q - along**2, 0.0))


def chain(problem: SingleUnitPhysics, sizes: np.ndarray, generator: np.random.Generator) -> Walk:
    """Return the walk of the overlaps themselves, exact in law."""
    c, dimension = problem.covariance.eigenvalues.copy(), int(sizes.sum())
    length, u, v = _coordinates(problem)
    # Without a teacher the second direction is that of the student, and takes all of the group.
    left = np.where(length > 0, sizes - 1, sizes).astype(np.int64)
    v[left <= 0] = 0.0
    kind, address = _loss(problem)
    gain = problem.learning_rate / dimension
    shrink = 1.0 - gain * problem.weight_decay
    block = max(1, BLOCK // c.size)
    weights = np.sqrt(c) * length
    done = 0

    def walk(steps: int) -> np.ndarray:
        nonlocal done
        while steps > 0:
            size = min(steps, block)
            z = generator.standard_normal((size, c.size))
            z[:, length == 0] = 0.0
            labels = expressions.draw_labels(problem.link, z @ weights, problem.noise, generator)
            taken = equations.chain(generator, u, v, c, left, z, labels, gain, shrink, kind, address)
            done += taken
            if taken < size:
                raise _diverged(problem, done, gain)
            steps -= size
        return np.stack([u * length, u * u + v * v], axis=1).ravel()

    return walk


def samples(problem: SingleUnitPhysics, sizes: np.ndarray, generator: np.random.Generator) -> Walk:
    """Return the walk of real weights on Gaussian inputs."""
    dimension, scale = int(sizes.sum()), np.sqrt(np.repeat(problem.covariance.eigenvalues, sizes))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    w, w_star = weights(problem, sizes, generator)
    kind, address = _loss(problem)
    gain = problem.learning_rate / dimension
    shrink = 1.0 - gain * problem.weight_decay
    block = max(1, BLOCK // dimension)
    done = 0

    def by_group(product: np.ndarray) -> np.ndarray:
        return np.where(sizes > 0, np.add.reduceat(np.append(product, 0.0), starts), 0.0)

    def walk(steps: int) -> np.ndarray:
        nonlocal done
        while steps > 0:
            size = min(steps, block)
            x = generator.standard_normal((size, dimension)) * scale
            labels = expressions.draw_labels(problem.link, x @ w_star, problem.noise, generator)
            taken = equations.samples(w, x, labels, gain, shrink, kind, address)
            done += taken
            if taken < size:
                raise _diverged(problem, done, gain)
            steps -= size
        return np.stack([by_group(w * w_star), by_group(w * w)], axis=1).ravel()

    return walk


def weights(
    problem: SingleUnitPhysics, sizes: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights of student and teacher, divided by sqrt(d), with exactly the overlaps, in random directions of each group."""
    length, along, across = _coordinates(problem)
    w, w_star = np.zeros(sizes.sum()), np.zeros(sizes.sum())
    begin = 0
    for g, size in enumerate(sizes):
        if size == 0:
            continue
        own = slice(begin, begin + size)
        first = generator.standard_normal(size)
        first /= np.linalg.norm(first)
        w_star[own] = length[g] * first
        if length[g] == 0:
            w[own] = across[g] * first
        elif size > 1:
            second = generator.standard_normal(size)
            second -= (second @ first) * first
            w[own] = along[g] * first + across[g] * second / np.linalg.norm(second)
        else:
            w[own] = along[g] * first
        begin += size
    return w, w_star


def descent(problem: SingleUnitPhysics, step: float, nodes: int) -> Walk:
    """Return the walk of gradient descent on the population risk, w <- w - step (H_0 S w + H_1 S w_star + decay w)."""
    c, T = problem.covariance.eigenvalues, problem.T
    R, Q = problem.R.copy(), problem.Q.copy()
    params = limit.parameters(problem, nodes)
    done = 0

    def walk(steps: int) -> np.ndarray:
        nonlocal R, Q, done
        for _ in range(steps):
            H0, H1 = limit.evaluate(params, np.array([c @ R]), np.array([c @ Q]))[0, :2]
            keep, pull = 1.0 - step * (c * H0 + problem.weight_decay), -step * c * H1
            R, Q = keep * R + pull * T, keep * keep * Q + 2 * keep * pull * R + pull * pull * T
            done += 1
            if not np.isfinite(Q).all():
                raise _diverged(problem, done, step)
        return np.stack([R, Q], axis=1).ravel()

    return walk


def _diverged(problem: SingleUnitPhysics, done: int, pace: float) -> FloatingPointError:
    lower = f"the learning rate, {problem.learning_rate:g}" if problem.learning_rate > 0 else f"the step, {pace:g}"
    return FloatingPointError(
        f"The simulation left the finite range at t={done * pace:.3g}, after {done} steps. Lower {lower}."
    )
