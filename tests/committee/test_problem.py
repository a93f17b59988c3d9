"""What a `Committee` accepts and refuses, and what its solutions are."""

import json

import numpy as np
import pytest
import sympy

import flowlimits as fl
from flowlimits.committee import activations

I2 = np.eye(2)


def committee(**changes):
    fields = {"Q": 0.5 * I2, "R": np.full((2, 1), 0.1), "T": [[1.0]]} | changes
    return fl.Committee(fields.pop("Q"), fields.pop("R"), fields.pop("T"), **fields)


@pytest.mark.parametrize(
    ("value", "powers"),
    [
        ("x**3 - 3*x", (0, -3, 0, 1)), ("(z - 1)**2/2", (0.5, -1, 0.5)), ("-2*x*x + 1e-1", (0.1, 0, -2)), ([0, 1, 0], (0, 1)),
        (sympy.Symbol("u") ** 4 - sympy.Rational(1, 2), (-0.5, 0, 0, 0, 1)), (np.array([1.0, 2.0]), (1, 2)),
    ],
)  # fmt: skip
def test_polynomials_are_read_from_coefficients_text_and_sympy(value, powers):
    assert activations.check("activation", value) == tuple(map(float, powers))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("tanh", "`tanh` is not known"),
        ("hermit3", "did you mean `hermite3`?"),
        ("__import__('os').system('true')", r"numbers, one symbol, \+ - \* / and whole powers \*\* are allowed"),
        ("x.__class__", "numbers, one symbol"),
        ("(lambda: 1)()", "numbers, one symbol"),
        ("[x for x in (1,)]", "numbers, one symbol"),
        ("x + y", "the symbols x and y"),
        ("x/0", "divides by something that is not a number other than zero"),
        ("1/x", "divides by something"),
        ("x^2", r"powers are written with \*\*"),
        ("x**x", "whole powers"),
        ("9**9**9*x", "whole powers"),
        ("x**99", "powers end at 24"),
        ("((x**20)**20)", "its degree exceeds 24"),
        ("x" * 400, "text may have 300 characters"),
        ("x +", "cannot be read"),
        ("5", "is constant: nothing would be learnt"),
        (sympy.sin(sympy.Symbol("x")), 'the activations that are not polynomials are "erf" and "relu"'),
        (sympy.Symbol("x") * sympy.Symbol("y"), "must have one symbol"),
        ([0.0] * 30 + [1.0], "has degree 30, but polynomials end at degree 24"),
    ],
)
def test_other_activations_are_refused_with_a_reason(value, reason):
    with pytest.raises(ValueError, match=reason):
        committee(activation=value)


def test_an_activation_of_another_type_is_refused():
    with pytest.raises(TypeError, match=r"Argument `activation` must be one of \"linear\", \"square\""):
        committee(activation=3.0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"Q": np.ones((2, 3))}, ValueError, r"Argument `Q` must have shape \(p, p\), but has shape \(2, 3\)."),
        ({"R": np.ones((2, 2))}, ValueError, r"Argument `R` must have shape \(2, 1\), but has shape \(2, 2\)."),
        ({"Q": [[1.0, 0.3], [0.1, 1.0]]}, ValueError, r"Argument `Q` must be symmetric, but Q\[0, 1\] is 0.3 and Q\[1, 0\] is 0.1."),
        ({"R": np.full((2, 1), 0.9)}, ValueError, r"Overlaps are not feasible: \[\[Q, R\], \[R.T, T\]\] has the eigenvalue -0.547. "),
        ({"noise": -0.1}, ValueError, "Argument `noise` must not be negative, but is -0.1."),
        ({"learning_rate": -1.0}, ValueError, "Argument `learning_rate` must not be negative, but is -1.0."),
        ({"second_layer_rate": -1}, ValueError, "Argument `second_layer_rate` must not be negative"),
        ({"weight_decay": float("nan")}, ValueError, "Argument `weight_decay` must be finite"),
        ({"second_layer": [1.0]}, ValueError, r"Argument `second_layer` must have shape \(2,\), but has shape \(1,\)."),
        ({"activation": "erf", "teacher_activation": "relu"}, ValueError, "may differ if both are polynomials"),
        ({"Q": 0 * I2, "R": np.zeros((2, 1)), "spherical": True}, ValueError, "a row of norm zero has no direction"),
        ({"Q": 0 * I2, "R": np.zeros((2, 1)), "activation": "relu"}, ValueError, "ReLU has no derivative at 0"),
        ({"learning_rte": 0.1}, TypeError, "Committee has no argument `learning_rte`; did you mean `learning_rate`?"),
        ({"spherical": 1}, TypeError, "Argument `spherical` must be True or False"),
    ],
)  # fmt: skip
def test_bad_problems_are_refused_in_a_sentence(changes, error, message):
    with pytest.raises(error, match=message):
        committee(**changes)


