"""What people compute by hand from overlaps: specialisation, plateaus, weak recovery, quantities that no rotation changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from ..core import checks, results
from .physics import Physics

#: Share of the largest value below which a curve counts as zero when plateaus are looked for.
FLOOR = 1e-8
#: Absolute tolerances that the norm of a unit must reach for its direction to be known.
RESOLVED = 100.0
#: Asks for the fluctuations of Gaussian starts, beside those of the steps.
STARTS = "start"


def unresolved(Q: np.ndarray, floor: float) -> np.ndarray:
    """Return which norms of students are so small that their error hides their direction, shape (..., p)."""
    norms = np.diagonal(Q, axis1=-2, axis2=-1)
    return (norms != 0) & (norms < floor)


def _overlap(problem: Physics, Q: np.ndarray, R: np.ndarray, a: np.ndarray, floor: float = 0.0) -> np.ndarray:
    b = problem.teacher_second_layer
    cross = np.einsum("...i,r,...ir->...", a, b, R**2)
    own = np.einsum("...i,...l,...il->...", a, a, Q**2) * (b @ problem.T**2 @ b)
    known = (own > 0) & ~unresolved(Q, floor).all(axis=-1)
    ratio = np.divide(cross, np.sqrt(np.maximum(own, 0.0)), out=np.full(np.shape(cross), np.nan), where=known)
    # Round-off may take a cosine beyond one; NaN stays.
    return np.clip(ratio, -1.0, 1.0)


def cosines(Q: np.ndarray, R: np.ndarray, T: np.ndarray, floor: float = 0.0) -> np.ndarray:
    """Return |R_ir| / sqrt(Q_ii T_rr), 0 where a norm vanishes and nan where it is not resolved, shape (..., p, k)."""
    norms = np.sqrt(np.maximum(np.diagonal(Q, axis1=-2, axis2=-1), 0.0)[..., :, None] * np.diag(T))
    table = np.minimum(np.divide(np.abs(R), norms, out=np.zeros_like(R), where=norms > 0), 1.0)
    return np.where(unresolved(Q, floor)[..., None], np.nan, table)


def assign(table: np.ndarray) -> np.ndarray:
    """Return the student of each teacher, each student once, with the largest sum of cosines; -1 without one, shape (..., k)."""
    from scipy.optimize import linear_sum_assignment

    flat = np.nan_to_num(table.reshape(-1, *table.shape[-2:]))
    result = np.full((len(flat), table.shape[-1]), -1)
    for row, one in zip(result, flat):
        students, teachers = linear_sum_assignment(-one)
        row[teachers] = students
    return result.reshape(*table.shape[:-2], table.shape[-1])


def _matched(table: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    values = np.take_along_axis(table, np.maximum(chosen, 0)[..., None, :], axis=-2)[..., 0, :]
    return np.where(chosen < 0, 0.0, values)


def _specialisation(problem: Physics, Q: np.ndarray, R: np.ndarray, a: np.ndarray, floor: float = 0.0) -> np.ndarray:
    table = cosines(Q, R, problem.T, floor)
    return _matched(table, assign(table)).sum(axis=-1) / min(problem.student_width, problem.teacher_width)


def _subspace_share(problem: Physics, Q: np.ndarray, R: np.ndarray, a: np.ndarray, floor: float = 0.0) -> np.ndarray:
    total = np.trace(Q, axis1=-2, axis2=-1)
    inside = np.einsum("...ir,rs,...is->...", R, np.linalg.pinv(problem.T, hermitian=True), R)
    known = (total > 0) & ~unresolved(Q, floor).all(axis=-1)
    return np.divide(inside, total, out=np.full(np.shape(total), np.nan), where=known)


SCALARS: dict[str, Callable[[Physics, np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]] = {
    "overlap": _overlap,
    "specialisation": _specialisation,
    "subspace_share": _subspace_share,
}


def check_names(names: Any, further: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the names of further variables."""
    listed = () if names is None else checks.items("observables", names, str)
    return tuple(checks.choice("observables", name, [*SCALARS, *further]) for name in listed)


