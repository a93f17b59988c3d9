"""What all plots share: colours, sizes, new figures, and text from the attributes of a variable."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by readers with any common colour vision; yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
THEORY = "#000000"
GUIDE = "#7F7F7F"
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", "-.", ":")

COLUMN = 3.4  # inches: one column of a two-column page
TEXT, SMALL = 9.0, 8.0  # points
LONGEST = 33  # characters of an axis label that fit beside a figure of that size
#: Times beyond which a simulation beside a theory is drawn as so many points.
MANY_TIMES, THINNED = 40, 24
# Clocks that are words; the others begin with their formula.
CLOCKS = {"minus log loss": r"minus log loss  $-\log L$"}

_GREEK = re.compile(
    r"(?<![\\A-Za-z])(alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi|chi|psi|omega)"
    r"(?![A-Za-z])"
)


def new_axes() -> Axes:
    """Return the Axes of a new figure of the width of a column."""
    axes = new_figure(COLUMN, 2.55).subplots()
    dress(axes)
    return axes


def new_figure(width: float, height: float) -> Figure:
    """Return a new figure, known to pyplot exactly where something will show it."""
    settings: dict[str, Any] = {"figsize": (width, height), "dpi": 180, "layout": "constrained"}
    if "matplotlib.pyplot" in sys.modules or "ipykernel" in sys.modules:
        from matplotlib import pyplot

        return pyplot.figure(**settings)
    from matplotlib.figure import Figure

    return Figure(**settings)


def check_axes(axes: Any) -> Axes:
    """Return `axes`, or new ones for None."""
    if axes is None:
        return new_axes()
    from matplotlib.axes import Axes

    if not isinstance(axes, Axes):
        raise TypeError(f"Argument `ax` must be a matplotlib Axes or None, but is of type {type(axes).__name__}.")
    _make_room(axes)
    return axes


def _make_room(axes: Axes) -> None:
    """Let a figure whose margins nobody has set make room for its labels."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    figure = axes.figure
    if not isinstance(figure, Figure) or figure.get_layout_engine() is not None:
        return
    sides = ("left", "right", "bottom", "top", "wspace", "hspace")
    defaults: Any = rcParams
    if all(getattr(figure.subplotpars, side) == defaults[f"figure.subplot.{side}"] for side in sides):
        figure.set_layout_engine("constrained")


def dress(axes: Axes) -> None:
    """Set the sizes of text, ticks and lines of Axes that we made."""
    axes.tick_params(which="both", labelsize=SMALL, direction="in", top=True, right=True, width=0.6)
    axes.tick_params(which="major", length=3.5)
    axes.tick_params(which="minor", length=2.0)
    axes.xaxis.label.set_fontsize(TEXT)
    axes.yaxis.label.set_fontsize(TEXT)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)


def add_legend(axes: Axes, **settings: Any) -> None:
    """Draw the legend of labelled artists, if there are any."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**({"fontsize": SMALL, "frameon": False, "handlelength": 1.6, "borderaxespad": 0.6} | settings))


@lru_cache(maxsize=256)
def formula(symbol: str) -> str:
    """Return a symbol as mathtext, or as it stands where mathtext cannot read it."""
    if not symbol:
        return ""
    text = symbol if "$" in symbol else f"${_GREEK.sub(lambda m: chr(92) + m.group(1), symbol)}$"
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return symbol.replace("$", r"\$")
    return text


def spread(count: int, most: int) -> list[int]:
    """Return at most so many numbers below `count`, evenly spread, both ends among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def line_colour(position: int, count: int) -> Any:
    """Return a colour of its own for each of a few lines, and a shade in order for each of many."""
    if count <= len(COLOURS):
        return COLOURS[position]
    import matplotlib

    return matplotlib.colormaps["viridis"](0.92 * position / (count - 1))


def fitting(axes: Axes | None) -> int:
    """Return how many characters of a label fit beside Axes: the height of the panel over that of a character's width."""
    if axes is None:
        return LONGEST
    height = axes.get_position().height * axes.figure.get_figheight()  # type: ignore[union-attr]
    size = float(axes.yaxis.label.get_fontsize())
    return max(12, min(60, int(height * 72 / (0.5 * size))))


def variable_label(dataset: xr.Dataset, name: Hashable, axes: Axes | None = None) -> str:
    """Return the axis label of a variable: what it is, its symbol, and its scale where it has one."""
    longest = fitting(axes)
    attributes = dataset[name].attrs
    words = str(attributes.get("long_name") or str(name).replace("_", " ")).partition(",")[0]
    symbol = formula(str(attributes.get("symbol", "")))
    lines = textwrap.wrap(words, longest) or [words]
    if symbol and len(lines[-1]) + 2 + _length(symbol) > longest and len(words) > longest // 2:
        return "\n".join([*lines, symbol])
    return "\n".join([*lines[:-1], f"{lines[-1]}  {symbol}"]) if symbol else "\n".join(lines)


def _length(text: str) -> int:
    """Return about how many characters wide a formula is: a command is one, unless its name is printed."""
    plain = re.sub(r"\\([A-Za-z]+)", lambda m: m[1] if m[1] in ("min", "log", "cos") else "x", text)
    return len(re.sub(r"[${}^_ \\,]", "", plain))


def clock_label(dataset: xr.Dataset) -> str:
    """Return the axis label of the time: ``tau = t/d`` as mathtext."""
    clock = str(dataset.attrs.get("clock") or dataset["time"].attrs.get("long_name") or "time")
    if clock in CLOCKS:
        return CLOCKS[clock]
    head = re.split(r"[,(]", clock)[0]
    looks_like_formula = all(len(w) < 2 or _GREEK.fullmatch(w) for w in re.findall(r"[A-Za-z]+", head))
    shown = formula(head.strip()) if looks_like_formula else clock
    return f"time  {shown}" if looks_like_formula else shown


def is_geometric(times: np.ndarray) -> bool:
    """Return whether the positive times are nearer to a geometric grid than to an even one, over at least a decade."""
    positive = times[times > 0]
    if positive.size < 3 or positive[-1] < 10 * positive[0]:
        return False
    spread = [float(np.std(steps) / np.mean(steps)) for steps in (np.diff(np.log(positive)), np.diff(positive))]
    return spread[0] < spread[1]


def spans_decades(values: list[np.ndarray]) -> bool:
    """Return whether all the finite values are positive and spread over one and a half decades."""
    joined = np.concatenate([np.ravel(v) for v in values])
    joined = joined[np.isfinite(joined)]
    return bool(joined.size and joined.min() > 0 and np.log10(joined.max() / joined.min()) >= 1.5)


def thinned(times: np.ndarray, xscale: str, place: tuple[int, int]) -> np.ndarray:
    """Return which of many times are drawn: evenly spread along the axis, and apart from those of other simulations."""
    if times.size <= MANY_TIMES:
        return np.arange(times.size)
    positions = np.log(np.where(times > 0, times, np.nan)) if xscale == "log" else times.astype(float)
    there = np.flatnonzero(np.isfinite(positions))
    if there.size == 0:
        return np.arange(times.size)
    number, count = place
    low, high = positions[there].min(), positions[there].max()
    wanted = low + (high - low) * (np.arange(THINNED) + number / count) / (THINNED - 1 / count)
    return np.unique(there[np.abs(positions[there][:, None] - wanted).argmin(axis=0)])
