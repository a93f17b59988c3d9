r"""Direct integration of the quadratic flow: the rectangular V in the teacher's eigenbasis, (Q5).

Rows outside the teacher's space are compressed to as many as the start spans (one QR), which loses nothing: the flow acts on
V from the right only through :math:`V^\top V`.  Small matrices run in the compiled integrator; for large ones the time is in the matrix
products, which NumPy's BLAS does, and the same method of order 8(5,3) runs in Python around them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ode.driver import Integration
from ...ode.report import IntegrationError, Report
from .march import ADVICE, march

#: Operations of one evaluation from which on NumPy's products beat compiled loops.
LARGE = 4.0e6


def integrate_matrix(
    V: np.ndarray, values: np.ndarray, trace: float, s: np.ndarray, *, square: bool, decay: float, rtol: float, atol: float,
    max_steps: int, progress: bool | None, visit: Callable[[int, np.ndarray, float], None],
) -> Report:  # fmt: skip
    """Integrate V, shape (n, m), and phi; call ``visit(i, V, phi)`` at every requested time.

    Parameters
    ----------
    V : ndarray, shape (n, m)
        Start in the basis (teacher's eigenvectors, complement).
    values : ndarray, shape (n,)
        Eigenvalues of Z* of the rows.
    trace : float
        Trace of Z*.
    s : ndarray
        Times on the clock s = 2 t, increasing.
    """
    n, m = V.shape
    y0 = np.append(V.ravel(), 0.0)
    if 4.0 * n * m * m < LARGE:
        from .equations_matrix import matrix_flow

        params = np.concatenate([[n, m, decay, square, trace], values])
        run = Integration(
            matrix_flow.address, y0, s, params, rtol=rtol, atol=np.full(y0.size, atol), method="dop853",
            max_steps=max_steps, work_size=m * m,
        )  # fmt: skip
        try:
            _, states, report = run.run(progress, ADVICE)
        except IntegrationError as error:
            for i, state in enumerate(error.states):
                visit(i, state[:-1].reshape(n, m), float(state[-1]))
            raise
        for i, state in enumerate(states):
            visit(i, state[:-1].reshape(n, m), float(state[-1]))
        return report

    diagonal = (2 * values - decay)[:, None]

    def velocity(y: np.ndarray, dy: np.ndarray) -> None:
        V, dV = y[:-1].reshape(n, m), dy[:-1].reshape(n, m)
        S = V.T @ V
        theta = float(np.trace(S)) - trace if square else 0.0
        np.matmul(V, S, out=dV)
        dV *= -2.0
        dV += (diagonal - theta) * V
        dy[-1] = theta

    return march(velocity, y0, s, rtol, atol, max_steps, lambda i, y: visit(i, y[:-1].reshape(n, m), float(y[-1])))