def _dataset(result: Any) -> xr.Dataset:
    if not isinstance(result, xr.Dataset):
        raise TypeError(f"Argument `result` must be a result (an xarray.Dataset), but is {checks.show(result)}.")
    return result


def _problem(result: Any) -> Physics:
    from ..core.problem import load_problem

    problem = load_problem(_dataset(result))
    if not isinstance(problem, Physics):
        raise TypeError(f"Argument `result` must be a result of fl.Committee, but is one of {type(problem).__name__}.")
    missing = [name for name in ("Q", "R") if name not in result]
    if missing:
        raise ValueError(f"Argument `result` must hold Q and R, but has no {missing[0]}.")
    # Q and R of a result are those of the fields.
    return problem.seen()


def floor_of(result: xr.Dataset) -> float:
    """Return the norm below which the overlaps of a solution do not resolve directions; 0 for simulations."""
    if result.attrs.get("kind") == "simulation" or not result.attrs.get("provenance"):
        return 0.0
    return RESOLVED * float(results.provenance(result).get("atol", 0.0))


def specialisation(result: xr.Dataset) -> xr.Dataset:
    """Return which student each teacher is assigned to, and their cosine.

    Each student is assigned at most once, such that the sum of the cosines is largest.

    Returns
    -------
    xarray.Dataset
        `student`, -1 for a teacher without one, and `cosine`, with the dimensions (run,) time, teacher.
    """
    problem = _problem(result)
    table = cosines(result["Q"].values, result["R"].values, problem.T, floor_of(result))
    chosen = assign(table)
    dims = tuple(dim for dim in result["R"].dims if dim != "student")
    return xr.Dataset(
        {"student": (dims, chosen), "cosine": (dims, _matched(table, chosen))},
        coords={"time": result["time"]},
        attrs={"clock": result.attrs.get("clock", "")},
    )


def invariants(result: xr.Dataset) -> xr.Dataset:
    r"""Return quantities that do not change under W -> O W, along which R drifts in quadratic networks.

    Returns
    -------
    xarray.Dataset
        `eigenvalues`: those of :math:`W^\top W/(p d)` that can differ from zero, decreasing; `teacher_energies`: the quadratic form
        :math:`W^\top W/(p d)` along orthonormal directions that span the teacher, its eigenvalues there; `overlap`;
        `subspace_share`.
    """
    problem = _problem(result)
    Q, R = result["Q"].values, result["R"].values
    a = result["second_layer"].values if "second_layer" in result else problem.second_layer
    values, vectors = np.linalg.eigh(problem.T)
    kept = values > 1e-12 * values[-1]
    inside = R @ (vectors[:, kept] / np.sqrt(values[kept]))
    lead = tuple(dim for dim in result["Q"].dims if dim not in ("student", "student_2"))
    p = problem.student_width
    return xr.Dataset(
        {
            "eigenvalues": ((*lead, "eigenvalue"), np.linalg.eigvalsh(Q)[..., ::-1] / p),
            "teacher_energies": (
                (*lead, "direction"),
                np.linalg.eigvalsh(np.swapaxes(inside, -1, -2) @ inside)[..., ::-1] / p,
            ),
            "overlap": (lead, _overlap(problem, Q, R, a, floor_of(result))),
            "subspace_share": (lead, _subspace_share(problem, Q, R, a, floor_of(result))),
        },
        coords={"time": result["time"]},
        attrs={"clock": result.attrs.get("clock", "")},
    )


def weak_recovery(result: xr.Dataset, level: float = 0.5) -> xr.DataArray:
    """Return the first time at which the largest cosine of a student with a teacher passes `level`; nan if never."""
    from ..core.events import crossing

    problem = _problem(result)
    level = checks.number("level", level, positive=True, below=1.0)
    table = cosines(result["Q"].values, result["R"].values, problem.T, floor_of(result))
    largest = np.nan_to_num(table).max(axis=(-1, -2))
    lead = tuple(dim for dim in result["Q"].dims if dim not in ("student", "student_2"))
    curve = xr.Dataset({"cosine": (lead, largest)}, coords={"time": result["time"]}, attrs=result.attrs)
    return crossing(curve, "cosine", level)


