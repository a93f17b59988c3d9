"""Words of users, and of files, in messages: the nearest known name, and text that is safe to print.

Only the standard library is imported here, so that the command line stays light.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

#: The hint of everything with an argument `rng` to `seed`.
SEED = {"seed": "give the seed as `rng`."}


def nearest(word: Any, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest to `word`, or None if none is near."""
    found = difflib.get_close_matches(str(word), [str(name) for name in known], n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: Any, known: Iterable[str], quote: str = "`") -> str:
    """Return ``; did you mean `name`?`` with the nearest known name, or an empty string."""
    found = nearest(word, known)
    return f"; did you mean {quote}{found}{quote}?" if found is not None else ""


def printable(text: Any) -> str:
    """Return text with its control characters, line ends and tabulators apart, written as escapes.

    What comes from a file could otherwise move the cursor or change the title of a terminal.
    """
    return "".join(
        character if character in "\n\t" or not _controls(character) else ascii(character)[1:-1]
        for character in str(text)
    )


def _controls(character: str) -> bool:
    """Whether a character is a control, of ASCII or of C1, or turns the direction of text."""
    code = ord(character)
    return code < 0x20 or 0x7F <= code < 0xA0 or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
