"""Group the problems of a batch by their equations, and trace and compile those of each group for all lanes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...compiled.jit import CompilationError, is_strict
from ..functions import RightHandSide, address_of
from .tracing.cache import cached_trace
from .tracing.generate import compile_program, gives_the_same_bits
from .tracing.operations import Program
from .tracing.symbols import MixedError, UntraceableError

#: Problems from which on a traced right-hand side is worth its compilation.
WORTH = 128
#: Sets of equations in one batch beyond which nothing is traced.
MOST_GROUPS = 16


@dataclass(frozen=True)
class Equations:
    """Equations of a set of problems.

    Attributes
    ----------
    indices : ndarray or None
        The problems; None: all of them.
    traced : int
        Address of the right-hand side of all lanes, 0 if the lanes call the function itself.
    inputs : ndarray, shape (problems or 1, inputs)
        What the traced right-hand side reads besides time and state.
    operations : int
        Operations of the trace.
    """

    indices: np.ndarray | None = None
    traced: int = 0
    inputs: np.ndarray = field(default_factory=lambda: np.zeros((1, 0)))
    operations: int = 0


def group(
    rhs: RightHandSide,
    y0s: np.ndarray,
    params: np.ndarray,
    work_size: int,
    span: tuple[float, float],
    equations: Iterable[int],
    instead: dict[Any, Any] | None,
) -> list[Equations]:
    """Return the sets of problems with the same equations; see `trace.trace` for `equations` and `instead`."""
    if len(y0s) < WORTH or not is_strict(rhs.function):
        return [Equations()]
    try:
        programs = _trace(
            rhs, y0s.shape[1], params, work_size, tuple(equations), instead or {}, np.arange(len(y0s)), MOST_GROUPS
        )
    except UntraceableError:
        return [Equations()]
    if len(programs) > MOST_GROUPS:
        return [Equations()]
    found = []
    for indices, program in programs:
        part = None if len(programs) == 1 else indices
        function = _compile(rhs, program, y0s, params, work_size, span, indices) if len(indices) >= WORTH else None
        if function is None:
            found.append(Equations(part))
        else:
            found.append(Equations(part, address_of(function), program.inputs, len(program.operations)))
    return found


def _trace(
    rhs: RightHandSide,
    n: int,
    params: np.ndarray,
    work_size: int,
    equations: tuple[int, ...],
    instead: dict[Any, Any],
    indices: np.ndarray,
    depth: int,
) -> list[tuple[np.ndarray, Program]]:
    """Return traces with the problems that they are for, parting problems that take other branches."""
    own = params if len(params) in (1, len(indices)) else params[indices]
    try:
        return [(indices, cached_trace(rhs.function.__wrapped__, n, own, work_size, equations, instead))]
    except MixedError as mixed:
        parts = [indices[mixed.groups == label] for label in np.unique(mixed.groups)]
    if len(parts) > MOST_GROUPS or depth == 0:
        raise UntraceableError("the problems have too many different equations")
    return [one for part in parts for one in _trace(rhs, n, params, work_size, equations, instead, part, depth - 1)]


def _compile(
    rhs: RightHandSide,
    program: Program,
    y0s: np.ndarray,
    params: np.ndarray,
    work_size: int,
    span: tuple[float, float],
    indices: np.ndarray,
) -> Any:
    """Return the compiled trace if it gives the bits of the function itself, else None."""
    try:
        function = compile_program(program)
    except CompilationError:
        return None
    addresses = address_of(function), address_of(rhs.function)
    own = params if len(params) == 1 else params[indices]
    return function if gives_the_same_bits(*addresses, span, y0s[indices], own, program.inputs, work_size) else None