def test_moments_that_take_too_long_are_refused_before_the_start():
    physics = {"activation": [0.0] * 12 + [1.0]}
    with pytest.raises(ValueError, match=r"The noise of activations of degree 12 with p = 60 and k = 60 takes about"):
        fl.Committee(np.eye(60), np.zeros((60, 60)), np.eye(60), learning_rate=0.1, **physics)
    fl.Committee(np.eye(60), np.zeros((60, 60)), np.eye(60), **physics)
    with pytest.raises(
        ValueError,
        match=r'The noise of the activation "relu" with p = 60 and k = 60 takes about .* lower the widths, or set learning_rate=0',
    ):
        fl.Committee(np.eye(60), np.zeros((60, 60)), np.eye(60), activation="relu", learning_rate=0.1)
    fl.Committee(np.eye(60), np.zeros((60, 60)), np.eye(60), activation="erf", learning_rate=0.1)
    with pytest.raises(ValueError, match=r'The noise of the activation "erf" with p = 400'):
        fl.Committee(np.eye(400), np.zeros((400, 400)), np.eye(400), activation="erf", learning_rate=0.1)


def test_weights_have_exactly_the_overlaps():
    problem = fl.Committee.random(3, 2, dimension=20, rng=0)
    W, W_star = problem.weights(50, rng=1)
    np.testing.assert_allclose(W @ W.T / 50, problem.Q, atol=1e-13)
    np.testing.assert_allclose(W @ W_star.T / 50, problem.R, atol=1e-13)
    np.testing.assert_allclose(W_star @ W_star.T / 50, problem.T, atol=1e-13)
    with pytest.raises(
        ValueError,
        match=r"Argument `dimension` must be at least student_width \+ teacher_width = 5 to realise these overlaps, but is 4.",
    ):
        problem.weights(4)


def test_weights_exist_for_singular_overlaps():
    T = np.ones((2, 2))
    problem = fl.Committee(T, T, T)
    W, W_star = problem.weights(6, rng=1)
    np.testing.assert_allclose(W, W_star, atol=1e-7)
    np.testing.assert_allclose(W @ W.T / 6, T, atol=1e-13)


def test_from_weights_refuses_two_dimensions():
    with pytest.raises(ValueError, match=r"must have the same number of columns, the dimension, but have 3 and 4."):
        fl.Committee.from_weights(np.ones((2, 3)), np.ones((1, 4)))


def test_a_problem_is_rebuilt_from_its_result():
    schedule = fl.Schedule([0.0, 1.0], [0.02, 0.01])
    problem = committee(activation="x**3 - x", learning_rate=schedule, noise=0.1, second_layer_rate=0.3)
    result = problem.solve([0.0, 0.5])
    assert fl.load_problem(result) == problem
    assert set(result.data_vars) >= {"risk", "Q", "R", "second_layer"}
    assert result.attrs["kind"] == "limit"
    assert json.loads(result.attrs["provenance"])["evaluations"] > 0


