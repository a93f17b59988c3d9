"""These commands read files of results: `flowlimits show`, `rerun`, `plot` and `cite`."""

from __future__ import annotations

import io
import os
from typing import Any

import click

from ..core.files import replacing
from . import text
from .problems import CLASSES, from_file, near
from .text import NETCDF, Output, say

FIGURES = (".pdf", ".png", ".svg", ".eps")

FILE = click.Path(dir_okay=False)


@click.command(short_help="Print what results are and how they were computed.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=FILE)
def show(files: tuple[str, ...]) -> int:
    """Print the problem, the provenance and the variables of results."""
    from ..core.storage import load

    for number, path in enumerate(files):
        result = load(path)
        if not hasattr(result, "attrs"):
            say(("\n" if number else "") + f"{path}\n{result}")
            continue
        blocks = [text.heading(result), "Variables", text.variables(result), "Provenance", text.provenance(result)]
        say(("\n" if number else "") + f"{path}\n" + "\n".join(block for block in blocks if block))
    return 0


@click.command(short_help="Repeat a result and compare it bit for bit.")
@click.argument("file", metavar="FILE", type=FILE)
@click.option("-o", "--output", type=Output(NETCDF), help="Save the repeated result to this netCDF file.")
def rerun(file: str, output: str | None) -> int:
    """Compute a result anew from what its file states, and compare it bit for bit.

    The same numbers are promised on the same machine with the same versions; the versions that changed are named.
    Exit status 1: something differs.
    """
    from ..core.results import provenance, versions
    from ..core.storage import load, save
    from ..data import rerun as anew

    result = load(file)
    if not hasattr(result, "attrs"):
        raise click.UsageError("A verdict is repeated by the commands that made its results.")
    again = anew.rerun(result)
    if output:
        save(again, output)
    names = anew.differing(result, again)
    if not names:
        say(f"{file}: all {len(result.variables)} coordinates and variables are the same bit for bit.")
        return 0
    say(f"{file}: not the same: {', '.join(names)}.")
    before = provenance(result).get("versions", {})
    changed = [f"{name} {before[name]} -> {now}" for name, now in versions().items() if before.get(name, now) != now]
    if changed:
        say(f"Versions changed: {', '.join(changed)}.")
    return 1


@click.command(short_help="Draw results.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=FILE)
@click.option("--variable", help="Variable to draw.  [default: overlap, risk, margin or residual]")
@click.option("--label", "labels", multiple=True, help="Label of a file in the legend; once per file.")
@click.option("--xscale", type=click.Choice(["linear", "log"]), help="[default: log where the times are geometric]")
@click.option("--yscale", type=click.Choice(["linear", "log"]), help="[default: log where the values span decades]")
@click.option(
    "--spectrum", is_flag=True, help="Draw the spectral density of the first file, and the eigenvalues of the second."
)
@click.option("--time", type=float, help="Time of the spectrum.  [default: the last]")
@click.option("--x", help="Axis of a study along the figure.  [default: the first]")
@click.option("--y", help="Axis of a study across the figure, which makes it a map.")
@click.option("--norm", type=click.Choice(["linear", "log"]), help="Colours of a map.  [default: by the range]")
@click.option("--level", "levels", multiple=True, type=float, help="Contour of a map; may be repeated.")
@click.option("-o", "--output", type=Output(FIGURES), required=True, help="The figure: pdf, png, svg or eps.")
def plot(
    files: tuple[str, ...], variable: str | None, spectrum: bool, time: float | None, output: str, **options: Any
) -> int:
    """Draw results: theories as lines, simulations as points or bands with standard errors.

    A file that `converge` wrote is drawn as its deviation against the size, the table of a study as lines or a map.
    """
    from ..core.storage import load

    results = [load(path) for path in files]
    axes = _axes(results, variable, spectrum, time, options)
    save_figure(axes.figure, output)
    say(f"Saved to {output}.")
    return 0


def _axes(results: list[Any], variable: str | None, spectrum: bool, time: float | None, options: dict[str, Any]) -> Any:
    from .. import plot as draw

    x, y = options.pop("x"), options.pop("y")
    kinds = [result.attrs.get("kind") if hasattr(result, "attrs") else "comparison" for result in results]
    if "study" in kinds:
        if len(results) > 1:
            raise click.UsageError("A study is drawn alone.")
        if spectrum:
            raise click.UsageError("--spectrum does not belong to a study.")
        labels = options.pop("labels")
        if len(labels) > 1:
            raise click.UsageError("A study takes one --label.")
        levels = list(options.pop("levels")) or None
        return draw.study(results[0], x, y, variable=variable, levels=levels, label=(labels or (None,))[0], **options)
    if x or y:
        raise click.UsageError("--x and --y belong to the table of a study.")
    norm, levels = options.pop("norm"), options.pop("levels")
    if norm or levels:
        raise click.UsageError("--norm and --level belong to the map of a study.")
    if spectrum:
        if len(results) > 2:
            raise click.UsageError(
                f"--spectrum takes a limit and at most one simulation, but {len(results)} files are given."
            )
        return draw.spectrum(*results, time=time)
    if time is not None:
        raise click.UsageError("--time belongs to --spectrum.")
    if "comparison" in kinds:
        if len(results) > 1:
            raise click.UsageError("A comparison is drawn alone: its deviations against the size.")
        return draw.convergence(results[0], variable)
    labels = list(options.pop("labels")) or None
    return draw.curves(*results, variable=variable, labels=labels, **options)


def save_figure(figure: Any, path: str) -> None:
    """Write a figure, with text as text in vector formats; the file is there whole or not at all."""
    import matplotlib

    suffix, image = os.path.splitext(path)[1], io.BytesIO()
    # rc_context is the only way to reach the font type of a file, and it ends with the file.
    with matplotlib.rc_context({"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none"}):
        figure.savefig(image, dpi=300, format=suffix[1:], metadata=_metadata(suffix))
    with replacing(path) as temporary:
        temporary.write_bytes(image.getvalue())


def _metadata(suffix: str) -> dict[str, Any]:
    """Leave out the date, so that equal results give equal files."""
    return {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".eps": {}, ".png": {}}[suffix.lower()]


@click.command(short_help="Print BibTeX entries.")
@click.argument("problem", required=False, metavar="[PROBLEM|CLASS|FILE]")
def cite(problem: str | None) -> int:
    """Print BibTeX entries: the package, and the papers behind a problem, a class such as XorMixture, or a result."""
    from ..core.problem import description_class
    from ..core.registry import DESCRIPTIONS
    from ..data.cite import cite as entries

    if problem is None:
        say(entries())
    elif problem in CLASSES:
        say(entries(description_class(CLASSES[problem])))
    elif problem in DESCRIPTIONS:
        say(entries(description_class(problem)))
    elif problem.isidentifier() and not os.path.exists(problem):
        raise click.UsageError(
            f"There is no problem, class or file '{problem}'{near(problem, [*CLASSES, *DESCRIPTIONS])}"
        )
    elif problem.endswith(".toml"):
        say(entries(from_file(problem).problem))
    else:
        from ..core.storage import load

        say(entries(load(problem)))
    return 0
