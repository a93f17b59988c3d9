r"""Derivatives of a solution with respect to numbers of its problem, by the tangent equations.

.. math:: \dot\delta = J\delta + \partial F/\partial\theta, \qquad \delta(0) = 0

(docs/committee.md, C20).  F is linear in every number that is offered, so that its derivative is a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core import checks
from ..equations import evaluate, layout, system
from ..observables import SCALARS
from ..schedule import Schedule
from .derivatives import Equations, of_function
from .track import LARGEST, TANGENT, Extra, Track

#: The numbers, and their places in the parameters of the compiled equations.
PLACES = {
    "learning_rate": layout.LEARNING_RATE,
    "noise": layout.NOISE,
    "weight_decay": layout.WEIGHT_DECAY,
    "second_layer_rate": layout.SECOND_LAYER_RATE,
}


def check(problem: Any, size: int, given: Any) -> tuple[str, ...]:
    """Return the names, checked; refuse problems whose solution has no such derivative."""
    names = tuple(
        checks.choice("sensitivities", one, list(PLACES)) for one in checks.items("sensitivities", given, str)
    )
    if not names:
        return names
    if problem.coordinates is not None:
        raise ValueError("Argument `sensitivities` is for overlaps, and not for problems with `coordinates`.")
    if "learning_rate" in names and isinstance(problem.learning_rate, Schedule):
        raise ValueError(
            "Argument `sensitivities` may name `learning_rate` where it is a number, but it is a Schedule."
        )
    if "second_layer_rate" in names and problem.second_layer_rate == 0:
        raise ValueError("Argument `sensitivities` may name `second_layer_rate` where it is positive, but it is 0.")
    if size > LARGEST:
        raise ValueError(
            f"Argument `sensitivities` follows at most {LARGEST} order parameters, but this problem has {size}: take fewer units or groups."
        )
    return names


def variables(path: Any, times: np.ndarray, parameters: Sequence[str], names: Sequence[str], scalars: Any) -> Extra:
    """Return the derivatives of Q, R, a trained second layer, the risk and the observables `names`; see `describe.variables`."""
    equations = Equations(path)
    size = equations.natural(path.start[None])[0]
    track = Track(path, float(times[-1]), random=False, tolerance=TANGENT)
    track.begin_covariance = np.diag(size**2)
    track.run()
    sources = np.stack([_slopes(track, PLACES[one]) for one in parameters], axis=-1)
    found = track.vectors_at(times, track.propagate(np.zeros((equations.count, len(parameters))), sources), sources)
    states, nothing = path.states, np.zeros((len(times), equations.count, equations.count))
    seen = path.given.seen()
    extra: Extra = {}
    for i, parameter in enumerate(parameters):
        delta = found[..., i]
        parts = dict(zip(("Q", "R", "second_layer"), system.unpack(seen, equations.to_fields(delta))))
        if not equations.trained:
            del parts["second_layer"]
        for name in ("risk", *[one for one in names if one in SCALARS]):
            parts[name] = of_function(equations, lambda y, name=name: scalars(name, y), states, nothing, delta)[1]  # type: ignore[misc]
        for name, values in parts.items():
            variable = path.given.variables[name]
            symbol = variable.symbol.strip("$")
            attributes = {
                "long_name": f"derivative with respect to {parameter} of the {variable.long_name}",
                "symbol": rf"$\partial {symbol}$",
            }
            if not np.isfinite(values).all():
                attributes["undefined"] = "nan where the variable itself is"
            extra[f"{name}_by_{parameter}"] = (("time", *variable.dims), values, attributes)
    return extra


def _slopes(track: Track, place: int) -> np.ndarray:
    """Return dF/d(number) at the nodes, shape (T, D)."""
    equations = track.equations
    result = np.empty_like(track.states)
    for n, (t, y) in enumerate(zip(track.times, track.states)):
        params = equations.parameters(equations.rate(t)).copy()
        step = max(abs(float(params[place])), 1.0)
        out = np.empty((2, equations.count))
        evaluate.velocities(equations.address, y[None], params, equations.work, out[:1])
        params[place] += step
        evaluate.velocities(equations.address, y[None], params, equations.work, out[1:])
        result[n] = (out[1] - out[0]) / step
    return result
