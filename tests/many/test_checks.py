"""Compiled checks of many overlaps are those of whole arrays, and of each network by itself."""

import numpy as np
import pytest

from flowlimits.committee import Committee, many_checks, physics
from flowlimits.committee.equations import evaluate

NUMBER, P, K = 60, 3, 2


def overlaps(excess):
    """Return overlaps of which the smallest eigenvalue of all together is `excess`, with a little asymmetry."""
    rng = np.random.default_rng(0)
    C = np.empty((NUMBER, P + K, P + K))
    for one in C:
        basis = np.linalg.qr(rng.standard_normal((P + K, P + K)))[0]
        one[:] = basis * np.append(excess, rng.uniform(0.1, 2.0, P + K - 1)) @ basis.T
    C = 0.5 * (C + C.transpose(0, 2, 1))
    C[:, 0, 1] *= 1 + 1e-12
    return [np.ascontiguousarray(part) for part in (C[:, :P, :P], C[:, :P, P:], C[:, P:, P:])]


def accepted(*given):
    return evaluate.feasible(*(one.copy() for one in given), physics.SLACK)


@pytest.mark.parametrize(("excess", "good"), [(0.05, True), (0.0, True), (-1e-11, True), (-1e-6, False), (-0.5, False)])
def test_overlaps_are_feasible_where_their_eigenvalues_say_so(excess, good):
    Q, R, T = overlaps(excess)
    assert accepted(Q, R, T) == good
    for index in range(0, NUMBER, 7):
        assert accepted(Q[index : index + 1], R[index : index + 1], T[index : index + 1]) == good
    if good:
        found, expected = (
            many_checks.check_overlaps(Q.copy(), R.copy(), T.copy()),
            many_checks.slowly(Q, R, T, (NUMBER,)),
        )
        for one, other in zip(found, expected):
            np.testing.assert_array_equal(one, other)
        alone = Committee(Q[7], R[7], T[7])
        np.testing.assert_array_equal(found[0][7], alone.Q)
    else:
        with pytest.raises(ValueError, match="Overlaps of problem 0 are not feasible"):
            many_checks.check_overlaps(Q, R, T)


@pytest.mark.parametrize("index", [0, 31, NUMBER - 1])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 5.0])
def test_one_bad_entry_anywhere_is_seen(index, value):
    for which in range(3):
        given = overlaps(0.05)
        given[which][index, -1, 0] = value
        assert not accepted(*given)


def test_shared_overlaps_stay_as_they_were_given():
    Q, R, T = (one[0] for one in overlaps(0.05))
    given = Q.copy()
    shared = many_checks.check_overlaps(Q, R[None] * np.linspace(0.1, 1.0, 5)[:, None, None], T)
    assert np.array_equal(Q, given)
    assert np.array_equal(shared[0], shared[0].T)
    assert not np.array_equal(Q, Q.T)
    assert [one.ndim for one in shared] == [2, 3, 2]
