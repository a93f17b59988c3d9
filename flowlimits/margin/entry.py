"""The compiled evaluation of a model that Python calls: one signature."""

from ..compiled.jit import jit
from .equations import margins, probabilities


@jit(
    "UniTuple(float64, 2)(int64, int64, float64[::1], float64[:, ::1], float64[::1], float64[::1], float64[::1], float64[::1],"
    " float64[:, ::1])"
)
def evaluate(kind, loss, theta, X, y, extra, q, p, gradients):
    """Write margins, probabilities and gradients; return minus log loss and B."""
    margins(kind, theta, X, y, extra, q, gradients)
    return probabilities(loss, q, p, q.copy())
