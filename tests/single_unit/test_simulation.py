"""Runs of one unit: in law, against real inputs, against the limit."""

import naive_single_unit as naive
import numpy as np
import pytest

import flowlimits as fl

SHARES = np.array([0.5, 0.3, 0.2])
LAW = fl.Spectrum([1.6, 0.5, 0.25], SHARES)


def unit(link="linear", **physics):
    return fl.SingleUnit(link, **{"Q": 0.5 * SHARES, "R": [0.1, 0.03, 0.0], "T": SHARES, "covariance": LAW} | physics)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slope_of(link):
    if link == "logistic":
        return lambda u, y: -y * sigmoid(-y * u), lambda v, rng: np.where(rng.random(v.shape) < sigmoid(v), 1.0, -1.0)
    return lambda u, y: 2 * u * (u * u - y), lambda v, rng: v * v + np.sqrt(0.1) * rng.standard_normal(v.shape)


@pytest.mark.parametrize(
    ("link", "physics"),
    [("logistic", {"learning_rate": 2.0}), ("square", {"learning_rate": 0.01, "noise": 0.1})],
)
@pytest.mark.parametrize("method", ["overlaps", "samples"])
def test_runs_have_the_law_of_real_inputs(link, physics, method):
    """Means and variances of all overlaps after 1, 10 and 30 steps in 10 dimensions, against naive runs."""
    d, runs, rng = 10, 1500, np.random.default_rng(5)
    problem = unit(link, **physics)
    steps = np.array([1, 10, 30])
    names = ["Q_groups", "R_groups"]
    found = problem.simulate(
        steps * problem.learning_rate / d, dimension=d, runs=runs, rng=1, method=method, observables=names, threads=1, progress=False
    )  # fmt: skip
    sizes = [5, 3, 2]
    groups = np.repeat(np.arange(3), sizes)
    w, w_star = np.zeros(d), np.zeros(d)
    begin = 0
    for g, size in enumerate(sizes):
        length = np.sqrt(problem.T[g])
        w_star[begin] = length
        w[begin] = problem.R[g] / length
        w[begin + 1] = np.sqrt(problem.Q[g] - w[begin] ** 2)
        begin += size
    w, w_star = np.tile(w, (runs, 1)) * np.sqrt(d), w_star * np.sqrt(d)
    slope, label = slope_of(link)
    worst = []
    for place, more in enumerate(np.diff(steps, prepend=0)):
        w = naive.sgd(w, w_star, np.sqrt(LAW.groups[0][groups]), more, problem.learning_rate, slope, label, rng)
        for name, product in (("Q_groups", w * w), ("R_groups", w * w_star)):
            for g in range(3):
                real, drawn = product[:, groups == g].sum(1) / d, found[name].values[:, place, g]
                for one, other in ((real, drawn), ((real - real.mean()) ** 2, (drawn - drawn.mean()) ** 2)):
                    worst.append(abs(one.mean() - other.mean()) / np.sqrt((one.var() + other.var()) / runs))
    assert max(worst) < 4.2


def test_the_mean_of_linear_runs_obeys_its_exact_recursion():
    """A power law in the same groups: few effective dimensions, and the limit is off by many standard errors."""
    d, rate, runs = 40, 0.3, 2500
    c = np.arange(1, d + 1.0) ** -1.5
    c /= c.mean()
    problem = fl.SingleUnit("linear", Q=0.0, T=1.0, covariance=c, learning_rate=rate)
    steps = np.array([20, 100, 400])
    found = problem.simulate(steps * rate / d, dimension=d, runs=runs, rng=3, threads=1, progress=False)
    m, expected = np.full(d, 1 / d), []
    for step in range(1, steps[-1] + 1):
        risk = c @ m
        m = m - 2 * rate / d * c * m + (rate / d) ** 2 * (c * risk + 2 * c**2 * m)
        if step in steps:
            expected.append(0.5 * c @ m)
    mean, error = found["risk"].mean("run"), found["risk"].std("run") / np.sqrt(runs)
    z = (mean.values - expected) / error.values
    assert np.abs(z).max() < 4
    limit = problem.solve(found["time"].values)["risk"].values
    assert np.abs((mean.values - limit) / error.values).max() > 4
    assert found.attrs["effective_dimension"] == pytest.approx(c.sum() ** 2 / (c**2).sum())


