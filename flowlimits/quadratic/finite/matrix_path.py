r"""The exact quadratic flow by direct integration of the rectangular V in the teacher's eigenbasis, (Q5).

Rows outside the teacher's space are compressed to as many as the start spans (one QR), which loses nothing: the flow acts on
V from the right only through :math:`V^\top V`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ...ode import layout as ode_layout
from ...ode.driver import Integration
from ...ode.report import IntegrationError, IntegrationInterrupted, Report
from .equations_reduced import OBSERVABLES
from .reduced_path import ADVICE, Outcome, Request, Tolerances, padded
from .start import Split

#: Operations of one evaluation from which on the products of BLAS beat compiled loops.
LARGE = 4.0e6
#: Numbers that the states at requested times may take in memory at once.
ROOM = 1.0e7


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
        """Integrate from the path's beginning and call ``visit(i, V, phi)`` at every requested time, in pieces that fit into memory."""
        y, begin, first_step = np.append(self.V.ravel(), 0.0), 0.0, 0.0
        size = max(int(ROOM / y.size), 1)
        total: Report | None = None
        for i in range(0, s.size, size):
            piece = s[i : i + size] - self.begin
            run = self._integration(y, piece, begin, first_step, 0 if total is None else total.steps + total.rejected)
            try:
                _, states, report = run.run(self.limits.progress, ADVICE)
            except (IntegrationError, IntegrationInterrupted) as error:
                self._visit_all(i, error.states, visit)
                done = s[: i + len(error.times)] - self.begin
                raise type(error)(str(error), done, np.zeros((done.size, 0)), joined(total, error.report)) from None
            self._visit_all(i, states, visit)
            y, begin, first_step = run.y, float(piece[-1]), float(run.real[ode_layout.H])
            total = joined(total, report)
        assert total is not None
        return total

    def _visit_all(self, first, states, visit) -> None:
        for i, state in enumerate(states):
            visit(first + i, state[:-1].reshape(self.V.shape), float(state[-1]))

    def _integration(self, y, s, begin, first_step, taken) -> Integration:
        n, m = self.V.shape
        # A small start keeps its digits while it grows.
        sizes = [size for size in (math.sqrt(self.values.max(initial=0.0)), float(np.abs(self.V).max())) if size > 0]
        atol = 1e-2 * self.limits.atol * min(sizes, default=1.0)
        params = np.concatenate([[n, m, self.decay, self.square, self.split.teacher.trace], self.values])
        return Integration(
            equations_of(n, m).matrix_flow.address, y, s, params, start=begin, rtol=self.limits.rtol,
            atol=np.full(y.size, atol), method="dop853", max_steps=self.limits.max_steps - taken, work_size=(m + n) * m,
            first_step=first_step,
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


def equations_of(n: int, m: int) -> Any:
    """Return the compiled equations: loops for small matrices, BLAS for large ones."""
    if 4.0 * n * m * m < LARGE:
        from . import equations_matrix

        return equations_matrix
    import scipy.linalg  # noqa: F401  # compiled code that calls BLAS needs it, and its import takes a while

    from . import equations_matrix_blas

    return equations_matrix_blas


def joined(first: Report | None, second: Report) -> Report:
    """Return the report of two pieces of one integration."""
    if first is None:
        return second
    return replace(
        second, steps=first.steps + second.steps, rejected=first.rejected + second.rejected,
        evaluations=first.evaluations + second.evaluations, wall_time=first.wall_time + second.wall_time,
        switches=first.switches,
    )  # fmt: skip


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
