"""The end of training as a result, and the numbers beside it: Bayes-optimal risk, thresholds, the best decay."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results
from . import equations_bayes
from .physics import (
    NO_CLOCK,
    EmpiricalPhysics,
    check_decays,
    check_energies,
    check_ratios,
    decay_coordinate,
    ratio_coordinate,
)
from .recovery import bayes_threshold, noiseless_thresholds
from .steady import Steady, interpolation_threshold, square_threshold, steady

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


SCALARS = (
    "risk", "train_risk", "in_sample_risk", "overlap", "misalignment", "trace", "rank", "response", "effective_noise", "threshold",
)  # fmt: skip
#: From the best known to the least known.
STATUS = ("proven", "claimed", "conjectured")
IN_TIME = (
    "The limit in time is known for infinite samples only (ExtensiveQuadratic); at finite sample_ratio "
    'simulate(times, dimension=..., data="hermitian") approaches it as 1/d^2.'
)


def solve(
    physics: EmpiricalPhysics, times: Any, *, sample_ratios: Any, weight_decays: Any, spectrum: Any
) -> xr.Dataset:
    """Return the result of `EmpiricalQuadratic.solve`."""
    if times is not None:
        if not physics.infinite:
            raise ValueError(IN_TIME)
        return _in_time(physics, times)
    began = time.perf_counter()
    ratios = np.array([physics.sample_ratio]) if sample_ratios is None else check_ratios(sample_ratios)
    decays: list[Any] = [physics.weight_decay] if weight_decays is None else check_decays(weight_decays)
    energies = None if spectrum is None else check_energies(spectrum)
    named = "weight_decay" if weight_decays is None else "weight_decays"
    found = [steady(physics, ratios, decay, named) for decay in decays]
    dims: tuple[str, ...] = ()
    coords: dict[str, Any] = {}
    if weight_decays is not None:
        dims, coords["weight_decay"] = ("weight_decay",), decay_coordinate(decays)
    if sample_ratios is not None:
        dims, coords["sample_ratio"] = (*dims, "sample_ratio"), ratio_coordinate(ratios)
    shape = tuple(len(coords[name][1]) for name in dims)
    described = {name: physics.variables[name].attributes() for name in SCALARS}
    extra: dict[str, Any] = {
        name: (dims, np.array([one.values[name] for one in found]).reshape(shape), described[name]) for name in SCALARS
    }
    limited = np.array([one.values["limited"] for one in found]).reshape(shape) > 0
    count = np.array([one.solutions for one in found]).reshape(shape)
    status = np.array([one.status for one in found]).reshape(shape)
    bound = {"long_name": "what bounds the rank: nothing or the width"}
    extra["regime"] = (dims, np.where(limited, "width", "full"), bound)
    extra["status"] = (dims, status, {"long_name": "how well this is known"})
    extra["solutions"] = (dims, count, {"long_name": "number of solutions of the equations"})
    _warn(physics, bool((limited & np.isfinite(ratios)).any()), int(count.max()))
    if energies is not None:
        coords["energy"] = ("energy", energies, {"long_name": "eigenvalue of d Z", "symbol": "E"})
        extra |= _spectra(physics, found, dims, shape, energies)
    call: dict[str, Any] = {"verb": "solve"}
    call |= {"sample_ratios": ratios.tolist()} if sample_ratios is not None else {}
    call |= {"weight_decays": list(decays)} if weight_decays is not None else {}
    call |= {"spectrum": energies.tolist()} if energies is not None else {}
    return results.build(
        physics,
        kind="limit",
        times=None,
        variables={},
        call=call,
        provenance={
            "method": "free convolution in one complex number, pseudo-arclength",
            "points": sum(one.points for one in found),
            "rtol": 1e-10,
            "atol": 0.0,
            "wall_time": time.perf_counter() - began,
        },
        coords=coords,
        extra=extra,
        attrs=NO_CLOCK | {"status": STATUS[max(STATUS.index(str(one)) for one in status.ravel())]},
    )


def _in_time(physics: EmpiricalPhysics, times: Any) -> xr.Dataset:
    """Return the limit in time on infinitely many samples, which is that of the population risk."""
    found = population_problem(physics).solve(times)
    variables = {name: found[name].values for name in ("risk", "overlap", "misalignment", "trace")}
    variables["train_risk"] = variables["risk"] + 0.5 * physics.noise
    made = results.provenance(found)
    details: dict[str, Any] = {name: made[name] for name in ("method", "rtol", "atol", "wall_time") if name in made}
    return results.build(
        physics, kind="limit", times=found["time"].values, variables=variables, call={"verb": "solve"}, provenance=details,
        attrs={"status": "proven"},
    )  # fmt: skip


def population_problem(physics: EmpiricalPhysics) -> Any:
    """Return the problem of infinitely many samples."""
    from ..quadratic.extensive.problem import ExtensiveQuadratic

    decay = physics.weight_decay if isinstance(physics.weight_decay, float) else 0.0
    return ExtensiveQuadratic(
        physics.student_ratio, physics.teacher, start=physics.start, activation=physics.activation, weight_decay=decay
    )


def _warn(physics: EmpiricalPhysics, limited: bool, solutions: int) -> None:
    kappa = physics.width
    bound = kappa - 0.5 * kappa**2
    if limited and physics.noise > 0:
        threshold = interpolation_threshold(physics)
        if threshold > bound:
            checks.warn(
                f"The equations violate the counting bound: they interpolate noisy labels up to sample_ratio = {threshold:.6g}, "
                f"but matrices of rank {kappa:g} d have only {bound:.6g} d^2 parameters. Near and between these sample ratios "
                "the result is that of the equations in the literature, and wrong."
            )
    if solutions > 1:
        checks.warn(
            f"The equations have a fold: at some sample ratio there are {solutions} solutions. The one connected to infinitely "
            "many samples is returned; `solutions` counts them."
        )


def _spectra(
    physics: EmpiricalPhysics, found: list[Steady], dims: tuple[str, ...], shape: tuple[int, ...], energies: np.ndarray
) -> dict[str, Any]:
    """Return density and atoms of the spectrum of d Z, eq. (E9)."""
    law = physics.law
    density, atoms = [], []
    for one in found:
        for xi, q, edge, rank in zip(*(one.values[name] for name in ("effective_noise", "threshold", "edge", "rank"))):
            values = np.zeros(energies.size)
            equations_bayes.densities(law.kind, law.table, xi, energies + q, values)
            values[energies + q <= edge] = 0.0
            density.append(values)
            atoms.append(_atoms(physics, float(xi), float(q), float(rank)))
    most = max(len(positions) for positions, _ in atoms)
    positions, weights = np.full((len(atoms), most), np.nan), np.zeros((len(atoms), most))
    for k, (where, how_much) in enumerate(atoms):
        positions[k, : len(where)], weights[k, : len(where)] = where, how_much
    place = {"long_name": "position of an atom of the spectrum"}
    return {
        "density": ((*dims, "energy"), np.array(density).reshape(*shape, -1), {"long_name": "spectral density of d Z", "symbol": r"\rho"}),
        "atom_position": ((*dims, "atom"), positions.reshape(*shape, most), place),
        "atom_weight": ((*dims, "atom"), weights.reshape(*shape, most), {"long_name": "weight of an atom of the spectrum"}),
    }  # fmt: skip


def _atoms(physics: EmpiricalPhysics, xi: float, q: float, rank: float) -> tuple[list[float], list[float]]:
    law = physics.law
    if xi > 0 or physics.teacher.kind == "marchenko_pastur":
        return [0.0], [1 - rank]
    kept, left = [], rank
    for z, weight in zip(law.table[0][::-1], law.table[1][::-1]):
        if z > q and left > 1e-12:
            kept.append((float(z - q), float(min(weight, left))))
            left -= weight
    return [0.0, *(z for z, _ in kept)], [1 - rank, *(weight for _, weight in kept)]
