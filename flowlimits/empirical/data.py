r"""Three kinds of data for the flow, all with the same limit: inputs, and symmetric or Hermitian surrogates that are never stored.

Every kind applies a random linear map to symmetric matrices and its adjoint to vectors: for inputs :math:`A\mapsto x_k^\top A x_k/\sqrt d`, for surrogates
:math:`\sqrt{2/d}` times a Gaussian matrix G on orthonormal coordinates of A.  G is revealed on the directions that the flow asks for, eq. (E19): after each, the rest is
still Gaussian and independent, so that the law is that of a stored matrix.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

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
        ...

    def errors(self, teacher: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Return the labels of diag(teacher) - V V', without noise, shape (n,)."""
        ...

    def pull(self, s: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Return the adjoint of the map at the residuals, times V: sum_k s_k X_k V, shape (d, p)."""
        ...


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
