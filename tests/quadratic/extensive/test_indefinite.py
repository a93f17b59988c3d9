"""Teachers with negative eigenvalues: Oja's flow towards any symmetric matrix, by other formulas, exact steps and matrices."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import flowlimits as fl

LAW = fl.Spectrum.symmetric([-2.0, -0.5, 0.0, 1.0, 3.0], [0.2, 0.15, 0.25, 0.2, 0.2])


def oja_risk(law, kappa, u):
    """Return |V V' - A|^2 per dimension for dV/du = (A - V V') V from Gaussian entries of variance 1/p, in real unknowns of its own."""
    x, q = law.nodes, law.weights
    growth = np.where(x == 0, 2 * u, np.expm1(2 * x * u) / np.where(x == 0, 1, x))

    def over(g):
        """x / q_u = 1 / (g growth + 1)."""
        return 1 / (g * growth + 1)

    g = brentq(lambda g: kappa * g + 1 - kappa - q @ over(g), 1e-300, 1.0, xtol=1e-300, rtol=1e-15)
    f = g * np.exp(2 * x * u) * over(g)
    top = g * (q @ (np.exp(x * u) * over(g)) ** 2) ** 2
    below = kappa + q @ (growth * over(g) ** 2)
    return top / below + q @ (f - x) ** 2


@pytest.mark.parametrize("kappa", [0.3, 0.8, 1.7])
def test_closed_form_in_other_unknowns(kappa):
    times = np.array([0.01, 0.1, 0.6, 2.0])
    found = fl.ExtensiveQuadratic(kappa, LAW, start="gaussian", activation="centred").solve(times)
    np.testing.assert_allclose(found["risk"], [oja_risk(LAW, kappa, 4 * t) for t in times], rtol=1e-9)
    assert float(found["trace"][-1]) > 0


@pytest.mark.parametrize(
    ("start", "kappa", "decay"), [("gaussian", 0.4, 0.0), ("orthonormal", 0.7, 0.5), ("gaussian", 1.5, 0.2)]
)
def test_runs_at_finite_dimension_approach_the_limit(start, kappa, decay):
    problem = fl.ExtensiveQuadratic(kappa, LAW, start=start, activation="centred", weight_decay=decay)
    times = [0.0, 0.05, 0.4, 20.0]
    limit, runs = problem.solve(times), problem.simulate(times, dimension=200, runs=4, rng=0, progress=False)
    for name in ("risk", "overlap", "misalignment", "trace"):
        np.testing.assert_allclose(runs[name].mean("run"), limit[name], rtol=0.03, atol=0.004)


def test_exact_steps_are_the_flow_of_matrices():
    d, p = 8, 11
    W = np.random.default_rng(0).standard_normal((p, d))
    law = fl.Spectrum.symmetric(np.linspace(-2, 3, d))
    A = np.diag(law.eigenvalues(d))

    def velocity(_, flat):
        V = flat.reshape(d, p)
        return (4 * (A - V @ V.T) @ V - 0.3 * V).ravel()

    V = solve_ivp(velocity, (0, 1.3), (W.T / math.sqrt(p)).ravel(), rtol=1e-10, atol=1e-12).y[:, -1].reshape(d, p)
    problem = fl.ExtensiveQuadratic(p / d, law, activation="centred", weight_decay=0.3)
    found = problem.simulate([0.2, 1.3], dimension=d, weights=W, rng=0, observables=["overlap", "trace", "eigenvalues"])
    Z = V @ V.T
    assert float(found["risk"][0, -1]) == pytest.approx(np.sum((Z - A) ** 2) / d, rel=1e-8)
    assert float(found["trace"][0, -1]) == pytest.approx(np.trace(Z) / d, rel=1e-8)
    assert float(found["overlap"][0, -1]) == pytest.approx(
        np.sum(Z * A) / np.linalg.norm(Z) / np.linalg.norm(A), rel=1e-8
    )
    np.testing.assert_allclose(found["eigenvalues"][0, -1], np.linalg.eigvalsh(Z), atol=1e-8)


def test_a_target_without_positive_eigenvalues_is_left_alone():
    """The student vanishes, and what is left of the risk is the target."""
    law = fl.Spectrum.symmetric([-2.0, -1.0])
    found = fl.ExtensiveQuadratic(0.5, law, activation="centred").solve([1.0, 100.0])
    assert float(found["risk"][-1]) == pytest.approx(2.5)
    assert (found["overlap"][:1] < 0).all()
    np.testing.assert_allclose(found["misalignment"], 1 - found["overlap"])


def test_spectrum_has_the_trace_and_the_rank():
    problem = fl.ExtensiveQuadratic(0.4, LAW, start="gaussian", activation="centred")
    energies = np.linspace(1e-3, 9, 6001)
    found = problem.solve([0.1], spectrum=energies)
    density = found["density"][0].values
    assert np.trapezoid(density, energies) == pytest.approx(0.4, abs=2e-3)
    assert np.trapezoid(density * energies, energies) == pytest.approx(float(found["trace"][0]), rel=2e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: fl.ExtensiveQuadratic(0.5, LAW),
            'Argument `activation` must be "centred" for a teacher with negative eigenvalues, which no weights realise, but is '
            '"square": the locked trace is known here for teachers of weights only.',
        ),
        (
            lambda: fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.5), start=LAW),
            "Argument `start` must have no negative eigenvalues, but is "
            "Spectrum.symmetric(<5 nodes in [-2, 3], mean 0.325>): no weights realise them.",
        ),
        (
            lambda: fl.ExtensiveQuadratic(0.5, LAW, activation="centred").simulate(
                [1.0], dimension=20, method="gd", step=0.1
            ),
            'Argument `method` must be "flow" for a teacher with negative eigenvalues, but is "gd".',
        ),
        (
            lambda: fl.ExtensiveQuadratic(0.5, LAW, activation="centred").solve([1.0, 50.0], spectrum=[0.1, 1.0]),
            "Argument `spectrum` needs times up to 37.5 for the teacher's eigenvalue -2, but the last one is 50: what has faded is beyond "
            "floating-point numbers.",
        ),
    ],
)
def test_refusals_are_sentences(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
