"""The answer of a comparison: numbers, data, and sentences."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import NamedTuple

import xarray as xr


class At(NamedTuple):
    """The point at which a deviation is largest."""

    variable: str
    time: float


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """A verdict on how theory and runs agree; it prints itself as sentences.

    Attributes
    ----------
    verdict : str
        "agrees", "differs" or "undecided: ...": "one size" where the deviation may be a finite-size effect that only further
        sizes can tell from an error of the theory, "not resolved" where more than the resolution could go unseen, "sizes too
        small for 1/d" where the sizes show no expansion in their inverse, "one run", "few runs", "skewed runs".
    passed : bool or None
        True, False, and None where the verdict is open.
    largest : float
        The largest deviation, in units of `unit`; nan where a single run gives no standard error.
    unit : str
        "standard errors" or, between two theories, "tolerances".
    allowed : float
        The value that `largest` must not exceed.
    at : At
        Where it is largest: ``at.variable`` and ``at.time``.
    level : float
        Probability that a right theory fails, over all variables and times together.
    dataset : xarray.Dataset
        Per variable, size and time: `theory`, `mean`, `deviation`, `standard_error`, `score` (deviation in standard
        errors) and `judged`; with several sizes `extrapolated_deviation`, `extrapolated_error` and
        `extrapolated_score` per variable and time.
    theory : xarray.Dataset
        The theory.
    runs : tuple of xarray.Dataset
        What it was compared with.
    exponent, exponent_error : float
        Several sizes: the deviation goes as d to this power (expected -1); nan where it is below the noise.
    extrapolated : xarray.Dataset or None
        Several sizes: the runs extrapolated to infinite size, every variable with its ``_error``.
    sentences : tuple of str
        What is printed.
    unseen : float
        The largest deviation that could go unseen, in units of the largest value of its variable; nan where nothing is judged.
    """

    verdict: str
    passed: bool | None
    largest: float
    unit: str
    allowed: float
    at: At
    level: float
    dataset: xr.Dataset
    theory: xr.Dataset
    runs: tuple[xr.Dataset, ...]
    exponent: float = float("nan")
    exponent_error: float = float("nan")
    extrapolated: xr.Dataset | None = None
    sentences: tuple[str, ...] = ()
    unseen: float = float("nan")

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    __repr__ = __str__

    def __bool__(self) -> bool:
        # An object is true by default, and `assert fl.compare(...)` would pass whatever the verdict.
        raise TypeError(
            "A comparison has three outcomes: ask for its attribute `passed`, which is True, False or None."
        )

    def _repr_html_(self) -> str:
        first, *rest = (html.escape(sentence) for sentence in self.sentences)
        word, colon, tail = first.partition(":")
        paragraphs = [f"<b>{word}</b>{colon}{tail}", *rest]
        return "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