def test_gradient_flow_agrees_with_the_flow_of_the_matrix_in_d_dimensions():
    rng = np.random.default_rng(3)
    d, times = 12, np.array([0.0, 0.3, 2.0, 20.0])
    W, W_star = rng.normal(size=(4, d)), rng.normal(size=(3, d))
    for activation in ("square", "centred"):
        ours = fl.Committee.from_weights(W, W_star, activation=activation, weight_decay=0.05).solve(
            times, observables=["overlap"]
        )
        flow = fl.QuadraticFlow(W, W_star, activation=activation, weight_decay=0.05).solve(times)
        assert ours.attrs["kind"] == "exact"
        np.testing.assert_allclose(ours["risk"], flow["risk"], rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(ours["overlap"], flow["overlap"], rtol=1e-6)


def test_phase_retrieval_on_the_sphere_has_its_closed_form():
    """dm/dt = m [4 (1 - 6 g)(1 - m^2) - 2 g noise] (Arnaboldi et al., arXiv 2305.18502)."""
    g, noise, m = 0.05, 0.2, 0.1
    problem = fl.Committee([[1.0]], [[m]], [[1.0]], learning_rate=g, noise=noise, spherical=True)
    times = np.linspace(0, 3, 7)
    result = problem.solve(times, rtol=1e-11, atol=1e-13)
    a, b = 4 * (1 - 6 * g) - 2 * g * noise, 4 * (1 - 6 * g)
    expected = 1 / np.sqrt(b / a + (1 / m**2 - b / a) * np.exp(-2 * a * times))
    np.testing.assert_allclose(result["R"][:, 0, 0], expected, rtol=1e-9)
    np.testing.assert_allclose(result["Q"], 1.0, rtol=1e-12)


def test_a_schedule_is_integrated_piece_by_piece():
    constant = committee(learning_rate=fl.Schedule([0.0, 1.0, 2.0], [0.1, 0.1, 0.1]))
    times = np.linspace(0, 3, 13)
    np.testing.assert_allclose(constant.solve(times)["Q"], committee(learning_rate=0.1).solve(times)["Q"], rtol=1e-7)
    falling = fl.Schedule([1.0, 2.0], [0.1, 0.02])
    result = committee(learning_rate=falling, noise=1.0).solve(times)
    early = committee(learning_rate=0.1, noise=1.0).solve(times)
    np.testing.assert_allclose(result["Q"][:5], early["Q"][:5], rtol=1e-7)
    assert float(result["risk"][-1]) < 0.5 * float(early["risk"][-1])


@pytest.mark.parametrize(
    ("times", "values", "message"),
    [
        ([0, 1], [0.1], "Argument `values` must have shape"),
        ([1, 0], [0.1, 0.1], "Argument `times` must increase strictly"),
        ([0, 1], [0.1, 0.0], "Argument `values` must be positive, but holds 0"),
    ],
)
def test_bad_schedules_are_refused(times, values, message):
    with pytest.raises(ValueError, match=message):
        fl.Schedule(times, values)


def test_divergence_says_when_and_what_learning_rate_would_do():
    problem = fl.Committee.random(2, 1, dimension=100, rng=0, learning_rate=2.0)
    with pytest.raises(
        fl.ode.IntegrationError,
        match=r"Integration stopped at t=0.0\d+ .* Lower the learning rate, 2: at this start the risk decreases only for",
    ) as caught:
        problem.solve([0.001, 10.0])
    assert caught.value.partial["time"].values.tolist() == [0.001]


def test_the_bound_on_the_learning_rate_is_where_the_risk_starts_to_grow():
    from flowlimits.committee.equations import system

    problem = fl.Committee.random(2, 1, dimension=100, rng=0, activation="erf", learning_rate=1.0)
    bound = system.descent_bound(problem, system.choose(problem))
    assert bound == pytest.approx(_descent_bound_by_solving(problem), rel=1e-3)


def _descent_bound_by_solving(problem):
    step, low, high = 1e-4, 0.0, 100.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        trial = fl.Committee(problem.Q, problem.R, problem.T, activation="erf", learning_rate=middle)
        first, last = trial.solve([0.0, step], rtol=1e-12, atol=1e-14)["risk"].values
        low, high = (middle, high) if last < first else (low, middle)
    return low


def test_events_are_found_between_the_requested_times():
    problem = committee(learning_rate=0.05)
    result = problem.solve(
        [0.0, 50.0], events=[fl.Event("risk", 0.1), fl.Event("overlap", 0.9), fl.Event("risk", 99.0)]
    )
    first, second, never = result["event_time"].values
    there = problem.solve(np.sort([first, second]), observables=["overlap"])
    index = 0 if first < second else 1
    assert there["risk"].values[index] == pytest.approx(0.1, rel=1e-6)
    assert there["overlap"].values[1 - index] == pytest.approx(0.9, rel=1e-6)
    assert np.isnan(never)
    stopped = problem.solve([0.0, 50.0], events=fl.Event("risk", 0.1, stop=True))
    assert stopped["time"].values.tolist() == [0.0]
    assert not problem.solve(
        [5.0], events=fl.Event("risk", 0.5 * float(problem.solve([0.0])["risk"][0]), stop=True)
    ).sizes["time"]
    with pytest.raises(ValueError, match="Argument `variable` must be one of"):
        problem.solve([1.0], events=fl.Event("margin", 0.1))


def test_a_flow_may_diverge_after_the_event_that_stops_it():
    problem = fl.Committee.random(2, 1, dimension=100, rng=0, learning_rate=2.0)
    start = float(problem.solve([0.0])["risk"][0])
    result = problem.solve([0.0, 1e-3, 10.0], events=fl.Event("risk", 2 * start, stop=True))
    assert 1e-3 < float(result["event_time"][0]) < 0.1
    assert result["time"].values.tolist() == [0.0, 1e-3]
    with pytest.raises(fl.ode.IntegrationError, match="Lower the learning rate, 2") as caught:
        problem.solve([0.0, 1e-3, 10.0], events=fl.Event("risk", 2 * start))
    assert caught.value.partial["time"].values.tolist() == [0.0, 1e-3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observables": 3}, "Argument `observables` must be a sequence, but is 3."),
        ({"progress": "yes"}, "Argument `progress` must be True, False or None"),
    ],
)
def test_bad_arguments_of_solve_are_refused(arguments, message):
    with pytest.raises(TypeError, match=message):
        committee().solve([1.0], **arguments)


