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
def test_a_number_that_is_not_finite_warns_and_stands_in_the_result(value):
    with pytest.warns(
        UserWarning, match=r"Variable `risk` of Decay is not finite in 1 of 2 places, and nothing says why"
    ):
        result = built({"risk": np.array([1.0, value])})
    assert result["risk"].attrs["undefined"] == "not finite for a reason that is not known"


def test_a_variable_that_may_be_undefined_says_where():
    result = built({"overlap": np.array([np.nan, 0.5])})
    assert "nan where the weights vanish" in result["overlap"].attrs["undefined"]
    result = fl.QuadraticFlow(np.zeros((2, 3)), np.eye(3)).solve([1.0])
    assert np.isnan(result["overlap"].values).all()
    assert "nan where the weights vanish" in result["overlap"].attrs["undefined"]
