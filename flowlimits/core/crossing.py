"""`crossing` reads off the first time at which a curve crosses a value."""

from __future__ import annotations

import numpy as np
import xarray as xr

from . import checks

SCALES = ("auto", "linear", "log")


def crossing(dataset: xr.Dataset, variable: str, value: float, *, scale: str = "auto") -> xr.DataArray:
    """Return the first time at which a curve crosses a value, from either side.

    Parameters
    ----------
    dataset : xarray.Dataset
        A result in time.
    variable : str
        A variable with the axes `time`, and `run` if there are runs, and possibly more.
    value : float
        The value to cross; a curve that starts on it crosses it at its first time.
    scale : {"auto", "linear", "log"}, optional
        The scale of the times in which the curve is interpolated; "auto" takes the logarithm where the grid is
        closer to a geometric one.

    Returns
    -------
    xarray.DataArray
        The time, per run and entry; nan where the curve never crosses, or is not finite before it does.  Its coordinate `error` estimates the error
        of the interpolation, as the difference between a monotone cubic and the straight line; it shrinks with the
        spacing of the times.

    Raises
    ------
    ValueError
        If the variable is missing or has no time, a single curve is not finite, or there are fewer than two times.

    Notes
    -----
    Between the two times around the crossing, the curve is the monotone piecewise cubic of Fritsch and Carlson
    (SIAM J. Numer. Anal. 17, 238, 1980), which crosses once.  For an exact time solve with ``fl.Event``.
    """
    if not isinstance(dataset, xr.Dataset) or "time" not in dataset.coords:
        raise TypeError("Argument `dataset` must be a result in time (an xarray.Dataset with the coordinate `time`).")
    timed = [str(name) for name, array in dataset.data_vars.items() if "time" in array.dims]
    checks.choice("variable", variable, timed)
    target = checks.number("value", value)
    checks.choice("scale", scale, SCALES)
    array = dataset[variable].transpose(..., "time")
    times = checks.times(dataset["time"].values, "time")
    if times.size < 2:
        raise ValueError("A crossing needs at least two times, but the result has one.")
    values = np.asarray(array.values, dtype=float)
    if values.ndim == 1:
        values = checks.array(variable, values)
    axis = _axis(times, scale)
    flat = values.reshape(-1, times.size)
    found = np.array([_cross(axis, times, curve - target) for curve in flat])
    shape = values.shape[:-1]
    dims = [dim for dim in array.dims if dim != "time"]
    coords = {dim: array.coords[dim] for dim in dims if dim in array.coords}
    coords["error"] = (dims, found[:, 1].reshape(shape))
    attrs = {"long_name": f"time at which {variable} crosses {target:g}", "clock": dataset.attrs.get("clock", "")}
    return xr.DataArray(found[:, 0].reshape(shape), dims=dims, coords=coords, name="crossing", attrs=attrs)


def _axis(times: np.ndarray, scale: str) -> np.ndarray:
    """Return the times in the scale in which they are spaced more evenly."""
    if scale == "log" and times[0] <= 0:
        raise ValueError('Argument `scale` cannot be "log" for times that start at 0.')
    if scale == "linear" or times[0] <= 0 or (scale == "auto" and times.size < 3):
        return times
    if scale == "log":
        return np.log(times)
    even, geometric = (np.ptp(steps) / steps.mean() for steps in (np.diff(times), np.diff(np.log(times))))
    return np.log(times) if geometric < even else times


def _cross(axis: np.ndarray, times: np.ndarray, excess: np.ndarray) -> tuple[float, float]:
    """Return the time of the first zero of `excess` and the error of interpolation."""
    if excess[0] == 0:
        return float(times[0]), 0.0
    logarithmic = axis is not times
    lost = np.flatnonzero(~np.isfinite(excess))
    if lost.size:  # a problem of a batch that failed, from there on
        axis, times, excess = axis[: lost[0]], times[: lost[0]], excess[: lost[0]]
    if excess.size < 2:
        return float("nan"), float("nan")
    changes = np.flatnonzero(np.sign(excess[1:]) != np.sign(excess[0]))
    if not changes.size:
        return float("nan"), float("nan")
    i = int(changes[0])
    if excess[i + 1] == 0:
        return float(times[i + 1]), 0.0
    step = axis[i + 1] - axis[i]
    left, right = _monotone_slopes(axis, excess, i)
    straight = excess[i] / (excess[i] - excess[i + 1])

    def cubic(s: float) -> float:
        return float(
            (1 + 2 * s) * (1 - s) ** 2 * excess[i]
            + s * (1 - s) ** 2 * step * left
            + s**2 * (3 - 2 * s) * excess[i + 1]
            + s**2 * (s - 1) * step * right
        )

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (cubic(middle) > 0) == (excess[i] > 0) else (low, middle)
    bent, line = (axis[i] + s * step for s in ((low + high) / 2, straight))
    if logarithmic:
        bent, line = np.exp(bent), np.exp(line)
    return float(bent), float(abs(bent - line))


def _monotone_slopes(axis: np.ndarray, values: np.ndarray, i: int) -> tuple[float, float]:
    """Return the slopes at both ends of interval i: harmonic means of the neighbours, 0 where they change sign."""
    secants = np.diff(values) / np.diff(axis)
    widths = np.diff(axis)

    def slope(k: int) -> float:
        if k == 0 or k == secants.size:
            return float(secants[min(k, secants.size - 1)])
        before, after = secants[k - 1], secants[k]
        if before * after <= 0:
            return 0.0
        first, second = 2 * widths[k] + widths[k - 1], widths[k] + 2 * widths[k - 1]
        return float((first + second) / (first / before + second / after))

    return slope(i), slope(i + 1)
