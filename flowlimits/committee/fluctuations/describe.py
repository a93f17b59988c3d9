"""The variables of a result that say how runs of finite dimension deviate from a solution."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..equations import system
from ..observables import SCALARS, STARTS
from . import sensitivities
from .derivatives import Equations, of_function
from .track import LARGEST, Extra, Track

#: Shares of the natural size of an overlap up to which the standard deviation of a run, and the bias, are small.
SMALL_DEVIATION, SMALL_BIAS = 0.1, 0.05
#: Norms of fields below this share of the largest one do not count as small: deviations are compared with the whole.
SCALE = 0.1


def check(problem: Any, size: int, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the numbers with respect to which derivatives are wanted; refuse problems without fluctuations, or with too many overlaps."""
    asked = given.get("fluctuations", False)
    if asked:
        if problem.kind != "limit" and asked != STARTS:
            raise ValueError(
                "Argument `fluctuations` is for one-pass SGD, learning_rate > 0: gradient flow is exact at every dimension; "
                f'"{STARTS}" predicts what Gaussian starts change.'
            )
        if problem.coordinates is not None:
            raise ValueError("Argument `fluctuations` is for overlaps, and not for problems with `coordinates`.")
        if problem.unexplained is not None:
            raise ValueError(
                "Argument `fluctuations` must be False for teachers with `unexplained` fields: it is not known here."
            )
        if size > LARGEST:
            raise ValueError(
                f"Argument `fluctuations` follows the covariance of at most {LARGEST} order parameters, but this problem has {size}: "
                "take fewer units or groups."
            )
    return sensitivities.check(problem, size, given.get("sensitivities", ()))


def further(
    path: Any, names: Sequence[str], scalars: Callable[[str, np.ndarray], np.ndarray]
) -> tuple[Extra, dict[str, Any]]:
    """Return what was asked for beside the solution at the times of a path: variables, and attributes; see `variables`."""
    extra: Extra = {}
    attrs: dict[str, Any] = {}
    if path.asked.given.get("fluctuations"):
        extra, attrs = variables(path, path.times, names, scalars)
    if path.parameters:
        extra |= sensitivities.variables(path, path.times, path.parameters, names, scalars)
    return extra, attrs


def variables(
    path: Any, times: np.ndarray, names: Sequence[str], scalars: Callable[[str, np.ndarray], np.ndarray]
) -> tuple[Extra, dict[str, Any]]:
    """Return standard deviations, biases and the dimension from which on they hold, and attributes that say how they were found.

    Parameters
    ----------
    path : CommitteePath
    times : ndarray
        At most the last time of the path.
    names : sequence of str
        The observables that were asked for.
    scalars : callable
        ``scalars(name, states)``: the values of the risk or of an observable at states of the fields.
    """
    drawn = path.asked.given["fluctuations"] == STARTS
    steps = path.given.kind == "limit"
    track = Track(path, float(times[-1]), random=steps)
    if drawn:
        track.draw_starts()
    track.run()
    bias = track.means()
    S, m = track.covariance_at(times), track.vectors_at(times, bias, track.mean_source)
    states = path.states
    equations = track.equations
    described = _Described(path.given, equations)
    described.overlaps(S, m)
    if equations.grouped:
        described.by_group(S, m, names)
    for name in ("risk", *[name for name in names if name in SCALARS]):
        described.scalar(name, *of_function(equations, functools.partial(scalars, name), states, S, m))
    described.needs(
        _needed(equations, track.states, track.S, bias), track.times, _needed(equations, states, S, m), times
    )
    runs = "runs from Gaussian starts" if drawn else "runs"
    attrs = {
        "fluctuations": f"{runs} of dimension d deviate by std_* / sqrt(d), their mean by bias_* / d, where d is at least needs_dimension"
    }
    if steps:
        rule = track.increments.rule
        attrs["increments"] = "exact moments" if rule.exact else f"quasi-Monte Carlo, relative error {rule.error:.1e}"
    return described.extra, attrs


def _needed(equations: Equations, states: np.ndarray, S: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Return the dimension above which deviations are small, shape (T,)."""
    size = equations.natural(states, SCALE)
    deviation = np.diagonal(S, axis1=1, axis2=2) / (SMALL_DEVIATION * size) ** 2
    return np.maximum(deviation.max(axis=1), (np.abs(m) / (SMALL_BIAS * size)).max(axis=1))


class _Described:
    """Arrays with their dimensions and names."""

    def __init__(self, problem: Any, equations: Equations):
        self.problem, self.equations = problem, equations
        self.extra: Extra = {}

    def _put(self, name: str, deviation: np.ndarray, bias: np.ndarray) -> None:
        variable = self.problem.variables[name]
        dims = ("time", *variable.dims)
        symbol = variable.symbol.strip("$")
        for prefix, values, said, sign in (
            ("std", deviation, "standard deviation of a run, times sqrt(d), of the", rf"$\sqrt{{d}}\,\Delta {symbol}$"),
            ("bias", bias, "mean of runs minus limit, times d, of the", rf"$d\,\delta {symbol}$"),
        ):
            attributes = {"long_name": f"{said} {variable.long_name}", "symbol": sign}
            if not np.isfinite(values).all():
                attributes["undefined"] = "nan where the variable itself is"
            self.extra[f"{prefix}_{name}"] = (dims, values, attributes)

    def overlaps(self, S: np.ndarray, m: np.ndarray) -> None:
        """Add Q, R and a trained second layer."""
        seen = self.problem.seen()
        project = self.equations.to_fields(np.eye(S.shape[1]))
        deviation = np.sqrt(np.maximum(np.einsum("dj,tde,ej->tj", project, S, project), 0.0))
        for name, one, other in zip(
            ("Q", "R", "second_layer"), system.unpack(seen, deviation), system.unpack(seen, m @ project)
        ):
            if name != "second_layer" or self.equations.trained:
                self._put(name, one, other)

    def by_group(self, S: np.ndarray, m: np.ndarray, names: Sequence[str]) -> None:
        """Add the overlaps by group that were asked for."""
        seen, L, block = self.problem.seen(), self.equations.groups, self.equations.block
        deviation = np.sqrt(np.maximum(np.diagonal(S, axis1=1, axis2=2), 0.0))
        found = [
            system.unpack_overlaps(seen, values[:, : L * block].reshape(len(values), L, block))
            for values in (deviation, m)
        ]
        for place, name in enumerate(("Q_groups", "R_groups")):
            if name in names:
                self._put(name, found[0][place], found[1][place])

    def scalar(self, name: str, deviation: np.ndarray, bias: np.ndarray) -> None:
        """Add the risk or an observable."""
        self._put(name, deviation, bias)

    def needs(self, at_nodes: np.ndarray, nodes: np.ndarray, at_times: np.ndarray, times: np.ndarray) -> None:
        """Add the smallest dimension at which deviations have been small up to a time."""
        before = np.maximum.accumulate(at_nodes)[np.searchsorted(nodes, times, side="right") - 1]
        values = np.maximum.accumulate(np.maximum(before, at_times))
        self.extra["needs_dimension"] = (
            ("time",),
            values,
            {
                "long_name": "dimension below which the predicted deviations are not to be used from this time on",
                "symbol": r"$d_{\min}$",
            },
        )
