"""No number of a result is nan or infinite in silence."""

import numpy as np
import pytest
import toy

import flowlimits as fl
from flowlimits.core import results


def built(values, **more):
    return results.build(
        toy.make(), kind="limit", times=np.array([0.5, 1.0]), variables={"risk": np.array([1.0, 2.0])} | values, call={"verb": "solve"}, **more
    )  # fmt: skip


def test_finite_variables_say_nothing():
    assert "undefined" not in built({}).risk.attrs


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_for_no_reason_is_an_error(value):
    with pytest.raises(
        FloatingPointError, match=r"Variable `risk` of Decay is not finite in 1 of 2 places, and nothing says why"
    ):
        built({"risk": np.array([1.0, value])})


def test_a_cosine_beyond_one_is_an_error_and_rounding_is_taken_away():
    with pytest.raises(
        FloatingPointError, match=r"Variable `overlap` of Decay must lie between -1 and 1, but is 1\.0042"
    ):
        built({"overlap": np.array([np.nan, 1.0042])})
    with pytest.raises(FloatingPointError, match=r"`overlap` of Decay must lie between -1 and 1, but is -inf"):
        built({"overlap": np.array([-np.inf, 1.0])})
    np.testing.assert_array_equal(built({"overlap": np.array([np.nan, 1 + 1e-15])})["overlap"], [np.nan, 1.0])


def test_a_variable_that_may_be_undefined_says_where():
    result = built({"overlap": np.array([np.nan, 0.5])})
    assert "nan where the weights vanish" in result["overlap"].attrs["undefined"]
    result = fl.QuadraticFlow(np.zeros((2, 3)), np.eye(3)).solve([1.0])
    assert np.isnan(result["overlap"].values).all()
    assert "nan where the weights vanish" in result["overlap"].attrs["undefined"]


def test_a_batch_fails_where_nothing_says_why_and_keeps_the_others(monkeypatch):
    real = toy.Decay._values

    def wrong(self, times, shift=0.0):
        found = real(self, times, shift)
        return found | ({"risk": found["risk"] * np.nan} if self.rate == 2.0 else {})

    monkeypatch.setattr(toy.Decay, "_values", wrong)
    with pytest.warns(RuntimeWarning, match="1 of 2 problems failed; the first is problem 1: Variable `risk` of Decay"):
        result = fl.solve_many([toy.Decay(1.0), toy.Decay(2.0)], [0.5, 1.0])
    assert result.status.values.tolist() == ["success", "not finite"]
    assert np.isfinite(result.risk[0]).all()
    assert np.isnan(result.risk[1]).all()


def test_a_simulation_that_diverges_is_a_sentence_on_the_command_line(run):
    status, _, error = run(
        "simulate committee --student-width 1 --teacher-width 1 --start-dimension 10 --dimension 10 --scale 10 --learning-rate 10 "
        "--times 0.5,5 --runs 1 --rng 0 --activation x**3-3*x"
    )
    assert status == 2
    assert error.startswith("Error: The simulation left the finite range at t=3")
