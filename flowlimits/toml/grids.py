"""These functions read times and lists of numbers as text, on a command line or in a TOML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SPACINGS = ("linear", "log")
FORM = "START:STOP:COUNT[:linear|:log] or a list such as 0.1,1,10"


def parse_numbers(text: str) -> list[float]:
    """Return the numbers of a comma-separated list."""
    return [_number(part, text) for part in text.split(",") if part.strip()]


def parse_sizes(text: str) -> list[int]:
    """Return the whole numbers of a comma-separated list."""
    values = parse_numbers(text)
    if any(value != int(value) for value in values):
        raise ValueError(f"'{text}' must be a list of whole numbers such as 60,120,240.")
    return [int(value) for value in values]


def parse_grid(text: str) -> np.ndarray:
    """Return the numbers of ``START:STOP:COUNT``, evenly spaced, or of ``START:STOP:COUNT:log``, or of a list.

    Raises
    ------
    ValueError
        If the text is none of these, or asks for a logarithmic grid that starts at 0 or below.
    """
    import numpy as np

    if ":" not in text:
        values = parse_numbers(text)
        if not values:
            raise ValueError(f"'{text}' must be {FORM}.")
        return np.array(values)
    parts = [part.strip() for part in text.split(":")]
    if len(parts) not in (3, 4):
        raise ValueError(f"'{text}' must be {FORM}.")
    return make_grid(_number(parts[0], text), _number(parts[1], text), _count(parts[2], text), *parts[3:])


def make_grid(start: float, stop: float, count: int, spacing: str = "linear") -> np.ndarray:
    """Return `count` numbers from `start` to `stop`, both included."""
    import numpy as np

    from ..core.checks import choice

    choice("spacing", spacing, SPACINGS)
    if count < 1:
        raise ValueError(f"A grid must have at least one point, but has {count}.")
    if spacing == "linear":
        return np.linspace(start, stop, count)
    if min(start, stop) <= 0:
        raise ValueError(f"A logarithmic grid must start and stop above 0, but goes from {start:g} to {stop:g}.")
    return np.geomspace(start, stop, count)


def _number(part: str, text: str) -> float:
    try:
        return float(part)
    except ValueError:
        raise ValueError(f"'{text}' must be {FORM}, but '{part.strip()}' is no number.") from None


def _count(part: str, text: str) -> int:
    try:
        return int(part)
    except ValueError:
        raise ValueError(f"'{text}' must be {FORM}, but the count '{part}' is no whole number.") from None
