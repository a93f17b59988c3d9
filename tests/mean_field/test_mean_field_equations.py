"""The compiled forms against plain NumPy, against each other, and against the risk whose gradient they are."""

import numpy as np
import pytest
from scipy.special import erf as scipy_erf

import flowlimits as fl
from flowlimits.committee.equations.evaluate import velocities
from flowlimits.mean_field import equations, forms, rules
from tests.support.naive_mean_field import FIVE, TWO, Naive, erf_moments, polynomial_moments, relu_moments

POWERS, OTHERS = [0.3, 0.2, -1.0, 0.5], [1.0, 2.0, 0.5]


def problem(dimension=None, start=FIVE, **physics):
    return fl.MeanField(TWO, fl.Ensemble(**start, dimension=dimension), **physics)


def form_of(made, name, level=2):
    return forms.build(made, name, rules.particles_of(made, rules.Rule("atoms")), level)


def velocity(made, name, level=2):
    form = form_of(made, name, level)
    state = rules.particles_of(made, rules.Rule("atoms")).state()
    out = np.zeros((1, state.size))
    velocities(form.module.rhs.address, state[None], form.params, np.zeros(form.work_size), out)
    P, m = form.particles, form.directions
    return (
        out[0, : m * P].reshape(m, P).T,
        out[0, m * P : (m + 1) * P],
        out[0, (m + 1) * P :],
        form.risks(state[None])[0],
    )


def naive(student, teacher=None, own=None, **options):
    reference = Naive(FIVE["weights"], TWO, student, teacher, own, **options)
    return reference(*(np.array(FIVE[name]) for name in ("projections", "norms", "second_layer")))


CASES = [
    ("erf", None, "pairs", erf_moments, None, None, 1e-14),
    ("erf", None, "function", erf_moments, None, None, 1e-13),
    ("relu", None, "pairs", relu_moments, None, None, 1e-14),
    (POWERS, OTHERS, "pairs", polynomial_moments(POWERS, POWERS), polynomial_moments(POWERS, OTHERS), polynomial_moments(OTHERS, OTHERS), 1e-11),
    (POWERS, OTHERS, "low rank", polynomial_moments(POWERS, POWERS), polynomial_moments(POWERS, OTHERS), polynomial_moments(OTHERS, OTHERS), 1e-11),
    (POWERS, OTHERS, "function", polynomial_moments(POWERS, POWERS), polynomial_moments(POWERS, OTHERS), polynomial_moments(OTHERS, OTHERS), 1e-11),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "teacher", "name", "student_moments", "teacher_moments", "own", "error"), CASES)
def test_every_form_is_the_plain_one_at_infinite_dimension(
    activation, teacher, name, student_moments, teacher_moments, own, error
):
    made = problem(
        activation=activation,
        teacher_activation=teacher,
        teacher_second_layer=[1.0, -0.7],
        second_layer_rate=0.7,
        weight_decay=0.01,
    )
    expected = naive(student_moments, teacher_moments, own, b=[1.0, -0.7], rate=0.7, decay=0.01)
    for ours, theirs in zip(velocity(made, name), expected, strict=True):
        assert np.allclose(ours, theirs, rtol=error, atol=10 * error)


@pytest.mark.parametrize("dimension", [3, 4, 5, 12])
@pytest.mark.parametrize(("activation", "name", "moments", "error"), [
    ("erf", "pairs", erf_moments, 1e-12), ("relu", "pairs", relu_moments, 3e-4), (POWERS, "pairs", polynomial_moments(POWERS, POWERS), 1e-11),
    (POWERS, "low rank", polynomial_moments(POWERS, POWERS), 1e-11),
])  # fmt: skip
def test_the_mean_over_angles_is_the_plain_one_at_finite_dimension(dimension, activation, name, moments, error):
    made = problem(dimension, activation=activation, second_layer_rate=0.7)
    for ours, theirs in zip(velocity(made, name), naive(moments, rate=0.7, outside=dimension - 2), strict=True):
        assert np.allclose(ours, theirs, rtol=error, atol=error)


@pytest.mark.parametrize(("activation", "name", "dimension"), [
    ("erf", "pairs", 6), ("erf", "function", None), ("relu", "pairs", 30), ("relu", "pairs", None), ("centred", "pairs", 6), ("centred", "low rank", 6),
    ("centred", "function", None), ("hermite3", "low rank", 6), ("hermite3", "function", None),
])  # fmt: skip
def test_the_velocity_is_the_gradient_of_the_risk(activation, name, dimension):
    made = problem(dimension, activation=activation, second_layer_rate=1.0)
    form = form_of(made, name)
    du, ds, da, _ = velocity(made, name)
    state = rules.particles_of(made, rules.Rule("atoms")).state()
    gradient = np.zeros(state.size)
    for i in range(state.size):
        step = 1e-5 * np.eye(state.size)[i]
        up, down = form.risks(np.array([state + step, state - step]))
        gradient[i] = (up - down) / 2e-5
    omega = np.array(FIVE["weights"])
    assert np.allclose(-gradient[:10].reshape(2, 5).T / omega[:, None], du, rtol=1e-6, atol=1e-8)
    assert np.allclose(-gradient[10:15] / omega, ds, rtol=1e-6, atol=1e-8)
    assert np.allclose(-gradient[15:] / omega, da, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("activation", "dimension"), [("erf", None), ("erf", 6), ("relu", None), ("relu", 30), ("square", 6)]
)
def test_an_atom_split_in_two_is_the_same_law(activation, dimension):
    """Two units of one shell are different units: the diagonal must not know that they are alike."""
    split = {name: np.repeat(np.array(values), 2, axis=0) for name, values in FIVE.items()}
    split["weights"] = split["weights"] / 2
    physics = {"activation": activation, "second_layer_rate": 0.5}
    whole = problem(dimension, **physics).solve([0.0, 1.0, 4.0], rtol=1e-11)
    halves = problem(dimension, split, **physics).solve([0.0, 1.0, 4.0], rtol=1e-11)
    assert np.allclose(whole["risk"], halves["risk"], rtol=1e-9)


