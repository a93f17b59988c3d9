r"""Two forms of the weights that are integrated directly: in the eigenbasis of the teacher, or in that of the covariance.

Inputs of unit covariance: V in the teacher's eigenbasis, (Q5).  Rows outside the teacher's space are compressed to as many as
the start spans (one QR), which loses nothing: the flow acts on V from the right only through :math:`V^\top V`.

Inputs of covariance :math:`S = \sum_l c_l P_l`: V and V* in the eigenbasis of S, (Q26).  The rows of each eigenspace are
compressed by one QR of :math:`[V_l, V_{\star l}]`, which loses nothing, for both stay in the span of their starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .start import Flow, Split, Teacher, split, teacher_of, triangle

#: Operations of one evaluation from which on the products of BLAS beat compiled loops.
LARGE = 4.0e6


@dataclass(frozen=True)
class IsotropicForm:
    """The start in the basis (teacher, complement)."""

    split: Split
    square: bool
    decay: float

    method = "dop853"

    @property
    def teacher(self) -> Teacher:
        return self.split.teacher

    @property
    def V(self) -> np.ndarray:
        return np.vstack([self.split.C, self.split.R])

    @property
    def values(self) -> np.ndarray:
        """The eigenvalues of Z* of the rows."""
        values = np.zeros(len(self.split.C) + len(self.split.R))
        values[: self.teacher.values.size] = self.teacher.values
        return values

    def compiled(self, n: int, m: int) -> tuple[int, np.ndarray, int]:
        """Return the address of the velocity, its parameters and the length of its scratch; loops serve small matrices."""
        params = np.concatenate([[n, m, self.decay, self.square, self.teacher.trace], self.values])
        module: Any
        if 4.0 * n * m * m < LARGE:
            from . import equations_matrix as module
        else:
            _load_blas()
            from . import equations_matrix_blas as module
        return module.matrix_flow.address, params, (m + n) * m

    def velocity(self, V: np.ndarray) -> tuple[np.ndarray, float]:
        """Return dV/ds and dphi/ds."""
        S = V.T @ V
        theta = float(np.trace(S)) - self.teacher.trace if self.square else 0.0
        return ((2 * self.values - self.decay)[:, None] - theta) * V - 2 * (V @ S), theta

    def seen(self, V: np.ndarray) -> np.ndarray:
        """Return V in the teacher's eigenbasis."""
        return V

    def basis(self) -> np.ndarray:
        """Return the vectors of the rows, shape (d, n)."""
        teacher, R, outside = self.split.teacher, self.split.R, self.split.outside
        if teacher.vectors is None or outside is None:
            raise ValueError("This start does not keep its part outside the teacher's space.")
        across = outside @ np.linalg.pinv(R, rcond=1e-14) if R.size else np.zeros((len(outside), 0))
        return np.hstack([teacher.vectors, across])


class GroupForm:
    """The start in the eigenbasis of the covariance, eigenspaces compressed.

    Attributes
    ----------
    V, V_star : ndarray, shapes (n, m), (n, k)
    c : ndarray, shape (n,)
        Eigenvalues of the covariance.
    teacher : Teacher
        That of the fields: eigenvalues of S^(1/2) Z* S^(1/2).
    """

    method = "auto"

    def __init__(self, flow: Flow):
        V_star, covariance = flow.V_star, flow.covariance
        assert V_star is not None
        assert covariance is not None
        self.square, self.decay, self.covariance = flow.square, flow.decay, covariance
        d, p = flow.V0.shape
        V0 = triangle(flow.V0.T).T if p > d else flow.V0
        if V_star.shape[1] > d:
            V_star = triangle(V_star.T).T
        both = covariance.rotate(np.hstack([V0, V_star]).T).T
        blocks, self.frames, c = [], [], []
        for part, value in zip(covariance.slices, covariance.groups.eigenvalues):
            block, frame = both[part], None
            if block.shape[0] > block.shape[1]:
                frame, block = np.linalg.qr(block)
            blocks.append(block)
            self.frames.append(frame)
            c.append(np.full(len(block), value))
        rows = np.vstack(blocks)
        self.V, self.V_star = np.ascontiguousarray(rows[:, : V0.shape[1]]), np.ascontiguousarray(rows[:, V0.shape[1] :])
        self.c = np.concatenate(c)
        self.root = np.sqrt(self.c)[:, None]
        self.teacher = Teacher(teacher_of(self.root * self.V_star).values, None, d)
        vectors = np.linalg.svd(self.root * self.V_star)[0]
        self.turn = vectors
        self.values = np.zeros(len(self.c))
        self.values[: self.teacher.values.size] = self.teacher.values

    def compiled(self, n: int, m: int) -> tuple[int, np.ndarray, int]:
        """Return the address of the velocity, its parameters and the length of its scratch."""
        _load_blas()
        from . import equations_matrix_blas

        k = self.V_star.shape[1]
        header = [n, m, k, self.decay, self.square, self.teacher.trace]
        return (
            equations_matrix_blas.group_flow.address,
            np.concatenate([header, self.c, self.V_star.ravel()]),
            2 * n * m + m * m + k * m,
        )

    def velocity(self, V: np.ndarray) -> tuple[np.ndarray, float]:
        """Return dV/ds and dphi/ds."""
        SV = self.c[:, None] * V
        H, A = V.T @ SV, self.V_star.T @ SV
        theta = float(np.trace(H)) - self.teacher.trace if self.square else 0.0
        return self.c[:, None] * (2 * (self.V_star @ A - V @ H) - theta * V) - self.decay * V, theta

    def seen(self, V: np.ndarray) -> np.ndarray:
        """Return S^(1/2) V in the eigenbasis of S^(1/2) Z* S^(1/2)."""
        return self.turn.T @ (self.root * V)

    def basis(self) -> np.ndarray:
        """Return the vectors of the rows, shape (d, n)."""
        d = self.covariance.dimension
        found, column = np.zeros((d, len(self.c))), 0
        for part, frame in zip(self.covariance.slices, self.frames):
            block = np.eye(part.stop - part.start) if frame is None else frame
            found[part, column : column + block.shape[1]] = block
            column += block.shape[1]
        return self.covariance.rotate_back(found.T).T


Form = IsotropicForm | GroupForm


def form_of(flow: Flow) -> Form:
    """Return the form in which a flow is integrated directly."""
    if flow.covariance is not None:
        return GroupForm(flow)
    return IsotropicForm(split(flow.V0, flow.teacher), flow.square, flow.decay)


def _load_blas() -> None:
    """Compiled code that calls BLAS needs scipy.linalg, whose import takes a while."""
    import scipy.linalg  # noqa: F401
