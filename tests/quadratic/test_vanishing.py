"""Weight decay that takes everything away, starts far above the teacher, times next to zero: no ratio of rounding."""

import json
import math

import numpy as np
import pytest

import flowlimits as fl

W, W_STAR = [[1.0, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.5]]


@pytest.mark.parametrize("method", ["auto", "reduced", "matrix"])
def test_the_overlap_of_a_student_that_vanishes(method):
    problem = fl.QuadraticFlow(W, W_STAR, activation="centred", weight_decay=10.0)
    result = problem.solve([5.0, 10.0, 40.0], method=method, rtol=1e-9)
    assert float(result.overlap[0]) == pytest.approx(0.9701975, abs=2e-7)
    # What is left lies along the first direction of the teacher, whose eigenvalues are as 4 to 1.
    np.testing.assert_allclose(result.overlap[2], 4 / math.sqrt(17), rtol=1e-6)
    np.testing.assert_allclose(result.overlap + result.misalignment, 1, rtol=1e-9)
    assert float(result.trace[0]) == pytest.approx(1.8e-40, rel=0.01)


def test_lost_weights_have_no_overlap_and_a_reason():
    problem = fl.QuadraticFlow(W, W_STAR, activation="centred", weight_decay=10.0)
    result = problem.solve([200.0], method="matrix")
    assert np.isnan(result.overlap[0])
    assert float(result.trace[0]) == 0
    assert "NaN where the student is zero" in result.attrs["note"]


@pytest.mark.parametrize(("decay", "times"), [(7.0, [5.0, 500.0, 2000.0]), (100.0, [1.0, 5.2, 50.0])])
@pytest.mark.parametrize("method", ["auto", "reduced", "matrix"])
def test_a_single_weight_decays_to_nothing(decay, times, method):
    result = fl.QuadraticFlow([[0.7]], [[1.0]], weight_decay=decay).solve(times, method=method)
    assert float(result.trace[-1]) == 0
    assert float(result.risk[-1]) == 1.5
    if method != "matrix":
        np.testing.assert_allclose(result.overlap, 1, rtol=1e-12)


def trace_of_one_weight(decay, t):
    """z' = (12 - 2 decay) z - 12 z^2 on the clock t, for a teacher of one."""
    rate, z = 12 - 2 * decay, 0.49
    grown = math.exp(rate * t)
    return z * grown / (1 + 12 * z * (grown - 1) / rate)


@pytest.mark.parametrize("decay", [7.0, 30.0])
@pytest.mark.parametrize("method", ["reduced", "matrix"])
def test_the_trace_keeps_its_relative_accuracy_while_it_decays(decay, method):
    times = np.array([0.5, 2.0, 6.0])
    result = fl.QuadraticFlow([[0.7]], [[1.0]], weight_decay=decay).solve(times, method=method)
    np.testing.assert_allclose(result.trace, [trace_of_one_weight(decay, t) for t in times], rtol=3e-7)


@pytest.mark.parametrize("start", [0.3, np.array([[0.3, 0.1, 0.0], [0.1, 0.2, 0.0], [0.0, 0.0, 0.1]])])
@pytest.mark.parametrize("activation", ["square", "centred"])
def test_infinite_width_with_a_strong_decay(start, activation):
    result = fl.MeanFieldQuadratic([1.0, 0.5, 0.0], start, activation=activation, weight_decay=1000.0).solve(
        [0.1, 0.5, 2.0]
    )
    np.testing.assert_allclose(result.overlap + result.misalignment, 1, rtol=1e-12)
    assert (np.diff(result.trace) < 0).any()
    # The direction turns towards the teacher's first: at t = 2, e^8 stronger than the second.
    assert float(result.overlap[2]) == pytest.approx(1 / math.sqrt(1.25), rel=1e-3)
    assert float(result.risk[2]) == (2.375 if activation == "square" else 1.25)


@pytest.mark.parametrize("activation", ["square", "centred"])
@pytest.mark.parametrize("covariance", [None, [1.0, 0.5]])
def test_weights_that_have_vanished_cost_no_steps(activation, covariance):
    problem = fl.QuadraticFlow(W, W_STAR, activation=activation, weight_decay=10.0, covariance=covariance)
    near = problem.solve([5.0, 60.0], method="matrix")
    late = problem.solve([5.0, 60.0, 1e6, 1e9], method="matrix")
    np.testing.assert_array_equal(late.overlap[0], near.overlap[0])
    np.testing.assert_array_equal(late.trace[1:], 0.0)
    np.testing.assert_array_equal(late.risk[1:], late.risk[-1])
    if activation == "square":
        # The multiplier is the integral of 2 tr S (Z - Z*), and the eigenvalues of Z* are 1/4 and 1/16.
        teacher = 0.25 + (0.0625 if covariance is None else 0.5 * 0.0625)
        np.testing.assert_allclose(late.multiplier[2:] / late.time[2:], -2 * teacher, rtol=1e-4)
    steps = [json.loads(result.attrs["provenance"])["steps"] for result in (near, late)]
    assert steps[1] < steps[0] + 300


