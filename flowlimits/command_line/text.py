"""These functions write results as text for a terminal."""

from __future__ import annotations

from typing import Any

import click

from ..core.words import printable

ROWS = 12


def say(text: Any, *, err: bool = False) -> None:
    """Print text; control characters, which may come from a file, are escaped."""
    click.echo(printable(text), err=err)


def describe(result: Any) -> str:
    """Return what a result is, and its scalar variables at some of its times."""
    return "\n".join([heading(result), "", table(result)])


def heading(result: Any) -> str:
    """Return one or two lines: what the result is of, and what it is."""
    words = [str(result.attrs.get("kind", "dataset"))]
    words += [
        f"{name.replace('_', ' ')} {int(result.attrs[name])}"
        for name in ("dimension", "student_width")
        if name in result.attrs
    ]
    if "run" in result.sizes:
        words.append(f"{result.sizes['run']} run{'s' if result.sizes['run'] > 1 else ''}")
    lines = [problem_line(result), ", ".join(words)]
    if result.attrs.get("clock"):
        lines[1] += f"; the time is {result.attrs['clock']}"
    if result.attrs.get("sentences"):
        lines.append(str(result.attrs["sentences"]))
    return "\n".join(line for line in lines if line)


def problem_line(result: Any) -> str:
    """Return the problem of a result as it is written in Python, or why it cannot be rebuilt."""
    if "problem" not in result.attrs:
        return ""
    from ..core.problem import load_problem

    try:
        return repr(load_problem(result))
    except ValueError as error:
        return f"(problem unknown here: {error})"


def table(result: Any) -> str:
    """Return the scalar variables in time as columns, means over runs, at up to `ROWS` times."""
    from ..core.results import time_variables

    names = time_variables(result)
    if "time" not in result.sizes or not names:
        return ""
    count = result.sizes["time"]
    rows = (
        sorted({round(i * (count - 1) / (min(count, ROWS) - 1)) for i in range(min(count, ROWS))}) if count > 1 else [0]
    )
    columns = [result["time"].values[rows]]
    for name in names:
        values = result[name]
        columns.append((values.mean("run") if "run" in values.dims else values).values[rows])
    heads = ["time", *names]
    width = max(12, *(len(head) + 2 for head in heads))
    lines = ["".join(f"{head:>{width}}" for head in heads)]
    lines += ["".join(f"{float(value):>{width}.6g}" for value in row) for row in zip(*columns)]
    return "\n".join(lines)


def provenance(result: Any) -> str:
    """Return how a result was computed, one line per entry."""
    from ..core.attributes import provenance_of

    if not result.attrs.get("provenance"):
        return ""
    try:
        details = provenance_of(result)
    except ValueError:
        return "(unreadable)"
    return "\n".join(_entry(key, value) for key, value in details.items())


def _entry(key: str, value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{k} {v}" for k, v in value.items() if v is not None)
        return f"  {key.replace('_', ' ')}: {inner}"
    return (
        f"  {key.replace('_', ' ')}: {value:.6g}" if isinstance(value, float) else f"  {key.replace('_', ' ')}: {value}"
    )


def variables(result: Any) -> str:
    """Return one line per variable: name, dimensions, range, meaning."""
    import numpy as np

    lines = []
    for name, values in {**result.coords, **result.data_vars}.items():
        shape = ", ".join(f"{dim} {size}" for dim, size in values.sizes.items())
        line = f"  {name} ({shape})"
        if values.size and values.dtype.kind in "fiu" and np.isfinite(values.values).any():
            line += f"  {np.nanmin(values.values):.6g} to {np.nanmax(values.values):.6g}"
        lines.append(line + (f"  {values.attrs['long_name']}" if "long_name" in values.attrs else ""))
    return "\n".join(lines)
