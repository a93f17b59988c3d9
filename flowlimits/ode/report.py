"""The report of an integration: why it stopped, its cost, and advice after a failure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..core.threads import OneLine, Unfinished
from . import layout


class Status(enum.Enum):
    """Why an integration stopped; the value is the name in messages, `advice` says what to do next."""

    SUCCESS = "success"
    EVENT = "event"
    NOT_FINITE = "not finite"
    STEP_TOO_SMALL = "step too small"
    TOO_MANY_STEPS = "too many steps"
    JACOBIAN_SINGULAR = "Jacobian singular"
    JACOBIAN_NOT_FINITE = "Jacobian not finite"
    NEWTON_FAILED = "Newton iteration failed"
    INTERRUPTED = "interrupted"
    INFEASIBLE = "overlaps not feasible"

    @property
    def failed(self) -> bool:
        """Whether the requested times were not reached, and no event asked to stop."""
        return self not in (Status.SUCCESS, Status.EVENT)

    @property
    def advice(self) -> str:
        """What to do next, in one or two sentences."""
        return _ADVICE[self]


_ADVICE = {
    Status.SUCCESS: "",
    Status.EVENT: "A terminal event was reached.",
    Status.NOT_FINITE: "The right-hand side or the state is NaN or infinite here, however small the step: the solution "
    "diverges or leaves the domain, or the right-hand side does not write every component of dy.",
    Status.STEP_TOO_SMALL: "No step that still moves the time meets the tolerances: the solution blows up or jumps "
    "here, or `rtol` and `atol` are below round-off.",
    Status.TOO_MANY_STEPS: 'Raise `max_steps`, loosen `rtol`, or use method="radau" if the problem is stiff.',
    Status.JACOBIAN_SINGULAR: "The matrix of the implicit method is singular, however small the step: check the Jacobian.",
    Status.JACOBIAN_NOT_FINITE: "The Jacobian holds NaN or infinity: check its formula.",
    Status.NEWTON_FAILED: "Newton's iteration does not converge, however small the step: check the Jacobian against "
    "the right-hand side.",
    Status.INFEASIBLE: "The state left the set in which the equations hold.",
    Status.INTERRUPTED: "The part up to this time is in the attributes of the error.",
}

_CODES = {
    layout.SUCCESS: Status.SUCCESS,
    layout.EVENT: Status.EVENT,
    layout.NOT_FINITE: Status.NOT_FINITE,
    layout.STEP_TOO_SMALL: Status.STEP_TOO_SMALL,
    layout.TOO_MANY_STEPS: Status.TOO_MANY_STEPS,
    layout.JACOBIAN_SINGULAR: Status.JACOBIAN_SINGULAR,
    layout.JACOBIAN_NOT_FINITE: Status.JACOBIAN_NOT_FINITE,
    layout.NEWTON_FAILED: Status.NEWTON_FAILED,
    layout.INTERRUPTED: Status.INTERRUPTED,
}


def status_of(code: int) -> Status:
    """Return the status of a code of the compiled loops."""
    return _CODES[code]


@dataclass(frozen=True)
class Report:
    """How an integration went.

    Attributes
    ----------
    status : Status
        Why it stopped.
    method : str
        The method, or the methods in order of use, such as "dop853, radau".
    switches : tuple of (float, str)
        For each method used, the time at which it took over.
    steps, rejected : int
        Accepted and rejected steps.
    evaluations, jacobians, factorisations : int
        Calls of the right-hand side (those for differences included), of the Jacobian or of its approximation by
        differences, and decompositions of real or complex matrices.
    reached : float
        The time that was reached.
    wall_time : float
        Seconds, without compilation.
    rtol : float
        Relative tolerance.
    atol : float
        Absolute tolerance, the smallest one if there is one per component.
    event_times : ndarray, shape (events,)
        First crossing of each event, NaN if it was not reached.
    crossings, event_states : tuple of ndarray
        All crossings of each event, and the states there, shapes (crossings,) and (crossings, n).
    message : str
        One sentence.
    """

    status: Status
    method: str
    switches: tuple[tuple[float, str], ...]
    steps: int
    rejected: int
    evaluations: int
    jacobians: int
    factorisations: int
    reached: float
    wall_time: float
    rtol: float
    atol: float
    event_times: np.ndarray = field(repr=False)
    crossings: tuple[np.ndarray, ...] = field(repr=False)
    event_states: tuple[np.ndarray, ...] = field(repr=False)
    message: str = ""

    def provenance(self) -> dict[str, Any]:
        """Return the report as plain Python values, without the states at events."""
        plain = {name: getattr(self, name) for name in ("method", "steps", "rejected", "evaluations", "jacobians")}
        plain |= {name: getattr(self, name) for name in ("factorisations", "reached", "wall_time", "rtol", "atol")}
        plain |= {"status": self.status.value, "message": self.message}
        plain["switches"] = [[float(time), name] for time, name in self.switches]
        plain["event_times"] = [float(time) if np.isfinite(time) else None for time in self.event_times]
        return plain


class IntegrationError(Unfinished, RuntimeError):
    """An integration stopped before the last requested time.

    Attributes
    ----------
    times, states : ndarray
        The requested times that were reached, and the states there.
    report : Report
        How it went; `report.status` says why it stopped.
    """

    def with_advice(self, advice: str) -> IntegrationError:
        """Return the error with other advice."""
        message = message_of(self.report.status, self.report.reached, {self.report.status: advice})
        return IntegrationError(message, self.times, self.states, replace(self.report, message=message))


class IntegrationInterrupted(OneLine, Unfinished, KeyboardInterrupt):
    """The user interrupted an integration; it carries the finished part like an `IntegrationError`."""


def message_of(status: Status, time: float, advice: dict[Status, str] | None) -> str:
    """Return the sentence about a stop; `advice` replaces the general advice by that of the problem."""
    if status is Status.SUCCESS:
        return f"Integration reached t={time:.6g}."
    if status is Status.EVENT:
        return f"Integration stopped at t={time:.6g} (event)."
    sentence = (advice or {}).get(status, status.advice)
    return f"Integration stopped at t={time:.3g} ({status.value}). {sentence}"