@pytest.mark.parametrize("scale", [1e12, 1e20, 1e60])
def test_a_start_far_above_the_teacher(scale):
    result = fl.MeanFieldQuadratic([1.0, 0.5, 0.0], scale, activation="centred").solve([0.0, 1.0, 100.0])
    np.testing.assert_allclose(result.trace[0], 3 * scale, rtol=1e-13)
    # z' = 8 l z - 8 z^2 on the clock t from infinity: l / (1 - e^(-8 l t)), and 1/(8 t) without a teacher.
    expected = [sum(l / -math.expm1(-8 * l * t) for l in (1.0, 0.5)) + 1 / (8 * t) for t in (1.0, 100.0)]
    np.testing.assert_allclose(result.trace[1:], expected, rtol=1e-9)
    finite = fl.QuadraticFlow(1e30 * np.array(W), W_STAR, activation="centred").solve([0.0, 1.0])
    assert np.isfinite(finite.trace).all()
    np.testing.assert_allclose(finite.trace[0], 2.25e60 / 4, rtol=1e-13)


@pytest.mark.parametrize(("start", "overlap"), [("orthonormal", 0.9013902), ("gaussian", None)])
def test_an_extensive_student_that_vanishes(start, overlap):
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25), start, activation="centred", weight_decay=40.0)
    result = problem.solve([1.0, 3.0, 4.0, 6.0, 8.0, 100.0])
    np.testing.assert_allclose(result.overlap[1:5], float(result.overlap[0]), rtol=1e-6)
    if overlap is not None:
        np.testing.assert_allclose(result.overlap[:5], overlap, atol=1e-6)
    np.testing.assert_allclose(result.overlap[:5] + result.misalignment[:5], 1, rtol=1e-12)
    assert (np.diff(np.log(result.trace[:5])) < -35).all()
    assert float(result.trace[5]) == 0
    assert np.isnan(result.overlap[5])
    assert "NaN" in result.attrs["note"]


@pytest.mark.parametrize("activation", ["square", "centred"])
@pytest.mark.parametrize("start", ["orthonormal", "gaussian"])
@pytest.mark.parametrize("ratio", [0.5, 1.2])
def test_times_next_to_zero(ratio, start, activation):
    problem = fl.ExtensiveQuadratic(ratio, fl.Spectrum.orthonormal(0.25), start, activation)
    first = problem.solve([0.0, 5e-324, 1e-200, 1e-100, 1e-18])
    for name in ("risk", "overlap", "trace"):
        np.testing.assert_allclose(first[name], float(first[name][0]), rtol=1e-12)
    many = fl.solve_many(
        fl.ExtensiveQuadratic, {"student_ratio": [ratio, 0.6], "teacher": fl.Spectrum.orthonormal(0.25)}, 5e-324
    )
    assert np.isfinite(many["risk"]).all()


def test_counts_that_no_integer_holds_are_refused():
    for size in (10**30, 10**15):
        with pytest.raises(ValueError, match="Argument `dimension`"):
            fl.Spectrum([0.0, 2.0], [0.5, 0.5]).width(size)
    with pytest.raises(ValueError, match=r"`dimension` ask for 2.5e\+14, and at most 1e\+12"):
        fl.Spectrum.orthonormal(0.25).width(10**15)
    with pytest.raises(ValueError, match=r"`times` asks, at steps of 0.01, for 1e\+32"):
        fl.QuadraticFlow(W, W_STAR).simulate(10**30, step=0.01)


def test_spectra_at_energies_without_squares_are_refused():
    with pytest.raises(ValueError, match=r"between 1e-30 and 1e\+30, .* but holds 4.94066e-324"):
        fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)).solve([0.5], spectrum=[5e-324])


def test_the_mean_of_a_teacher_is_shown_to_the_digits_that_differ():
    with pytest.raises(ValueError, match=r"its mean is 1\.0000005"):
        fl.ExtensiveQuadratic(0.5, fl.Spectrum([0.0, 2.0, 2.000002], [0.5, 0.25, 0.25]))


def test_an_interrupt_keeps_the_spectra_that_are_finished(monkeypatch):
    from flowlimits.quadratic.extensive import variables

    whole = variables.density
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(*arguments)

    problem, energies = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)), [0.5, 1.0]
    full = problem.solve([0.1, 0.2, 0.4], spectrum=energies)
    monkeypatch.setattr(variables, "density", interrupted)
    with pytest.raises(fl.ode.IntegrationInterrupted) as caught:
        problem.solve([0.1, 0.2, 0.4], spectrum=energies)
    partial = caught.value.partial
    assert partial.time.values.tolist() == [0.1, 0.2]
    np.testing.assert_array_equal(partial["density"], full["density"][:2])
    np.testing.assert_array_equal(partial["risk"], full["risk"][:2])


