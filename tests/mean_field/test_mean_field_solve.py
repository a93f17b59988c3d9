"""`MeanField.solve`: known values, other classes, papers, and how it chooses form and particles."""

import json

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.core import results
from flowlimits.core.problem import load_problem
from flowlimits.mean_field import rules
from tests.support.naive_mean_field import FIVE, TWO, hermite_polynomial

SIGNS = ([1.0, -1.0], [0.6, 0.4])
NODES, SHARES = np.polynomial.legendre.leggauss(16)
SHARES = SHARES / 2
TIGHT = {"rtol": 1e-11, "atol": 1e-13}


def five(dimension=None, **physics):
    return fl.MeanField(TWO, fl.Ensemble(**FIVE, dimension=dimension), second_layer_rate=0.7, **physics)


@pytest.mark.parametrize(("physics", "expected"), [
    ({"activation": "erf", "weight_decay": 0.01}, [0.110469090682, 0.053312234441, 0.006406082088, 0.001386710406]),
    ({"activation": "relu"}, [0.113030953186, 0.061619877021, 0.010985523543, 0.003627239426]),
    ({"activation": "relu", "dimension": 10}, [0.114772240800, 0.063961809899, 0.012154235547, 0.003409732764]),
])  # fmt: skip
def test_five_atoms_have_their_known_risk(physics, expected):
    found = five(**physics).solve([0.0, 1.0, 4.0, 16.0], **TIGHT)
    assert np.abs(found["risk"].values - expected).max() < 2e-12


def test_five_atoms_end_in_their_known_state():
    found = five(activation="erf", weight_decay=0.01).solve(
        [16.0], observables=["second_layer", "projections", "norms"], **TIGHT
    )
    a = [1.2476819820901164, -1.0838075170043446, 0.7369471150789273, 2.0658249443659735, -0.5429729964999439]
    s = [0.6924429632406465, 0.6273875776256767, 0.4440766264044648, 0.9331058326065034, 0.752843861347714]
    assert found["second_layer"].values[0] == pytest.approx(a, rel=1e-10)
    assert found["norms"].values[0] == pytest.approx(s, rel=1e-10)
    assert found["projections"].values[0, 3] == pytest.approx([0.7285586161874645, 0.29915741196939927], rel=1e-10)
    assert found["masses"].values.tolist() == FIVE["weights"]


@pytest.mark.parametrize(("activation", "expected", "error"), [
    ("erf", [0.04428216158, 0.00143189037, 6.293177e-4], 2e-9),
    pytest.param("relu", [0.0664110920, 0.0066542850, 1.009439e-3], 1e-7, marks=pytest.mark.slow),
])  # fmt: skip
def test_gaussian_weights_at_dimension_30_have_their_known_risk(activation, expected, error):
    start = fl.Ensemble.gaussian(30, second_layer=SIGNS)
    found = fl.MeanField([[1.0]], start, activation=activation, second_layer_rate=1.0).solve(
        [2.0, 8.0, 32.0], particles=200
    )
    assert np.abs(found["risk"].values - expected).max() < error
    assert found.attrs["form"] == "pairs"
    assert found.attrs["dimension"] == 30


@pytest.mark.slow
def test_gaussian_relu_weights_have_all_known_digits():
    start = fl.Ensemble.gaussian(30, second_layer=SIGNS)
    found = fl.MeanField([[1.0]], start, activation="relu", second_layer_rate=1.0).solve(
        [2.0, 8.0, 32.0], particles=756
    )
    assert np.abs(found["risk"].values - [0.0664110920, 0.0066542850, 1.009439e-3]).max() < 2e-9


def test_orthogonal_remainders_are_another_limit_than_those_at_random_angles():
    law = rules.particles(fl.Ensemble.gaussian(20), 1, rules.Rule("gauss", 27))
    apart = fl.Ensemble(law.masses, law.second_layer, law.projections, law.norms)
    found = fl.MeanField([[1.0]], apart, second_layer_rate=1.0).solve([2.0, 8.0])["risk"].values
    assert np.abs(found - [0.04341101906, 0.00105993086]).max() < 2e-9
    averaged = (
        fl.MeanField([[1.0]], fl.Ensemble.gaussian(20), second_layer_rate=1.0)
        .solve([2.0, 8.0], particles=60)["risk"]
        .values
    )
    assert np.abs(averaged - [0.043642, 0.001335]).max() < 1e-6


