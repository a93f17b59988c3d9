"""The public verb `integrate`, and integrations in pieces between times at which the right-hand side jumps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from itertools import chain, pairwise
from typing import Any

import numpy as np

from ..core import checks
from . import inputs
from .driver import Integration
from .functions import RightHandSide, address_of
from .guards import ADVICE, SHORT_STEPS, Guard, slides
from .jacobians import Structure
from .report import IntegrationError, IntegrationInterrupted, Report, Status, message_of

#: ``solve(start, y0, times, max_steps)`` integrates one piece.
Piece = Callable[[float, np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray, Report]]


def integrate_pieces(
    solve: Piece,
    y0: np.ndarray,
    times: np.ndarray,
    start: float,
    jumps: np.ndarray,
    max_steps: int,
    advice: dict[Status, str] | None,
) -> tuple[np.ndarray, np.ndarray, Report]:
    """Return times, states and report of an integration that begins anew at every jump.

    A piece ends at the last number before the jump, so that no stage sees the other side of it.
    """
    wanted: list[np.ndarray] = []
    states: list[np.ndarray] = []
    reports: list[Report] = []
    state, left = y0, max_steps
    ends = [start, *jumps, times[-1]]
    for begin, end in pairwise(ends):
        last = end == ends[-1]
        own = times[(times <= end) & ((times > begin) | ((begin == start) & (times >= begin)))]
        stops = own if last else np.append(own[own < end], end)
        inner = stops if last else np.minimum(stops, np.nextafter(end, -np.inf))
        inner, which = np.unique(inner, return_index=True)
        failure: IntegrationError | IntegrationInterrupted | None = None
        try:
            reached, values, report = solve(begin, state, inner, max(left, 1))
        except (IntegrationError, IntegrationInterrupted) as error:
            reached, values, report, failure = error.times, error.states, error.report, error
        reports.append(report)
        left -= report.steps + report.rejected
        stopped = report.status is Status.EVENT
        at = reached if stopped else stops[which][: len(reached)]
        asked = np.isin(at, own) | (stopped & (at == reached[-1] if len(reached) else False))
        wanted.append(at[asked])
        states.append(values[asked])
        if failure is not None or stopped:
            break
        state = values[-1]
    whole = combine(reports, advice)
    found = np.concatenate(wanted), np.concatenate(states)
    if failure is not None:
        raise type(failure)(whole.message, *found, whole)
    return (*found, whole)


def combine(reports: list[Report], advice: dict[Status, str] | None) -> Report:
    """Return one report of several pieces."""
    last = reports[-1]
    if len(reports) == 1:
        return last
    counts = ("steps", "rejected", "evaluations", "jacobians", "factorisations", "wall_time")
    switches = list(chain.from_iterable(report.switches for report in reports))
    # The method goes on where a piece begins with that of the piece before.
    switches = [one for i, one in enumerate(switches) if i == 0 or one[1] != switches[i - 1][1]]
    events = range(len(last.crossings))
    crossings = tuple(np.concatenate([report.crossings[e] for report in reports]) for e in events)
    return dataclasses.replace(
        last,
        method=", ".join(name for _, name in switches),
        switches=tuple(switches),
        crossings=crossings,
        event_states=tuple(np.concatenate([report.event_states[e] for report in reports]) for e in events),
        event_times=np.array([times[0] if times.size else np.nan for times in crossings]),
        message=message_of(last.status, last.reached, advice),
        **{name: sum(getattr(report, name) for report in reports) for name in counts},
    )


def integrate(
    rhs: RightHandSide,
    y0: Any,
    times: Any,
    params: Any = (),
    *,
    start: float = 0.0,
    rtol: float = 1e-8,
    atol: Any = 1e-10,
    method: str = "auto",
    events: Any = (),
    max_steps: int = 1_000_000,
    work_size: int = 0,
    first_step: float | None = None,
    max_step: float | None = None,
    dense: Any = "auto",
    progress: bool | None = False,
    rank: int | None = None,
    sparsity: Any = None,
    structure: Structure | None = None,
    advice: dict[Status, str] | None = None,
    jumps: Any = (),
) -> tuple[np.ndarray, np.ndarray, Report]:
    r"""Integrate y' = f(t, y) with adaptive steps and return the states at the requested times.

    Parameters
    ----------
    rhs : RightHandSide
        A function decorated with `right_hand_side`.
    y0 : array_like, shape (n,)
        The state at time `start`.
    times : array_like, shape (times,)
        Requested times, strictly increasing, none before `start`.
    params : array_like, shape (m,), optional
        Passed to the right-hand side, the Jacobian and the events.

    Returns
    -------
    times : ndarray, shape (times,)
        The requested times; if a terminal event stopped the integration, those before it and then its own.
    states : ndarray, shape (times, n)
        The states there.
    report : Report
        Why it stopped, which methods were used and when, what it cost, when the events happened.

    Other Parameters
    ----------------
    start : float
        Time of `y0`.
    rtol, atol : float; float or array_like, shape (n,)
        In each step the estimated error of every component i is kept below atol_i + rtol \|y_i\|.  Where atol_i is
        zero, component i has only its relative error controlled, and must not pass through zero.
    method : {"auto", "dop853", "radau", "radau5", "radau9", "radau13"}
        "dop853" is explicit, of order 8.  "radau" is implicit, for stiff problems; its order
        follows from `rtol`: 13 up to 1e-8, 9 up to 1e-4, else 5, lowered while Newton's iteration converges badly; with
        a number the order is fixed.  "auto" begins with "dop853" and changes to "radau" when 15 steps, with fewer
        than 6 others between two of them, were at the limit of stability, and when more steps than the linear
        algebra of the implicit method is worth would remain: about 100 for a few components, 2,000 for n = 26 and
        100,000 for n = 200 with dense Jacobians, some hundreds with structured ones.  It changes back after 20
        steps in which the step times a norm of the Jacobian was below 2.
    events : Event or sequence of Event
        Functions decorated with `event`.  Sign changes are looked for at four points in every step; each root is then
        refined by real steps that end on it, so its time is as accurate as the solution.  Two sign changes between
        neighbouring points go unseen: `max_step` brings the points nearer.  A value that is exactly zero at the start is
        no event.
    max_steps : int
        Accepted and rejected steps together.
    work_size : int
        Length of the scratch array passed to the right-hand side; its content is kept from call to call.
    first_step, max_step : float
        Length of the first step (estimated without it) and of the longest.
    dense : {"auto", True, False}
        Whether requested times inside a step are reached by its continuous extension (True) or by steps that end on
        them (False).  A step that interpolates is also rejected if the estimated error of its continuous extension
        exceeds the tolerance.  "auto" interpolates where times are dense: from 3 requested times in one explicit step
        on and while there is one, or from 5 in one implicit step on and while there are two, because an implicit
        step that interpolates must be two to three times shorter.
    progress : bool or None
        Show a bar over time on stderr; None: only when it takes more than two seconds.
    rank : int
        Columns of U and V of a structured Jacobian.
    sparsity : array_like of bool, shape (n, n)
        Pattern for coloured differences, see `right_hand_side`.
    structure : Structure
        How to evaluate the Jacobian and to solve with it, in the place of a Jacobian of `rhs`.
    advice : dict of Status to str
        What to say after a failure instead of the general advice.
    jumps : array_like, shape (jumps,)
        Times at which the right-hand side jumps, such as the edges of a pulse: steps end there, and the integration
        begins anew.  Without them a pulse shorter than a step may be stepped over; `max_step` bounds the steps.

    Raises
    ------
    IntegrationError
        If the last time was not reached.  The error carries the finished part as `times` and `states`, and `report`.
    IntegrationInterrupted
        A KeyboardInterrupt that carries the same.
    ValueError, TypeError
        For bad arguments, and for a right-hand side that reads beyond its arrays, writes to `y`, or is random: it is
        called without compilation at the start and at states that were reached, as far as its loops are short.

    Notes
    -----
    The loops are compiled once for all models and find the equations by their address.  They run in slices of about
    0.15 s, so that interrupts and progress bars work; slices do not change the result.

    References
    ----------
    E. Hairer, S. P. Norsett, G. Wanner, *Solving Ordinary Differential Equations I*, Springer 1993, section II.10.
    E. Hairer, G. Wanner, *Solving Ordinary Differential Equations II*, Springer 1996, sections IV.2, IV.8.
    E. Hairer, G. Wanner, J. Comput. Appl. Math. 111 (1999) 93-111.

    Examples
    --------
    >>> import flowlimits as fl
    >>> @fl.ode.right_hand_side
    ... def decay(t, y, dy, params, work):
    ...     dy[0] = -params[0] * y[0]
    >>> times, states, report = fl.ode.integrate(decay, [1.0], [1.0, 2.0], params=[0.5])
    >>> states[:, 0].round(6).tolist()
    [0.606531, 0.367879]
    """
    rhs = inputs.check_rhs(rhs)
    begin = checks.number("start", start, largest=math.inf)
    state = np.atleast_1d(checks.array("y0", y0, largest=math.inf))
    if state.ndim != 1:
        checks.array("y0", state, ["n"], largest=math.inf)  # says so
    relative, absolute = inputs.check_tolerances(rtol, atol, state.size)
    parameters = checks.array("params", params, ["m"], allow_empty=True, largest=math.inf)
    work = checks.integer("work_size", work_size, minimum=0)
    wanted = inputs.check_times(times, begin)
    watched = inputs.check_events(events)
    shown = checks.progress(progress)
    options: dict[str, Any] = {
        "rtol": relative, "atol": absolute, "method": inputs.check_method(method),
        "jacobian": inputs.check_jacobian(rhs, state.size, rank, sparsity, structure),
        "events": tuple((address_of(e.function), e.terminal, e.direction) for e in watched),
        "work_size": work, "dense_from": inputs.check_dense(dense), "owner": (rhs, watched),
        "first_step": 0.0 if first_step is None else checks.number("first_step", first_step, positive=True, largest=math.inf),
        "max_step": inputs.check_max_step(max_step, begin, wanted[-1]),
    }  # fmt: skip
    most = checks.integer("max_steps", max_steps, minimum=1)
    broken = inputs.check_jumps(jumps, begin, wanted[-1])
    guard = Guard(rhs, state.size, parameters, work, watched)
    guard.start(begin, state)

    def piece(at: float, y: np.ndarray, until: np.ndarray, left: int) -> tuple[np.ndarray, np.ndarray, Report]:
        integration = Integration(address_of(rhs.function), y, until, parameters, start=at, max_steps=left, **options)
        try:
            found = integration.run(shown, advice)
        except IntegrationError as error:
            guard.reached(error.times, error.states)
            # What stopped it may be a branch that is first reached in the step after.
            after = error.report.reached + max(integration.step, 1e-6 * (wanted[-1] - begin))
            guard.reached(np.array([after]), integration.y[None])
            short = error.report.status in SHORT_STEPS and guard.active
            if short and slides(guard.velocity, error.report.reached, integration.y, integration.step):
                raise error.with_advice(ADVICE) from None
            raise
        guard.reached(*found[:2])
        return found

    if broken.size:
        return integrate_pieces(piece, state, wanted, begin, broken, most, advice)
    return piece(begin, state, wanted, most)


def _solve(
    address: int, y0: np.ndarray, times: np.ndarray, params: np.ndarray, **options: Any
) -> tuple[np.ndarray, np.ndarray, Report]:
    """Integrate without checks, for callers whose equations are callbacks of their own.

    Parameters
    ----------
    address : int
        Address of the right-hand side; the caller keeps the callback alive.
    y0, times, params : ndarray
        Contiguous float64 arrays; `times` increasing, from `start` on.
    **options
        Keywords of `driver.Integration` (`atol` is required, shape (n,); `jacobian` is a `driver.Jacobian`; events
        are tuples (address, terminal, direction)), and `progress` and `advice` as in `integrate`.
    """
    progress, advice = options.pop("progress", False), options.pop("advice", None)
    return Integration(address, y0, times, params, **options).run(progress, advice)
