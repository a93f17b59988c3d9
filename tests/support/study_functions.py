"""Functions that studies of the tests map over their axes; workers import them from here."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

SCALE = 2.0


def product(a, b):
    return a * b


def scaled(a):
    return SCALE * _helper(a)


def _helper(a):
    return a + 1


def noise(a, rng):
    return {"mean": a + rng.normal(), "path": rng.normal(size=3)}


def slow(a, b, rng, seconds=0.001):
    """A point that works for a while, as a solve does, and whose result depends on its stream."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return {"value": np.sin(a) + b + rng.normal(), "steps": int(1000 * a)}


def sleep(a, seconds=0.02):
    time.sleep(seconds)
    return a


def logged(a, b, log):
    """Write a line per evaluation: what was computed more than once shows there."""
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end:
        pass
    with open(log, "a") as file:
        file.write(f"{a} {b}\n")
    return np.sqrt(a) + b


def fails_at_three(a):
    if a == 3:
        raise ValueError("three is not allowed")
    return 10 * a


def fails_until(a, flag):
    if a == 2 and not Path(flag).exists():
        raise RuntimeError("not yet")
    return a


def kills_its_worker(a, log, deadly=(3,)):
    with open(log, "a") as file:
        file.write(f"{a}\n")
    if a in deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.005)
    return a * a


def other_shape_at_two(a):
    return np.zeros(3 if a == 2 else 2)


def environment(a):
    """The thread limits of the process that computes."""
    from threadpoolctl import threadpool_info

    blas = max((entry["num_threads"] for entry in threadpool_info()), default=1)
    return {
        "blas": blas,
        "numba": int(os.environ.get("NUMBA_NUM_THREADS", 0)),
        "process": os.getpid(),
        "loaded": "matplotlib" in sys.modules,
    }


def polite_exit(a):
    sys.exit(5)