def test_overlaps_beside_weights_are_refused():
    with pytest.raises(TypeError, match=r"Argument `Q` is not taken here: the overlaps are those of the weights\."):
        fl.Committee.random(2, 1, dimension=9, rng=0, Q=I2)


TOML = """
[problem]
class = "Committee"
Q = [[0.5, 0.0], [0.0, 0.5]]
R = [[0.1], [0.1]]
T = [[1.0]]
activation = "x**3 - 3*x"
learning_rate = { times = [0.0, 1.0], values = [0.02, 0.01] }
"""


def test_problems_come_from_toml_files(tmp_path):
    from flowlimits.toml.file import ConfigError, read_config

    path = tmp_path / "problem.toml"
    path.write_text(TOML)
    problem = read_config(path).problem
    assert problem == committee(activation=[0.0, -3.0, 0.0, 1.0], learning_rate=fl.Schedule([0.0, 1.0], [0.02, 0.01]))
    for change, message in (
        (("x**3 - 3*x", "__import__('os').abort()"), "whole powers \\*\\* are allowed"),
        (("values = [0.02, 0.01] }", "values = [0.02, 0.0] }"), "must be positive, but holds 0"),
        (
            ('activation = "x**3 - 3*x"', "activation = 3"),
            "activation: must be text or a list of coefficients, but is 3",
        ),
        (("T = [[1.0]]", "dimension = 10"), "`Q` and `dimension` exclude each other"),
        (("T = [[1.0]]", "Tt = [[1.0]]"), "Tt: unknown key"),
    ):
        path.write_text(TOML.replace(*change))
        with pytest.raises(ConfigError, match=message):
            read_config(path)
    path.write_text('[problem]\nclass = "Committee"\nstudent_width = 2\nteacher_width = 1\ndimension = 50\nrng = 3\n')
    assert read_config(path).problem == fl.Committee.random(2, 1, dimension=50, rng=3)


