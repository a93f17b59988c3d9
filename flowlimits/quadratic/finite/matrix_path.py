r"""The exact quadratic flow by direct integration of the weights, in the eigenbasis of the teacher or in that of the covariance.

Inputs of unit covariance: V in the teacher's eigenbasis, (Q5).  Rows outside the teacher's space are compressed to as many as
the start spans (one QR), which loses nothing: the flow acts on V from the right only through :math:`V^\top V`.

Inputs of covariance :math:`S = \sum_l c_l P_l`: V and V* in the eigenbasis of S, (Q26).  The rows of each eigenspace are
compressed by one QR of :math:`[V_l, V_{\star l}]`, which loses nothing, for both stay in the span of their starts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ...core.threads import Unfinished
from ...ode import layout as ode_layout
from ...ode.driver import Integration
from ...ode.jacobians import Jacobian, Structure
from ...ode.report import Report, Status
from . import equations_matrix
from .equations_reduced import OBSERVABLES
from .reduced_path import ADVICE, Outcome, Request, Tolerances, observe_matrix, padded
from .start import Flow, Split, Teacher, split, teacher_of, triangle

#: Operations of one evaluation from which on the products of BLAS beat compiled loops.
LARGE = 4.0e6


@dataclass(frozen=True)
class IsotropicForm:
    """The start in the basis (teacher, complement)."""

    split: Split
    square: bool
    decay: float

    method, settles, advice = "dop853", False, ADVICE

    @property
    def teacher(self) -> Teacher:
        return self.split.teacher

    @property
    def V(self) -> np.ndarray:
        return np.vstack([self.split.C, self.split.R])

    @property
    def values(self) -> np.ndarray:
        """The eigenvalues of Z* of the rows."""
        return np.pad(self.teacher.values, (0, len(self.split.C) + len(self.split.R) - self.teacher.values.size))

    def compiled(self, n: int, m: int) -> tuple[int, np.ndarray, int]:
        """Return the address of the velocity, its parameters and the length of its scratch; loops serve small matrices."""
        params = np.concatenate([[n, m, self.decay, self.square, self.teacher.trace], self.values])
        rhs = equations_matrix.matrix_flow
        if 4.0 * n * m * m >= LARGE:
            _load_blas()
            rhs = equations_matrix.matrix_flow_blas
        return rhs.address, params, (m + n) * m

    def jacobian(self, n: int, m: int) -> None:
        """No Jacobian is wanted: late times are those of the reduced form."""

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

    method, settles = "auto", True
    advice = ADVICE | {Status.TOO_MANY_STEPS: "Raise `max_steps`, or ask for earlier times only."}

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
        blocks, self.frames = [], []
        for part in covariance.slices:
            block, frame = both[part], None
            if block.shape[0] > block.shape[1]:
                frame, block = np.linalg.qr(block)
            blocks.append(block)
            self.frames.append(frame)
        rows = np.vstack(blocks)
        self.V, self.V_star = np.ascontiguousarray(rows[:, : V0.shape[1]]), np.ascontiguousarray(rows[:, V0.shape[1] :])
        self.c = np.repeat(covariance.groups.eigenvalues, [len(block) for block in blocks])
        self.root = np.sqrt(self.c)[:, None]
        self.teacher = Teacher(teacher_of(self.root * self.V_star).values, None, d)
        self.turn = np.linalg.svd(self.root * self.V_star)[0]
        self.values = np.pad(self.teacher.values, (0, len(self.c) - self.teacher.values.size))

    def compiled(self, n: int, m: int) -> tuple[int, np.ndarray, int]:
        """Return the address of the velocity, its parameters and the length of its scratch."""
        _load_blas()
        k = self.V_star.shape[1]
        header = [n, m, k, self.decay, self.square, self.teacher.trace]
        return (
            equations_matrix.group_flow.address,
            np.concatenate([header, self.c, self.V_star.ravel()]),
            2 * n * m + m * m + k * m,
        )

    def jacobian(self, n: int, m: int) -> Jacobian | None:
        """Return the Jacobian that is diagonal but for a low rank, None if even that would not fit."""
        size, rank = n * m + 1, m * (m + 1) // 2 + m * self.V_star.shape[1]
        if 2 * size * rank > ROOM_OF_JACOBIAN:
            return None
        own = equations_matrix
        structure = Structure(
            own.group_jacobian, own.group_factor, own.group_solve, own.group_factor_complex, own.group_solve_complex,
            1 + m * m + size * (1 + 2 * rank), size + rank * rank + rank + m, rank,
        )  # fmt: skip
        return Jacobian(4, own.group_jacobian.address, structure=structure)

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
    import scipy.linalg  # noqa: F401  (compiled code that calls BLAS needs it, and its import takes a while)


#: Weight decay times the time of one piece, whose absolute tolerance follows from its start.
FADING = 5.0
#: Weights below this have squares that are zero.
VANISHED = 1e-200
#: Numbers of a Jacobian that are worth their memory.
ROOM_OF_JACOBIAN = 3.0e7
#: Numbers that the states at requested times may take in memory at once.
ROOM = 1.0e7


class MatrixPath:
    """The flow of V in a form of the weights."""

    name = "matrix"

    def __init__(self, form: Form, limits: Tolerances):
        self.form, self.limits = form, limits
        self.V, self.values = form.V, form.values
        self.begin = self.multiplier = 0.0
        self.finished: Outcome | None = None

    def restart(self, s: float, i: int) -> MatrixPath:
        """Return the path that continues from the requested time `s`; i = -1 is the start."""
        path = MatrixPath(self.form, self.limits)
        if i < 0 or s == 0:
            return path

        def keep(_: int, V: np.ndarray, multiplier: float) -> None:
            path.V, path.multiplier = V.copy(), multiplier

        path._march(np.array([s]), keep)
        path.begin = s
        return path

    def _march(self, s, visit) -> Report:
        """Integrate from the path's beginning and call ``visit(i, V, phi)`` at every requested time, in pieces that fit into memory."""
        y, begin, first_step, i, stretch = np.append(self.V.ravel(), 0.0), 0.0, 0.0, 0, 1.0
        total: Report | None = None
        while i < s.size:
            asked, fades = self._piece(s[i:] - self.begin, begin, y.size, stretch)
            run = self._integration(
                y, asked, begin, first_step, 0 if total is None else total.steps + total.rejected, fades
            )
            try:
                _, states, report = run.run(self.limits.progress, self.form.advice)
            except Unfinished as error:
                reached = min(len(error.states), s.size - i)
                self._visit_all(i, error.states[:reached], visit)
                done = s[: i + reached] - self.begin
                raise type(error)(str(error), done, np.zeros((done.size, 0)), joined(total, error.report)) from None
            total, left = joined(total, report), float(np.abs(run.y[:-1]).max() / np.abs(y[:-1]).max(initial=1e-300))
            # What does not fade may be followed in longer and longer pieces; one in which it has lost digits is repeated.
            if 1 < stretch < math.inf and left < math.exp(-FADING):
                stretch = 1.0
                continue
            if stretch < math.inf:
                stretch = 2 * stretch if left > 0.5 and self.form.settles else 1.0
            if fades and self._vanished(run.y[:-1].reshape(self.V.shape)):
                run.y[:-1], stretch = 0.0, math.inf
            count = asked.size - bool(
                asked[-1] < s[-1] - self.begin and asked[-1] != s[i + asked.size - 1] - self.begin
            )
            self._visit_all(i, states[:count], visit)
            y, begin, first_step, i = run.y, float(asked[-1]), float(run.real[ode_layout.H]), i + count
        assert total is not None
        return total

    def _vanished(self, V: np.ndarray) -> bool:
        """Whether V is too small for a number of any result, and falls in every component."""
        largest = float(np.abs(V).max())
        if largest >= VANISHED:
            return False
        small = V * (1e-100 / largest) if largest > 0 else V
        return bool((small * self.form.velocity(small)[0] <= 0).all())

    def _piece(self, s: np.ndarray, begin: float, size: int, stretch: float) -> tuple[np.ndarray, bool]:
        """Return the times of the next piece, and whether weight decay may take V far down in it."""
        end = begin + stretch * FADING / self.form.decay if self.form.decay > 0 else math.inf
        inside = s[: max(int(ROOM / size), 1)]
        if inside[-1] <= end:
            return inside, begin > 0
        return np.append(inside[inside < end], end), True

    def _visit_all(self, first, states, visit) -> None:
        for i, state in enumerate(states):
            visit(first + i, state[:-1].reshape(self.V.shape), float(state[-1]))

    def _integration(self, y, s, begin, first_step, taken, fades) -> Integration:
        n, m = self.V.shape
        # A small start keeps its digits while it grows, and one that decays while it does.
        largest = float(np.abs(y[:-1]).max())
        sizes = [size for size in (math.sqrt(self.values.max(initial=0.0)), largest) if size > 0]
        atol = np.full(y.size, 1e-2 * self.limits.atol * min(sizes, default=1.0))
        if fades:
            atol[:-1] = np.maximum(math.exp(-FADING) * atol[:-1], 1e-300)
            atol[-1] = 1e-2 * self.limits.atol
        address, params, work_size = self.form.compiled(n, m)
        return Integration(
            address, y, s, params, start=begin, rtol=self.limits.rtol, atol=atol, method=self.form.method,
            max_steps=self.limits.max_steps - taken, work_size=work_size, first_step=first_step, jacobian=self.form.jacobian(n, m),
        )  # fmt: skip

    def run(self, s: np.ndarray, request: Request) -> Outcome:
        """Return the observables at the times `s` (clock s = 2 t)."""
        values = np.empty((s.size, len(OBSERVABLES)))
        eigenvalues: list[np.ndarray] = []
        matrices: list[np.ndarray] = []
        basis = self.form.basis() if request.matrices else None

        def visit(i: int, V: np.ndarray, multiplier: float) -> None:
            seen = self.form.seen(V)
            values[i] = observe_matrix(seen, self.values, self.form.square, self.multiplier + multiplier)
            if request.eigenvalues:
                eigenvalues.append(padded(np.linalg.svd(seen, compute_uv=False) ** 2, self.form.teacher.dimension))
            if basis is not None:
                full = basis @ V
                matrices.append(full @ full.T)

        def outcome(report: Report, count: int) -> Outcome:
            spectra = np.array(eigenvalues) if request.eigenvalues else None
            return Outcome(values[:count], report, spectra, np.array(matrices) if request.matrices else None)

        try:
            return outcome(self._march(s, visit), s.size)
        except Unfinished as error:
            self.finished = outcome(error.report, len(error.times)) if len(error.times) else None
            raise


def joined(first: Report | None, second: Report) -> Report:
    """Return the report of two pieces of one integration."""
    if first is None:
        return second
    return replace(
        second, steps=first.steps + second.steps, rejected=first.rejected + second.rejected,
        evaluations=first.evaluations + second.evaluations, wall_time=first.wall_time + second.wall_time,
        switches=first.switches,
    )  # fmt: skip
