r"""A run is made of whole numbers that realise the ratios, of drawn weights, and of data.

Three kinds of data have the same limit: inputs, and symmetric or Hermitian surrogates that are never stored.

Every kind applies a random linear map to symmetric matrices and its adjoint to vectors: for inputs :math:`A\mapsto x_k^\top A x_k/\sqrt d`, for surrogates
:math:`\sqrt{2/d}` times a Gaussian matrix G on orthonormal coordinates of A.  G is revealed on the directions that the flow asks for, eq. (E19): after each, the rest is
still Gaussian and independent, so that the law is that of a stored matrix.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..core import checks
from ..spectrum.spectrum import Spectrum
from .physics import EmpiricalPhysics

KINDS = ("inputs", "symmetric", "hermitian")
#: Rows of inputs that are worked on together, and bytes of directions that are.
BLOCK = 2048
CHUNK_BYTES = 2**22
#: Directions on which a matrix is revealed in a run, about: it is stored where they would take as many numbers, and as much time.
DIRECTIONS = 400


class Data(Protocol):
    """A linear map from d x d matrices to n labels, and its adjoint."""

    samples: int

    def labels(self, A: np.ndarray) -> np.ndarray:
        """Return the labels of a symmetric (Hermitian) matrix, shape (n,)."""

    def errors(self, teacher: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Return the labels of diag(teacher) - V V', without noise, shape (n,)."""

    def pull(self, s: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Return the adjoint of the map at the residuals, times V: sum_k s_k X_k V, shape (d, p)."""


class Inputs:
    """Gaussian inputs, which are stored; the centred activation takes their mean off, the square one does not."""

    def __init__(self, rng: np.random.Generator, samples: int, dimension: int, centred: bool):
        self.samples, self.centred = samples, centred
        self.root = math.sqrt(dimension)
        self.X = rng.standard_normal((samples, dimension))
        self._clean: np.ndarray | None = None

    def labels(self, A: np.ndarray) -> np.ndarray:
        trace = float(np.trace(A)) if self.centred else 0.0
        out = np.empty(self.samples)
        for i in range(0, self.samples, BLOCK):
            rows = self.X[i : i + BLOCK]
            out[i : i + BLOCK] = (np.einsum("kd,kd->k", rows @ A, rows) - trace) / self.root
        return out

    def errors(self, teacher: np.ndarray, V: np.ndarray) -> np.ndarray:
        if self._clean is None:
            self._clean = self.labels(np.diag(teacher))
        trace = float(np.sum(V * V)) if self.centred else 0.0
        out = self._clean.copy()
        for i in range(0, self.samples, BLOCK):
            projected = self.X[i : i + BLOCK] @ V
            out[i : i + BLOCK] -= (np.einsum("kp,kp->k", projected, projected) - trace) / self.root
        return out

    def pull(self, s: np.ndarray, V: np.ndarray) -> np.ndarray:
        total = np.zeros_like(V)
        for i in range(0, self.samples, BLOCK):
            rows = self.X[i : i + BLOCK]
            total += rows.T @ (s[i : i + BLOCK, None] * (rows @ V))
        if self.centred:
            total -= s.sum() * V
        return total / self.root


class Rows:
    """Rows of equal length, in chunks that are filled one row at a time."""

    def __init__(self, length: int):
        self.length, self.count, self.size = length, 0, max(16, CHUNK_BYTES // (8 * length))
        self.chunks: list[np.ndarray] = []

    def append(self, row: np.ndarray) -> None:
        place = self.count % self.size
        if place == 0:
            self.chunks.append(np.empty((self.size, self.length)))
        self.chunks[-1][place] = row
        self.count += 1

    def _filled(self) -> list[np.ndarray]:
        return [chunk[: min(self.size, self.count - self.size * i)] for i, chunk in enumerate(self.chunks)]

    def dot(self, vector: np.ndarray) -> np.ndarray:
        """Return the products of all rows with a vector."""
        parts = [chunk @ vector for chunk in self._filled()]
        return np.concatenate(parts) if parts else np.empty(0)

    def combine(self, weights: np.ndarray) -> np.ndarray:
        """Return the rows summed with weights."""
        total = np.zeros(self.length)
        for i, chunk in enumerate(self._filled()):
            total += weights[self.size * i : self.size * i + len(chunk)] @ chunk
        return total


class Revealed:
    """A Gaussian matrix of shape (rows, columns) that is drawn as it is asked for, eq. (E19)."""

    def __init__(self, rng: np.random.Generator, rows: int, columns: int, accuracy: float):
        self.rng, self.accuracy = rng, accuracy
        self.right, self.image = Rows(columns), Rows(rows)  # v_j and G v_j
        self.left, self.preimage = Rows(rows), Rows(columns)  # u_i and G' u_i

    def times(self, v: np.ndarray) -> np.ndarray:
        """Return G v."""
        return _reveal(self.rng, v, self.right, self.image, self.left, self.preimage, self.accuracy)

    def transposed_times(self, u: np.ndarray) -> np.ndarray:
        """Return G' u."""
        return _reveal(self.rng, u, self.left, self.preimage, self.right, self.image, self.accuracy)


def _reveal(
    rng: np.random.Generator, v: np.ndarray, known: Rows, images: Rows, other: Rows, other_images: Rows, accuracy: float
) -> np.ndarray:
    """Return the product with v, and draw what v asks for beyond the known directions.

    On a new direction the product is Gaussian on the complement of the other side's directions; on these it is known.
    """
    size = math.sqrt(float(v @ v))
    c = known.dot(v)
    rest = v - known.combine(c)
    if not math.sqrt(float(rest @ rest)) > accuracy * size:
        return images.combine(c)
    again = known.dot(rest)
    c += again
    rest -= known.combine(again)
    length = math.sqrt(float(rest @ rest))
    if not length > accuracy * size:
        return images.combine(c)
    new = rest / length
    g = rng.standard_normal(images.length)
    g += other.combine(other_images.dot(new) - other.dot(g))
    known.append(new)
    images.append(g)
    return images.combine(np.append(c, length))


class Stored:
    """A Gaussian matrix of shape (rows, columns) that is drawn at once: the same law."""

    def __init__(self, rng: np.random.Generator, rows: int, columns: int):
        self.G = rng.standard_normal((rows, columns))

    def times(self, v: np.ndarray) -> np.ndarray:
        """Return G v."""
        return self.G @ v

    def transposed_times(self, u: np.ndarray) -> np.ndarray:
        """Return G' u."""
        return u @ self.G


class Surrogate:
    """Symmetric or Hermitian Gaussian matrices in the place of inputs; the square activation adds their mean."""

    def __init__(
        self,
        rng: np.random.Generator,
        samples: int,
        dimension: int,
        centred: bool,
        hermitian: bool,
        accuracy: float,
        stored: bool | None = None,
    ):
        d = dimension
        self.samples, self.dimension, self.centred, self.hermitian = samples, d, centred, hermitian
        self.upper = np.triu_indices(d, 1)
        coordinates = d * d if hermitian else d * (d + 1) // 2
        self.matrix: Stored | Revealed
        if stored is None:
            stored = samples * coordinates <= DIRECTIONS * (samples + coordinates)
        if stored:
            self.matrix = Stored(rng, samples, coordinates)
        else:
            self.matrix = Revealed(rng, samples, coordinates, accuracy)
        self.scale = math.sqrt(2 / d)

    def coordinates(self, A: np.ndarray) -> np.ndarray:
        """Return orthonormal coordinates of a symmetric or Hermitian matrix."""
        off = math.sqrt(2) * A[self.upper]
        parts = [A.diagonal().real, off.real, off.imag] if self.hermitian else [A.diagonal(), off]
        return np.concatenate(parts)

    def matrix_of(self, a: np.ndarray) -> np.ndarray:
        """Return the matrix of these coordinates."""
        d = self.dimension
        m = d * (d - 1) // 2
        off: np.ndarray = a[d : d + m] / math.sqrt(2)
        if self.hermitian:
            off = off.astype(complex)
            off.imag = a[d + m :] / math.sqrt(2)
        A = np.zeros((d, d), dtype=off.dtype)
        A[self.upper] = off
        A += A.conj().T
        A[np.arange(d), np.arange(d)] = a[:d]
        return A

    def labels(self, A: np.ndarray) -> np.ndarray:
        found = self.scale * self.matrix.times(self.coordinates(A))
        return found if self.centred else found + float(np.trace(A).real) / math.sqrt(self.dimension)

    def errors(self, teacher: np.ndarray, V: np.ndarray) -> np.ndarray:
        A = -(V @ V.conj().T)
        A[np.arange(self.dimension), np.arange(self.dimension)] += teacher
        return self.labels(A)

    def pull(self, s: np.ndarray, V: np.ndarray) -> np.ndarray:
        total = self.matrix_of(self.scale * self.matrix.transposed_times(s)) @ V
        return total if self.centred else total + float(s.sum()) / math.sqrt(self.dimension) * V


def start_of(start: str | Spectrum, rng: np.random.Generator, d: int, p: int, hermitian: bool) -> np.ndarray:
    """Return V = W'/sqrt(p) of a draw of the start, shape (d, p)."""
    if isinstance(start, Spectrum) and start.kind != "marchenko_pastur":
        values = start.eigenvalues(d)
        values = np.sort(values)[::-1][: min(p, d)]
        return _frame(rng, d, values.size, hermitian) * np.sqrt(values)
    if start == "orthonormal":
        if p < d:
            return _frame(rng, d, p, hermitian) * math.sqrt(d / p)
        return np.ascontiguousarray(_frame(rng, p, d, hermitian).T)
    scale = start.scale if isinstance(start, Spectrum) else 1.0
    width = start.width(d) if isinstance(start, Spectrum) else p
    return _gaussian(rng, (d, width), hermitian) * math.sqrt(scale / width)


def _gaussian(rng: np.random.Generator, shape: tuple[int, int], hermitian: bool) -> np.ndarray:
    if not hermitian:
        return rng.standard_normal(shape)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / math.sqrt(2)


def _frame(rng: np.random.Generator, rows: int, columns: int, hermitian: bool) -> np.ndarray:
    """Return orthonormal columns of Haar law."""
    Q, R = np.linalg.qr(_gaussian(rng, (rows, columns), hermitian))
    diagonal = R.diagonal()
    return Q * (diagonal / np.abs(diagonal))


@dataclass(frozen=True)
class Sizes:
    """Whole numbers that realise the ratios in a dimension."""

    d: int
    p: int
    k: int
    n: int
    samples_per_ratio: int

    @classmethod
    def of(cls, physics: EmpiricalPhysics, d: int, data: str) -> Sizes:
        """Return them; refuse a dimension that is too small for the ratios."""
        p, factor = round(physics.student_ratio * d), 2 if data == "hermitian" else 1
        if p < 1:
            least = math.floor(0.5 / physics.student_ratio) + 1
            raise ValueError(
                f"Argument `dimension` must be at least {least} to realise the student_ratio {physics.student_ratio:g}, but is {d}."
            )
        n = round(factor * physics.sample_ratio * d * d)
        if n < 1:
            least = math.floor(math.sqrt(0.5 / (factor * physics.sample_ratio))) + 1
            raise ValueError(
                f"Argument `dimension` must be at least {least} to realise the sample_ratio {physics.sample_ratio:g}, but is {d}."
            )
        return cls(d, p, physics.teacher.width(d), n, factor * d * d)


def check_memory(sizes: Sizes, data: str, workers: int) -> None:
    """Refuse data that memory cannot hold.

    Raises
    ------
    ValueError
        With the kind of data that needs less.
    """
    d, n = sizes.d, sizes.n
    if data == "inputs":
        needed = 8 * workers * (n * d + 4 * n)
    else:
        coordinates = d * d if data == "hermitian" else d * (d + 1) // 2
        needed = 16 * workers * DIRECTIONS * (n + coordinates)
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**34
    if needed <= 0.8 * available:
        return
    if data == "inputs":
        raise ValueError(
            f'Argument `data` must be "symmetric" or "hermitian" in dimension {d}, whose matrices are never stored, but is "inputs": '
            f"{n} inputs hold {n * d:.3g} numbers, {needed / 2**30:.3g} GiB in {workers} threads, and this machine has "
            f"{available / 2**30:.3g} GiB."
        )
    raise ValueError(
        f"Argument `dimension` must be smaller than {d}: the directions of a run take about {needed / 2**30:.3g} GiB in {workers} "
        f"threads, and this machine has {available / 2**30:.3g} GiB."
    )


def check_weights(weights: Any, sizes: Sizes, runs: int, data: str) -> np.ndarray | None:
    """Return own starting weights, shape (p, d) or (runs, p, d)."""
    if weights is None:
        return None
    if data == "hermitian":
        raise ValueError('Argument `weights` must be None for data="hermitian", whose weights are complex.')
    return checks.starting_weights(weights, runs, "p", sizes.d)
