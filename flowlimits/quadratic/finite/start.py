"""From weights to the scalars of the reduced flow: one decomposition of the teacher and of the start."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...spectrum.covariance import Covariance
from . import equations_reduced as layout
from .start_rows import choose_rows, drop_null_columns, is_blurred, rank_of, teacher_rows

#: Overlaps of the start with a teacher direction below this fraction of the start's norm count as zero.
BLIND = 1e-15


@dataclass(frozen=True)
class Teacher:
    """Nonzero eigenvalues of Z*, decreasing, and their eigenvectors (columns), None for the first coordinates; `dimension` is d."""

    values: np.ndarray
    vectors: np.ndarray | None
    dimension: int

    @property
    def trace(self) -> float:
        return math.fsum(self.values)

    @property
    def squares(self) -> float:
        return math.fsum(self.values**2)


@dataclass(frozen=True)
class Flow:
    """What is integrated: the start V0, shape (d, p), and the physics; weight decay on the clock t.

    With a covariance of the inputs the factor V*, shape (d, k), of Z* = V* V*^T stands beside it.
    """

    V0: np.ndarray
    teacher: Teacher
    square: bool
    weight_decay: float
    covariance: Covariance | None = None
    V_star: np.ndarray | None = None

    @property
    def decay(self) -> float:
        return self.weight_decay / 2


@dataclass(frozen=True)
class Split:
    """The start V0 seen from the teacher: V0 V0^T = [[C C^T, C R^T], [R C^T, R R^T]] in the basis (teacher, complement).

    Attributes
    ----------
    C : ndarray, shape (r, m)
        Rows along the teacher's eigenvectors.
    R : ndarray, shape (n, m)
        Rows along an orthonormal basis of the complement in which V0 has a part; n <= d - r.
    outside : ndarray, shape (d, m), or None
        The part of V0 outside the teacher's space, of which R is the triangular factor.
    """

    teacher: Teacher
    C: np.ndarray
    R: np.ndarray
    outside: np.ndarray | None = None


@dataclass
class Scalars:
    """Parameters and start of the scalar system.

    Attributes
    ----------
    params : ndarray
        See `equations_reduced`.
    y0 : ndarray, shape (2 + q,)
        phi, log g_0, eta at s = 0; with weight decay the integral of tr Z, log g_0, log(l + g).
    graded : bool
        Whether a large exponent of the complement would cost accuracy, so that it must be a group of rows of its own.
    basis : ndarray, shape (d, r + m), or None
        Unit vectors of the rows and, outside the teacher's space, of the columns.
    blurred : bool
        Whether a direction was dropped that is smaller than others by ten digits, but more than rounding.
    """

    params: np.ndarray
    y0: np.ndarray
    graded: bool = False
    basis: np.ndarray | None = None
    blurred: bool = False

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return layout.sizes.py_func(self.params)

    @property
    def work_size(self) -> int:
        m, rho, r, _ = self.sizes
        return layout.work_size(m, rho, r, self.params[layout.DIAGONAL] == 1)


def check_size(name: str, W: np.ndarray) -> np.ndarray:
    """Return weights, whose fourth powers (the risk and the normalisation of the overlap) must have all their digits."""
    if 0 < (largest := float(np.abs(W).max())) < 1e-70:
        raise ValueError(
            f"Argument `{name}` must have a largest entry of at least 1e-70, since the risk is of fourth order in it, but it is {largest:.3g}."
        )
    return W


def teacher_of(V_star: np.ndarray) -> Teacher:
    """Return the eigenpairs of V* V*^T for V*, shape (d, k)."""
    d, k = V_star.shape
    if k > d:
        left, singular, _ = np.linalg.svd(triangle(V_star.T).T)
    else:
        Q, R = np.linalg.qr(V_star)
        left, singular, _ = np.linalg.svd(R)
        left = Q @ left
    rank = int(np.count_nonzero(singular > max(d, k) * np.finfo(float).eps * singular.max(initial=0.0)))
    return Teacher(singular[:rank] ** 2, left[:, :rank], d)


def triangle(A: np.ndarray) -> np.ndarray:
    """Return the triangular factor R of A = Q R."""
    return np.asarray(np.linalg.qr(A, mode="r"))


def split(V0: np.ndarray, teacher: Teacher) -> Split:
    """Return the start V0, shape (d, p), along the teacher and outside."""
    d, p = V0.shape
    if p > d:
        V0 = triangle(V0.T).T
    U, room = teacher.vectors, d - teacher.values.size
    if U is None:
        return Split(teacher, V0[: d - room], _rows_of(V0[d - room :], room))
    C = U.T @ V0
    outside = V0 - U @ C
    # A second projection: what is left along the teacher would be amplified.
    outside -= U @ (U.T @ outside)
    return Split(teacher, C, _rows_of(outside, room), outside)


def _rows_of(outside: np.ndarray, room: int) -> np.ndarray:
    """Return R with R^T R = outside^T outside and at most `room` rows, the rank that it can have."""
    if room == 0:
        return np.zeros((0, outside.shape[1]))
    R = triangle(outside)
    if R.shape[0] <= room:
        return R
    _, singular, right = np.linalg.svd(R)
    return singular[:room, None] * right[:room]


def scalars(start: Split, *, square: bool, decay: float, grouped: bool = False, keep_basis: bool = False) -> Scalars:
    """Return the scalar system of a start.

    Parameters
    ----------
    square : bool
        Square or centred activation.
    decay : float
        Weight decay on the clock s = 2 t.
    grouped : bool
        Treat the complement as rows of eigenvalue zero instead of through its Gram matrix.
    keep_basis : bool
        Keep the vectors to which rows and columns belong.
    """
    teacher = start.teacher
    C, R, factor, offset = _with_offset(start.C, start.R, teacher)
    norm = math.sqrt((C**2).sum() + (R**2).sum())
    columns, singular = _columns(R, teacher.dimension - teacher.values.size, norm)
    seen = teacher_rows(C @ columns, teacher.values, BLIND * norm)
    rows, values, group = seen.rows, seen.values, seen.group
    rows, singular, columns, null = drop_null_columns(rows, singular, columns, norm)
    length = np.sqrt((rows**2).sum(axis=1))
    unit = rows / length[:, None]
    keep = keep_basis and teacher.vectors is not None
    vectors = teacher.vectors @ seen.left if keep and teacher.vectors is not None else None
    outside = _outside_vectors(start.outside, factor, columns, singular) if keep else None
    rank, blurred = rank_of(unit), is_blurred(unit)
    graded = bool(null) and rank_of(unit[:, unit.shape[1] - null :]) < rank
    if grouped or (graded and rank < unit.shape[0]):
        alive = np.flatnonzero(singular > 0)
        unit = np.vstack([unit, np.eye(singular.size)[alive]])
        length = np.append(length, singular[alive])
        group = np.append(group, np.full(alive.size, values.size))
        values = np.append(values, 0.0)
        if vectors is not None and outside is not None:
            vectors = np.hstack([vectors, outside[:, alive]])
        singular, graded = np.zeros_like(singular), False
    order, T = choose_rows(unit)
    params = pack(
        teacher, values, group[order], 2 * np.log(length[order]), singular, c=unit[order][: unit.shape[0] - T.shape[0]],
        T=T, square=square, decay=decay, unseen=seen.unseen, unit=offset, diagonal=unit.shape[0] == 0 and not keep_basis,
    )  # fmt: skip
    basis = None if vectors is None or outside is None else np.hstack([vectors[:, order], outside])
    return Scalars(params, initial(values, offset, decay), graded, basis, blurred)


def _outside_vectors(outside, factor, columns, singular):
    """Return unit vectors of the columns outside the teacher's space, zero where a column has no part there."""
    if outside is None:
        raise ValueError("This start does not keep its part outside the teacher's space.")
    vectors = np.linalg.solve(factor, outside.T).T @ columns
    return vectors / np.where(singular > 0, singular, np.inf)


