"""The limit of infinite width is the flow of `finite.limit` that starts from a square root of the second moment.

Where covariance, teacher and start commute it is one scalar for each eigenvalue.
"""

from __future__ import annotations

from typing import Any

from ...core import checks
from ...core.solve import Options
from ..commuting import CommutingPath
from ..finite import limit as finite
from ..finite.limit import METHODS, FlowPath, call, check_observables, event_variables, tolerances
from ..finite.reduced_path import Tolerances
from .physics import ALL, Physics

__all__ = ["call", "event_variables", "observables", "path", "tolerances"]


def observables(problem: Physics, given: Any) -> tuple[str, ...]:
    """Return the names of the variables to return; the eigenvalues are among them by default."""
    return check_observables(ALL if given is None else given)


def path(problem: Physics, options: Options, last: float) -> FlowPath:
    """Return the path of the problem to the time `last`."""
    method = checks.choice("method", options.method, METHODS)
    atoms = problem._atoms() if problem.covariance is not None and method != "matrix" else None
    if atoms is None:
        return finite.path(problem, options, last)
    limits = Tolerances(options.rtol, options.atol, options.max_steps, options.progress)
    engine = CommutingPath(atoms, problem.activation == "square", problem.weight_decay, limits)
    return FlowPath(engine, options, None)
