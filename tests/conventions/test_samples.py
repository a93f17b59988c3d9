"""The paper on finitely many samples states its own formulas in its own units."""

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
