"""The flow of quadratic networks whose covariance, teacher and student commute: one scalar for each joint eigenvalue.

It serves students of infinite width at fixed dimension, and the limit of extensive widths, where the trace is locked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core.threads import Unfinished
from ..ode.driver import Integration, Jacobian
from ..ode.report import Report
from .finite.reduced_path import ADVICE, Outcome, Request, Tolerances, instant, log_h

#: Rate times time from which on the implicit method pays.
STIFF = 8.0
#: Logarithm of the student's scale below which its overlap is formed from a scaled student.
FAINT = -100.0


@dataclass(frozen=True)
class Atoms:
    """Joint eigenvalues of covariance c, teacher l and student z at the start, of weight q.

    Attributes
    ----------
    c, l, q, z : ndarray, shape (n,)
        Where all eigenvalues count once, `place` holds the atom of each of them.
    """

    c: np.ndarray
    l: np.ndarray
    q: np.ndarray
    z: np.ndarray
    place: np.ndarray | None = None

    @classmethod
    def of_eigenvalues(cls, c: np.ndarray, l: np.ndarray, z: np.ndarray) -> Atoms:
        """Return the atoms of given eigenvalues, shapes (d,), equal ones together."""
        joint, place, count = np.unique(np.stack([c, l, z]), axis=1, return_inverse=True, return_counts=True)
        return cls(joint[0], joint[1], count.astype(float), joint[2], place.ravel())

    def jump(self) -> float:
        r"""Return :math:`\Psi` of (Q29): at extensive widths the start becomes :math:`z_j e^{-2 c_j \Psi}` at once."""
        share = self.q * self.c
        target = math.fsum(share * self.l)
        present = share > 0
        rates, start = 2 * self.c[present], np.log(self.z[present]) + np.log(share[present])

        def trace(psi: float) -> tuple[float, float]:
            exponent = start - rates * psi
            top = exponent.max()
            parts = np.exp(exponent - top)
            return top + math.log(parts.sum()) - math.log(target), -float(rates @ parts) / float(parts.sum())

        # The logarithm of the trace is convex and decreases: from where it is too large Newton's steps do not overshoot.
        excess = trace(0.0)[0]
        psi = excess / (rates.max() if excess > 0 else rates.min())
        for _ in range(200):
            miss, slope = trace(psi)
            step = -miss / slope
            psi += step
            if abs(step) <= 1e-15 * max(abs(psi), 1e-3):
                break
        return psi


class CommutingPath:
    """The scalars of commuting matrices, with the door of `finite.reduced_path.ReducedPath`.

    Parameters
    ----------
    atoms : Atoms
    square : bool
        Whether the activation is the square and not the centred one.
    decay : float
        Rate of - decay z, on the clock of the equations.
    limits : Tolerances
    locked : bool
        Whether the trace is locked, at extensive widths.
    """

    name = "reduced"

    def __init__(self, atoms: Atoms, square: bool, decay: float, limits: Tolerances, locked: bool = False):
        self.atoms, self.square, self.decay, self.limits, self.locked = atoms, square, decay, limits, locked
        self.first = atoms.jump() if square and locked else 0.0
        z, l = np.log(atoms.z), atoms.l
        start = z - np.log(np.where(l > 0, l, 1.0)) - 2 * atoms.c * self.first
        self.begin, self.state = 0.0, np.append(self.first, start)
        # How fast all logarithms fall next to no student, if all fall: the state carries what differs from it.
        c = atoms.c
        pull = 2 * c * math.fsum(atoms.q * c * l) if square else 0.0
        rates = 4 * c * c * l + pull - decay
        self.vanishing = bool(decay > 0 and not (square and locked) and rates.max() <= 0)
        self.fall = rates if self.vanishing else np.zeros_like(rates)
        self.states = np.zeros((0, self.state.size))
        self.finished: Outcome | None = None

    def restart(self, s: float, i: int) -> CommutingPath:
        """Return the path that continues from time i of the last run, at `s`; i = -1 is the start."""
        path = CommutingPath(self.atoms, self.square, self.decay, self.limits, self.locked)
        if i >= 0:
            path.begin, path.state = s, self.states[i]
        return path

    def run(self, s: np.ndarray, request: Request) -> Outcome:
        """Return the observables at the times `s`; what an integration that stops has reached is in `finished`."""
        self.finished = None
        try:
            report = self._integrate(s)
        except Unfinished as error:
            self.states = error.states
            self.finished = self._observe(s[: len(error.times)], error.report, request) if len(error.times) else None
            raise
        return self._observe(s, report, request)

    def _integrate(self, s: np.ndarray) -> Report:
        atoms = self.atoms
        if not self.square:
            self.states = self._closed(s)
            return instant(float(s[-1]))
        from . import equations_commuting as equations

        largest = 4 * float((atoms.c**2 * np.maximum(atoms.l, atoms.z)).max())
        atol = np.full(self.state.size, self.limits.rtol)
        # The distance of a learnt direction vanishes at late times, and the risk with its square.
        atol[1:][atoms.l > 0] = 1e-4 * self.limits.atol
        fastest = largest + (0.0 if self.locked else 2 * float(atoms.q @ (atoms.c**2 * np.maximum(atoms.l, atoms.z))))
        run = Integration(
            equations.flow.address, self.state, s, self._parameters(largest),
            start=self.begin, rtol=self.limits.rtol, atol=atol, jacobian=Jacobian(1, equations.jacobian.address, 1),
            method="radau" if fastest * (s[-1] - self.begin) > STIFF else "dop853", max_steps=self.limits.max_steps,
        )  # fmt: skip
        _, self.states, report = run.run(self.limits.progress, ADVICE)
        return report

    def _parameters(self, largest: float) -> np.ndarray:
        atoms = self.atoms
        return np.concatenate(
            [[self.locked, self.decay, largest, self.vanishing], atoms.c, atoms.l, atoms.q, self.fall]
        )

    def _closed(self, s: np.ndarray) -> np.ndarray:
        """Return the states of the centred activation: every z is logistic, and needs no integration."""
        states = np.zeros((s.size, self.state.size))
        for j, (c, l, start) in enumerate(zip(self.atoms.c, self.atoms.l, np.log(self.atoms.z)), 1):
            rate = 4 * c * c * l - self.decay
            if c == 0:
                states[:, j] = start if self.vanishing else start - self.decay * s
            elif l > 0 and self.decay == 0:
                states[:, j] = -np.log1p(np.expm1(math.log(l) - start) * np.exp(-rate * s))
                continue
            else:
                states[:, j] = -math.log(4 * c * c) - log_h(rate, math.exp(-start) / (4 * c * c), s)
                states[:, j] += 0.0 if self.vanishing else min(rate, 0.0) * s
            states[:, j] -= math.log(l) if l > 0 else 0.0
        return states

    def _above(self, k: int, i: int, s: float) -> np.ndarray:
        """Return the logarithms of c z over that of atom k, at time i of the states."""
        with np.errstate(divide="ignore"):
            carried = self.states[i, 1:] + np.log(self.atoms.c * np.where(self.atoms.l > 0, self.atoms.l, 1.0))
        return np.asarray((carried - carried[k]) + (self.fall - self.fall[k]) * s)

    def _observe(self, s: np.ndarray, report: Report, request: Request) -> Outcome:
        """Return risk, overlap, misalignment, trace and multiplier, (Q25) and (Q9) with the eigenvalues c z and c l of the fields."""
        atoms = self.atoms
        c, l, q = atoms.c, atoms.l, atoms.q
        u = self.states[:, 1:] + np.outer(s, self.fall)
        student = np.where(l > 0, l, 1.0) * np.exp(u)
        z, x = c * student, c * np.where(l > 0, l * np.expm1(u), student)
        theta = x @ q if self.square and not self.locked else np.zeros(len(u))
        a, b, size = float(q @ (c * l) ** 2), z @ (q * c * l), z**2 @ q
        # The part across the teacher: for a small student from z, near the teacher from z - l.
        near = x - np.outer(x @ (q * c * l) / a, c * l)
        across = np.where((b < 0.5 * a)[:, None], z - np.outer(b / a, c * l), near)
        with np.errstate(divide="ignore", invalid="ignore"):
            geometric = np.sqrt(a * size)
            overlap, missed = b / geometric, a * (across**2 @ q) / (geometric * (geometric + b))
            logs = u + np.log(c * np.where(l > 0, l, 1.0))
        for i in np.flatnonzero(logs.max(axis=1) < FAINT):
            k = int(np.argmax(logs[i]))
            scaled = np.exp((logs[i] - logs[i, k]) if not self.vanishing else self._above(k, int(i), float(s[i])))
            b, size = float(scaled @ (q * c * l)), float(scaled**2 @ q)
            geometric, across = math.sqrt(a * size), scaled - b / a * c * l
            overlap[i], missed[i] = b / geometric, a * float(across**2 @ q) / (geometric * (geometric + b))
        multiplier = self.states[:, 0]
        if self.vanishing and self.square:
            multiplier = multiplier - math.fsum(q * c * l) * s
        values = np.stack([x**2 @ q + theta**2 / 2, overlap, missed, z @ q, multiplier], axis=1)
        outcome = Outcome(values, report)
        if request.eigenvalues:
            outcome.eigenvalues = z if atoms.place is None else np.sort(z[:, atoms.place], axis=1)
        if request.matrices:
            outcome.matrices = (
                student if atoms.place is None else np.array([np.diag(row[atoms.place]) for row in student])
            )
        return outcome
