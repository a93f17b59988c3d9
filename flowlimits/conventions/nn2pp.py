"""The convention of Saad & Solla and of nn2pp, the program of Goldt et al. (arXiv 1906.08632), and readers of its files."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks
from ..core.storage import check_path
from .units import Convention

if TYPE_CHECKING:
    import xarray as xr

    from ..committee import Committee

NN2PP_ACTIVATIONS = {"lin": "linear", "erf": "erf", "relu": "relu", "quad": "square"}


@dataclass(frozen=True)
class Nn2pp(Convention):
    """Saad & Solla (1995), Goldt et al. (arXiv 1906.08632) and the programs nn2pp and pyscm.

    There y = sum_k v_k g(l_k) and y* = sum_m A_m g(l*_m) are plain sums, time is steps/N, and the decay is not multiplied by the
    learning rate.  Overlaps and generalisation error are those of the package.

    Parameters
    ----------
    K, M : int
        Hidden units of student and teacher.
    lr, lr2 : float
        Learning rates of the first and the second layer (lr2 = lr if not given); lr2 counts if `both`.
    wd : float
        Weight decay per unit of steps/N.
    sigma : float
        Standard deviation of the label noise.
    both : bool
        Train the second layer too.
    g : {"erf", "lin", "relu", "quad"}

    Raises
    ------
    ValueError
        If `wd` is positive and `both` is set: nn2pp then decays the second layer too, which the package does not.
    """

    K: int
    M: int
    lr: float
    lr2: float | None = None
    wd: float = 0.0
    sigma: float = 0.0
    both: bool = False
    g: str = "erf"

    def __post_init__(self) -> None:
        checks.integer("K", self.K, minimum=1)
        checks.integer("M", self.M, minimum=1)
        checks.number("lr", self.lr, positive=True)
        checks.number("wd", self.wd, nonnegative=True)
        checks.number("sigma", self.sigma, nonnegative=True)
        if self.lr2 is not None:
            checks.number("lr2", self.lr2, nonnegative=True)
        checks.choice("g", self.g, list(NN2PP_ACTIVATIONS))
        if self.both and self.wd > 0:
            raise ValueError(
                "Arguments `wd` and `both` cannot be combined: nn2pp then decays the second layer too, which has no counterpart in fl.Committee."
            )

    @property
    def time_unit(self) -> float:
        return self.lr / self.K

    def to_second_layer(self, v: Any) -> Any:
        """Return a = K v; for teachers see `to_teacher_second_layer`."""
        return self.K * np.asarray(v, dtype=float)

    def from_second_layer(self, a: Any) -> Any:
        """Return v = a / K."""
        return np.asarray(a, dtype=float) / self.K

    def to_teacher_second_layer(self, A: Any) -> Any:
        """Return b = M A."""
        return self.M * np.asarray(A, dtype=float)

    def _widths(self) -> tuple[int, int]:
        return self.K, self.M

    def _physics(self, student_width: int) -> dict[str, Any]:
        second = self.lr if self.lr2 is None else self.lr2
        return {
            "activation": NN2PP_ACTIVATIONS[self.g],
            "learning_rate": self.lr,
            "noise": self.sigma**2,
            "weight_decay": self.K * self.wd / self.lr,
            "second_layer_rate": self.K**2 * second / self.lr if self.both else 0.0,
            "second_layer": np.full(self.K, float(self.K)),
            "teacher_second_layer": np.full(self.M, float(self.M)),
        }

    def problem(self, Q: Any, R: Any, T: Any, v: Any = None, A: Any = None, **physics: Any) -> Committee:
        """Return the `Committee` of overlaps and second layers v, A of nn2pp; ones if not given."""
        layers: dict[str, Any] = {}
        if v is not None:
            layers["second_layer"] = self.to_second_layer(v)
        if A is not None:
            layers["teacher_second_layer"] = self.to_teacher_second_layer(A)
        return super().problem(Q, R, T, **(layers | physics))

    @classmethod
    def from_problem(cls, problem: Committee) -> Nn2pp:
        """Return the parameters that nn2pp needs for a problem; its second layers are ``from_second_layer(problem.second_layer)``.

        Raises
        ------
        ValueError
            If nn2pp has no counterpart: other activations, gradient flow, a schedule, the spherical constraint.
        """
        names = {ours: theirs for theirs, ours in NN2PP_ACTIVATIONS.items()}
        rate = problem.learning_rate
        if problem.activation not in names or problem.teacher_activation != problem.activation:
            raise ValueError(
                f"nn2pp knows the activations {', '.join(names)}, but this problem has {problem.activation!r}."
            )
        if not isinstance(rate, float) or rate == 0 or problem.spherical:
            raise ValueError("nn2pp has a constant, positive learning rate and no spherical constraint.")
        K = problem.student_width
        return cls(
            K, problem.teacher_width, rate, lr2=problem.second_layer_rate * rate / K**2 if problem.second_layer_rate else None,
            wd=problem.weight_decay * rate / K, sigma=math.sqrt(problem.noise), both=problem.second_layer_rate > 0, g=names[problem.activation],
        )  # fmt: skip


def _read_matrix(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        return np.atleast_2d(np.loadtxt(path, delimiter=",", ndmin=2))
    except ValueError as error:
        raise ValueError(f"{path} holds no comma-separated matrix: {error}") from None


def read_nn2pp_start(prefix: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return the start that nn2pp stored with --store, from PREFIX_Q0.dat, _R0.dat, _T0.dat, _A0.dat and _v0.dat.

    Returns
    -------
    dict
        Q (K, K), R (K, M), T (M, M), A (M,), v (K,), as keywords of `Nn2pp.problem`.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing, is no matrix, or shapes do not fit together.
    """
    base = str(prefix)
    found = {name: _read_matrix(Path(f"{base}_{name}0.dat")) for name in ("Q", "R", "T", "A", "v")}
    K, M = found["R"].shape
    for name, size in (("A", M), ("v", K)):
        found[name] = found[name].ravel()
        if found[name].size != size:
            raise ValueError(
                f"{base}_{name}0.dat must hold {size} numbers to fit _R0.dat, but holds {found[name].size}."
            )
    for name, size in (("Q", K), ("T", M)):
        if found[name].shape != (size, size):
            raise ValueError(
                f"{base}_{name}0.dat must have shape {(size, size)} to fit _R0.dat, but has shape {found[name].shape}."
            )
    return found


