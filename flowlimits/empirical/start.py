"""Draws of the starting weights, real or complex."""

from __future__ import annotations

import math

import numpy as np

from ..spectrum.spectrum import Spectrum


def start_of(start: str | Spectrum, rng: np.random.Generator, d: int, p: int, hermitian: bool) -> np.ndarray:
    """Return V = W'/sqrt(p) of a draw of the start, shape (d, p)."""
    if isinstance(start, Spectrum) and start.kind != "marchenko_pastur":
        values = start.eigenvalues(d)
        values = np.sort(values)[::-1][: min(p, d)]
        return _frame(rng, d, values.size, hermitian) * np.sqrt(values)
    if start == "orthonormal":
        if p < d:
            return _frame(rng, d, p, hermitian) * math.sqrt(d / p)
        return np.ascontiguousarray(_frame(rng, p, d, hermitian).T)
    scale = start.scale if isinstance(start, Spectrum) else 1.0
    width = start.width(d) if isinstance(start, Spectrum) else p
    return _gaussian(rng, (d, width), hermitian) * math.sqrt(scale / width)


def _gaussian(rng: np.random.Generator, shape: tuple[int, int], hermitian: bool) -> np.ndarray:
    if not hermitian:
        return rng.standard_normal(shape)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / math.sqrt(2)


def _frame(rng: np.random.Generator, rows: int, columns: int, hermitian: bool) -> np.ndarray:
    """Return orthonormal columns of Haar law."""
    Q, R = np.linalg.qr(_gaussian(rng, (rows, columns), hermitian))
    diagonal = R.diagonal()
    return Q * (diagonal / np.abs(diagonal))
