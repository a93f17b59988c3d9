"""The notebooks of the documentation run: the page of common mistakes always, the longer ones with the slow tests."""

import re
from pathlib import Path

import pytest

import flowlimits as fl

DOCS = Path(__file__).parents[2] / "docs"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = sorted(
    path for folder in ("tutorials", "howto") for path in (DOCS / folder).glob("*.md") if path.name != "index.md"
)


def run(path: Path, names: dict[str, object] | None = None) -> int:
    """Run the cells of a notebook in one namespace, and return their number."""
    cells = [re.sub(r"^:.*\n", "", cell, flags=re.MULTILINE) for cell in CELL.findall(path.read_text(encoding="utf-8"))]
    names = {} if names is None else names
    names["__name__"] = "notebook"
    for number, cell in enumerate(cells):
        exec(compile(cell, f"{path.name}, cell {number}", "exec"), names)
    return len(cells)


def test_common_mistakes_are_answered_as_shown(tmp_path, monkeypatch, capsys):
    """A mistake that is no longer refused fails in the page itself; none may be answered by Python alone."""
    monkeypatch.chdir(tmp_path)
    assert run(DOCS / "sharp_bits.md") > 20
    answers = capsys.readouterr().out
    assert answers.count("Error: ") >= 30
    for poor in ("unexpected keyword", "required positional", "object has no attribute", "Traceback"):
        assert poor not in answers


def test_the_nine_tasks_take_thirty_lines_of_code_each():
    listed = re.findall(
        r"^\| .* \| \[.*\]\((\w+\.md)\) \|$", (DOCS / "howto" / "index.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(listed) == 9
    for name in listed:
        cells = CELL.findall((DOCS / "howto" / name).read_text("utf-8"))
        lines = [line for cell in cells for line in cell.splitlines() if line.strip()]
        assert 5 < len(lines) <= 30, name


def test_a_learning_rate_and_a_noise_are_fitted_to_a_measured_curve(capsys):
    names: dict[str, object] = {}
    run(DOCS / "howto" / "fit_learning_rate.md", names)
    found, error = names["found"], names["error"]
    assert abs(found[0] - 1.3) < 3 * error[0] < 0.1
    assert abs(found[1] - 0.2) < 3 * error[1] < 0.03
    assert "agrees" in capsys.readouterr().out
    # With the noise known the rate is found to two per cent.
    flat, measured, rate = names["flat"], names["measured"], 1.0
    for _ in range(5):
        one = fl.Committee(**names["start"], learning_rate=rate, noise=0.2)
        fitted = one.solve(names["times"], sensitivities=["learning_rate"])
        slope = flat(fitted, "_by_learning_rate")
        rate += float(slope @ (flat(measured).mean(0) - flat(fitted)) / (slope @ slope))
    assert rate == pytest.approx(1.3, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_notebooks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(path) > 0
