"""The law of one unit at the start (second layer, coordinates in the teacher's span, length outside it), and the teacher or target."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import checks
from ..core.problem import Description
from ..spectrum.covariance import groups_of
from ..spectrum.groups import CovarianceGroups

#: How far the masses may miss one: round-off of what a user typed.
SLACK = 1e-9
INFINITE = ("infinity", "infinite", "inf")


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Ensemble(Description):
    r"""The law of the units at the start of `MeanField`, invariant under rotations outside the teacher's span.

    A unit :math:`w/\sqrt d = u + s e` has coordinates u in the span of the teacher, and a length s along a direction e that is uniform on
    the sphere of the other d - m dimensions (docs/mean_field.md, F1).  Given so, the law is one of own atoms; `gaussian` and
    `uniform_sphere` are laws of random weights, `from_weights` takes a network.

    Parameters
    ----------
    weights : array_like, shape (P,), or None
        Masses of the atoms, positive, of sum one; None for equal ones.
    second_layer : float or array_like, shape (P,)
        a.
    projections : array_like, shape (P, m)
        u, in the coordinates of the teacher (see `MeanField`).
    norms : float or array_like, shape (P,) or (P, L)
        s, not negative; by group where the inputs have a covariance of L groups.
    dimension : int, optional
        d; infinite if not given.

    Raises
    ------
    ValueError
        If lengths differ, a mass is not positive, the masses do not sum to one, or a norm is negative.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import flowlimits as fl
    >>> fl.Ensemble(None, [1.0, -1.0], [[0.1], [0.2]], 1.0).size
    2
    >>> fl.Ensemble.gaussian(30, second_layer=([1.0, -1.0], [0.5, 0.5])).dimension
    30
    """

    kind: str
    weights: np.ndarray
    second_layer: np.ndarray
    projections: np.ndarray | None
    norms: np.ndarray | None
    dimension: int | None
    scale: float

    def __init__(self, weights: Any, second_layer: Any, projections: Any, norms: Any, *, dimension: Any = None) -> None:
        u = checks.array("projections", projections, ("P", "m"))
        size = len(u)
        masses = np.full(size, 1.0 / size) if weights is None else checks.array("weights", weights, (size,))
        self._set("atoms", _check_masses("weights", masses), _one_or_all("second_layer", second_layer, size), u)
        grouped = not checks.is_single(norms) and _axes(norms) == 2
        s = checks.array("norms", norms, (size, "L")) if grouped else _one_or_all("norms", norms, size)
        if (s < 0).any():
            where = np.argwhere(s < 0)[0]
            place = ", ".join(map(str, where))
            raise ValueError(f"Argument `norms` must not be negative, but is {s[tuple(where)]:g} at index [{place}].")
        self._freeze("norms", s)
        object.__setattr__(self, "dimension", check_dimension(dimension))
        if self.dimension is not None:
            _check_room(self.dimension, u.shape[1], s)

    def _set(
        self,
        kind: str,
        masses: np.ndarray,
        a: np.ndarray,
        u: np.ndarray | None,
        dimension: Any = None,
        scale: float = 1.0,
    ) -> None:
        put = object.__setattr__
        put(self, "kind", kind)
        self._freeze("weights", masses)
        self._freeze("second_layer", a)
        put(self, "projections", None)
        if u is not None:
            self._freeze("projections", u)
        put(self, "norms", None)
        put(self, "dimension", dimension)
        put(self, "scale", scale)

    @classmethod
    def _law(cls, kind: str, dimension: Any, scale: Any, second_layer: Any) -> Ensemble:
        values, masses = _check_second_layer(second_layer)
        made = object.__new__(cls)
        made._set(
            kind,
            masses,
            values,
            None,
            check_dimension(dimension, required=True),
            checks.number("scale", scale, positive=True, largest=checks.LARGEST_WEIGHT),
        )
        return made

    @classmethod
    @checks.named_arguments()
    def gaussian(cls, dimension: Any, scale: float = 1.0, second_layer: Any = 1.0) -> Ensemble:
        """Return the law of weights with independent entries N(0, scale^2).

        Parameters
        ----------
        dimension : int or "infinity"
            At infinite dimension u = 0 and s = scale for every unit: nothing random is left but the second layer.
        scale : float, optional
            Standard deviation of an entry.
        second_layer : float, or pair of array_like, optional
            One value for all units, or values and their probabilities; independent of the weights.
        """
        return cls._law("gaussian", dimension, scale, second_layer)

    @classmethod
    @checks.named_arguments()
    def uniform_sphere(cls, dimension: Any, scale: float = 1.0, second_layer: Any = 1.0) -> Ensemble:
        """Return the law of weights that are uniform on the sphere of radius scale sqrt(dimension); arguments as in `gaussian`."""
        return cls._law("sphere", dimension, scale, second_layer)

    @classmethod
    @checks.named_arguments()
    def from_weights(cls, W: Any, W_star: Any, second_layer: Any = 1.0) -> Ensemble:
        """Return the atoms of a network's weights W, shape (p, d), seen from the teacher W_star, shape (k, d).

        The coordinates are those that `MeanField` takes for the teacher ``W_star @ W_star.T / d``, given as this matrix: an orthonormal
        basis made of its rows one after the other.  Each unit becomes a shell: units of the same u and s in all other directions.
        """
        first, second = checks.weights(W, W_star)
        p, d = first.shape
        rows = coordinates(second @ second.T / d)
        # The basis E, shape (m, d), solves rows E = W_star / sqrt d.
        basis = np.linalg.lstsq(rows, second / math.sqrt(d), rcond=None)[0]
        u = first @ basis.T / math.sqrt(d)
        rest = first / math.sqrt(d) - u @ basis
        s = np.linalg.norm(rest, axis=1) if d > rows.shape[1] else np.zeros(p)
        return cls(None, _one_or_all("second_layer", second_layer, p), u, s, dimension=d)

    @classmethod
    def from_plain(cls, fields: Mapping[str, Any]) -> Ensemble:
        """Return the law that `to_plain` described."""
        if fields["kind"] == "atoms":
            names = ("weights", "second_layer", "projections", "norms", "dimension")
            return cls(**{name: fields[name] for name in names})
        law = fields["second_layer"], fields["weights"]
        return cls._law(
            fields["kind"], "infinity" if fields["dimension"] is None else fields["dimension"], fields["scale"], law
        )

    @property
    def size(self) -> int:
        """The number of atoms: those given, or the values of the second layer of a law."""
        return self.weights.size


def _axes(value: Any) -> int:
    """Return the number of axes of what may be no array."""
    try:
        return np.ndim(value)
    except (TypeError, ValueError):
        return 0


def check_dimension(value: Any, *, required: bool = False) -> int | None:
    """Return a dimension, None if it is infinite."""
    if value is None and not required:
        return None
    if (isinstance(value, str) and value in INFINITE) or (isinstance(value, float) and value == math.inf):
        return None
    if isinstance(value, str) or value is None:
        raise TypeError(f'Argument `dimension` must be a whole number or "infinity", but is {checks.show(value)}.')
    return checks.integer("dimension", value, minimum=1)


def coordinates(T: np.ndarray) -> np.ndarray:
    """Return rows U, shape (k, rank), with U U^T = T, each row in the span of the axes that the rows before it opened or opening one more."""
    k = len(T)
    rows = np.zeros((k, k))
    opened = 0
    scale = max(float(np.diag(T).max(initial=0.0)), 1e-300)
    pivots: list[int] = []
    for r in range(k):
        for column, pivot in enumerate(pivots):
            rows[r, column] = (T[r, pivot] - rows[r, :column] @ rows[pivot, :column]) / rows[pivot, column]
        left = T[r, r] - rows[r, :opened] @ rows[r, :opened]
        if left > 1e-12 * scale:
            rows[r, opened] = math.sqrt(left)
            pivots.append(r)
            opened += 1
    return rows[:, :opened]


def _one_or_all(name: str, value: Any, size: int) -> np.ndarray:
    """Return one number for all atoms, or one for each."""
    if checks.is_single(value):
        return np.full(size, checks.number(name, value))
    return checks.array(name, value, (size,))


def _check_masses(name: str, masses: np.ndarray) -> np.ndarray:
    if (masses <= 0).any():
        i = int(np.argmax(masses <= 0))
        raise ValueError(
            f"Argument `{name}` must be positive, but is {masses[i]:g} at index [{i}]. Weights are shares of the units."
        )
    if abs(masses.sum() - 1.0) > SLACK:
        raise ValueError(f"Argument `{name}` must sum to one, but sums to {masses.sum():.6g}. Divide by the sum.")
    return masses


def _check_second_layer(law: Any) -> tuple[np.ndarray, np.ndarray]:
    if checks.is_single(law):
        return np.array([checks.number("second_layer", law)]), np.ones(1)
    if not isinstance(law, list | tuple) or len(law) != 2:
        raise TypeError(
            f"Argument `second_layer` must be a number, or a pair (values, probabilities), but is {checks.show(law)}."
        )
    values = checks.array("second_layer[0]", law[0], ("n",))
    return values, _check_masses("second_layer[1]", checks.array("second_layer[1]", law[1], (values.size,)))


def _check_room(dimension: int, m: int, s: np.ndarray) -> None:
    if dimension < m:
        raise ValueError(f"Argument `dimension` must be at least the number of directions, {m}, but is {dimension}.")
    if dimension == m and s.any():
        raise ValueError(
            f"Argument `norms` must be zero at dimension {dimension}: the {m} directions of the projections are all there are."
        )


@dataclass(frozen=True)
class LostTarget:
    """Stands for the target of a problem that was read from a file, which knows its name only."""

    __qualname__: str

    def __call__(self, points: np.ndarray) -> np.ndarray:
        raise ValueError(
            f"The target `{self.__qualname__}` is a function of your own and cannot be rebuilt from a file."
        )


def is_overlap(teacher: np.ndarray) -> bool:
    """Whether the teacher is given by its overlaps T, a symmetric matrix, and not by its rows U."""
    return bool(teacher.shape[0] == teacher.shape[1] and np.array_equal(teacher, teacher.T))


def check_teacher(value: Any) -> np.ndarray:
    if value is None:
        raise ValueError("Argument `teacher` is missing: give overlaps T (k, k) or rows U (k, m), or a `target`.")
    teacher = checks.array("teacher", value, ("k", "m"))
    if is_overlap(teacher):
        lowest = float(np.linalg.eigvalsh(teacher)[0])
        if lowest < -1e-12 * abs(teacher).max():
            raise ValueError(
                f"Argument `teacher` is symmetric, hence taken for overlaps T = W* W*^T/d, and must be positive semidefinite, but has the eigenvalue {lowest:.3g}."
            )
    if not (np.abs(teacher).sum(1) > 0).all():
        raise ValueError(
            f"Argument `teacher` must not hold a unit of norm zero, but unit {int(np.abs(teacher).sum(1).argmin())} is one: leave it out."
        )
    return teacher


def check_groups(value: Any, groups: CovarianceGroups) -> np.ndarray:
    """Return the overlaps of the teacher by group of the covariance, shape (L, k, k)."""
    T = checks.array("teacher", value)
    if T.ndim == 2 and is_overlap(T):
        T = groups.weights[:, None, None] * T
    if T.ndim != 3 or len(T) != groups.count or not all(is_overlap(one) for one in T):
        raise ValueError(
            f"Argument `teacher` must hold overlaps by group of the covariance, shape ({groups.count}, k, k), or (k, k) for a teacher that is alike in all, "
            f"but has shape {np.shape(value)}."
        )
    for one in T:
        if np.linalg.eigvalsh(one)[0] < -1e-12 * abs(T).max():
            raise ValueError(
                "Argument `teacher` must be positive semidefinite in each group of the covariance, but is not."
            )
    check_teacher(T.sum(0))
    return T


def check_covariance(covariance: Any, start: Ensemble, target: Any) -> CovarianceGroups:
    """Return the groups of a covariance."""
    if start.dimension is not None:
        raise ValueError(
            f"Argument `covariance` needs infinite dimension, where remainders of different units are orthogonal, but `start` has the dimension {start.dimension}."
        )
    if target is not None:
        raise ValueError("Arguments `covariance` and `target` exclude each other: give a teacher.")
    groups = groups_of(covariance)
    if (groups.eigenvalues <= 0).any():
        raise ValueError(
            "Argument `covariance` must have positive eigenvalues: weights along the others neither move nor count."
        )
    return groups


def target_values(target: Callable[[np.ndarray], Any], points: np.ndarray) -> np.ndarray:
    values = checks.array("target(points)", target(points))
    if values.shape != (len(points),):
        raise ValueError(
            f"Argument `target` must return one number for each point, shape ({len(points)},), but returns the shape {values.shape}."
        )
    return values
