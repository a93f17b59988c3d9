"""Arrays come from files: `.npy`, `.npz` and `.csv`, without pickles."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = (".npy", ".npz", ".csv")


def is_array_file(value: Any) -> bool:
    """Whether a text names an array file, ``file.npz:name`` included."""
    return (isinstance(value, str) and value.endswith(SUFFIXES)) or ".npz:" in str(value)


def read_array(text: str, folder: str | Path, name: str, *, matrix: bool = False) -> np.ndarray:
    """Return the array of a file.

    Parameters
    ----------
    text : str
        The file; of a ``.npz`` file the array called `name`, or another one as ``file.npz:other``, or its only one.
    folder : path
        The folder that relative names start from.
    name : str
        The field that the array is for.
    matrix : bool, optional
        One column of a ``.csv`` file is a matrix too, and no vector.

    Raises
    ------
    ValueError
        If the file cannot be read, or does not hold that array.
    """
    path, _, wanted = text.partition(":") if ".npz:" in text else (text, "", "")
    try:
        if path.endswith(".csv"):
            return _read_csv(Path(folder, path), matrix)
        with Path(folder, path).open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return found
            names = list(found)
            chosen = wanted or (names[0] if len(names) == 1 else name)
            if chosen not in names:
                raise ValueError(f"it holds no array `{chosen}`, but {', '.join(names) or 'none'}")
            return np.asarray(found[chosen])
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the array file {text} ({error})") from None
    except Exception as error:  # a damaged zip archive can fail in many ways
        raise ValueError(f"cannot read the array file {text} ({type(error).__name__}: {error})") from None


def _read_csv(path: Path, matrix: bool) -> np.ndarray:
    """Return the numbers of a CSV file: one row per line, a first line of words left out; one column is a vector."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row and not row[0].lstrip().startswith("#")]
    if rows and not all(map(_is_number, rows[0])):
        rows = rows[1:]
    if not rows:
        raise ValueError("it holds no numbers")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(f"row {number + 1} has {len(row)} numbers, but the first has {len(rows[0])}")
        wrong = [word for word in row if not _is_number(word)]
        if wrong:
            raise ValueError(f"row {number + 1} holds {wrong[0]!r}, which is no number")
    values = np.array([[float(word) for word in row] for row in rows])
    return values[:, 0] if values.shape[1] == 1 and not matrix else values


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