@pytest.mark.parametrize("activation", ["square", "centred"])
def test_four_particles_are_the_quadratic_mean_field(activation):
    W_star = np.random.default_rng(0).standard_normal((2, 12))
    eigenvalues = np.zeros(12)
    eigenvalues[:2] = np.linalg.eigvalsh(W_star @ W_star.T / 24)
    times = [0.0, 0.1, 0.5, 2.0, 8.0]
    theirs = fl.MeanFieldQuadratic(eigenvalues, start=1 / 12, activation=activation).solve(times, **TIGHT)
    problem = fl.MeanField(W_star @ W_star.T / 12, fl.Ensemble.gaussian(12), activation=activation)
    for form in ("pairs", "low rank"):
        ours = problem.solve(times, particles=4, form=form, **TIGHT)
        assert results.provenance(ours)["particles"] == 4
        assert np.abs(ours["risk"].values - theirs["risk"].values).max() < 1e-10


def test_three_forms_are_one_flow():
    times = [0.5, 3.0]
    erf = five(activation="erf")
    assert erf.solve(times, form="pairs", **TIGHT)["risk"].values == pytest.approx(
        erf.solve(times, form="function", **TIGHT)["risk"].values, abs=1e-11
    )
    cubic = five(activation=[0.0, 1.0, 0.2, 0.1])
    found = [cubic.solve(times, form=form, **TIGHT)["risk"].values for form in ("pairs", "function", "low rank")]
    assert found[0] == pytest.approx(found[1], abs=1e-11)
    assert found[0] == pytest.approx(found[2], abs=1e-11)


def test_a_target_is_the_teacher_that_it_spells_out():
    U = np.array(TWO)
    given = five(activation=[0.0, 1.0, 0.2, 0.1])
    start = fl.Ensemble(**FIVE)
    for activation, target in (
        ([0.0, 1.0, 0.2, 0.1], lambda x: np.polynomial.polynomial.polyval(x @ U.T, [0.0, 1.0, 0.2, 0.1]).mean(1)),
        ("erf", lambda x: np.tanh(x[:, 0]) + x[:, 1]),
    ):
        learnt = fl.MeanField(None, start, activation=activation, target=target, second_layer_rate=0.7)
        found = learnt.solve([0.0, 1.0, 4.0], observables=["function"], points=[[0.0, 1.0], [2.0, 0.0]])
        assert found["target_function"].values == pytest.approx(target(np.array([[0.0, 1.0], [2.0, 0.0]])))
        assert np.isfinite(found["risk"].values).all()
        if activation != "erf":
            assert found["risk"].values == pytest.approx(given.solve([0.0, 1.0, 4.0])["risk"].values, abs=1e-10)


def test_an_odd_activation_does_not_see_the_sign_of_the_second_layer():
    laws = (1.0, ([1.0, -1.0], [0.3, 0.7]))
    found = [
        fl.MeanField([[1.0]], fl.Ensemble.gaussian(15, second_layer=law), second_layer_rate=1.0).solve(
            [1.0, 6.0], particles=12 * (1 + i), **TIGHT
        )["risk"]
        for i, law in enumerate(laws)
    ]
    assert found[0].values == pytest.approx(found[1].values, abs=1e-11)


@pytest.mark.parametrize(
    ("eps", "passed"),
    [
        (1e-2, (0.217474, 0.266056, 0.266134)),
        (1e-4, (0.0351182, 0.0703671, 0.0812726)),
        (1e-8, (5.84726e-4, 0.00800998, 0.0112772)),
    ],
)
def test_hermite_components_are_learnt_one_after_the_other(eps, passed):
    phi, sigma = (0.0, 1.0, 0.8, 0.6), (0.5, 1.0, 1.0, 1.0)
    problem = fl.MeanField(
        [[1.0]], fl.Ensemble(SHARES, NODES, np.zeros((16, 1)), 1.0), activation=hermite_polynomial(sigma),
        teacher_activation=hermite_polynomial(phi), second_layer_rate=1 / eps, spherical=True,
    )  # fmt: skip
    times = np.array(passed)
    around = np.unique(np.concatenate([times * (1 - 5e-6), times * (1 + 5e-6)]))
    found = problem.solve(around, observables=["components", "norms", "projections"], degree=3, rtol=1e-10, atol=1e-12)
    for n, time in enumerate(times, start=1):
        curve = found["components"].values[:, n]
        before, after = curve[np.searchsorted(around, time) - 1], curve[np.searchsorted(around, time)]
        assert before < phi[n] / 2 < after
    assert found["target_components"].values == pytest.approx(phi)
    sizes = found["norms"].values ** 2 + found["projections"].values[..., 0] ** 2
    assert sizes == pytest.approx(np.ones(sizes.shape), abs=1e-7)
    if eps == 1e-8:
        details = results.provenance(found)
        assert "radau" in details["method"]
        assert details["evaluations"] < 20_000


