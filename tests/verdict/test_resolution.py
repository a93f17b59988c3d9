"""What could go unseen is stated, and nothing is acquitted or condemned beyond what the sizes can tell."""

import numpy as np
import pytest
from compare_problems import TIMES, several, theory

import flowlimits as fl

pytestmark = pytest.mark.usefixtures("toy_classes")


def test_a_theory_is_acquitted_within_the_resolution_only():
    runs = several(count=100)
    found = fl.compare(theory(), *runs)
    strict = fl.compare(theory(), *runs, resolution=found.unseen / 2)
    assert (found.verdict, strict.verdict, strict.passed) == ("agrees", "undecided: not resolved", None)
    assert strict.unseen == found.unseen == found.dataset.attrs["unseen"]
    margin = found.allowed * found.dataset["extrapolated_error"] / np.abs(found.dataset["theory"]).max("time")
    assert found.unseen <= 1.5 * float(margin.max())
    with pytest.raises(ValueError, match=r"^Argument `resolution` must be positive, but is 0\.0\.$"):
        fl.compare(theory(), *runs, resolution=0.0)


@pytest.mark.parametrize(("spread", "differs"), [(0.02, True), (0.4, False)])
def test_a_slow_bias_condemns_only_where_single_runs_agree_with_each_other(spread, differs):
    """A bias that hardly falls with the size is a wrong theory, unless the runs scatter as they do while a plateau is left."""
    rng = np.random.default_rng(0)
    limit = fl.wrap(TIMES, overlap=np.ones(TIMES.size), kind="limit")
    runs = [
        fl.wrap(TIMES, overlap=1 - bias + spread * rng.standard_normal((400, 1)) * np.ones(TIMES.size), dimension=d)
        for d, bias in ((100, 0.30), (200, 0.27), (400, 0.24))
    ]
    assert (fl.compare(limit, *runs).passed is False) == differs


def test_a_gradient_flow_compared_with_sgd_is_told_what_it_lacks():
    overlaps = {"Q": [[0.5]], "R": [[0.3]], "T": [[1.0]], "activation": "erf"}
    times = [1.0, 2.0]
    runs = fl.Committee(**overlaps, learning_rate=2.0).simulate(times, dimension=1000, runs=16, rng=0, progress=False)
    found = fl.compare(fl.Committee(**overlaps).solve(times), runs)
    assert found.passed is not True
    assert "it lacks the terms of second order in the learning rate" in str(found)