def read_nn2pp_log(path: str | os.PathLike[str]) -> tuple[Nn2pp, xr.Dataset]:
    """Return the parameters and the curves of a log file of nn2pp or of its ODE integrator.

    Returns
    -------
    convention : Nn2pp
        As stated in the header.
    measurement : xarray.Dataset
        On the package's clock, as of `fl.wrap`: `risk`, and `Q`, `R`, `second_layer` unless the file was written with --quiet; the
        teacher's second layer, constant, is the variable `teacher_second_layer`.  `fl.compare` takes it.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, its header lacks a parameter, or a row has another number of columns.
    """
    source = Path(check_path(path))
    if not source.is_file():
        raise FileNotFoundError(f"There is no file {source}.")
    lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
    header = "\n".join(line for line in lines if line.startswith("#"))
    rows = [line for line in lines if line.strip() and not line.startswith("#")]
    convention, dimension = _read_header(source, header)
    K, M = convention.K, convention.M
    sizes = [K * (K + 1) // 2, K * M, M, K]
    widths = {row.count(",") + 1 for row in rows}
    lead = next((n for n in (6, 4) if widths in ({n}, {n + sum(sizes)})), None)
    if lead is None:
        raise ValueError(
            f"{source} must have 4 or 6 columns, or these and {sum(sizes)} order parameters for K = {K} and M = {M}, but has {sorted(widths)}."
        )
    try:
        table = np.array([[float(entry) for entry in row.split(",")] for row in rows])
    except ValueError as error:
        raise ValueError(f"{source} must hold numbers between its commas: {error}.") from None
    return convention, _wrap(convention, table, lead, sizes, dimension)


def _read_header(source: Path, header: str) -> tuple[Nn2pp, int | None]:
    found = {key.strip(): value for key, value in re.findall(r"([\w/ -]+)=\s*([^,\s=]+)", header)}
    twice = re.search(r"g1=g2=(\w+)", header)
    activation = twice.group(1) if twice else found.get("g2")
    for key in ("M", "K", "lr", "sigma", "wd"):
        if key not in found:
            raise ValueError(f"{source} is no log of nn2pp: its header does not state `{key}`.")
    if activation is None or (not twice and found.get("g1") != activation):
        raise ValueError(f"{source} has teacher and student with different activations, which has no counterpart here.")
    both = "training both layers" in header
    try:
        K, M, dimension = int(found["K"]), int(found["M"]), int(found["N"]) if "N" in found else None
        numbers = {key: float(found[key]) for key in ("lr", "lr2", "wd", "sigma") if key in found}
    except ValueError as error:
        raise ValueError(f"{source} has a header with a parameter that is no number: {error}.") from None
    second = numbers.get("lr2") if both else None
    convention = Nn2pp(
        K, M, numbers["lr"], lr2=second, wd=numbers["wd"], sigma=numbers["sigma"], both=both, g=activation
    )
    return convention, dimension


def _wrap(convention: Nn2pp, table: np.ndarray, lead: int, sizes: list[int], dimension: int | None) -> xr.Dataset:
    from ..committee import Committee
    from ..data.wrap import wrap

    K, M = convention.K, convention.M
    times = convention.to_time(table[:, 0])
    _, kept = np.unique(times, return_index=True)
    table, times = table[kept], times[kept]
    variables: dict[str, Any] = {"risk": convention.to_risk(table[:, 1])}
    if table.shape[1] > lead:
        upper, R, A, v = np.split(table[:, lead:], np.cumsum(sizes)[:-1], axis=1)
        Q = np.empty((len(table), K, K))
        rows, columns = np.triu_indices(K)
        Q[:, rows, columns] = Q[:, columns, rows] = upper
        variables |= {"Q": Q, "R": R.reshape(-1, K, M), "second_layer": convention.to_second_layer(v)}
    like = Committee(np.eye(K), np.zeros((K, M)), np.eye(M))
    result = wrap(times, dimension=dimension, like=like, **variables)
    if table.shape[1] > lead:
        result["teacher_second_layer"] = ("teacher", convention.to_teacher_second_layer(A[0]))
    return result
