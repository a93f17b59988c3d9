"""Simulations under a covariance: the chain of groups in law, real inputs, and the limit of large dimension."""

import numpy as np
import pytest
from covariance_values import GROUPS, Q, R, T, risk_of
from scipy import stats

import flowlimits as fl


def problem(**physics):
    return fl.Committee(
        Q, R, T, covariance=GROUPS, **{"activation": "erf", "learning_rate": 1.0, "noise": 0.05} | physics
    )


@pytest.mark.parametrize(
    "physics",
    [
        {"second_layer_rate": 0.5},
        {"activation": "centred", "learning_rate": 0.2, "weight_decay": 0.05},
        {"spherical": True},
    ],
)
def test_the_chain_has_the_law_of_real_inputs(physics):
    made = [problem(**physics).simulate([0.1, 1.0], dimension=30, runs=500, rng=i, method=m, progress=False) for i, m in enumerate(("overlaps", "samples"))]  # fmt: skip
    found = []
    for name in ("risk", "Q", "R"):
        first, second = (one[name].values.reshape(500, -1) for one in made)
        moving = first.std(axis=0) > 1e-9
        found += [stats.ks_2samp(a, b).pvalue for a, b in zip(first.T[moving], second.T[moving])]
    assert min(found) > 1e-3 / len(found)


def test_runs_fluctuate_by_the_root_of_the_dimension_around_the_limit():
    theory = problem().solve([4.0])
    runs = problem().simulate([4.0], dimension=400, runs=300, rng=0, progress=False)
    assert runs.attrs["effective_dimension"] == pytest.approx(GROUPS.effective_dimension(400))
    for name in ("risk", "Q", "R"):
        error = runs[name].std("run") / np.sqrt(300)
        assert (np.abs(runs[name].mean("run") - theory[name]) < 4 * error + 2 / 400 * np.abs(theory[name])).all()


def test_weights_have_the_overlaps_of_every_group():
    W, W_star = problem().weights(40, rng=0)
    again = fl.Committee.from_weights(W, W_star, covariance=GROUPS)
    np.testing.assert_allclose(again.Q, Q, atol=1e-13)
    np.testing.assert_allclose(again.R, R, atol=1e-13)
    run = problem().simulate([0.0, 0.1], dimension=40, weights=(W, W_star), rng=0, method="samples", progress=False)
    np.testing.assert_allclose(run["Q"][0, 0], problem().solve([0.0])["Q"][0], rtol=1e-12)


def test_a_run_is_carried_on_bit_for_bit():
    options = {"dimension": 60, "runs": 2, "rng": 0, "keep_state": True, "progress": False}
    whole, part = problem().simulate([1.0, 2.0, 3.0], **options), problem().simulate([1.0, 2.0], **options)
    np.testing.assert_array_equal(fl.extend(part, [3.0])["risk"], whole["risk"])


def test_dimensions_that_hold_no_such_weights_are_refused():
    with pytest.raises(
        ValueError, match=r"^Argument `dimension` = 8 leaves group 1 \(eigenvalue 0\.5, weight 0\.3\) 2 directions"
    ):
        problem().simulate([1.0], dimension=8)


def test_descent_steps_down_the_gradient_of_the_risk():
    """Five steps in five dimensions against steps along differences of the risk, with weight decay and on the sphere."""
    rng = np.random.default_rng(1)
    W, W_star = rng.standard_normal((2, 2, 5))
    basis = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    S = basis @ np.diag([1.5, 1.5, 0.6, 0.6, 0.2]) @ basis.T
    for activation, physics in (("erf", {"weight_decay": 0.3}), ("relu", {}), ("square", {"spherical": True})):
        made = fl.Committee.from_weights(W, W_star, covariance=S, activation=activation, **physics)
        found = made.simulate([0.02, 0.1], dimension=5, method="gd", step=0.02)
        V = W.copy()
        for count in range(5):
            change = np.empty_like(V)
            for at in np.ndindex(V.shape):
                high, low = V.copy(), V.copy()
                high[at] += 1e-5
                low[at] -= 1e-5
                slope = (risk_of(high, W_star, S, activation) - risk_of(low, W_star, S, activation)) / 2e-5
                change[at] = -2 * 5 * slope - physics.get("weight_decay", 0.0) * V[at]
            V = V + 0.02 * change
            if physics.get("spherical"):
                V *= (np.linalg.norm(W, axis=1) / np.linalg.norm(V, axis=1))[:, None]
            if count == 0:
                assert float(found["risk"][0, 0]) == pytest.approx(risk_of(V, W_star, S, activation), rel=1e-8)
        assert float(found["risk"][0, 1]) == pytest.approx(risk_of(V, W_star, S, activation), rel=1e-8)
        np.testing.assert_allclose(found["Q"][0, 1], V @ S @ V.T / 5, atol=1e-8)


def test_descent_tends_to_the_flow_and_is_carried_on():
    still = problem(learning_rate=0.0, noise=0.0, second_layer_rate=0.5)
    flow = float(still.solve([1.0])["risk"][0])
    errors = [float(still.simulate([1.0], dimension=20, step=step)["risk"][0, 0]) - flow for step in (0.02, 0.01)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    options = {"dimension": 40, "step": 0.1, "keep_state": True, "progress": False}
    whole, part = still.simulate([1.0, 2.0, 3.0], **options), still.simulate([1.0, 2.0], **options)
    np.testing.assert_array_equal(fl.extend(part, [3.0])["risk"], whole["risk"])
