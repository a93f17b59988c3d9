"""What a case leaves behind: claims with expected and seen values, figures, and the numbers behind them."""

from __future__ import annotations

import csv
import io
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
DATA = HERE / "data"


@dataclass(frozen=True)
class Claim:
    """One line of the report.

    `source` names paper, figure or equation; `text` what was computed; `passed` is the outcome.  `wrong` marks a
    deliberately wrong theory, whose failure is the expected outcome of the programme; `skipped` what was not computed, and why is in
    `seen`.
    """

    source: str
    text: str
    expected: str
    seen: str
    passed: bool
    wrong: bool = False
    skipped: bool = False


@dataclass
class Record:
    """The claims, figures and tables of one case."""

    name: str
    folder: Path
    claims: list[Claim] = field(default_factory=list)
    figures: list[Path] = field(default_factory=list)

    def _add(self, source: str, text: str, expected: str, seen: str, passed: Any, wrong: bool = False) -> None:
        # NumPy's booleans cannot be written as JSON, by which a case in a process of its own hands over its claims.
        self.claims.append(Claim(source, text, expected, seen, bool(passed), wrong))

    def claim(self, source: str, text: str, *, expected: Any, seen: Any, passed: bool) -> None:
        """Note a claim whose outcome the case has decided."""
        self._add(source, text, _show(expected), _show(seen), passed)

    def close(
        self, source: str, text: str, seen: float, expected: float, *, rtol: float = 0.0, atol: float = 0.0
    ) -> None:
        """Note a number that must lie within a tolerance of the expected one."""
        bound = atol + rtol * abs(expected)
        passed = math.isfinite(seen) and abs(seen - expected) <= bound
        self._add(source, text, f"{expected:.8g} ± {bound:.2g}", f"{seen:.8g}", passed)

    def estimate(
        self,
        source: str,
        text: str,
        seen: float,
        error: float,
        expected: float,
        *,
        largest: float,
        atol: float = 0.0,
        sigmas: float = 4.0,
    ) -> None:
        """Note an estimate that must lie within `sigmas` of its standard errors, and `atol`, of the expected number.

        An error above `largest` fails: what is uncertain agrees with everything.
        """
        bound = atol + sigmas * error
        passed = math.isfinite(seen) and 0 <= error <= largest and abs(seen - expected) <= bound
        wanted = f"{expected:.6g} ± {bound:.2g}, standard error at most {largest:.2g}"
        self._add(source, text, wanted, f"{seen:.6g} ± {error:.2g}", passed)

    def below(self, source: str, text: str, seen: float, bound: float) -> None:
        """Note a number that must stay below a bound."""
        self._add(source, text, f"< {bound:.3g}", f"{seen:.3g}", math.isfinite(seen) and seen < bound)

    def above(self, source: str, text: str, seen: float, bound: float) -> None:
        """Note a number that must stay above a bound."""
        self._add(source, text, f"> {bound:.3g}", f"{seen:.3g}", math.isfinite(seen) and seen > bound)

    def wrong_theory(self, source: str, text: str, *, seen: Any, failed: bool) -> None:
        """Note a deliberately wrong theory: the programme must report it as failing."""
        self._add(source, text, "fails (a wrong theory on purpose)", _show(seen), failed, wrong=True)

    def skip(self, source: str, text: str, reason: str) -> None:
        """Note a claim that is not computed here: it neither passes nor fails."""
        self.claims.append(Claim(source, text, "", reason, True, skipped=True))

    def figure(self, figure: Figure, name: str) -> Path:
        """Save a figure as PDF for papers and SVG for the page."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}_{name}.svg"
        figure.savefig(path)
        figure.savefig(path.with_suffix(".pdf"))
        self.figures.append(path)
        return path

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
        """Write the numbers behind a claim or a page of the docs as CSV, atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([[f"{v:.10g}" if isinstance(v, float) else v for v in row] for row in rows])
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}_{name}.csv"
        write_atomically(path, text.getvalue())
        return path


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or as it was before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).chmod(0o644)
    os.replace(name, path)


def _show(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