def plateau(result: xr.Dataset, variable: str = "risk", drop: float = 0.5) -> xr.Dataset:
    """Return the height of the last plateau of a decreasing curve, and the time at which it is left.

    The curve is seen on logarithmic axes: its steepest descent is the escape, and the plateau is where it was
    flattest before.  Below 1e-8 of its largest value it counts as zero.

    Parameters
    ----------
    variable : str
        A variable in time that starts positive and does not become negative; at least five times, time 0 apart.
    drop : float
        The plateau is left when this share of the way from its height to the last value is done.

    Returns
    -------
    xarray.Dataset
        `height`; `at`, the time of the flattest point; `exit`; nan where the curve never falls below 2/3 of its height, where it
        is not left with growing speed, and where it is not finite, as of a problem that failed.  The attribute `reason` says which.
    """
    result = _dataset(result)
    checks.choice(
        "variable", variable, [str(name) for name, values in result.data_vars.items() if "time" in values.dims]
    )
    drop = checks.number("drop", drop, positive=True, below=1.0)
    curve = result[variable].sel(time=result["time"] > 0).transpose(..., "time")
    if curve.sizes["time"] < 5:
        raise ValueError(f"A plateau needs at least five positive times, but the result has {curve.sizes['time']}.")
    finite = np.isfinite(curve.values).all(axis=-1)
    if not (curve.values[finite] >= 0).all() or not (curve.values[finite][..., 0] > 0).all():
        raise ValueError(f"Variable `{variable}` must be positive to be seen on a logarithmic axis.")
    lead = curve.dims[:-1]
    found = [_plateau(curve["time"].values, row, drop) for row in curve.values.reshape(-1, curve.sizes["time"])]
    rows = np.array([numbers for numbers, _ in found])
    reasons = [reason for _, reason in found if reason]
    shape = [curve.sizes[dim] for dim in lead]
    names = ("height", "at", "exit")
    return xr.Dataset(
        {name: (lead, rows[:, i].reshape(shape)) for i, name in enumerate(names)},
        attrs={"clock": result.attrs.get("clock", ""), "variable": variable}
        | (
            {"reason": "; ".join(f"{reasons.count(one)} of {len(rows)} curves: {one}" for one in sorted(set(reasons)))}
            if reasons
            else {}
        ),
    )


def _plateau(times: np.ndarray, values: np.ndarray, drop: float) -> tuple[tuple[float, float, float], str]:
    """Return height, time and exit of one curve, or nan and the reason."""
    nothing = (np.nan, np.nan, np.nan)
    if not np.isfinite(values).all():
        return nothing, "it is not finite at all times"
    axis = np.log(times)
    # Below, round-off and tolerances draw plateaus of their own.
    fall = -np.gradient(np.log(np.maximum(values, FLOOR * values.max())), axis)
    escape = int(fall.argmax())
    flat = int(fall[: escape + 1].argmin())
    height, last = values[flat], values[-1]
    # A plateau is left with growing speed; a start that is no saddle relaxes from its first time on with falling speed.
    speed = fall * values / times
    if last > height * 2 / 3:
        return nothing, "the times end before it falls below 2/3 of its height"
    if speed[flat] > 0.5 * speed[flat:].max():
        return nothing, "it is not left with growing speed"
    target = height - drop * (height - last)
    below = flat + int(np.argmax(values[flat:] <= target))
    share = (values[below - 1] - target) / (values[below - 1] - values[below])
    exit_ = float(np.exp(axis[below - 1] + share * (axis[below] - axis[below - 1])))
    return (float(height), float(times[flat]), exit_), ""