def test_runs_approach_the_limit_as_the_dimension_grows():
    problem = unit("logistic", learning_rate=1.0)
    times = [1.0, 3.0]
    spread, gap = [], []
    for d in (100, 400):
        found = problem.simulate(times, dimension=d, runs=300, rng=d, threads=1, progress=False)
        exact = problem.solve(found["time"].values)
        spread.append(found["Q"].std("run").values[-1] * np.sqrt(d))
        gap.append(abs(found["Q"].mean("run").values - exact["Q"].values).max() / (spread[-1] / np.sqrt(300 * d)))
    assert spread[0] == pytest.approx(spread[1], rel=0.2)
    assert max(gap) < 4


def test_gradient_descent_in_small_steps_is_the_flow():
    problem = unit("logistic")
    exact = problem.solve([1.0, 3.0])["risk"].values
    coarse, fine = (
        problem.simulate([1.0, 3.0], dimension=20, step=step)["risk"].values[0] - exact for step in (0.02, 0.01)
    )
    np.testing.assert_allclose(coarse / fine, 2.0, rtol=0.05)


def test_threads_do_not_change_runs_and_the_record_repeats_them():
    problem = unit("tanh", learning_rate=0.5, noise=0.1)
    one, two = (
        problem.simulate([0.5, 1.0], dimension=30, runs=4, rng=7, threads=threads, progress=False) for threads in (1, 2)
    )
    np.testing.assert_array_equal(one["risk"], two["risk"])
    assert one["risk"].dims == ("run", "time")


def test_groups_without_a_teacher_take_noise_only():
    problem = fl.SingleUnit(
        "linear", Q=[0.2, 0.1], R=[0.1, 0.0], T=[1.0, 0.0], learning_rate=0.5, noise=0.5,
        covariance=fl.Spectrum([1.0, 2.0], [0.5, 0.5]),
    )  # fmt: skip
    found, real = (
        problem.simulate([2.0], dimension=8, runs=1000, rng=1, method=method, observables=["Q_groups"], threads=1, progress=False)[
            "Q_groups"
        ].values[:, 0]
        for method in ("overlaps", "samples")
    )  # fmt: skip
    z = (found.mean(0) - real.mean(0)) / np.sqrt((found.var(0) + real.var(0)) / 1000)
    assert np.abs(z).max() < 4


def test_weights_of_one_direction_each():
    """As many groups as dimensions: nothing is across the teacher."""
    c = np.array([2.0, 1.0, 0.5])
    rng = np.random.default_rng(0)
    w, w_star = rng.standard_normal(3), rng.standard_normal(3)
    problem = fl.SingleUnit.from_weights(w, w_star, covariance=c, learning_rate=0.1)
    found, real = (
        problem.simulate([1.0], dimension=3, runs=1000, rng=1, method=method, threads=1, progress=False)["risk"].values[:, 0]
        for method in ("overlaps", "samples")
    )  # fmt: skip
    assert abs(found.mean() - real.mean()) < 4 * np.sqrt((found.var() + real.var()) / 1000)


def test_a_diverging_run_says_when():
    problem = unit("square", learning_rate=5.0)
    with pytest.raises(
        FloatingPointError, match=r"^The simulation left the finite range at t=.* Lower the learning rate, 5\.$"
    ):
        problem.simulate([10.0], dimension=10, rng=0, progress=False)


def test_verdicts_count_the_effective_dimension():
    """The same deviation of some percent is an error at d = 400, and may be an effect of its 24 effective dimensions."""
    law = fl.Spectrum([1.0, 0.01], [0.0025, 0.9975])
    problem = fl.SingleUnit("linear", Q=0.0, R=0.0, T=[1.0, 1.0], covariance=law, learning_rate=1.0)
    runs = problem.simulate([2.0, 40.0, 400.0], dimension=400, runs=32, rng=0, progress=False, threads=1)
    assert runs.attrs["effective_dimension"] == pytest.approx(400 * law.mean**2 / (0.0025 + 0.9975e-4))
    theory = problem.solve(runs.time)
    moved = runs.assign(R=runs.R - runs.R.mean("run") + theory.R + 0.05)
    told = fl.compare(theory, moved, variables=["R"])
    assert told.verdict == "undecided: one size"
    assert "deviation x effective dimension (24)" in str(told)
    del moved.attrs["effective_dimension"]
    assert fl.compare(theory, moved, variables=["R"]).verdict == "differs"