def initial(values: np.ndarray, offset: float, decay: float) -> np.ndarray:
    """Return the state at s = 0, where every h equals the offset."""
    top = 1 / (4 * offset)
    carried = np.full(values.size, math.log(top)) if decay else top - values
    return np.concatenate([[0.0, math.log(top)], carried])


def choose_offset(trace: float, teacher: Teacher) -> float:
    """Return the value of every h at the start: G = I - 4 h V0^T V0 stays above I/2, and h below its values to come."""
    scale = max(trace, teacher.values.max(initial=0.0))
    return 1 / (8 * scale) if scale > 0 else 1.0


def _with_offset(C: np.ndarray, R: np.ndarray, teacher: Teacher) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return C and R of V0 (I - 4 h V0^T V0)^(-1/2): h starts at `h` instead of zero, where the formulas are 0/0."""
    gram = C.T @ C + R.T @ R
    offset = choose_offset(float(np.trace(gram)), teacher)
    factor = np.linalg.cholesky(np.eye(gram.shape[0]) - 4 * offset * gram)
    return np.linalg.solve(factor, C.T).T, np.linalg.solve(factor, R.T).T, factor, offset


def _columns(R: np.ndarray, room: int, norm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns' basis in which R^T R is diagonal, and its singular values, of which at most `room` are not zero."""
    m = R.shape[1]
    singular = np.zeros(m)
    if R.shape[0] == 0:
        return np.eye(m), singular
    _, values, basis = np.linalg.svd(R)
    singular[: values.size] = values
    singular[room:] = 0.0
    singular[singular < 1e-14 * norm] = 0.0
    return basis.T, singular


def pack(teacher, values, group, logc, singular, *, c, T, square, decay, unseen, unit, diagonal=False) -> np.ndarray:
    """Return the parameters in the layout of `equations_reduced`."""
    r = group.size
    header = np.zeros(layout.HEADER)
    header[layout.COLUMNS], header[layout.ROWS], header[layout.GROUPS] = singular.size, r, values.size
    header[layout.BASIS] = r - T.shape[0]
    header[layout.DIAGONAL], header[layout.UNIT] = diagonal, unit
    header[layout.DECAY], header[layout.SQUARE] = decay, square
    header[layout.UNSEEN], header[layout.UNSEEN_SQUARES] = unseen
    header[layout.OUTSIDE] = bool((singular > 0).any())
    header[layout.TEACHER_SQUARES], header[layout.LOGARITHMIC] = teacher.squares, decay != 0
    header[layout.DRIFT] = decay - (teacher.trace if square and decay else 0.0)
    with np.errstate(divide="ignore"):
        loga = 2 * np.log(singular)
    return np.concatenate([header, values, group, logc, loga, c.ravel(), T.ravel()]).astype(float)


def orthonormal_rows(rng: np.random.Generator, rows: int, dimension: int) -> np.ndarray:
    """Return Haar weights with W W^T = d I, or W^T W = rows I if there are more rows than columns."""
    gaussian = rng.standard_normal((max(rows, dimension), min(rows, dimension)))
    Q, R = np.linalg.qr(gaussian)
    # Without the signs the law of Q would depend on LAPACK's choice.
    Q *= np.sign(np.diag(R))
    return np.sqrt(max(rows, dimension)) * (Q.T if rows <= dimension else Q)


def gaussian_rows(rng: np.random.Generator, rows: int, dimension: int) -> np.ndarray:
    """Return weights with independent standard Gaussian entries."""
    return rng.standard_normal((rows, dimension))
