"""Studies at full size: kills, overhead per point, two workers against one, a hundred thousand points.

Times are those of the machine that runs this; what is compared is measured side by side.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

import flowlimits as fl

from .record import HERE, Record
from .study_functions import spin, tiny, wait, work

SOURCE = "docs/studies.md"
#: Waiting and sharing cannot be measured in processor time: of several repeats the best is the one that others disturbed least.
REPEATS = 3


def run(record: Record, full: bool) -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        kills(record, Path(folder))
    overhead(record)
    two_workers(record, full)
    many_points(record, 100_000)
    dask(record)


def kills(record: Record, folder: Path) -> None:
    """Kill the parent of 2,000 points of a millisecond three times at random moments."""
    log, place = folder / "log", folder / "study"
    script = (
        "import numpy as np, flowlimits as fl\nfrom validation.study_functions import spin\n"
        f"fl.study(spin, dict(point=np.arange(2000.)), folder={str(place)!r}, progress=False, workers=1, parameters=dict(seconds=0.001, log={str(log)!r}))\n"
    )
    chance = random.Random()
    survivors: set[str] = set()
    lost, repeated = 0, []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", script], cwd=HERE.parent)
        # From its first point on, anywhere in the next second; the study as a whole works for two.
        lines = _lines(log)
        while _lines(log) == lines and process.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.6))
        process.kill()
        process.wait()
        now = _committed(place)
        lost += len(survivors - now)
        survivors = now
        repeated.append((len(set(log.read_text().splitlines())) - len(now)) * 1e-3)
    subprocess.run([sys.executable, "-c", script], cwd=HERE.parent, check=True)
    resumed = fl.load(place / "study.nc")
    whole = fl.study(spin, {"point": np.arange(2000.0)}, progress=False, parameters={"seconds": 0.0, "log": os.devnull})
    same = resumed.drop_attrs(deep=False).identical(whole.drop_attrs(deep=False))
    twice = sum(count - 1 for count in Counter(log.read_text().splitlines()).values())
    record.claim(SOURCE, "three kills: committed points that were lost", expected=0, seen=lost, passed=lost == 0)
    record.claim(
        SOURCE,
        "three kills: final table bit for bit that of an uninterrupted study",
        expected=True,
        seen=same,
        passed=same,
    )
    record.below(SOURCE, "three kills: work not yet committed at a kill, the most, in seconds", max(repeated), 2.0)
    record.below(SOURCE, "three kills: points computed twice, seconds of work", twice * 1e-3, 6.0)


def _lines(log: Path) -> int:
    return log.read_text().count("\n") if log.exists() else 0


def _committed(place: Path) -> set[str]:
    from flowlimits.studies.blocks import decode

    return {key.hex() for path in (place / "points").glob("*.npz") for key in decode(path.name, path.read_bytes()).keys}


def overhead(record: Record) -> None:
    """Measure the cost of a point that does nothing, stored and not stored."""
    axes = {"a": np.arange(200.0), "b": np.arange(250.0)}
    count = 50_000
    fl.study(tiny, {"a": [1.0], "b": [1.0]}, progress=False)
    for name, options in (("in memory", {}), ("stored", {"folder": True})):
        took = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                if options:
                    options["folder"] = folder
                start = time.perf_counter()
                fl.study(tiny, axes, progress=False, **options)
                took.append(time.perf_counter() - start)
        record.below(
            SOURCE,
            f"threads, microseconds per empty point, {name}, the best of {REPEATS}",
            min(took) / count * 1e6,
            50.0,
        )


def two_workers(record: Record, full: bool) -> None:
    """Compare one and two workers on points of 20 ms: waiting ones always, computing ones where two cores are free."""
    _ratio(record, "threads, 20 ms of waiting per point: time with one worker over time with two", wait, "threads")
    if full and os.getloadavg()[0] < 0.5 and (os.cpu_count() or 1) >= 2:
        _ratio(
            record,
            "processes, 20 ms of computing per point: time with one worker over time with two",
            work,
            "processes",
        )


def _ratio(record: Record, text: str, function, executor: str) -> None:
    took: dict[int, list[float]] = {1: [], 2: []}
    for workers in (1, 2) * REPEATS:
        start = time.perf_counter()
        fl.study(
            function,
            {"point": np.arange(100.0)},
            progress=False,
            parameters={"seconds": 0.02},
            executor=executor,
            workers=workers,
        )
        took[workers].append(time.perf_counter() - start)
    record.above(SOURCE, f"{text}, the best of {REPEATS}", min(took[1]) / min(took[2]), 1.8)


def many_points(record: Record, count: int) -> None:
    """Store many tiny points in a process of its own, and ask it for its memory."""
    code = (
        "import json, sys, tempfile, time, numpy as np, flowlimits as fl\n"
        "from validation.study_functions import tiny\n"
        "start = time.perf_counter()\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        f"    table = fl.study(tiny, dict(a=np.arange({count // 200}.), b=np.arange(200.)), folder=folder, progress=False)\n"
        "assert (table['status'] == 1).all()\n"
        # Not ru_maxrss, which a process inherits from the one that started it.
        "peak = next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(json.dumps([time.perf_counter() - start, peak / 2**20]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE.parent, check=True, capture_output=True, text=True)
    seconds, gibibytes = json.loads(done.stdout)
    record.below(SOURCE, f"{count} tiny points, stored: seconds", seconds, 30.0)
    record.below(SOURCE, f"{count} tiny points, stored: GiB", gibibytes, 1.0)


def dask(record: Record) -> None:
    """Compare points of 20 ms on a local dask cluster of two workers with the work in them."""
    text = f"dask, two workers, 20 ms points: time beyond the points themselves, in per cent, the best of {REPEATS}"
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        record.skip(SOURCE, text, 'needs pip install "flowlimits[distributed]"')
        return
    count, seconds, beyond = 400, 0.02, []
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        fl.study(wait, {"point": np.arange(20.0)}, progress=False, parameters={"seconds": 0.001}, executor=client)
        for _ in range(REPEATS):
            start = time.perf_counter()
            table = fl.study(
                wait,
                {"point": np.arange(float(count))},
                progress=False,
                parameters={"seconds": seconds},
                executor=client,
            )
            took = time.perf_counter() - start
            # The points themselves are measured in the workers: a sleep of 20 ms takes a little longer than 20 ms.
            ideal = json.loads(table.attrs["provenance"])["computing_time"] / 2
            beyond.append(100 * (took / ideal - 1))
    record.below(SOURCE, text, min(beyond), 5.0)
