"""`to_table` writes results as tables: CSV for programs, LaTeX for papers, with errors where there are runs."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..core import checks
from ..core.paths import replacing

Column = tuple[str, str, np.ndarray, np.ndarray | None]


def to_table(
    dataset: xr.Dataset, path: str | os.PathLike[str], *, variables: Sequence[str] | str | None = None
) -> Path:
    """Write a result as a table, atomically.

    Parameters
    ----------
    dataset : xarray.Dataset
        A result, or any Dataset whose variables share their axes.  Rows are the times, or, without times, all
        combinations of the axes; entries of matrices are columns of their own.
    path : path
        A file that ends in ``.csv`` or ``.tex``; missing folders are made.
    variables : str or sequence of str, optional
        The columns; all variables that have the axes of the rows by default.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    ValueError
        If the suffix is neither, or no variable fits.
    OSError
        If the file cannot be written.

    Notes
    -----
    Of several runs, the mean and its standard error are written: in CSV as two columns, ``overlap`` and
    ``overlap_error`` with all digits, in LaTeX as 0.1234(5), where (5) is the error of the last digit.
    """
    target = Path(path)
    if target.suffix not in (".csv", ".tex"):
        raise ValueError(f"Argument `path` must end in .csv or .tex, but is {checks.show(str(path))}.")
    if not isinstance(dataset, xr.Dataset):
        raise TypeError(f"Argument `dataset` must be an xarray.Dataset, but is {checks.show(dataset)}.")
    axes, names = _layout(dataset, variables)
    shape = tuple(dataset.sizes[axis] for axis in axes)
    columns: list[Column] = []
    grids = np.meshgrid(*(_coordinate(dataset, axis) for axis in axes), indexing="ij")
    for axis, values in zip(axes, grids):
        symbol = dataset[axis].attrs.get("symbol", "") if axis in dataset.coords else ""
        columns.append((axis, str(symbol), values.reshape(-1), None))
    for name in names:
        columns += _columns(dataset, name, axes, int(np.prod(shape)))
    with replacing(target) as temporary:
        temporary.write_text(_csv(columns) if target.suffix == ".csv" else _latex(columns), encoding="utf-8")
    return target


def _layout(dataset: xr.Dataset, variables: Sequence[str] | str | None) -> tuple[list[str], list[str]]:
    """Return the axes of the rows and the variables of the columns."""
    data = {
        str(name): [str(dim) for dim in array.dims if dim != "run"]
        for name, array in dataset.data_vars.items()
        if not str(name).startswith("problem_") and array.dtype.kind in "fiub"
    }
    if variables is not None:
        chosen = [variables] if isinstance(variables, str) else list(variables)
        for name in chosen:
            checks.choice("variables", name, list(data))
        data = {name: data[name] for name in chosen}
    if not data:
        raise ValueError("The Dataset holds no variable of numbers.")
    axes = ["time"] if "time" in dataset.dims else max(data.values(), key=len)
    if "problem" in dataset.dims and "time" in dataset.dims:
        axes = ["problem", "time"]
    names = [name for name, dims in data.items() if set(axes) <= set(dims)]
    if "time" not in axes:
        names = [name for name in names if set(data[name]) == set(axes)]
    left_out = sorted(set(data) - set(names))
    if variables is not None and left_out:
        raise ValueError(f"Variable `{left_out[0]}` does not have the axes ({', '.join(axes)}) of the rows.")
    if not names:
        raise ValueError(f"No variable has the axes ({', '.join(axes)}) of the rows.")
    return axes, names


def _coordinate(dataset: xr.Dataset, axis: str) -> np.ndarray:
    return np.asarray(dataset[axis].values) if axis in dataset.coords else np.arange(dataset.sizes[axis])


def _columns(dataset: xr.Dataset, name: str, axes: list[str], rows: int) -> list[Column]:
    array = dataset[name]
    rest = [str(dim) for dim in array.dims if dim not in (*axes, "run")]
    lead = ["run"] if "run" in array.dims else []
    values = np.asarray(array.transpose(*lead, *axes, *rest).values, dtype=float)
    shape = tuple(array.sizes[dim] for dim in rest)
    values = values.reshape(-1, rows, int(np.prod(shape)))
    mean, error = values.mean(axis=0), None
    if lead and values.shape[0] > 1:
        error = values.std(axis=0, ddof=1) / np.sqrt(values.shape[0])
    symbol = str(array.attrs.get("symbol", ""))
    found = []
    for i, index in enumerate(np.ndindex(shape)):
        entry = ", ".join(map(str, index))
        label = f"{name}[{entry}]" if shape else name
        sign = f"{symbol}_{{{entry}}}" if shape and symbol else symbol
        found.append((label, sign, mean[:, i], None if error is None else error[:, i]))
    return found


def _csv(columns: list[Column]) -> str:
    header: list[str] = []
    cells: list[list[Any]] = []
    for name, _, values, error in columns:
        header.append(name)
        cells.append(values.tolist())
        if error is not None:
            header.append(f"{name}_error")
            cells.append(error.tolist())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*cells))
    return text.getvalue()


def _latex(columns: list[Column]) -> str:
    heads = [f"${symbol}$" if symbol else _escaped(name) for name, symbol, _, _ in columns]
    cells = []
    for _, _, values, error in columns:
        errors = [None] * values.size if error is None else error.tolist()
        cells.append(
            [_plain(value) if e is None else with_error(value, e) for value, e in zip(values.tolist(), errors)]
        )
    lines = [rf"\begin{{tabular}}{{{'r' * len(columns)}}}", r"\hline", " & ".join(heads) + r" \\", r"\hline"]
    lines += [" & ".join(row) + r" \\" for row in zip(*cells)]
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")


def _plain(value: Any) -> str:
    if not isinstance(value, float):
        return _escaped(str(value))
    if not np.isfinite(value):
        return r"\text{nan}" if np.isnan(value) else (r"$\infty$" if value > 0 else r"$-\infty$")
    return _power(f"{value:.6g}")


def _power(text: str) -> str:
    """Return text such as 1.5e-07 as mathematics."""
    digits, e, exponent = text.partition("e")
    return rf"${digits}\times 10^{{{int(exponent)}}}$" if e else f"${digits}$"


def with_error(value: float, error: float) -> str:
    """Return a number with the error of its last digits in brackets, as LaTeX.

    One digit of the error is kept, two if it starts with 1.

    Examples
    --------
    >>> with_error(0.12344, 0.00052)
    '$0.1234(5)$'
    >>> with_error(8.1e-05, 1.2e-07)
    '$8.100(12)\\\\times 10^{-5}$'
    """
    if not (np.isfinite(value) and np.isfinite(error)) or error <= 0:
        return _plain(value)
    first = f"{error:.1e}"
    digits = 2 if first.startswith("1") else 1
    last = int(f"{error:.{digits - 1}e}".partition("e")[2]) - (digits - 1)
    top = int(f"{max(abs(value), error):.3e}".partition("e")[2])
    power = top if top < -3 or top >= 6 or last > 0 else 0
    places = max(power - last, 0)
    scale = 10.0**power
    count = round(error / 10.0**last)
    shown = f"{value / scale:.{places}f}({count})"
    return rf"${shown}\times 10^{{{power}}}$" if power else f"${shown}$"