def test_a_staircase_is_learnt_from_zero_and_its_top_alone_is_not():
    start = fl.Ensemble(SHARES, NODES, np.zeros((16, 2)), 1.0)
    physics = {"activation": "relu", "second_layer_rate": 1.0}
    first = fl.MeanField(None, start, target=lambda x: x[:, 0], **physics).solve([0.0, 5.0, 20.0])["risk"].values
    assert first == pytest.approx([0.5, 8.25e-3, 0.0], abs=5e-6)
    stairs = fl.MeanField(None, start, target=lambda x: x[:, 0] + x[:, 0] * x[:, 1], **physics)
    assert stairs.solve([5.0, 20.0], accuracy=1e-4)["risk"].values == pytest.approx([0.1731, 0.0793], abs=5e-5)
    top = fl.MeanField(None, start, target=lambda x: x[:, 0] * x[:, 1], **physics)
    with pytest.warns(UserWarning, match="no first-order part that the activation sees: nothing moves"):
        assert top.solve([1.0, 60.0])["risk"].values == pytest.approx([0.5, 0.5], abs=1e-9)


def test_after_an_escape_quantiles_take_over_from_gauss_nodes():
    """At t = 10 the Gauss rules give .121, .124, .269, .223 with 6 to 48 nodes; the truth is .2133."""
    cubic = np.array([0.0, -3.0, 0.0, 1.0]) / np.sqrt(6)
    quantiles = rules.particles(fl.Ensemble.gaussian(1), 1, rules.Rule("quantile", 800)).projections / 10
    own = fl.MeanField([[1.0]], fl.Ensemble(None, 1.0, quantiles, 1.0), activation=cubic, spherical=True)
    assert own.solve([2.0, 10.0, 40.0])["risk"].values == pytest.approx([0.43955434, 0.21328538, 0.14837134], abs=2e-7)
    law = fl.MeanField([[1.0]], fl.Ensemble.uniform_sphere(100), activation=cubic, spherical=True)
    found = law.solve([2.0, 10.0], accuracy=1e-3)
    assert results.provenance(found)["rule"] == "quantile"
    assert found.attrs["accuracy"] < 1e-3
    coarse = law.solve([2.0, 10.0], particles=12)["risk"].values
    assert abs(coarse[1] - found["risk"].values[1]) > 0.01


def test_gauss_rules_settle_geometrically_and_say_how_far():
    start = fl.Ensemble.gaussian(16, second_layer=1.0)
    problem = fl.MeanField([[1.0]], start)
    best = problem.solve([8.0], particles=250)["risk"].values[0]
    errors = [abs(problem.solve([8.0], particles=n)["risk"].values[0] - best) for n in (4, 15, 90)]
    assert errors[1] < errors[0] / 5
    assert errors[2] < errors[1] / 5
    found = problem.solve([8.0])
    assert abs(found["risk"].values[0] - best) < 1e-6 * best + found.attrs["accuracy"]
    assert 0 < found.attrs["accuracy"] < 1e-7


def test_weights_of_a_network_become_atoms():
    rng = np.random.default_rng(1)
    W, W_star = rng.standard_normal((6, 9)), rng.standard_normal((2, 9))
    start = fl.Ensemble.from_weights(W, W_star, second_layer=2.0)
    T = W_star @ W_star.T / 9
    problem = fl.MeanField(T, start)
    assert problem.teacher_rows @ problem.teacher_rows.T == pytest.approx(T)
    assert start.projections @ problem.teacher_rows.T == pytest.approx(W @ W_star.T / 9)
    assert (start.projections**2).sum(1) + start.norms**2 == pytest.approx((W**2).sum(1) / 9)
    assert start.dimension == 9


def test_temperature_lengthens_the_remainders():
    """Without a second layer nothing else moves: d(s^2)/dt = 2 Theta - 2 decay s^2."""
    start = fl.Ensemble(None, 0.0, [[0.0], [0.3]], [1.0, 0.5])
    problem = fl.MeanField([[1.0]], start, temperature=0.3, weight_decay=0.1)
    times = np.array([0.5, 2.0])
    found = problem.solve(times, observables=["norms", "projections"], **TIGHT)
    for j, s in enumerate((1.0, 0.5)):
        expected = 3.0 + (s**2 - 3.0) * np.exp(-0.2 * times)
        assert found["norms"].values[:, j] ** 2 == pytest.approx(expected, rel=1e-9)
    assert found["projections"].values[:, 1, 0] == pytest.approx(0.3 * np.exp(-0.1 * times), rel=1e-9)


