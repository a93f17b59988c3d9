"""The exact quadratic flow by direct integration of the weights, behind the same door as `flow_paths.ReducedPath`."""

from __future__ import annotations

import math

import numpy as np

from ...ode.report import Report
from .equations_reduced import OBSERVABLES
from .matrix import integrate_matrix
from .reduced_path import Outcome, Request, Tolerances, padded
from .start import Split


class MatrixPath:
    """The flow of V in the teacher's eigenbasis, `flow_matrix`."""

    name = "matrix"

    def __init__(self, start: Split, *, square: bool, decay: float, limits: Tolerances):
        self.split, self.square, self.decay, self.limits = start, square, decay, limits
        self.V = np.vstack([start.C, start.R])
        self.values = np.zeros(self.V.shape[0])
        self.values[: start.teacher.values.size] = start.teacher.values
        self.begin = self.multiplier = 0.0

    def restart(self, s: float, i: int) -> MatrixPath:
        """Return the path that continues from the requested time `s`; i = -1 is the start."""
        path = MatrixPath(self.split, square=self.square, decay=self.decay, limits=self.limits)
        if i < 0 or s == 0:
            return path

        def keep(_: int, V: np.ndarray, multiplier: float) -> None:
            path.V, path.multiplier = V.copy(), multiplier

        path._march(np.array([s]), keep)
        path.begin = s
        return path

    def _march(self, s, visit) -> Report:
        # A small start keeps its digits while it grows.
        sizes = [size for size in (math.sqrt(self.values.max(initial=0.0)), float(np.abs(self.V).max())) if size > 0]
        return integrate_matrix(
            self.V, self.values, self.split.teacher.trace, s - self.begin, square=self.square, decay=self.decay,
            rtol=self.limits.rtol, atol=1e-2 * self.limits.atol * min(sizes, default=1.0),
            max_steps=self.limits.max_steps, progress=self.limits.progress, visit=visit,
        )  # fmt: skip

    def run(self, s: np.ndarray, request: Request) -> Outcome:
        """Return the observables at the times `s` (clock s = 2 t)."""
        values = np.empty((s.size, len(OBSERVABLES)))
        eigenvalues: list[np.ndarray] = []
        matrices: list[np.ndarray] = []
        basis = self._basis() if request.matrices else None

        def visit(i: int, V: np.ndarray, multiplier: float) -> None:
            values[i] = observe_matrix(V, self.values, self.square, self.multiplier + multiplier)
            if request.eigenvalues:
                eigenvalues.append(padded(np.linalg.svd(V, compute_uv=False) ** 2, self.split.teacher.dimension))
            if basis is not None:
                full = basis @ V
                matrices.append(full @ full.T)

        report = self._march(s, visit)
        return Outcome(
            values, report, np.array(eigenvalues) if request.eigenvalues else None,
            np.array(matrices) if request.matrices else None,
        )  # fmt: skip

    def _basis(self) -> np.ndarray:
        teacher, R, outside = self.split.teacher, self.split.R, self.split.outside
        if teacher.vectors is None or outside is None:
            raise ValueError("This start does not keep its part outside the teacher's space.")
        return np.hstack(
            [teacher.vectors, outside @ np.linalg.pinv(R, rcond=1e-14) if R.size else np.zeros((len(outside), 0))]
        )


def observe_matrix(V: np.ndarray, values: np.ndarray, square: bool, multiplier: float) -> list[float]:
    """Return risk, overlap, misalignment, trace and multiplier of V V^T against diag(values), (Q4) and (Q9)."""
    Z = V @ V.T
    diagonal = np.diag_indices(V.shape[0])
    own = Z[diagonal].copy()
    trace = float(own.sum())
    a, b, c = float((values**2).sum()), float(own @ values), float((Z**2).sum())
    Z[diagonal] = own - values
    theta = math.fsum(Z[diagonal])
    risk = float((Z**2).sum()) + (0.5 * theta**2 if square else 0.0)
    if a == 0 or c == 0:
        return [risk, math.nan, math.nan, trace, multiplier]
    # The part of Z orthogonal to Z*: for a small student from Z, near the teacher from Z - Z*.
    Z[diagonal] = own - b / a * values if b < 0.5 * a else Z[diagonal] - float(Z[diagonal] @ values) / a * values
    geometric = math.sqrt(a * c)
    return [risk, b / geometric, a * float((Z**2).sum()) / (geometric * (geometric + b)), trace, multiplier]
