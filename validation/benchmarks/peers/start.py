"""Fresh processes: from the start of Python to the states of 256 problems, with empty caches and with filled ones.

A process is ``python -m validation.benchmarks.peers.start NAME FILE``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .clock import in_turn
from .integrators import INTEGRATORS, MANY
from .subject import load, make

NAMES = (
    MANY,
    "numbalsoda dop853",
    "CyRK DOP853",
    "diffrax Tsit5",
    "torchdiffeq dopri5",
    "torchdiffeq dopri5, torch.compile",
    "SciPy DOP853, NumPy",
)
PROBLEMS = 256
#: SciPy with NumPy would only show how long its integration takes.
FEWER = {"SciPy DOP853, NumPy": 1}


def environment(folder: Path) -> dict[str, str]:
    """Return an environment whose caches of compiled code lie in a folder, those of other packages too."""
    return os.environ | {
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "torch"),
    }


def child(name: str, stored: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one integrator in a process of its own."""
    command = [sys.executable, "-m", "validation.benchmarks.peers.start", name, str(stored)]
    return subprocess.run(command, env=environment(folder), capture_output=True, text=True)


def run(quick: bool) -> dict[str, Any]:
    """Return seconds on the wall from an empty cache (once) and from a filled one (median)."""
    rows, skipped, warm = {}, {}, {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        stored = folder / "subject.npz"
        make(PROBLEMS).save(stored)
        for name in (MANY, "SciPy DOP853, NumPy") if quick else NAMES:
            seen: list[Any] = []
            took = in_turn({name: lambda name=name, seen=seen: seen.append(child(name, stored, folder))}, 1)[name]
            if seen[0].returncode:
                skipped[name] = (seen[0].stderr.strip().splitlines() or ["no message"])[-1]
                continue
            rows[name] = {"cold": took.wall[0], "problems": FEWER.get(name, PROBLEMS)}
            warm[name] = lambda name=name: child(name, stored, folder).check_returncode()
        warm["import numba, scipy, xarray"] = lambda: subprocess.run(
            [sys.executable, "-c", "import numba, scipy, xarray"], check=True, capture_output=True
        )
        for name, times in in_turn(warm, 1 if quick else 5).items():
            rows.setdefault(name, {"cold": None, "problems": 0})["warm"] = times.median("wall")
    return {"rows": rows, "skipped": skipped}


def main() -> None:
    """Integrate what the command line names."""
    name, stored = sys.argv[1:]
    integrator = next(one for one in INTEGRATORS if one.name == name)
    integrator.build(load(Path(stored)))(FEWER.get(name, PROBLEMS), 1e-8)()


if __name__ == "__main__":
    main()