def test_a_perfect_student_does_not_move():
    perfect = fl.Ensemble([0.5, 0.5], 1.0, TWO, 0.0)
    for activation in ("erf", "relu", "square", [0.1, 1.0, 0.3]):
        found = fl.MeanField(TWO, perfect, activation=activation, second_layer_rate=1.0).solve(
            [0.0, 10.0], observables=["projections"]
        )
        assert np.abs(found["risk"].values).max() < 1e-15
        assert np.abs(found["projections"].values - TWO).max() < 1e-12


def test_the_function_and_its_components_are_those_of_the_student():
    perfect = fl.Ensemble([0.5, 0.5], 1.0, TWO, 0.0)
    for activation in ("erf", "relu", [0.1, 1.0, 0.3]):
        found = fl.MeanField(TWO, perfect, activation=activation).solve(
            [1.0], observables=["function", "components"], points=[[0.5, -1.0], [2.0, 1.0]], degree=3
        )
        assert found["function"].values[0] == pytest.approx(found["target_function"].values)
        assert found["components"].values[0] == pytest.approx(found["target_components"].values, abs=1e-12)
        assert found["component"].values.tolist()[:4] == ["0,0", "1,0", "0,1", "2,0"]
    # From its law at a finite dimension: E over the remainder, whatever the form.
    start = fl.Ensemble([1.0], 2.0, [[0.7]], 0.5, dimension=4)
    found = fl.MeanField([[1.0]], start, activation="erf").solve([0.0], observables=["components"], degree=1)
    assert found["components"].values[0, 1] == pytest.approx(2 * 0.7 * np.sqrt(2 / np.pi / (1 + 0.49 + 0.25)))


def test_events_stop_where_the_risk_crosses():
    problem = five(activation="erf")
    found = problem.solve([1.0, 4.0, 16.0], events=fl.Event("risk", 0.02, stop=True))
    time = float(found["event_time"][0])
    assert found["time"].values.tolist() == [1.0]
    assert problem.solve([time])["risk"].values[0] == pytest.approx(0.02, rel=1e-6)


def test_results_are_saved_loaded_and_repeated_bit_for_bit(tmp_path):
    from flowlimits.data import rerun

    start = fl.Ensemble.gaussian("infinity", second_layer=SIGNS)
    for problem in (
        five(dimension=10),
        fl.MeanField([[1.0]], start, second_layer_rate=1.0),
        five(activation=[0.0, 1.0, 0.5]),
    ):
        fl.save(problem.solve([0.0, 1.0], observables=["components"]), tmp_path / "one.nc")
        found = fl.load(tmp_path / "one.nc")
        assert load_problem(found) == problem
        assert rerun.differing(found, rerun.rerun(found)) == []
    law = fl.MeanField([[1.0]], fl.Ensemble.gaussian(6))
    fl.save(law.solve([1.0], particles=10), tmp_path / "two.nc")
    found = fl.load(tmp_path / "two.nc")
    assert np.isnan(found.attrs["accuracy"])
    assert rerun.differing(found, rerun.rerun(found)) == []


def test_a_target_is_named_in_the_file_and_not_rebuilt(tmp_path):
    def hill(x):
        return np.exp(-(x[:, 0] ** 2))

    problem = fl.MeanField(None, fl.Ensemble(None, [1.0, -1.0], [[0.5], [0.2]], 1.0), target=hill)
    fl.save(problem.solve([1.0]), tmp_path / "one.nc")
    found = fl.load(tmp_path / "one.nc")
    assert "hill" in json.loads(found.attrs["problem"])["target"]
    with pytest.raises(ValueError, match="hill` is a function of your own and cannot be rebuilt from a file"):
        load_problem(found).solve([1.0])


def test_a_flow_that_diverges_gives_its_finished_part():
    problem = fl.MeanField([[1.0]], fl.Ensemble(None, 1.0, [[3.0]], 3.0), activation="hermite4", second_layer_rate=1.0)
    with pytest.raises(fl.ode.IntegrationError) as caught:
        problem.solve([1e-6, 1e-3, 1.0, 1e5], max_steps=60)
    assert caught.value.partial["time"].size < 4
    assert caught.value.partial.attrs["kind"] == "limit"
