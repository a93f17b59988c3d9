"""A Numba in which the SIMD types cannot be registered: single problems do not notice, batches say so once."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import flowlimits

PACKAGE = Path(flowlimits.__file__).parent
CODE = """
import warnings
import numba.extending

register = numba.extending.register_model

def broken(kind):
    if kind.__module__.startswith("flowlimits"):
        raise TypeError("register_model takes other arguments")
    return register(kind)

numba.extending.register_model = broken

import numpy as np
import flowlimits as fl

@fl.ode.right_hand_side
def pendulum(t, y, dy, params, work):
    dy[0] = y[1]
    dy[1] = -params[0] * np.sin(y[0])

times = [0.5, 2.0]
y0s, params = np.random.default_rng(0).normal(size=(140, 2)), np.linspace(0.5, 2.0, 140)[:, None]
single = fl.ode.integrate(pendulum, y0s[7], times, params[7], method="dop853", dense=False)
fl.Committee(Q=[[0.5]], R=[[0.1]], T=[[1.0]]).solve([0.0, 1.0])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for method in ("dop853", "auto"):
        _, states, report = fl.ode.integrate_batch(pendulum, y0s, times, params, method=method)
        assert np.array_equal(states[7], single[1])
        assert report.steps[7] == single[2].steps
        assert not report.failed.size
    _, states, report = fl.ode.integrate_batch(pendulum, y0s[:3], times, params[:3], method="radau")
    assert not report.failed.size
print(*(one.message for one in caught), sep="\\n")
"""


def test_batches_go_problem_by_problem_and_say_so_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(CODE))
    done = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("SIMD lanes cannot be used with Numba ")
    assert line.endswith(
        " (TypeError: register_model takes other arguments): batches are integrated problem by problem, with the same results."
    )
