r"""Linear equations along a solution: covariances, means and tangents.

On a panel of three nodes at equal distances the equations :math:`S' = JS + SJ^\top + B` and :math:`m' = Jm + b` are solved by the Magnus
expansion of fourth order with Simpson's rule, whose matrices :math:`\begin{pmatrix}A & q\\ & 0\end{pmatrix}` keep the form of the equations.
The exponential and the integrals :math:`\int e^{A\tau}Qe^{A^\top\tau}d\tau`, :math:`\int e^{A\tau}d\tau` are Taylor series, squared or doubled:
nothing is inverted, so that decaying directions may decay by any factor in a panel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Norm of a matrix at which its exponential is a Taylor series of `TERMS` terms.
SMALL, TERMS = 0.3, 7


def symmetric(J: np.ndarray, S: np.ndarray) -> np.ndarray:
    """Return J S + (J S)^T for symmetric S."""
    product = J @ S
    return product + product.mT


@dataclass(frozen=True)
class Panels:
    """Panels of the linear equations, solved: the propagator, the integral of it, and the covariance that is added.

    Attributes
    ----------
    propagator, integral, added : ndarray, shape (N, D, D)
    J : tuple of ndarray
        At the three nodes, kept for vector equations.
    h : ndarray, shape (N,)
    """

    propagator: np.ndarray
    integral: np.ndarray
    added: np.ndarray
    J: tuple[np.ndarray, np.ndarray]
    h: np.ndarray

    def vector(self, first: np.ndarray, middle: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Return what the sources b, shape (N, D, ...) at the three nodes, add to a vector in each panel."""
        J0, J1 = self.J
        h = self.h.reshape(-1, *[1] * (first.ndim - 1))
        mean = h * (first + 4.0 * middle + last) / 6.0
        flat = (len(self.h), J0.shape[-1], -1)
        twist = J0 @ last.reshape(flat) - J1 @ first.reshape(flat)
        return (self.integral @ (mean - h**2 / 12.0 * twist.reshape(first.shape)).reshape(flat)).reshape(first.shape)


def panels(h: np.ndarray, J: tuple[np.ndarray, ...], B: tuple[np.ndarray, ...]) -> Panels:
    """Return panels of lengths h with J and B, shapes (N, D, D), at their beginnings, middles and ends."""
    J0, Jm, J1 = J
    B0, Bm, B1 = B
    step = h[:, None, None]
    first, last = J0 @ J1, J1 @ J0
    A = step * (J0 + 4.0 * Jm + J1) / 6.0 - step**2 / 12.0 * (first - last)
    Q = step * (B0 + 4.0 * Bm + B1) / 6.0 - step**2 / 12.0 * (symmetric(J0, B1) - symmetric(J1, B0))
    return Panels(*exponential(A, Q), (J0, J1), h)


def exponential(A: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return :math:`e^A`, :math:`\int_0^1 e^{A\tau}d\tau` and :math:`\int_0^1 e^{A\tau}Qe^{A^\top\tau}d\tau` of many matrices."""
    largest = float(np.abs(A).sum(axis=-1).max(initial=0.0))
    doublings = max(0, int(np.ceil(np.log2(max(largest, 1e-300) / SMALL))))
    A, Q = A / 2.0**doublings, Q / 2.0**doublings
    unit = np.broadcast_to(np.eye(A.shape[-1]), A.shape)
    integral, term, added, source = unit.copy(), unit, Q.copy(), Q
    for n in range(2, TERMS + 2):
        term = A @ term / n
        integral = integral + term
        source = symmetric(A, source) / n
        added = added + source
    propagator = unit + A @ integral
    for _ in range(doublings):
        added = added + propagator @ added @ propagator.mT
        integral = 0.5 * (integral + propagator @ integral)
        propagator = propagator @ propagator
    return propagator, integral, added


def hermite(nodes: np.ndarray, values: np.ndarray, slopes: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the cubic polynomials between nodes, with values and slopes (N, ...), at times."""
    at = np.clip(np.searchsorted(nodes, times, side="right") - 1, 0, len(nodes) - 2)
    shape = (-1, *[1] * (values.ndim - 1))
    h = (nodes[at + 1] - nodes[at]).reshape(shape)
    x = (times - nodes[at]).reshape(shape) / h
    rise = values[at + 1] - values[at]
    return (
        values[at] + x * rise + x * (1.0 - x) * ((1.0 - x) * (h * slopes[at] - rise) - x * (h * slopes[at + 1] - rise))
    )
