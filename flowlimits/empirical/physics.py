"""A quadratic network on finitely many samples: fields, their checks, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ..core import checks
from ..core.problem import Problem
from ..core.results import Variable
from ..spectrum.free_convolution import ATOMS, MARCHENKO_PASTUR
from ..spectrum.spectrum import Spectrum
from . import STARTS, TABLES, VANISHING

TABLE = TABLES["EmpiricalQuadratic"]
#: Attributes of results without time.
NO_CLOCK = {"clock": ""}
#: Atoms closer than this, on the scale of the law, are one.
CLOSEST_ATOMS = 1e-9


@dataclass(frozen=True, eq=False, repr=False, init=False)
class EmpiricalPhysics(Problem):
    """The fields of `flowlimits.EmpiricalQuadratic`, where they are described."""

    clock: ClassVar[str] = "tau = t/d, dW/dtau = -p d^2 grad train risk"
    kind: ClassVar[str] = "limit"
    ends: ClassVar[bool] = True
    size_name: ClassVar[str] = "dimension"
    papers: ClassVar[tuple[str, ...]] = ("martin2026", "erba2025", "maillard2024")
    variables: ClassVar[dict[str, Any]] = {
        "risk": Variable("rescaled population risk", r"d\,\mathcal{R}", scale="d x risk"),
        "train_risk": Variable("rescaled training risk", r"d\,\hat{\mathcal{R}}", scale="d x risk"),
        "in_sample_risk": Variable(
            "risk at the training inputs, noise excluded", r"d\,\mathcal{R}_n", scale="d x risk"
        ),
        "overlap": Variable("overlap", r"\chi"),
        "misalignment": Variable("misalignment, 1 - overlap", r"1 - \chi"),
        "trace": Variable("trace of Z", r"\mathrm{tr}\,Z"),
        "rank": Variable("rank of Z per dimension", r"\mathrm{rank}\,Z/d"),
        "response": Variable("integrated response", "r"),
        "effective_noise": Variable("variance of the effective noise", r"\xi"),
        "threshold": Variable("threshold of the eigenvalues", "q"),
        "eigenvalues": Variable("eigenvalues of d Z", r"d\,Z", dims=("eigenvalue",)),
    }

    student_ratio: float
    teacher: Spectrum
    sample_ratio: float
    noise: float = 0.0
    weight_decay: float | str = 0.0
    activation: str = "centred"
    start: str | Spectrum = "gaussian"

    def __init__(
        self,
        student_ratio: float,
        teacher: Spectrum,
        sample_ratio: float,
        noise: float = 0.0,
        weight_decay: float | str = 0.0,
        activation: str = "centred",
        start: str | Spectrum = "gaussian",
        **other: Any,
    ) -> None:
        TABLE.refuse("EmpiricalQuadratic", other)
        fields: dict[str, Any] = {"teacher": check_teacher(teacher), "sample_ratio": check_sample_ratio(sample_ratio)}
        fields |= TABLE.check(
            "EmpiricalQuadratic", student_ratio=student_ratio, noise=noise, weight_decay=check_decay(weight_decay), activation=activation,
            start=start if isinstance(start, Spectrum) else checks.choice("start", start, STARTS),
        )  # fmt: skip
        if fields["teacher"].indefinite and fields["activation"] != "centred":
            raise ValueError(
                'Argument `activation` must be "centred" for a teacher with negative eigenvalues, which no weights realise, but is '
                '"square": the locked trace is known here for teachers of weights only.'
            )
        if isinstance(start, Spectrum) and start.indefinite:
            raise ValueError(
                f"Argument `start` must have no negative eigenvalues, but is {start!r}: no weights realise them."
            )
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def infinite(self) -> bool:
        """Whether the number of samples is infinite on the scale of d^2."""
        return math.isinf(self.sample_ratio)

    @property
    def solves_in_time(self) -> bool:
        """Whether the limit in time is known: on infinitely many samples."""
        return self.infinite

    @property
    def width(self) -> float:
        """The largest rank of the student per dimension."""
        return min(self.student_ratio, 1.0)

    @cached_property
    def law(self) -> Law:
        """The law of the teacher for the compiled equations."""
        return Law.of(self.teacher)

    @property
    def recovers(self) -> bool:
        """Whether infinitely many samples without decay give the teacher: no noise, and a student that can be it."""
        return self.noise == 0 and self.width >= self.law.rank - 1e-12 and not self.teacher.indefinite

    def setting(self, decay: float = 0.0) -> np.ndarray:
        """Return the numbers of `equations.system`, on its scale of the decay."""
        law = self.law
        return np.array([law.kind, self.width, law.mean, law.mean_square, law.low, law.high, self.noise, decay / 4])

    def fields(self) -> Mapping[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in TABLE.names}


@dataclass(frozen=True)
class Law:
    """A law of eigenvalues as a table for compiled equations.

    Attributes
    ----------
    kind : int
        Atoms or Marchenko-Pastur.
    table : ndarray, shape (4, n)
        See `flowlimits.spectrum.free_convolution`.
    mean, mean_square, low, high, rank : float
        Moments, ends, and the weight of the positive eigenvalues.
    """

    kind: int
    table: np.ndarray
    mean: float
    mean_square: float
    low: float
    high: float
    rank: float

    @classmethod
    def of(cls, spectrum: Spectrum) -> Law:
        """Return the law of a Spectrum; Marchenko-Pastur laws are continuous, whatever nodes stand for them."""
        if spectrum.kind == "marchenko_pastur":
            assert spectrum.ratio is not None
            c, scale = 1 / spectrum.ratio, spectrum.scale
            table = np.zeros((4, 2))
            table[0] = c, scale
            low = 0.0 if c > 1 else scale * (1 - math.sqrt(c)) ** 2
            high = scale * (1 + math.sqrt(c)) ** 2
            return cls(MARCHENKO_PASTUR, table, scale, scale**2 * (1 + c), low, high, min(spectrum.ratio, 1.0))
        z, q = _merged(spectrum.nodes, spectrum.weights)
        with np.errstate(divide="ignore"):
            inverse = 1 / (z[:, None] - z[None, :])
        np.fill_diagonal(inverse, 0.0)
        table = np.array([z, q, inverse @ q, -(inverse**2) @ q])
        rank = math.fsum(q[z > 0])
        return cls(ATOMS, table, math.fsum(q * z), math.fsum(q * z * z), z[0], z[-1], rank)


def _merged(nodes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the atoms in increasing order, those that nearly coincide as one; zero stays zero."""
    kept = weights > 0
    order = np.argsort(nodes[kept], kind="stable")
    z, q = nodes[kept][order], weights[kept][order]
    apart = CLOSEST_ATOMS * max(np.abs(z).max(), 1e-300)
    new = np.concatenate([[True], (np.diff(z) > apart) | (z[1:] == 0) | (z[:-1] == 0)])
    group = np.cumsum(new) - 1
    total = np.bincount(group, q)
    return np.bincount(group, q * z) / total, total


