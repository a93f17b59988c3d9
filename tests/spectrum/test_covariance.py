"""Covariances in groups of eigenvalues, against dense matrices."""

import copy
import pickle

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.spectrum.covariance import decompose, groups_of
from flowlimits.spectrum.groups import CovarianceGroups

LAW = fl.Spectrum([1.6, 0.5, 0.25], [0.5, 0.3, 0.2])


def random_covariance(rng, dimension=6):
    A = rng.standard_normal((dimension, dimension))
    return A @ A.T / dimension


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_overlaps_by_group_sum_to_those_of_the_fields(rng):
    W, W_star = rng.standard_normal((2, 6)), rng.standard_normal((3, 6))
    S = random_covariance(rng)
    found = decompose(S, 6)
    assert found.groups.count == 6
    np.testing.assert_allclose(found.groups.fields(found.overlaps(W, W_star)), W @ S @ W_star.T / 6, atol=1e-13)
    np.testing.assert_allclose(found.overlaps(W, W_star).sum(0), W @ W_star.T / 6, atol=1e-13)


def test_equal_eigenvalues_form_one_group(rng):
    Q, _ = np.linalg.qr(rng.standard_normal((90, 90)))
    found = decompose((Q * np.repeat([0.5, 2.0, 1.0], 30)) @ Q.T)
    np.testing.assert_allclose(found.groups.eigenvalues, [2, 1, 0.5], rtol=1e-13)
    assert found.sizes.tolist() == [30, 30, 30]


def test_a_diagonal_is_the_matrix_with_that_diagonal(rng):
    W = rng.standard_normal((2, 5))
    values = np.array([0.3, 1.0, 0.3, 2.0, 0.0])
    diagonal, matrix = decompose(values, 5), decompose(np.diag(values), 5)
    np.testing.assert_allclose(diagonal.groups.eigenvalues, matrix.groups.eigenvalues)
    np.testing.assert_allclose(diagonal.overlaps(W), matrix.overlaps(W), atol=1e-14)
    np.testing.assert_allclose(diagonal.rotate_back(diagonal.rotate(W)), W)
    np.testing.assert_allclose(matrix.rotate_back(matrix.rotate(W)), W, atol=1e-14)


def test_small_eigenvalues_of_a_diagonal_stay_apart():
    assert decompose(np.arange(1.0, 3001) ** -4).groups.count == 3000


def test_groups_of_a_law_keep_the_order_in_which_they_were_given():
    for law in (LAW, copy.copy(LAW), pickle.loads(pickle.dumps(LAW)), LAW.normalised()):
        assert groups_of(law).weights.tolist() == [0.5, 0.3, 0.2]
    assert LAW.nodes.tolist() == [0.25, 0.5, 1.6]


def test_groups_may_share_an_eigenvalue_and_have_no_weight():
    groups = groups_of(fl.Spectrum([1.0, 1.0, 2.0], [0.5, 0.5, 0.0]))
    assert groups.eigenvalues.tolist() == [1.0, 1.0, 2.0]
    assert groups.weights.tolist() == [0.5, 0.5, 0.0]


def test_inputs_in_the_eigenbasis_have_the_covariance(rng):
    found = decompose(random_covariance(rng))
    x = found.rotate_back(found.root(np.eye(6)))
    np.testing.assert_allclose(x.T @ x, found.rotate_back(found.rotate_back(np.diag(found.eigenvalues)).T), atol=1e-12)


def test_the_effective_dimension():
    groups = groups_of(LAW)
    S = np.repeat(groups.eigenvalues, groups.multiplicities(100))
    assert groups.effective_dimension(100) == pytest.approx(S.sum() ** 2 / (S**2).sum())
    assert CovarianceGroups.isotropic().effective_dimension(70) == 70


