"""The limit of infinite width is the flow of `finite.limit` that starts from a square root of the second moment."""

from __future__ import annotations

from typing import Any

from ..finite.limit import call, check_observables, event_variables, path, tolerances
from .physics import ALL, Physics

__all__ = ["call", "event_variables", "observables", "path", "tolerances"]


def observables(problem: Physics, given: Any) -> tuple[str, ...]:
    """Return the names of the variables to return; the eigenvalues are among them by default."""
    return check_observables(ALL if given is None else given)
