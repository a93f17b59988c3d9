"""Very many problems in one call: time, and peak memory beside what the call returns, in fresh processes.

A process is ``python -m validation.benchmarks.peers.large PROBLEMS``; it prints its numbers as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from .subject import TIMES, overlaps


def memory(field: str) -> int:
    """Return a field of this process's memory in bytes: VmRSS, what it holds, or VmHWM, the most it ever held (Linux).

    The peak that `resource` tells begins with that of the process that started this one.
    """
    with open("/proc/self/status", encoding="utf-8") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def measure(problems: int) -> dict[str, float]:
    """Solve the problems; the call before, on few, has compiled everything and filled the import system."""
    import flowlimits as fl

    def solve(count: int) -> Any:
        fields = {name: array[:count] for name, array in zip("QRT", given)}
        return fl.solve_many(fl.Committee, fields, TIMES, threads=1, progress=False)

    given = overlaps(problems)
    solve(min(256, problems))
    before = memory("VmRSS")
    began, processor = time.perf_counter(), time.process_time()
    result = solve(problems)
    wall, processor = time.perf_counter() - began, time.process_time() - processor
    states = 8 * sum(result[name].size for name in ("Q", "R"))
    return {
        "problems": problems, "wall": wall, "processor": processor, "peak": memory("VmHWM") - before, "returned": result.nbytes,
        "overlaps": states, "before": before, "finished": int((result["status"] == "success").sum()),
    }  # fmt: skip


def run(quick: bool) -> dict[str, Any]:
    """Return the numbers of a tenth of the problems, and of all."""
    if not sys.platform.startswith("linux"):
        return {"rows": [], "skipped": {"memory": "it is read from /proc, which only Linux has"}}
    rows = []
    for problems in (1000, 10_000) if quick else (10_000, 100_000):
        command = [sys.executable, "-m", "validation.benchmarks.peers.large", str(problems)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return {"rows": rows, "skipped": {}}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
