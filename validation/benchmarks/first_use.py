"""What the first use of each room costs on a machine: ``python -m validation.benchmarks.first_use [ROOM ...]``.

Each room is used in a fresh process with an empty cache of compiled code, and once more with the cache that this left.  Processor time counts,
threads included; the machine code of a function with an address is one, and its parts are the helpers that are compiled into it.  One
processor serves them; on two, with the second process of `flowlimits.compiled.beside`, the rooms that start one are used once more.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..timing import machine

_COMMITTEE = "fl.Committee([[.5, .1], [.1, .4]], [[.2, 0.], [0., .1]], [[1., 0.], [0., 1.]], activation={0!r})"
_README = (
    "converge extensive --student-ratio 0.5 --teacher-ratio 0.25 --sizes 60,120,240 --runs 24 --rng 0 --out first_use"
)

#: What is done in each room.
ROOMS = {
    "README's first command": f"from flowlimits.command_line.main import main; sys.argv[1:] = {_README.split()!r}; main()",
    "`ExtensiveQuadratic.solve`": "fl.ExtensiveQuadratic(.5, fl.Spectrum.orthonormal(.25)).solve(t)",
    "`ExtensiveQuadratic.simulate`": "fl.ExtensiveQuadratic(.5, fl.Spectrum.orthonormal(.25)).simulate(t, dimension=40, runs=2, rng=0, progress=False)",
    "`QuadraticFlow.solve`": "fl.QuadraticFlow.gaussian(6, 3, 2, rng=0).solve(t)",
    "`MeanFieldQuadratic.solve`": "fl.MeanFieldQuadratic([1., .5, 0.], .3).solve(t)",
    "`Committee.solve`, squares": _COMMITTEE.format("square") + ".solve(t)",
    "`Committee.solve`, erf": _COMMITTEE.format("erf") + ".solve(t)",
    "`Committee.solve`, ReLU": _COMMITTEE.format("relu") + ".solve(t)",
    "`SampleFlow.solve`": "fl.SampleFlow(X, X[:, 0], width=8, rng=0).solve(t)",
    "`XorMixture.solve`": "fl.XorMixture(4, scale=.1, dimension=10, rng=0).solve(t)",
    "`MarginFlow.solve`": "fl.MarginFlow(fl.margin.LinearModel(), X, np.sign(X[:, 0]), rng=0).solve(t, progress=False)",
    "`fl.ode.integrate`, explicit": "fl.ode.integrate(f, [1.], t, [1.], method='dop853')",
    "`fl.ode.integrate`, implicit": "fl.ode.integrate(f, [1.], t, [1.], method='radau')",
    "`fl.solve_many`": f"fl.solve_many([{_COMMITTEE.format('square')}] * 64, t)",
}

#: Where a second process compiles beside the first.
BESIDE = ("README's first command", "`ExtensiveQuadratic.simulate`")

_PROCESS = """
import atexit, os, sys
import numpy as np
import flowlimits as fl
from numba.core import event
from flowlimits.compiled import linking

class Count(event.Listener):
    parts = wholes = 0
    def on_start(self, one): pass
    def on_end(self, one):
        Count.parts += "compile_once" not in vars(one.data["dispatcher"])

counted = Count()
finalize = linking._Library.finalize
def finalised(self):
    Count.wholes += 1
    finalize(self)
linking._Library.finalize = finalised
event.register("numba:compile", counted)
t = [.1, .2]
X = np.random.default_rng(0).standard_normal((12, 3))

@fl.ode.right_hand_side
def f(t, y, dy, params, work):
    dy[0] = -params[0] * y[0]

@atexit.register
def say():
    print(sum(os.times()[:4]), Count.wholes, Count.parts, file=sys.stderr)

{0}
"""


def use(code: str, cache: str, processors: int = 1) -> tuple[float, int, int]:
    """Return the processor time of a fresh process and those it starts, and how many functions and parts it compiled itself."""
    script = Path(cache) / "use.py"
    script.write_text(_PROCESS.format(code))
    environment = os.environ | {"NUMBA_CACHE_DIR": cache, "MPLBACKEND": "agg", "PYTHONPATH": os.pathsep.join(sys.path)}
    available = sorted(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, cwd=cache, capture_output=True, text=True, check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, available[:processors]),
    )  # fmt: skip
    try:
        seconds, wholes, parts = done.stderr.strip().splitlines()[-1].split()
        return float(seconds), int(wholes), int(parts)
    except (ValueError, IndexError):
        raise RuntimeError(done.stderr) from None


def main() -> None:
    """Print the table."""
    asked = sys.argv[1:]
    print(machine())
    print("| first use | functions | parts | empty cache | filled cache |")
    print("|---|---|---|---|---|")
    for name, code in ROOMS.items():
        if asked and not any(one in name for one in asked):
            continue
        with tempfile.TemporaryDirectory() as cache:
            cold, wholes, parts = use(code, cache)
            warm, _, _ = use(code, cache)
        print(f"| {name} | {wholes} | {parts} | {cold:.1f} s | {warm:.1f} s |", flush=True)
    for name in BESIDE:
        if asked and not any(one in name for one in asked):
            continue
        with tempfile.TemporaryDirectory() as cache:
            began = time.perf_counter()
            cold = use(ROOMS[name], cache, 2)[0]
            print(f"{name}, on two processors: {time.perf_counter() - began:.1f} s on the wall, {cold:.1f} s of both.")


if __name__ == "__main__":
    main()
