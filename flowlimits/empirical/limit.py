"""The end of training as a result: checks, warnings, spectra, and the Dataset."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results
from . import equations_density
from .inputs import check_decays, check_energies, check_ratios, decay_coordinate, ratio_coordinate
from .physics import NO_CLOCK, EmpiricalPhysics
from .steady import Steady, interpolation_threshold, steady

if TYPE_CHECKING:
    import xarray as xr

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
    found = [steady(physics, ratios, decay) for decay in decays]
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
    extra["regime"] = (
        dims,
        np.where(limited, "width", "full"),
        {"long_name": "what bounds the rank: nothing or the width"},
    )
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
        physics.student_ratio,
        physics.teacher,
        start=physics.start,
        activation=physics.activation,
        weight_decay=decay,
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
            equations_density.densities(law.kind, law.table, xi, energies + q, values)
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
