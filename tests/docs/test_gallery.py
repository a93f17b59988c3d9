"""The gallery: every script is short and says what it shows, and the quickest ones run."""

import ast
import re
import runpy
import warnings
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"
SCRIPTS = sorted(FOLDER.glob("plot_*.py"))
QUICK = ("late_times", "escape_time", "plateau", "weak_recovery", "early_alignment")


def code_lines(source):
    """Return the lines after the docstring that are neither empty nor comments."""
    after = source.splitlines()[ast.parse(source).body[0].end_lineno :]
    return [line for line in after if line.strip() and not line.lstrip().startswith("#")]


def test_there_are_at_least_two_dozen_figures():
    assert len(SCRIPTS) >= 24


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_is_short_and_says_what_is_seen_and_where_it_comes_from(path):
    source = path.read_text(encoding="utf-8")
    title, rule, text = ast.get_docstring(ast.parse(source)).split("\n", 2)
    assert title
    assert set(rule) == {"="}
    assert len(rule) == len(title)
    *seen, origin = text.strip().split("\n\n")
    assert 2 <= len(re.findall(r"[.:](?=\s|$)", " ".join(seen))) <= 8
    assert origin.startswith("Source: ")
    assert re.search(r"arXiv \d{4}\.\d{5}|\(\d{4}\)", origin)
    assert 10 <= len(code_lines(source)) <= 30
    assert max(map(len, source.splitlines())) <= 120
    assert "show(" not in source


@pytest.mark.parametrize("name", QUICK)
def test_quick_scripts_draw_labelled_curves(name):
    from matplotlib import pyplot

    pyplot.close("all")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            runpy.run_path(str(FOLDER / f"plot_{name}.py"))
        (number,) = pyplot.get_fignums()
        figure = pyplot.figure(number)
        figure.canvas.draw()
        for axes in figure.axes:
            assert axes.get_xlabel()
            assert axes.get_ylabel()
            assert axes.lines
            for label in (axes.xaxis.label, axes.yaxis.label):
                box = label.get_window_extent()
                assert box.x0 >= 0
                assert box.y0 >= 0
                assert box.x1 <= figure.bbox.x1
                assert box.y1 <= figure.bbox.y1
    finally:
        pyplot.close("all")
