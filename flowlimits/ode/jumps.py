"""Integrations in pieces, between times at which the right-hand side jumps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import chain, pairwise

import numpy as np

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
