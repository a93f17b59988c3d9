"""Simulate a `Committee` at finite dimension, or carry a simulation on: SGD in law or on real weights, population gradient descent."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ...core import checks, results, streams
from ...core import threads as parallel
from ...core.solve import sgd_or_descent
from .. import limit
from ..equations import system
from ..observables import check_names
from ..starts import check_dimension, check_redrawn, coordinates, group_coordinates, physics_of, redrawn
from ..starts import weights as exact_weights
from .run import Run, State, plan

if TYPE_CHECKING:
    from ..physics import Physics


METHODS = ("overlaps", "samples", "gd")


def simulate(
    problem: Physics,
    times: Any,
    *,
    dimension: int,
    weights: Any,
    start: str | None,
    runs: int,
    rng: Any,
    method: str | None,
    step: float | None,
    observables: Any,
    keep_state: bool,
    threads: int | None,
    progress: bool | None,
) -> xr.Dataset:
    """Return a simulation; see `Committee.simulate`."""
    wanted = checks.times(times)
    runs = streams.runs(runs)
    names = check_names(observables)
    checks.boolean("keep_state", keep_state)
    if start is not None:
        checks.choice("start", start, ("random", "gaussian"))
    method, step = sgd_or_descent(method, step, runs if start is None else 1, METHODS, problem.kind == "limit")
    dimension = check_dimension(problem, dimension)
    problem.check_rate(dimension)
    if start is not None:
        check_redrawn(problem, dimension, weights, start)
    own = None if weights is None else _own_weights(problem, weights, dimension)
    if own is not None:
        problem = _restarted(problem, own)
    root = streams.root(rng)
    call = {
        "verb": "simulate", "dimension": dimension, "runs": runs, "method": method, "step": step if method == "gd" else None,
        "observables": list(names) or None, "keep_state": keep_state, "times": wanted.tolist(),
    }  # fmt: skip
    extra: dict[str, Any] = {}
    if own is not None:
        call["weights"] = [{"array": "start_W"}, {"array": "start_W_star"}]
        extra["start_W"] = (("student", "input"), own[0], {"long_name": "starting weights of the student"})
        extra["start_W_star"] = (("teacher", "input"), own[1], {"long_name": "weights of the teacher"})
    if start is not None:
        call["start"] = start
    generators = streams.generators(root, runs)

    def begin(index: int) -> State:
        there = problem if start is None else redrawn(problem, dimension, generators[index], start)
        return state_at_start(there, method, dimension, generators[index], own)

    return carry_on(
        problem, begin, wanted, 0, runs=runs, method=method, step=step, dimension=dimension, names=names, keep_state=keep_state,
        threads=threads, progress=progress, call=call, extra=extra, root=root,
    )  # fmt: skip


def carry_on(
    problem: Physics,
    begin: Any,
    times: np.ndarray,
    done: int,
    *,
    runs: int,
    method: str,
    step: float,
    dimension: int,
    names: Any,
    keep_state: bool,
    threads: int | None,
    progress: bool | None,
    call: dict[str, Any],
    extra: dict[str, Any],
    root: Any,
) -> xr.Dataset:
    """Return the simulation at ``times[done:]``; the first `done` times are those that the states of `begin` have passed."""
    began = time.perf_counter()
    p = problem.student_width
    if method == "gd":
        stretches, realised = plan(step, times, 1.0)
    else:
        stretches, realised = plan(problem.learning_rate, times, 1.0 / (p * dimension))
    ends = [i for i, stretch in enumerate(stretches) if stretch.record]
    passed = ends[done - 1] + 1 if done else 0
    remaining = stretches[passed:]
    before = sum(stretch.steps for stretch in stretches[:passed]), float(realised[done - 1]) if done else 0.0

    def one(index: int) -> tuple[np.ndarray, State]:
        return Run(problem, begin(index), dimension, method, *before).record(remaining)

    def assemble(outcomes: list[tuple[np.ndarray, State]]) -> xr.Dataset:
        states = np.stack([rows for rows, _ in outcomes])
        seen = problem.seen()
        variables = limit.describe(seen, system.choose(seen), states, names)
        kept = dict(extra)
        if keep_state:
            kept |= _kept([state for _, state in outcomes])
        size = (
            {}
            if problem.covariance is None
            else {"effective_dimension": problem.covariance.effective_dimension(dimension)}
        )
        details = {"method": method, "steps": sum(s.steps for s in remaining), "wall_time": time.perf_counter() - began}
        return results.build(
            problem, kind="simulation", times=realised[done:], variables=variables, call=call | {"runs": len(outcomes)},
            provenance=details, run=True, attrs=size, extra=kept, dimension=dimension, root=root,
        )  # fmt: skip

    return parallel.run_threads(one, runs, threads=threads, progress=progress, assemble=assemble)


def state_at_start(problem: Physics, method: str, dimension: int, generator: np.random.Generator, own: Any) -> State:
    """Return the state of a run at time 0."""
    a = np.array(problem.second_layer)
    if method == "samples":
        W, W_star = exact_weights(problem, dimension, generator) if own is None else own
        root = np.sqrt(dimension)
        return State(np.ascontiguousarray(W / root), np.ascontiguousarray(W_star / root), a, dimension, generator)
    if problem.covariance is not None and method == "gd":
        _, blocks = group_coordinates(problem, dimension)
        W, W_star = (np.ascontiguousarray(np.hstack([block[i] for block in blocks])) for i in range(2))
        return State(W, W_star, a, 0, generator)
    if problem.covariance is not None:
        return _start_by_group(problem, dimension, generator)
    W, W_star = coordinates(problem, dimension)
    if method == "gd":
        return State(W, W_star, a, 0, generator)
    p, k = problem.student_width, problem.teacher_width
    used = W.shape[1]
    table = np.zeros((min(used + max(8, p + k), dimension), p))
    table[:used] = W.T
    # The teacher lies in the first k coordinates where there are p + k of them.
    return State(
        table, np.ascontiguousarray(W_star[:, : min(k, used) if used == p + k else used].T), a, used, generator
    )


def _start_by_group(problem: Physics, dimension: int, generator: np.random.Generator) -> State:
    """Return the blocks of coordinates at time 0; see `overlap_sgd`."""
    counts, blocks = group_coordinates(problem, dimension)
    p, k = problem.student_width, problem.teacher_width
    n = p + k
    capacities = np.minimum(counts, n + max(8, n))
    firsts = np.concatenate([[0], np.cumsum(capacities)[:-1]])
    used = np.array([W.shape[1] for W, _ in blocks])
    # The last block needs a row beyond its own where it is rotated back.
    W, W_star = np.zeros((capacities.sum(), p)), np.zeros((capacities.sum(), k))
    for first, size, (student, teacher) in zip(firsts, used, blocks):
        W[first : first + size], W_star[first : first + size] = student.T, teacher.T
    table = np.ascontiguousarray(np.stack([firsts, used, capacities, counts]), dtype=np.int64)
    return State(W, W_star, np.array(problem.second_layer), table, generator)


def _own_weights(problem: Physics, weights: Any, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(weights, list | tuple) or len(weights) != 2:
        raise TypeError(f"Argument `weights` must be a pair (W, W_star), but is {checks.show(weights)}.")
    p, k = problem.student_width, problem.teacher_width
    return checks.array("weights[0]", weights[0], (p, dimension)), checks.array(
        "weights[1]", weights[1], (k, dimension)
    )


def _restarted(problem: Physics, own: tuple[np.ndarray, np.ndarray]) -> Physics:
    """Return the same physics from other weights, which are given in the eigenbasis of a covariance, group after group."""
    owner: Any = type(problem)
    return owner.from_weights(*own, **physics_of(problem))


def _kept(states: list[State]) -> dict[str, Any]:
    """Return what `fl.extend` needs, as variables of the result."""
    streams_ = json.dumps([state.generator.bit_generator.state for state in states])
    return {
        "state_W": (
            ("run", "state_row", "state_column"),
            np.stack([state.W for state in states]),
            {"streams": streams_},
        ),
        "state_W_star": (("run", "state_row_star", "state_column_star"), np.stack([state.W_star for state in states])),
        "state_second_layer": (("run", "student"), np.stack([state.a for state in states])),
        "state_used": (
            ("run", "block", "block_group")[: 1 + np.ndim(states[0].used)],
            np.array([state.used for state in states]),
        ),
    }


def extend(problem: Physics, result: xr.Dataset, times: np.ndarray) -> xr.Dataset | None:
    """Return the result at `times`, which hold all its own times; None where it is computed anew from its call.

    A simulation with a kept state goes on from there, bit for bit as if it had been asked for all times at once, but not
    if it is asked for times before its last one.
    """
    details = results.provenance(result)
    call = dict(details["call"])
    old = np.asarray(result["time"].values)
    # Simulations state the times of steps; the times that were asked for lie in the call.
    asked = np.asarray(call.get("times", old))
    new = times[~np.isclose(times[:, None], old[None, :], rtol=1e-12, atol=0).any(axis=1)]
    union = np.union1d(asked, new)
    if call["verb"] == "simulate" and "state_W" in result and new.size and new[0] > asked[-1]:
        return _simulate_on(problem, result, call, details, union, asked.size)
    return None


def _simulate_on(
    problem: Physics, result: xr.Dataset, call: dict[str, Any], details: dict[str, Any], times: np.ndarray, done: int
) -> xr.Dataset:
    random_states = json.loads(result["state_W"].attrs["streams"])

    def begin(index: int) -> State:
        generator = np.random.default_rng()
        generator.bit_generator.state = random_states[index]
        W, W_star, a = (
            np.array(result[name].values[index], order="C")
            for name in ("state_W", "state_W_star", "state_second_layer")
        )
        used = result["state_used"].values[index]
        return State(W, W_star, a, np.array(used, order="C") if np.ndim(used) else int(used), generator)

    later = carry_on(
        problem, begin, times, done, runs=result.sizes["run"], method=call["method"], step=call["step"] or 0.0,
        dimension=call["dimension"], names=tuple(call["observables"] or ()), keep_state=True, threads=None, progress=None,
        call=call | {"times": times.tolist()}, extra={str(name): result[name].variable for name in result if str(name).startswith("start_")},
        root=streams.rebuild(details["root_seed"]),
    )  # fmt: skip
    timed = [name for name, values in result.data_vars.items() if "time" in values.dims]
    joined = xr.concat([result[timed], later[timed]], dim="time", combine_attrs="override")
    rest = [name for name in later.data_vars if "time" not in later[name].dims]
    return joined.assign({name: later[name] for name in rest}).assign_attrs(later.attrs)
