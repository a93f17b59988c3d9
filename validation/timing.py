"""What claims and benchmarks share: processor time, wall time, and on which machine it was measured."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def once(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time of one call, and its result.

    Summed over threads, and not the time of the wall, which other programs on the machine lengthen.
    """
    began = time.process_time()
    result = function()
    return time.process_time() - began, result


def seconds_of(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least processor time of three calls after one that compiles, and the result."""
    function()
    outcomes = [once(function) for _ in range(3)]
    return min(seconds for seconds, _ in outcomes), outcomes[-1][1]


def wall_time(function: Callable[[], Any], repeats: int = 5) -> tuple[float, Any]:
    """Return the median wall time of a call after one that compiles, and its result."""
    result = function()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = function()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken)), result


def machine() -> str:
    """Return the machine, the load on it, and the versions that decide speed."""
    return f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, NumPy {np.__version__}, Numba {numba.__version__}"
