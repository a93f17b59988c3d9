"""Numbers of a problem beside its end of training: Bayes-optimal risk, thresholds, the best decay."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import results
from . import equations_bayes
from .inputs import check_ratios, ratio_coordinate
from .physics import NO_CLOCK, EmpiricalPhysics
from .recovery import bayes_threshold, noiseless_thresholds
from .steady import interpolation_threshold, square_threshold, steady

if TYPE_CHECKING:
    import xarray as xr


def bayes(physics: EmpiricalPhysics, sample_ratios: Any) -> xr.Dataset:
    """Return the result of `EmpiricalQuadratic.bayes`."""
    began = time.perf_counter()
    law = physics.law
    ratios = np.array([physics.sample_ratio]) if sample_ratios is None else check_ratios(sample_ratios)
    recovery = bayes_threshold(physics) if physics.noise == 0 else math.inf
    finite = np.isfinite(ratios)
    xi = np.zeros(ratios.size)
    if finite.any():
        asked, noises = np.ascontiguousarray(ratios[finite]), np.empty(int(finite.sum()))
        largest = 1.1 * (law.mean_square + physics.noise) / (2 * asked.min())
        equations_bayes.bayes_noise(law.kind, law.table, physics.noise, largest, recovery, asked, noises)
        xi[finite] = noises
    with np.errstate(invalid="ignore"):
        risk = np.where(finite & (xi > 0), np.maximum(2 * ratios * xi - 0.5 * physics.noise, 0.0), 0.0)
    dims = ("sample_ratio",) if sample_ratios is not None else ()
    shape = (ratios.size,) if dims else ()
    named = physics.variables
    call = {"verb": "bayes"} | ({"sample_ratios": ratios.tolist()} if dims else {})
    extra = {
        "risk": (dims, risk.reshape(shape), named["risk"].attributes()),
        "effective_noise": (dims, xi.reshape(shape), named["effective_noise"].attributes()),
    }
    return results.build(
        physics, kind="limit", times=None, variables={}, call=call, extra=extra,
        coords={"sample_ratio": ratio_coordinate(ratios)} if dims else None,
        provenance={"method": "quadrature on Biane's curve", "wall_time": time.perf_counter() - began},
        attrs=NO_CLOCK | {"status": "claimed"},
    )  # fmt: skip


def thresholds(physics: EmpiricalPhysics) -> xr.Dataset:
    """Return the result of `EmpiricalQuadratic.thresholds`."""
    exact, kappa = noiseless_thresholds(physics), physics.width
    values = {
        "interpolation": (interpolation_threshold(physics), "below it vanishing decay interpolates the samples, noise included"),
        "recovery_small_decay": (exact.small_decay, "from it vanishing decay finds the teacher, without noise"),
        "recovery_no_decay": (exact.no_decay, "from it the flow without decay finds the teacher, without noise"),
        "recovery_square": (exact.small_decay, "from it the square activation finds the teacher, without noise"),
        "square": (square_threshold(physics), "below it the square activation interpolates the samples, noise included"),
        "recovery_bayes": (bayes_threshold(physics), "from it the best estimate is the teacher, without noise"),
        "counting_bound": (kappa - 0.5 * kappa**2, "parameters of the student over the square of the dimension"),
    }  # fmt: skip
    extra = {name: ((), value, {"long_name": text}) for name, (value, text) in values.items()}
    smallest = minimal_student_ratio(physics)
    extra["minimal_student_ratio"] = ((), smallest, {"long_name": "from it on the student ratio changes nothing"})
    return results.build(
        physics, kind="limit", times=None, variables={}, call={"verb": "thresholds"}, extra=extra,
        provenance={"method": "closed forms and root search"}, attrs=NO_CLOCK | {"status": "claimed"},
    )  # fmt: skip


def minimal_student_ratio(physics: EmpiricalPhysics) -> float:
    """Return the rank of the end of training where the width does not bound it; NaN where that end is not known."""
    wide = type(physics)(**(dict(physics.fields()) | {"student_ratio": 1.0}))
    try:
        found = steady(wide, np.array([physics.sample_ratio]), physics.weight_decay)
    except ValueError:
        return math.nan
    return float(found.values["rank"][0])


def best_weight_decay(physics: EmpiricalPhysics) -> float:
    """Return the result of `EmpiricalQuadratic.best_weight_decay`."""
    if physics.activation == "square":
        raise ValueError("The risk of the square activation does not depend on the weight decay: none is best.")
    ratios = np.array([physics.sample_ratio])

    def risk(x: float) -> float:
        return float(steady(physics, ratios, math.exp(x)).values["risk"][0])

    top = math.log(8 * (physics.law.high + 2 * math.sqrt(physics.law.mean_square + physics.noise)))
    grid = np.linspace(top - 16.0, top, 65)
    values = np.array([risk(x) for x in grid])
    k = int(np.argmin(values))
    x, lowest = _golden(risk, float(grid[max(k - 1, 0)]), float(grid[min(k + 1, grid.size - 1)]))
    vanishing = "vanishing" if not physics.infinite else 0.0
    if float(steady(physics, ratios, vanishing).values["risk"][0]) <= lowest:
        return 0.0
    return math.exp(x)


def _golden(function: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Return where a function of one minimum is smallest, and its value."""
    ratio = 0.5 * (math.sqrt(5.0) - 1)
    c, d = high - ratio * (high - low), low + ratio * (high - low)
    fc, fd = function(c), function(d)
    while high - low > 1e-7:
        if fc < fd:
            high, d, fd = d, c, fc
            c = high - ratio * (high - low)
            fc = function(c)
        else:
            low, c, fc = c, d, fd
            d = low + ratio * (high - low)
            fd = function(d)
    return (c, fc) if fc < fd else (d, fd)