def test_a_steep_decay_keeps_its_digits_between_the_ends_of_steps():
    """A teacher of full rank and a start proportional to the identity: three scalars, here in long double by classical steps."""
    teacher = fl.Spectrum([0.9, 1.0, 4.0], [0.7, 0.29, 0.01]).normalised()
    wide = np.longdouble
    q, z = teacher.weights.astype(wide), teacher.nodes.astype(wide)
    z = z / (q @ z)

    def velocity(y):
        pull = 4 * z * y - 4 * y * y
        return pull - (q @ pull) / (q @ y) * y

    times = np.geomspace(1e-2, 1e6, 60)
    times = times[(times > 0.5) & (times < 2.1)]
    y, gamma, risks = np.ones(3, dtype=wide), wide(0), []
    for t in times:
        steps = math.ceil(float(2 * t - gamma) / 2e-4)
        h = (2 * wide(t) - gamma) / steps
        for _ in range(steps):
            a = velocity(y)
            b = velocity(y + h / 2 * a)
            c = velocity(y + h / 2 * b)
            y = y + h / 6 * (a + 2 * b + 2 * c + velocity(y + h * c))
        gamma = 2 * wide(t)
        risks.append(float(q @ (z - y) ** 2))
    found = fl.ExtensiveQuadratic(1.0, teacher).solve(np.geomspace(1e-2, 1e6, 60)).risk
    assert risks[-1] < 1e-16
    np.testing.assert_allclose(found.sel(time=times), risks, rtol=2e-9)


@pytest.mark.parametrize("t", [1e6, 1e15, 1e17])
def test_at_the_critical_decay_the_trace_falls_as_one_over_t(t):
    """z' = (4 l + 2 tr Z* - 2 decay) z - 4 z^2 - 2 z tr Z on the clock t / 2, of which the first bracket vanishes: tr Z = d / ((4 + 2 d) t)."""
    one = fl.QuadraticFlow([[1.0]], [[1.0]], weight_decay=6.0).solve([t])
    np.testing.assert_allclose(one.trace, 1 / (12 * t), rtol=2e-6)
    np.testing.assert_allclose(one.multiplier, math.log(t) / 6 - 2 * t, rtol=1e-5)
    for covariance in (None, [1.0, 1.0, 1.0]):
        wide = fl.MeanFieldQuadratic([1.0, 1.0, 1.0], 1.0, weight_decay=10.0, covariance=covariance).solve([t])
        np.testing.assert_allclose(wide.trace, 3 / (20 * t), rtol=2e-6)


@pytest.mark.parametrize("activation", ["square", "centred"])
def test_the_direction_of_a_vanishing_student_stays_at_any_time(activation):
    problem = fl.QuadraticFlow(W, np.eye(2), activation=activation, weight_decay=12.0)
    late = problem.solve([50.0, 1e3, 1e10, 1e15, 1e17])
    np.testing.assert_allclose(late.overlap, late.overlap[0], rtol=1e-12)
    assert 0.9 < late.overlap[0] < 0.95
    # Early on, the weights themselves.
    early = problem.solve([5.0], method="matrix")
    np.testing.assert_allclose(early.overlap, late.overlap[0], rtol=1e-7)


@pytest.mark.parametrize("covariance", [[1.0, 1.0, 1.0], [1.0, 2.0, 0.5]])
@pytest.mark.parametrize("activation", ["square", "centred"])
def test_infinite_width_with_a_covariance_keeps_its_direction_beyond_underflow(covariance, activation):
    """Next to nothing z_j is proportional to exp((4 c_j^2 l_j + 2 c_j tr(c Z*)) s), the last part for the square."""
    problem = fl.MeanFieldQuadratic(
        [1.0, 0.5, 0.0], 1e-9, activation=activation, weight_decay=1000.0, covariance=covariance
    )
    c, l = np.array(covariance), np.array([1.0, 0.5, 0.0])
    times = np.array([0.01, 0.5, 1.0, 5.0])
    overlap = problem.solve(times)["overlap"].values
    rates = 4 * c**2 * l + (2 * c * (c @ l) if activation == "square" else 0.0)
    for t, seen in zip(times, overlap):
        z = c * np.exp((rates - rates.max()) * 2 * t)
        assert seen == pytest.approx(z @ (c * l) / math.sqrt((z @ z) * ((c * l) @ (c * l))), rel=1e-7)
