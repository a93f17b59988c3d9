"""`to_dataframe` turns results, studies and batches into a table of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..core import checks
from ..core.arrays import ARRAY_PREFIX

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