@pytest.mark.parametrize("teacher_activation", ["erf", "relu"])
@pytest.mark.parametrize("dimension", [None, 7])
def test_a_polynomial_may_learn_any_teacher(teacher_activation, dimension):
    """Against a grid over the span: components of the teacher and what no polynomial learns."""
    made = problem(dimension, activation=POWERS, teacher_activation=teacher_activation)
    nodes, weights = rules.tensor(*rules.hermite(160), 2)
    values = nodes @ np.array(TWO).T
    target = (scipy_erf(values / np.sqrt(2)) if teacher_activation == "erf" else np.maximum(values, 0)).mean(1)
    u, s, a = (np.array(FIVE[name]) for name in ("projections", "norms", "second_layer"))
    eta, shares = rules.hermite(3)
    student = np.zeros(len(nodes))
    for j in range(5):
        fields = (nodes @ u[j])[:, None] + s[j] * eta
        student += FIVE["weights"][j] * a[j] * np.polynomial.polynomial.polyval(fields, POWERS) @ shares
    cross = weights @ (student * target)
    own = problem(dimension, activation=POWERS)
    _, _, _, risk = velocity(own, "low rank")
    # The student's own mean square, from a teacher of which all is known.
    polynomial = np.polynomial.polynomial.polyval(values, POWERS).mean(1)
    square = 2 * risk + 2 * weights @ (student * polynomial) - weights @ polynomial**2
    expected = 0.5 * square - cross + 0.5 * weights @ target**2
    # The grid has the kink of a ReLU to three digits only.
    assert velocity(made, "low rank")[3] == pytest.approx(expected, abs=1e-12 if teacher_activation == "erf" else 1e-3)


def test_rules_have_the_moments_of_their_laws():
    nodes, weights = rules.hermite(6)
    assert [weights @ nodes**n for n in (0, 2, 4, 10)] == pytest.approx([1, 1, 3, 945])
    nodes, weights = rules.laguerre(4, 13.0)
    assert [weights @ nodes**n for n in (0, 1, 2, 3)] == pytest.approx([1, 14, 14 * 15, 14 * 15 * 16])
    for outside in (1, 2, 3, 4, 17):
        h, weights = rules.angles(outside, 6)
        assert [weights @ h**n for n in range(6)] == pytest.approx(
            [rules.angle_moment(outside, n) for n in range(6)], abs=1e-14
        )
        assert rules.angle_moment(outside, 2) == pytest.approx(1 / outside)
    assert rules.angle_moment(3, 4) == pytest.approx(1 / 5)
    assert rules.angle_moment(None, 2) == 0.0


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("kind", ["gaussian", "uniform_sphere"])
def test_particles_have_the_second_moments_of_the_law(m, kind):
    law = getattr(fl.Ensemble, kind)(9, scale=1.5, second_layer=([1.0, -2.0], [0.25, 0.75]))
    made = rules.particles(law, m, rules.Rule("gauss", 6) if m < 3 else rules.Rule("sobol", 4096))
    rough = 1e-12 if m < 3 else 5e-3
    assert made.masses.sum() == pytest.approx(1)
    assert made.masses @ made.second_layer == pytest.approx(-1.25)
    assert (made.masses[:, None] * made.projections**2).sum(0) == pytest.approx(
        np.full(m, 2.25 / 9), rel=rough, abs=1e-2 * (m > 2)
    )
    assert made.masses @ made.norms**2 == pytest.approx(2.25 * (9 - m) / 9, rel=rough)


def test_quantiles_have_equal_masses_and_the_right_law():
    for law in (fl.Ensemble.gaussian(9), fl.Ensemble.uniform_sphere(9)):
        made = rules.particles(law, 1, rules.Rule("quantile", 2000))
        assert made.masses @ made.projections[:, 0] ** 2 == pytest.approx(1 / 9, rel=3e-3)
        assert made.masses @ made.projections[:, 0] ** 4 == pytest.approx(
            3 / 81 if law.kind == "gaussian" else 3 / 99, rel=1e-2
        )


@pytest.mark.parametrize(("form", "points"), [("function", 36), ("pairs", 1), ("low rank", 4)])
def test_the_cost_of_a_form_is_counted_in_points_and_not_in_pairs(form, points):
    made = fl.MeanField(
        [[1.0]], fl.Ensemble(None, 1.0, np.zeros((50, 1)), 1.0), activation="erf" if form != "low rank" else "hermite3"
    )
    built = form_of(made, form, 0)
    assert built.params[equations.NODES] == points
