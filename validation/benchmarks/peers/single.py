"""One problem in one call: the time from the call to the answer, all compiled code warm."""

from __future__ import annotations

from typing import Any

from . import integrators
from .clock import error_of, in_turn, on_one_processor
from .subject import TIMES, make
from .throughput import EQUAL, reference


def run(quick: bool) -> dict[str, Any]:
    """Return the median time of one call by each integrator, in microseconds."""
    import flowlimits as fl
    from flowlimits.committee.equations import square as equations_square
    from flowlimits.committee.equations import system

    repeats = 5 if quick else 40
    undo = on_one_processor()
    try:
        subject = make(8)
        states, _ = reference(subject, 8)
        problem = fl.Committee(subject.Q[0], subject.R[0], subject.T[0])
        rhs, params = fl.ode.right_hand_side(equations_square.rhs), system.parameters(problem, 0.0)
        work = equations_square.work_size(4, 4)
        runs: dict[str, Any] = {
            "flowlimits Committee.solve": lambda: problem.solve(TIMES, rtol=EQUAL, atol=EQUAL / 100),
            "flowlimits ode.integrate": lambda: fl.ode.integrate(
                rhs, subject.y0s[0], TIMES, params, rtol=EQUAL, atol=EQUAL / 100, work_size=work
            ),
        }  # fmt: skip
        built, skipped = integrators.build_all(subject)
        for name, prepare in built.items():
            # One problem is no block: compiling traces for it gains nothing.
            if "torch.compile" in name or name.startswith("flowlimits"):
                continue
            try:
                one = prepare(1, EQUAL)
                error_of(one(), states)
            except Exception as error:  # what a package cannot do here is told by its name
                skipped[name] = f"{type(error).__name__}: {error}".splitlines()[0]
                continue
            runs[name] = one
        for function in runs.values():
            function()
        taken = in_turn(runs, repeats, patience=6.0)
    finally:
        undo()
    rows = {
        name: {"processor": 1e6 * times.median(), "wall": 1e6 * times.median("wall")} for name, times in taken.items()
    }
    return {"rows": rows, "skipped": skipped}
