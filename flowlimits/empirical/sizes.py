"""What a run starts from: whole numbers that realise the ratios, whether memory can hold them, and draws of the weights."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import checks
from ..spectrum.spectrum import Spectrum
from .data import DIRECTIONS
from .physics import EmpiricalPhysics


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


@dataclass(frozen=True)
class Sizes:
    """Whole numbers that realise the ratios in a dimension."""

    d: int
    p: int
    k: int
    n: int
    samples_per_ratio: int

    @classmethod
    def of(cls, physics: EmpiricalPhysics, d: int, data: str) -> Sizes:
        """Return them; refuse a dimension that is too small for the ratios."""
        p, factor = round(physics.student_ratio * d), 2 if data == "hermitian" else 1
        if p < 1:
            least = math.floor(0.5 / physics.student_ratio) + 1
            raise ValueError(
                f"Argument `dimension` must be at least {least} to realise the student_ratio {physics.student_ratio:g}, but is {d}."
            )
        n = round(factor * physics.sample_ratio * d * d)
        if n < 1:
            least = math.floor(math.sqrt(0.5 / (factor * physics.sample_ratio))) + 1
            raise ValueError(
                f"Argument `dimension` must be at least {least} to realise the sample_ratio {physics.sample_ratio:g}, but is {d}."
            )
        return cls(d, p, physics.teacher.width(d), n, factor * d * d)


def check_memory(sizes: Sizes, data: str, workers: int) -> None:
    """Refuse data that memory cannot hold.

    Raises
    ------
    ValueError
        With the kind of data that needs less.
    """
    d, n = sizes.d, sizes.n
    if data == "inputs":
        needed = 8 * workers * (n * d + 4 * n)
    else:
        coordinates = d * d if data == "hermitian" else d * (d + 1) // 2
        needed = 16 * workers * DIRECTIONS * (n + coordinates)
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**34
    if needed <= 0.8 * available:
        return
    if data == "inputs":
        raise ValueError(
            f'Argument `data` must be "symmetric" or "hermitian" in dimension {d}, whose matrices are never stored, but is "inputs": '
            f"{n} inputs hold {n * d:.3g} numbers, {needed / 2**30:.3g} GiB in {workers} threads, and this machine has "
            f"{available / 2**30:.3g} GiB."
        )
    raise ValueError(
        f"Argument `dimension` must be smaller than {d}: the directions of a run take about {needed / 2**30:.3g} GiB in {workers} "
        f"threads, and this machine has {available / 2**30:.3g} GiB."
    )


def check_weights(weights: Any, sizes: Sizes, runs: int, data: str) -> np.ndarray | None:
    """Return own starting weights, shape (p, d) or (runs, p, d)."""
    if weights is None:
        return None
    if data == "hermitian":
        raise ValueError('Argument `weights` must be None for data="hermitian", whose weights are complex.')
    checked = checks.array("weights", weights)
    d = sizes.d
    if checked.ndim not in (2, 3) or checked.shape[-1] != d or (checked.ndim == 3 and checked.shape[0] != runs):
        raise ValueError(
            f"Argument `weights` must have shape (p, {d}) or ({runs}, p, {d}), but has shape {checked.shape}."
        )
    return checked