def check_teacher(teacher: Any) -> Spectrum:
    """Return the law of a teacher, of mean one if it is a law of weights."""
    if not isinstance(teacher, Spectrum):
        raise TypeError(
            f"Argument `teacher` must be a Spectrum, but is {checks.show(teacher)}; Spectrum.orthonormal(ratio) is one."
        )
    if not teacher.indefinite and abs(teacher.mean - 1) > 1e-9:
        raise ValueError(
            f"Argument `teacher` must have the mean eigenvalue 1 (trace one per dimension of d Z), "
            f"but its mean is {teacher.mean:.6g}. Spectrum.normalised() divides by it."
        )
    return teacher


def check_sample_ratio(value: Any) -> float:
    """Return a positive number, perhaps infinite."""
    if isinstance(value, float | np.floating) and value == math.inf:
        return math.inf
    return checks.number("sample_ratio", value, positive=True)


def check_decay(value: Any) -> float | str:
    """Return a decay that is not negative, or "vanishing"."""
    if isinstance(value, str):
        if value != VANISHING:
            raise ValueError(f'Argument `weight_decay` must be a number or "vanishing", but is {value!r}.')
        return value
    return checks.number("weight_decay", value, nonnegative=True)


Coordinate = tuple[str, np.ndarray, dict[str, str]]


def ratio_coordinate(ratios: np.ndarray) -> Coordinate:
    """Return sample ratios as a coordinate."""
    return "sample_ratio", ratios, {"long_name": "samples over the square of the dimension", "symbol": r"\alpha"}


def decay_coordinate(decays: list[float]) -> Coordinate:
    """Return weight decays as a coordinate."""
    return "weight_decay", np.array(decays), {"long_name": "weight decay on the clock tau", "symbol": r"\lambda"}


def _vector(name: str, value: Any, length: str) -> np.ndarray:
    return checks.array(name, [value] if checks.is_single(value) else value, (length,))


def check_ratios(value: Any) -> np.ndarray:
    """Return sample ratios, positive, perhaps infinite, shape (n,)."""
    try:
        infinite = np.isposinf(np.atleast_1d(np.asarray(value, dtype=float)))
    except (ValueError, TypeError, OverflowError):
        infinite = np.zeros(0, dtype=bool)
    if infinite.any() and infinite.ndim == 1:
        finite = np.where(infinite, 1.0, np.atleast_1d(np.asarray(value, dtype=float)))
        ratios = np.where(infinite, np.inf, _vector("sample_ratios", finite, "n"))
    else:
        ratios = _vector("sample_ratios", value, "n")
    for i, one in enumerate(ratios):
        if not one > 0:
            raise ValueError(f"Argument `sample_ratios` must be positive, but is {one:g} at index [{i}].")
    return ratios


def check_decays(value: Any) -> list[Any]:
    """Return weight decays, not negative, shape (n,)."""
    decays = _vector("weight_decays", value, "n")
    for i, one in enumerate(decays):
        if one < 0:
            raise ValueError(f"Argument `weight_decays` must not be negative, but is {one:g} at index [{i}].")
    return [check_decay(float(one)) for one in decays]


def check_energies(value: Any) -> np.ndarray:
    """Return positive eigenvalues, shape (m,)."""
    energies = _vector("spectrum", value, "m")
    if (energies <= 0).any():
        i = int(np.argmax(energies <= 0))
        raise ValueError(f"Argument `spectrum` must be positive, but is {energies[i]:g} at index [{i}].")
    return energies
