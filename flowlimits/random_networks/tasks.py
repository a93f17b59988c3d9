"""Binary tasks: Gaussian clusters, and arrays of your own; paired differences over tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, streams
from ..core.checks import check_elements
from ..core.storage import check_path

if TYPE_CHECKING:
    import xarray as xr

Task = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def gaussian_task(
    samples: int, *, dimension: int = 10, separation: float = 1.5, test: int = 400, rng: Any = None
) -> Task:
    """Return (X, y, X_test, y_test) of two Gaussian clusters N(y * separation * e1, I) with as many points of each.

    The best possible test error is Phi(-separation): 0.0668 at 1.5.

    Parameters
    ----------
    samples, test : int
        Training and test points.
    dimension : int, optional
        Dimension of the inputs.
    separation : float, optional
        Half the distance of the centres.
    rng : None, int, SeedSequence or Generator, optional
        For the points.
    """
    n, t = checks.integer("samples", samples, minimum=1), checks.integer("test", test, minimum=1)
    d = checks.integer("dimension", dimension, minimum=1)
    shift = checks.number("separation", separation, nonnegative=True)
    check_elements("samples", n, float(n + t) * d)
    generator = np.random.default_rng(streams.root(rng))
    y = np.concatenate([np.where(generator.permutation(size) % 2 == 0, 1.0, -1.0) for size in (n, t)])
    X = generator.normal(size=(n + t, d))
    X[:, 0] += shift * y
    return X[:n], y[:n], X[n:], y[n:]


def binary_task(
    inputs: Any, labels: Any, classes: tuple[Any, Any], samples: int, *, test: int | None = None, rng: Any = None
) -> Task:
    """Return (X, y, X_test, y_test) from arrays of your own, such as the pixels of two classes of images.

    Parameters
    ----------
    inputs : array_like, shape (points, ...)
        Inputs; further axes are flattened, and the mean of the two classes over all points is taken off.
    labels : array_like, shape (points,)
        Labels of any kind.
    classes : tuple
        The two labels to tell apart; the first becomes 1.
    samples : int
        Training points, half of each class (the first has one more if odd).
    test : int, optional
        Test points; all others if not given.
    rng : None, int, SeedSequence or Generator, optional
        For the choice of points.
    """
    X = checks.array("inputs", inputs)
    if X.ndim == 0:
        raise ValueError("Argument `inputs` must have shape (points, ...), but is a single number.")
    X = X.reshape(X.shape[0], -1) if X.ndim > 1 else X[:, None]
    given = np.asarray(labels)
    if given.shape != (X.shape[0],):
        raise ValueError(f"Argument `labels` must have shape ({X.shape[0]},), but has shape {given.shape}.")
    if (
        not isinstance(classes, list | tuple | np.ndarray)
        or len(classes) != 2
        or not all(checks.is_single(label) for label in classes)
        or classes[0] == classes[1]
    ):
        raise ValueError(f"Argument `classes` must hold two different labels, but is {checks.show(classes)}.")
    n = checks.integer("samples", samples, minimum=2)
    generator = np.random.default_rng(streams.root(rng))
    members = [generator.permutation(np.flatnonzero(given == label)) for label in classes]
    quota = [n - n // 2, n // 2]
    for label, found, wanted in zip(classes, members, quota):
        if found.size < wanted:
            raise ValueError(f"Class {label!r} has {found.size} points, but {wanted} are asked for.")
    train = np.concatenate([found[:wanted] for found, wanted in zip(members, quota)])
    rest = generator.permutation(np.concatenate([found[wanted:] for found, wanted in zip(members, quota)]))
    if test is not None:
        rest = rest[: checks.integer("test", test, minimum=1)]
    if rest.size == 0:
        raise ValueError("No points are left for testing: lower `samples`.")
    centred = X - X[np.concatenate(members)].mean(axis=0)
    sign = np.where(given == classes[0], 1.0, -1.0)
    return centred[train], sign[train], centred[rest], sign[rest]


def read_arrays(path: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels from a file: ``.npz`` with the arrays `inputs` and `labels`, or ``.csv`` with the label last.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is of another kind, or lacks an array.
    """
    source = Path(check_path(path))
    if not source.is_file():
        raise FileNotFoundError(f"There is no file {source}.")
    if source.suffix == ".npz":
        with np.load(source, allow_pickle=False) as stored:
            missing = [name for name in ("inputs", "labels") if name not in stored]
            if missing:
                raise ValueError(f"{source} must hold the arrays `inputs` and `labels`, but lacks `{missing[0]}`.")
            return stored["inputs"], stored["labels"]
    if source.suffix == ".csv":
        try:
            table = np.loadtxt(source, delimiter=",", ndmin=2)
        except ValueError:
            try:
                table = np.loadtxt(source, delimiter=",", skiprows=1, ndmin=2)
            except ValueError as error:
                raise ValueError(f"{source} is not a table of numbers: {error}") from None
        if table.shape[1] < 2:
            raise ValueError(f"{source} must have at least two columns, inputs and a label, but has {table.shape[1]}.")
        return table[:, :-1], table[:, -1]
    raise ValueError(f"{source} must be a .npz or .csv file.")


def paired_difference(results: Sequence[xr.Dataset], first: int, second: int) -> tuple[float, float]:
    """Return mean and standard error of test_error(first width) - test_error(second width) over tasks.

    Parameters
    ----------
    results : sequence of xarray.Dataset
        Results of `GuessAndCheck.simulate` or `descend` at both widths, one per task.
    first, second : int
        Widths.
    """
    if not isinstance(results, Iterable) or isinstance(results, str | Mapping):
        raise TypeError(f"Argument `results` must be a sequence of results, but is {checks.show(results)}.")
    results = list(results)
    for result in results:
        if not hasattr(result, "data_vars") or "test_error" not in result:
            raise TypeError(
                "Argument `results` must hold results of GuessAndCheck.simulate or descend, with a `test_error`, but holds "
                f"{checks.show(result)}."
            )
    first, second = checks.integer("first", first, minimum=1), checks.integer("second", second, minimum=1)
    if len(results) < 2:
        raise ValueError(f"Argument `results` must hold at least two tasks, but holds {len(results)}.")
    for width in (first, second):
        if any("width" not in result.coords or width not in result["width"].values for result in results):
            raise ValueError(f"Width {width} is not in every result.")
    differences = np.array(
        [float(r["test_error"].sel(width=first) - r["test_error"].sel(width=second)) for r in results]
    )
    return float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(differences.size))