def test_plain_overlaps_mean_isotropic_weights():
    Q, R, T = groups_of(LAW).check_overlaps(np.eye(2), np.zeros((2, 1)), [[1.0]])
    np.testing.assert_allclose(Q[:, 0, 0], [0.5, 0.3, 0.2])
    assert (Q.shape, R.shape, T.shape) == ((3, 2, 2), (3, 2, 1), (3, 1, 1))


EYE = np.array([np.eye(2)] * 3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: decompose([[1.0, 0.2], [0.1, 1.0]]),
            "Argument `covariance` must be symmetric, but covariance[0, 1] is 0.2 and covariance[1, 0] is 0.1.",
        ),
        (
            lambda: decompose([[1.0, 2.0], [2.0, 1.0]]),
            "Argument `covariance` must be positive semidefinite, but has the eigenvalue -1.",
        ),
        (
            lambda: decompose([1.0, -0.5]),
            "Argument `covariance` must not be negative, but is -0.5 at index [1]: variances are not.",
        ),
        (
            lambda: decompose(np.eye(4), 5),
            "Argument `covariance` must have shape (5, 5), as `W` has 5 columns, but has shape (4, 4).",
        ),
        (
            lambda: decompose([1.0, 2.0], 3),
            "Argument `covariance` must have shape (3,), as `W` has 3 columns, but has shape (2,).",
        ),
        (
            lambda: decompose(np.ones((2, 3))),
            "Argument `covariance` must be a Spectrum, a diagonal (d,) or a matrix (d, d), but has shape (2, 3).",
        ),
        (
            lambda: groups_of(LAW).check_overlaps(EYE, 0 * EYE, EYE * np.array([1, -0.5, 1])[:, None, None]),
            "Overlaps of group 1 (eigenvalue 0.5) are not feasible: [[Q, R], [R.T, T]] has the eigenvalue -0.5. "
            "Overlaps of weight matrices are positive semidefinite in every group.",
        ),
        (
            lambda: groups_of(LAW).check_overlaps(EYE[:2], np.eye(2), np.eye(2)),
            "Argument `Q` must have one matrix for each of the 3 groups of the covariance, or be one matrix for isotropic "
            "weights, but has shape (2, 2, 2).",
        ),
        (
            lambda: groups_of(LAW).check_overlaps(EYE + np.array([[0, 0.1], [0, 0]]), 0 * EYE, EYE),
            "Argument `Q` must be symmetric, but Q[0, 0, 1] is 0.1 and Q[0, 1, 0] is 0.",
        ),
        (
            lambda: groups_of(LAW).check_dimension(np.array([np.eye(4)] * 3), 10),
            "Argument `dimension` = 10 leaves group 1 (eigenvalue 0.5, weight 0.3) 3 directions, but its overlaps have rank 4; "
            "raise `dimension` to about 14.",
        ),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(ValueError) as refusal:
        call()
    assert str(refusal.value) == sentence


def test_a_group_of_low_rank_fits_into_few_directions():
    C = np.array([np.ones((2, 2))] * 3)
    assert groups_of(LAW).check_dimension(C, 5).tolist() == [3, 1, 1]


@pytest.mark.parametrize("decay", [0.0, 0.4])
def test_the_largest_rate_is_where_mean_squares_stop_to_shrink(decay):
    """The mean squares of one step, as a matrix, have the eigenvalue one there; the limit is that of many dimensions."""
    groups = CovarianceGroups([3.0, 1.0, 0.0], [0.3, 0.5, 0.2])
    bound = groups.largest_rate(decay, 20)
    c, delta = np.repeat([3.0, 1.0], [6, 10]), bound / 20
    step = np.diag((1 - delta * decay) ** 2 - 2 * delta * (1 - delta * decay) * c + 2 * delta**2 * c**2)
    step = step + delta**2 * np.outer(c, c)
    assert np.abs(np.linalg.eigvals(step)).max() == pytest.approx(1.0, abs=1e-10)
    assert groups.largest_rate(decay, 10**7) == pytest.approx(groups.largest_rate(decay), rel=1e-5)
    assert CovarianceGroups([0.0], [1.0]).largest_rate() == np.inf
