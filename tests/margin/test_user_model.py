"""Models of one's own in margin flows."""

import pytest
from naive_margin import read

import flowlimits as fl
from flowlimits import margin


def cubic(theta, x, gradient):
    """(theta . x)^3 with the gradient by hand."""
    z = 0.0
    for k in range(x.size):
        z += theta[k] * x[k]
    for k in range(x.size):
        gradient[k] = 3 * z * z * x[k]
    return z * z * z


def test_a_model_of_ones_own_gives_the_cube_of_the_linear_flow():
    X, y = read("linear")
    best = margin.support_vectors(X, y)
    flow = margin.MarginFlow(margin.UserModel(cubic, 4, order=3), X, y, weights=4 * best.solution + 0.02).solve(
        [10.0, 1000.0, 1e4]
    )
    assert float(flow["margin"][-1]) == pytest.approx(best.lower**3, rel=2e-4)
    assert "cubic" in flow.attrs["problem"]
    with pytest.raises(
        ValueError, match="The model `cubic` is a function of your own and cannot be rebuilt from a file"
    ):
        fl.load_problem(flow)


def test_wrong_models_of_ones_own_are_refused():
    X, y = read("linear")
    with pytest.raises(
        ValueError, match=r"Argument `order` is 2, but at twice the weights the output is 8 times as large\."
    ):
        margin.MarginFlow(margin.UserModel(cubic, 4, order=2), X, y)

    def halved(theta, x, gradient):
        value = 0.0
        for k in range(x.size):
            gradient[k] = 0.5 * x[k]
            value += theta[k] * x[k]
        return value

    with pytest.raises(ValueError, match="The gradient of `halved` contradicts its output"):
        margin.MarginFlow(margin.UserModel(halved, 4, order=1), X, y)
