"""Results as tables: CSV for programs, LaTeX for papers, with errors where there are runs (`to_table`), and pandas (`to_dataframe`)."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..core import checks
from ..core.files import replacing
from ..core.storage import ARRAY_PREFIX, check_path

if TYPE_CHECKING:
    import pandas as pd


LAYOUTS = ("wide", "long")
#: Dimensions of rows, in their order; those of a study stand before them.
ROWS = ("problem", "point", "repeat", "run", "weight_decay", "sample_ratio", "width", "time")


def to_dataframe(
    result: xr.Dataset, *, variables: Sequence[str] | str | None = None, layout: str = "wide"
) -> pd.DataFrame:
    """Return a result as a pandas DataFrame.

    Parameters
    ----------
    result : xarray.Dataset
        A result of ``solve``, ``simulate``, `solve_many`, or the table of a study; any Dataset.
    variables : str or sequence of str, optional
        The variables; all by default.  Arrays of the problem are left out.
    layout : {"wide", "long"}, optional
        "wide": one row per time (and run, problem, point of a study), one column per variable, and per entry of a
        matrix, such as ``Q[0, 1]``.  "long": one row per number, with the columns `variable` and `value`.

    Returns
    -------
    pandas.DataFrame
        Times, runs, problems and axes are columns, and so are coordinates along them, such as `status`.

    Raises
    ------
    TypeError, ValueError
        If `result` is no Dataset, or has no such variable.

    Examples
    --------
    >>> import flowlimits as fl
    >>> result = fl.Committee([[0.5]], [[0.1]], [[1.0]]).solve([0.0, 1.0])
    >>> list(fl.to_dataframe(result, variables=["risk", "R"]).columns)
    ['time', 'risk', 'R[0, 0]']
    """
    import pandas as pd

    if not isinstance(result, xr.Dataset):
        raise TypeError(f"Argument `result` must be a result (an xarray.Dataset), but is {checks.show(result)}.")
    checks.choice("layout", layout, LAYOUTS)
    names = _chosen(result, variables)
    rows = _rows(result, names)
    shape = tuple(result.sizes[dim] for dim in rows)
    columns: dict[str, np.ndarray] = {}
    for dim in rows:
        values = result[dim] if dim in result.coords else xr.DataArray(np.arange(result.sizes[dim]), dims=dim)
        columns[dim] = _flat(values, rows, shape)[:, 0]
    for name, values in result.coords.items():
        if name not in rows and values.dims and set(values.dims) <= set(rows):
            columns[str(name)] = _flat(values, rows, shape)[:, 0]
    index = list(columns)
    for name in names:
        values = result[name]
        rest = tuple(values.sizes[dim] for dim in values.dims if dim not in rows)
        flat = _flat(values, rows, shape)
        for place, entry in enumerate(np.ndindex(rest)):
            columns[f"{name}[{', '.join(map(str, entry))}]" if rest else name] = flat[:, place]
    frame = pd.DataFrame(columns, index=pd.RangeIndex(int(np.prod(shape))))
    return frame if layout == "wide" else frame.melt(id_vars=index, var_name="variable", value_name="value")


def _chosen(result: xr.Dataset, variables: Any) -> list[str]:
    hidden = ARRAY_PREFIX if "problem" in result.attrs else "\0"
    known = [str(name) for name in result.data_vars if not str(name).startswith(hidden)]
    if variables is None:
        return known
    chosen = [variables] if isinstance(variables, str) else list(variables)
    return [checks.choice("variables", name, known) for name in chosen]


def _rows(result: xr.Dataset, names: list[str]) -> list[str]:
    """Return the dimensions of the rows: the axes of a study, or those of `ROWS` that the variables have."""
    if result.attrs.get("kind") == "study" and "status" in result.coords:
        return [str(dim) for dim in result["status"].dims]
    used = {str(dim) for name in names for dim in result[name].dims}
    rows = [dim for dim in ROWS if dim in used]
    # Without any of them, the dimensions of the first variable: any Dataset has a table.
    return rows or ([str(dim) for dim in result[names[0]].dims] if names else [])


def _flat(values: xr.DataArray, rows: list[str], shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of shape (rows, entries); what does not depend on a row is repeated."""
    rest = [str(dim) for dim in values.dims if dim not in rows]
    ordered = values.variable.set_dims(dict(zip(rows, shape)) | {d: values.sizes[d] for d in rest})
    return np.asarray(ordered.transpose(*rows, *rest).values).reshape(int(np.prod(shape)), -1)


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
    target = Path(check_path(path))
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
        if not str(name).startswith(ARRAY_PREFIX) and array.dtype.kind in "fiub"
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
