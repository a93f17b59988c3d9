"""Many problems: time per problem at equal tolerance and at equal achieved error, and error against time for each integrator."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from . import integrators
from .clock import at_error, error_of, in_turn, on_one_processor
from .integrators import BLOCK, OURS, Prepare
from .subject import COMPONENTS, TIMES, WIDTH, Subject, make

EQUAL, WANTED = 1e-8, 2e-9
TOLERANCES = tuple(10.0**-k for k in range(4, 13))
#: Problems with a reference solution.
SAMPLE = 1024
#: Problems for integrators that take milliseconds for one.
FEW = 8
#: Seconds of the processor that one run of all problems may take; slower integrators get fewer problems, for a quarter of it.
LONGEST = 8.0
#: Seconds for one point of the scan beyond which an integrator gets only three.
SLOW, THREE = 0.5, (1e-6, 1e-8, 1e-10)


def reference(subject: Subject, sample: int) -> tuple[np.ndarray, dict[str, float]]:
    """Return the states by the implicit method at the tightest tolerance, and how far tight solutions by others are from them."""
    import flowlimits as fl
    from flowlimits.committee.equations import square as equations_square
    from flowlimits.committee.equations import system

    rhs = fl.ode.right_hand_side(equations_square.rhs)
    params = np.array(
        [
            system.parameters(fl.Committee(*one), 0.0)
            for one in zip(*(a[:sample] for a in (subject.Q, subject.R, subject.T)))
        ]
    )
    work = equations_square.work_size(WIDTH, WIDTH)
    states = fl.ode.integrate_batch(
        rhs, subject.y0s[:sample], TIMES, params, rtol=1e-13, atol=1e-15, method="radau", work_size=work
    )[1]  # fmt: skip
    others = {"SciPy DOP853, NumPy": FEW, "numbalsoda lsoda": sample, OURS: sample}
    built, _ = integrators.build_all(subject, tuple(others))
    return states, {
        name: error_of(np.asarray(prepare(others[name], 1e-13)()), states)["worst"] for name, prepare in built.items()
    }


def counts_of(built: dict[str, Prepare], sample: int) -> tuple[dict[str, int], dict[str, float], dict[str, str]]:
    """Compile everything; return the problems each integrates in the scan, the seconds of the first call, and what failed."""
    counts, first, failed = {}, {}, {}
    for name, prepare in built.items():
        count = FEW if name.startswith("SciPy") else sample
        began = time.perf_counter()
        try:
            prepare(count, EQUAL)()
        except Exception as error:  # what a package cannot do here is told by its name
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            continue
        counts[name], first[name] = count, time.perf_counter() - began
    return counts, first, failed


def scan(
    built: dict[str, Prepare], counts: dict[str, int], states: np.ndarray, tolerances: tuple[float, ...], repeats: int
) -> dict[str, list[dict[str, float]]]:
    """Return tolerance, error and time per problem of every integrator; points that failed are left out.

    Slow integrators get three tolerances: between them, error and time follow powers.
    """
    runs, errors = {}, {}
    for name, count in counts.items():
        began = time.perf_counter()
        built[name](count, EQUAL)()
        slow = time.perf_counter() - began > SLOW
        for rtol in THREE if slow else tolerances:
            run = built[name](count, rtol)
            error = error_of(np.asarray(run()), states)
            if np.isfinite(error["worst"]):
                runs[name, rtol], errors[name, rtol] = run, error
    taken = in_turn(runs, repeats, patience=SLOW)
    points: dict[str, list[dict[str, float]]] = {name: [] for name in counts}
    for (name, rtol), times in taken.items():
        each = 1e6 / counts[name]
        points[name].append(
            {
                "rtol": rtol,
                **errors[name, rtol],
                "processor": each * times.median(),
                "wall": each * times.median("wall"),
            }
        )
    return points


def contest(
    built: dict[str, Prepare], tolerances: dict[str, float], points: dict[str, list[dict[str, float]]], states: np.ndarray, problems: int,
    repeats: int,
) -> dict[str, Any]:  # fmt: skip
    """Return time per problem and error of every integrator at its tolerance, on as many problems as it gets through."""
    runs, counts, rows = {}, {}, {}
    for name, rtol in tolerances.items():
        each = 1e-6 * min(points[name], key=lambda point: abs(np.log(point["rtol"] / rtol)))["processor"]
        count = problems if problems * each < LONGEST else max(FEW, min(problems, int(0.25 * LONGEST / each)))
        # Whole blocks: a part of one is compiled anew, or as slow as a whole one.
        block = BLOCK.get(name.split()[0], 1)
        counts[name] = min(problems, max(block, count // block * block))
        runs[name] = built[name](counts[name], rtol)
        rows[name] = {
            "rtol": rtol,
            "problems": counts[name],
            **error_of(np.asarray(runs[name]())[: len(states)], states),
        }
    for name, times in in_turn(runs, repeats, patience=LONGEST).items():
        each = 1e6 / counts[name]
        rows[name] |= {
            "processor": each * times.median(),
            "wall": each * times.median("wall"),
            "repeats": len(times.wall),
        }
    return rows


def run(quick: bool) -> dict[str, Any]:
    """Measure everything; return numbers, and the integrators that were left out with the reason."""
    sample, problems, repeats = (128, 1000, 2) if quick else (SAMPLE, 10_000, 5)
    undo = on_one_processor()
    try:
        subject = make(problems)
        states, checks = reference(subject, sample)
        built, skipped = integrators.build_all(subject)
        counts, first, failed = counts_of(built, sample)
        print("throughput: error against time", flush=True)
        points = scan(built, counts, states, TOLERANCES[::4] if quick else TOLERANCES, repeats)
        matched = {}
        for name, found in points.items():
            rtol = at_error([point["median"] for point in found], [point["rtol"] for point in found], WANTED)
            if np.isfinite(rtol):
                matched[name] = rtol
        print("throughput: equal tolerance, equal error", flush=True)
        equal = contest(built, dict.fromkeys(counts, EQUAL), points, states, problems, repeats)
        level = contest(built, matched, points, states, problems, repeats)
    finally:
        undo()
    return {
        "problems": problems, "components": COMPONENTS, "sample": sample, "reference": checks, "first_call": first, "points": points,
        "equal": equal, "matched": level,
        "skipped": skipped | failed,
    }  # fmt: skip
