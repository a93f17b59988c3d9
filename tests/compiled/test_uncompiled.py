"""Compiled code computes what its Python source says, to round-off; and the source touches nothing out of bounds.

Compiled code does not check indices and reads whatever lies beyond the end of an array.  Python does check, and coverage
counts the lines of compiled functions there.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uncompiled_cases

# Jacobians by differences amplify round-off, and Newton's iteration stops at the tolerance of the step.
ERRORS = dict.fromkeys(
    (
        "stiff_integrators",
        "stiffness_is_found",
        "stiff_oscillation",
        "many_events",
        "batches_in_lanes",
        "implicit_steps_under_a_covariance",
    ),
    1e-6,
) | {"stiffness_that_ends": 1e-5, "extensive_limits_of_all_starts": 1e-9}  # asked to 1e-3 only


@pytest.fixture(scope="module")
def uncompiled(tmp_path_factory):
    """The numbers of all cases, from a process that compiles nothing."""
    path = tmp_path_factory.mktemp("uncompiled") / "numbers.npz"
    done = subprocess.run(
        [sys.executable, uncompiled_cases.__file__, str(path)],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, timeout=220, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(path) as stored:
        return dict(stored)


@pytest.mark.parametrize("name", list(uncompiled_cases.CASES))
def test_compiled_functions_compute_what_their_source_says(name, uncompiled):
    found, expected = uncompiled_cases.compute([name])[name], uncompiled[name]
    assert found.size > 0
    np.testing.assert_allclose(found, expected, rtol=ERRORS.get(name, 1e-11), atol=ERRORS.get(name, 1e-11))


def test_nothing_was_compiled_for_the_comparison(tmp_path):
    code = (
        "from types import FunctionType\n"
        "from flowlimits.ode import explicit_loop as explicit\n"
        "from flowlimits.samples import equations\n"
        "assert isinstance(explicit.advance, FunctionType)\n"
        "assert isinstance(equations.sample_flow.__wrapped__, FunctionType)\n"
        "try:\n"
        "    equations.sample_flow(0.0, *[__import__('numpy').zeros(1)] * 4)\n"
        "except IndexError:\n"
        "    print('in bounds')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "in bounds\n", done.stderr
