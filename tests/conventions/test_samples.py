"""The paper on finitely many samples states its own formulas in its own units."""

import warnings

import naive_empirical
import numpy as np
import pytest

import flowlimits as fl


def test_the_formulas_of_the_paper_hold_in_its_units():
    theirs = fl.conventions.MartinSamples()
    problem = theirs.samples(kappa=1.0, teacher=fl.Spectrum.marchenko_pastur(0.5), alpha=0.4, Delta=0.25, lam=0.1)
    end = problem.solve()
    xi, q = float(end["effective_noise"]), float(end["threshold"])
    # MSE = 2 alpha xi - Delta/2 and Loss = lambda^2 alpha xi / q^2.
    assert theirs.from_risk(end["risk"]) == pytest.approx(2 * 0.4 * xi - 0.125, rel=1e-12)
    assert theirs.from_train_risk(end["train_risk"]) == pytest.approx(0.1**2 * 0.4 * xi / q**2, rel=1e-12)


def test_conversions_go_both_ways():
    theirs, values = fl.conventions.MartinSamples(), np.array([0.1, 2.0])
    for name in ("time", "risk", "train_risk", "weight_decay"):
        there = getattr(theirs, f"from_{name}")(values)
        np.testing.assert_allclose(getattr(theirs, f"to_{name}")(there), values)
    assert theirs.to_time(2.0) == 1.0


def test_noise_in_the_preactivations_is_noise_of_the_labels():
    theirs, d = fl.conventions.Maillard(kappa=0.5, sigma=0.7), 60
    rng = np.random.default_rng(0)
    k = round(theirs.kappa * d)
    W, x = rng.standard_normal((k, d)), rng.standard_normal((20_000, d))
    clean = x @ W.T / np.sqrt(d)
    noisy = clean + theirs.sigma * rng.standard_normal(clean.shape)
    gap = (noisy**2).mean(axis=1) - (clean**2).mean(axis=1)
    assert d * gap.var() == pytest.approx(theirs.noise, rel=0.05)


def test_the_bayes_line_solves_the_equation_of_its_paper():
    """1 - 2 alpha + Delta qhat/2 = (4 pi^2 / 3 qhat) int rho^3 with the noise 1/qhat, by polynomial roots."""
    theirs, alpha = fl.conventions.Maillard(kappa=0.5, sigma=0.4), 0.3
    problem = theirs.samples(alpha)
    line = problem.bayes()
    xi = float(line["effective_noise"])
    x = np.linspace(-2.5 * xi**0.5, (1 + 2**0.5) ** 2 + 2.5 * xi**0.5, 6001)
    roots = [naive_empirical.resolvent(problem.teacher, xi, point) for point in x]
    rho = np.array([0.0 if m is None else -m.imag / np.pi for m in roots])
    cubes = 4 * np.pi**2 / 3 * xi * np.trapezoid(rho**3, x)
    assert cubes - theirs.noise / (2 * xi) == pytest.approx(1 - 2 * alpha, abs=2e-5)
    assert theirs.from_risk(line["risk"]) == pytest.approx(2 * alpha * xi - theirs.noise / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("n", "lregtilde", "table"),
    [
        (160_000, 0.1, {400: 0.0144176370, 103: 0.0138818613, 52: 0.0103776136, 24: 0.0079711664, 10: 0.0162430704}),
        (8_000, 0.0223606798, {400: 0.0904785942, 60: 0.0904804395, 36: 0.0994708175}),
    ],
)
def test_power_laws_meet_the_tables_of_their_programs(n, lregtilde, table):
    """The published state evolution at d = 400 averages three draws of the noise and carries a term of order 1/d."""
    theirs = fl.conventions.Girardin(d=400, gamma=1.25, noise=0.1, lregtilde=lregtilde)
    for rank, mse in table.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            risk = theirs.samples(n, rank).solve()["risk"]
        assert float(theirs.from_risk(risk)) == pytest.approx(mse, rel=0.005), rank


def test_parameters_out_of_range_are_refused():
    for make, message in (
        (lambda: fl.conventions.Maillard(kappa=0), "Argument `kappa` must be positive, but is 0.0."),
        (lambda: fl.conventions.Maillard(0.5, -1), "Argument `sigma` must not be negative, but is -1.0."),
        (lambda: fl.conventions.Girardin(0, 1.0), "Argument `d` must be at least 1, but is 0."),
        (lambda: fl.conventions.Girardin(9, 1.0, -1), "Argument `noise` must not be negative, but is -1.0."),
        (lambda: fl.conventions.Girardin(9, 1.0).samples(0, 2), "Argument `n` must be at least 1, but is 0."),
    ):
        with pytest.raises(ValueError) as error:
            make()
        assert str(error.value) == message
