r"""The variables of a result beside its solution: how runs of finite dimension deviate from it, and its derivatives.

Derivatives with respect to numbers of the problem obey the tangent equations (docs/committee.md, C20),

.. math:: \dot\delta = J\delta + \partial F/\partial\theta, \qquad \delta(0) = 0,

in which F is linear in every number that is offered, so that its derivative is a difference.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...core import checks
from ..equations import evaluate, layout, system
from ..observables import SCALARS, STARTS
from ..schedule import Schedule
from .derivatives import Equations, of_function
from .track import LARGEST, TANGENT, Track

#: Shares of the natural size of an overlap up to which the standard deviation of a run, and the bias, are small.
SMALL_DEVIATION, SMALL_BIAS = 0.1, 0.05
#: Norms of fields below this share of the largest one do not count as small: deviations are compared with the whole.
SCALE = 0.1

Extra = dict[str, tuple[tuple[str, ...], Any, dict[str, str]]]
#: The values of the risk or of an observable at states of the fields, by its name.
Scalars = Callable[[str, np.ndarray], np.ndarray]


def check(problem: Any, size: int, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the numbers with respect to which derivatives are wanted; refuse problems without what is asked for.

    Parameters
    ----------
    size : int
        The number of order parameters.
    """
    deviations = given.get("fluctuations", False)
    names = tuple(
        checks.choice("sensitivities", one, list(layout.PLACES))
        for one in checks.items("sensitivities", given.get("sensitivities", ()), str)
    )
    if deviations and problem.kind != "limit" and deviations != STARTS:
        raise ValueError(
            "Argument `fluctuations` is for one-pass SGD, learning_rate > 0: gradient flow is exact at every dimension; "
            f'"{STARTS}" predicts what Gaussian starts change.'
        )
    if deviations and problem.unexplained is not None:
        raise ValueError(
            "Argument `fluctuations` must be False for teachers with `unexplained` fields: it is not known here."
        )
    for argument, asked, what in (
        ("fluctuations", deviations, "the covariance of "), ("sensitivities", names, "")
    ):  # fmt: skip
        if asked and problem.factored:
            raise ValueError(f"Argument `{argument}` is for overlaps, and not for problems with `coordinates`.")
        if asked and size > LARGEST:
            raise ValueError(
                f"Argument `{argument}` follows {what}at most {LARGEST} order parameters, but this problem has {size}: take fewer units or groups."
            )
    if "learning_rate" in names and isinstance(problem.learning_rate, Schedule):
        raise ValueError(
            "Argument `sensitivities` may name `learning_rate` where it is a number, but it is a Schedule."
        )
    if "second_layer_rate" in names and problem.second_layer_rate == 0:
        raise ValueError("Argument `sensitivities` may name `second_layer_rate` where it is positive, but it is 0.")
    return names


def further(path: Any, names: Sequence[str], scalars: Scalars) -> tuple[Extra, dict[str, Any]]:
    """Return what was asked for beside the solution at the times of a path: variables, and attributes.

    Parameters
    ----------
    path : CommitteePath
    names : sequence of str
        The observables that were asked for.
    scalars : callable
    """
    extra: Extra = {}
    attrs: dict[str, Any] = {}
    if path.asked.given.get("fluctuations"):
        extra, attrs = deviations(path, names, scalars)
    if path.parameters:
        extra |= sensitivities(path, names, scalars)
    return extra, attrs


