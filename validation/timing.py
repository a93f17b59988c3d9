"""Processor time: summed over threads, and not the time of the wall, which other programs on the machine lengthen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def once(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time of one call, and its result."""
    began = time.process_time()
    result = function()
    return time.process_time() - began, result


def seconds_of(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least processor time of three calls after one that compiles, and the result."""
    function()
    outcomes = [once(function) for _ in range(3)]
    return min(seconds for seconds, _ in outcomes), outcomes[-1][1]