@pytest.mark.parametrize("spherical", [False, True])
def test_overlaps_of_large_dimensions_have_the_law_of_those_of_weights(spherical):
    from scipy import stats

    from flowlimits.committee.starts import gaussian_weights, wishart_overlaps

    p, k, d, count, scale = 2, 1, 5, 4000, 0.7
    generator = np.random.default_rng(0)
    drawn = [wishart_overlaps(p, k, d, scale, spherical, generator) for _ in range(count)]
    plain = []
    for _ in range(count):
        W, W_star = gaussian_weights(p, k, d, scale, spherical, generator)
        plain.append((W @ W.T / d, W @ W_star.T / d, W_star @ W_star.T / d))

    def features(overlaps):
        Q, R, T = overlaps
        C = np.block([[Q, R], [R.T, T]])
        # Of a nonlinear function too: the law of the entries together, and not only one by one.
        return [Q[0, 0], Q[1, 1], Q[0, 1], R[0, 0], R[1, 0], T[0, 0], np.linalg.det(C), Q[0, 1] * R[0, 0] * R[1, 0]]

    ours, theirs = (np.array([features(one) for one in many]) for many in (drawn, plain))
    for one, other in zip(ours.T, theirs.T):
        if spherical and np.ptp(other) < 1e-12:
            np.testing.assert_allclose(one, 1.0, atol=1e-12)
        else:
            assert stats.ks_2samp(one, other).pvalue > 1e-4


def test_random_starts_of_any_dimension_cost_nothing():
    d = 10**10
    problem = fl.Committee.random(4, 4, dimension=d, rng=0, learning_rate=0.1)
    assert np.abs(problem.Q - np.eye(4)).max() < 6 / np.sqrt(d)
    assert 0.1 / np.sqrt(d) < np.abs(problem.R).max() < 6 / np.sqrt(d)
    sphere = fl.Committee.random(4, 4, dimension=d, rng=0, spherical=True, scale=3.0)
    np.testing.assert_allclose(np.diag(sphere.Q), 1.0, rtol=1e-12)
    assert fl.Committee.random(4, 4, dimension=d, rng=0, learning_rate=0.1) == problem
    # Weights are drawn up to a million, where the numbers of a seed are those of earlier versions.
    W = np.random.default_rng(np.random.SeedSequence(0)).standard_normal((2, 10**6))
    np.testing.assert_array_equal(fl.Committee.random(2, 1, dimension=10**6, rng=0).Q, W @ W.T / 10**6)


@pytest.mark.parametrize(
    ("make", "word"), [(lambda s, x: s.erf, "erf"), (lambda s, x: s.erf(x), "erf"), (lambda s, x: s.Max(0, x), "relu")]
)
def test_activations_of_sympy_that_have_a_name_here_are_named(make, word):
    import sympy

    with pytest.raises(ValueError, match=rf'^Argument `activation` must be written "{word}", which is '):
        fl.Committee([[1.0]], [[0.1]], [[1.0]], activation=make(sympy, sympy.Symbol("x")))


def test_numbers_too_large_for_the_package_are_refused():
    one = {"Q": [[0.5]], "R": [[0.1]], "T": [[1.0]]}
    asks = r"^Argument `times` asks, at steps of 0.01, for .* at most 1e\+12 can be made\.$"
    with pytest.raises(ValueError, match=asks):
        fl.Committee(**one).simulate(10**30, dimension=3, step=0.01)
    for rate, steps in ((0.1, "steps of 0.0333"), (fl.Schedule([0.0, 1.0], [0.1, 0.2]), "the steps of the schedule")):
        with pytest.raises(ValueError, match=asks.replace("steps of 0.01", steps)):
            fl.Committee(**one, learning_rate=rate).simulate(10**30, dimension=3)
    with pytest.raises(ValueError, match=r"eigenvalue -1e\+50"):
        fl.Committee([[-1e50, 0.0], [0.0, 0.5]], [[0.1], [0.2]], [[1.0]])