def deviations(path: Any, names: Sequence[str], scalars: Scalars) -> tuple[Extra, dict[str, Any]]:
    """Return standard deviations, biases and the dimension from which on they hold, and attributes that say how they were found."""
    problem, times, states = path.given, path.times, path.states
    drawn, steps = path.asked.given["fluctuations"] == STARTS, problem.kind == "limit"
    track = Track(path, float(times[-1]), random=steps)
    if drawn:
        track.draw_starts()
    track.run()
    bias = track.means()
    S, m = track.covariance_at(times), track.vectors_at(times, bias, track.mean_source)
    equations, seen = track.equations, problem.seen()
    project = equations.to_fields(np.eye(S.shape[1]))
    spread = np.sqrt(np.maximum(np.einsum("dj,tde,ej->tj", project, S, project), 0.0))
    found = _unpacked(seen, equations, spread, m @ project)
    if equations.grouped:
        # The overlaps by group that were asked for.
        own = np.sqrt(np.maximum(np.diagonal(S, axis1=1, axis2=2), 0.0))
        blocks = [
            x[:, : equations.groups * equations.block].reshape(len(x), equations.groups, equations.block)
            for x in (own, m)
        ]
        pairs = zip(*(system.unpack_overlaps(seen, x) for x in blocks))
        found |= {name: pair for name, pair in zip(("Q_groups", "R_groups"), pairs) if name in names}
    for name in ("risk", *[name for name in names if name in SCALARS]):
        found[name] = of_function(equations, functools.partial(scalars, name), states, S, m)
    extra: Extra = {}
    for name, (deviation, mean) in found.items():
        symbol = problem.variables[name].symbol.strip("$")
        said = "standard deviation of a run, times sqrt(d), of"
        extra[f"std_{name}"] = _described(problem, name, deviation, said, rf"$\sqrt{{d}}\,\Delta {symbol}$")
        said = "mean of runs minus limit, times d, of"
        extra[f"bias_{name}"] = _described(problem, name, mean, said, rf"$d\,\delta {symbol}$")
    before = np.maximum.accumulate(_needed(equations, track.states, track.S, bias))
    before = before[np.searchsorted(track.times, times, side="right") - 1]
    extra["needs_dimension"] = (
        ("time",),
        np.maximum.accumulate(np.maximum(before, _needed(equations, states, S, m))),
        {
            "long_name": "dimension below which the predicted deviations are not to be used from this time on",
            "symbol": r"$d_{\min}$",
        },
    )
    runs = "runs from Gaussian starts" if drawn else "runs"
    attrs = {
        "fluctuations": f"{runs} of dimension d deviate by std_* / sqrt(d), their mean by bias_* / d, where d is at least needs_dimension"
    }
    if steps:
        rule = track.increments.rule
        attrs["increments"] = "exact moments" if rule.exact else f"quasi-Monte Carlo, relative error {rule.error:.1e}"
    return extra, attrs


def sensitivities(path: Any, names: Sequence[str], scalars: Scalars) -> Extra:
    """Return the derivatives of Q, R, a trained second layer, the risk and the observables `names`."""
    problem, times, states = path.given, path.times, path.states
    track = Track(path, float(times[-1]), random=False, tolerance=TANGENT)
    equations, parameters = track.equations, path.parameters
    track.begin_covariance = np.diag(equations.natural(path.start[None])[0] ** 2)
    track.run()
    sources = np.stack([_slopes(track, layout.PLACES[one]) for one in parameters], axis=-1)
    tangents = track.vectors_at(times, track.propagate(np.zeros((equations.count, len(parameters))), sources), sources)
    nothing = np.zeros((len(times), equations.count, equations.count))
    extra: Extra = {}
    for i, parameter in enumerate(parameters):
        delta = tangents[..., i]
        found = {name: one for name, (one,) in _unpacked(problem.seen(), equations, equations.to_fields(delta)).items()}
        for name in ("risk", *[one for one in names if one in SCALARS]):
            found[name] = of_function(equations, functools.partial(scalars, name), states, nothing, delta)[1]
        for name, values in found.items():
            symbol = problem.variables[name].symbol.strip("$")
            said = f"derivative with respect to {parameter} of"
            extra[f"{name}_by_{parameter}"] = _described(problem, name, values, said, rf"$\partial {symbol}$")
    return extra


def _unpacked(seen: Any, equations: Equations, *states: np.ndarray) -> dict[str, tuple[Any, ...]]:
    """Return Q, R and a trained second layer, each of all the states of the fields that are given."""
    found = dict(zip(("Q", "R", "second_layer"), zip(*(system.unpack(seen, one) for one in states))))
    if not equations.trained:
        del found["second_layer"]
    return found


def _described(
    problem: Any, name: str, values: np.ndarray, said: str, symbol: str
) -> tuple[tuple[str, ...], Any, dict[str, str]]:
    """Return values that belong to a variable with its dimensions and what they are."""
    variable = problem.variables[name]
    attributes = {"long_name": f"{said} the {variable.long_name}", "symbol": symbol}
    if not np.isfinite(values).all():
        attributes["undefined"] = "nan where the variable itself is"
    return ("time", *variable.dims), values, attributes


def _needed(equations: Equations, states: np.ndarray, S: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Return the dimension above which deviations are small, shape (T,)."""
    size = equations.natural(states, SCALE)
    deviation = np.diagonal(S, axis1=1, axis2=2) / (SMALL_DEVIATION * size) ** 2
    return np.maximum(deviation.max(axis=1), (np.abs(m) / (SMALL_BIAS * size)).max(axis=1))


def _slopes(track: Track, place: int) -> np.ndarray:
    """Return dF/d(number) at the nodes, shape (T, D)."""
    equations = track.equations
    out = np.empty((2, *track.states.shape))
    for n, (t, y) in enumerate(zip(track.times, track.states)):
        params = equations.parameters(equations.rate(t)).copy()
        step = max(abs(float(params[place])), 1.0)
        for one in out:
            evaluate.velocities(equations.address, y[None], params, equations.work, one[n : n + 1])
            params[place] += step
        out[:, n] /= step
    return out[1] - out[0]
