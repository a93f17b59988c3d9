"""What the README shows works as it stands there."""

import importlib
import re
from pathlib import Path

import pytest

import flowlimits as fl
from flowlimits.command_line import main as cli
from flowlimits.toml.file import read_config

README = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.skipif(not README.is_file(), reason="the tests run without the repository")


def blocks(language, page=README):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_worked_example_gives_the_verdicts_that_are_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    _, undecided, agrees = blocks("text")
    first = {shown.partition(".")[0].partition(":")[0] for shown in (undecided, agrees)}
    assert first == {"undecided", "agrees"}
    assert re.match(r"undecided: one size\. Largest deviation [\d.e+]+ standard errors \(", printed)
    assert re.search(r"^agrees: largest deviation [\d.]+ standard errors \(", printed, re.MULTILINE)
    assert (tmp_path / "overlap.pdf").read_bytes().startswith(b"%PDF")


def test_the_first_command_is_understood(monkeypatch, capsys):
    (shell,) = blocks("sh")
    line = re.search(r"&& flowlimits (.*)", shell).group(1)
    called = {}

    def convergence(problem, times, **options):
        called.update(options, problem=problem)
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("flowlimits.verdict.compare"), "convergence", convergence)
    monkeypatch.setattr("flowlimits.command_line.compute.check_writable", lambda path: None)
    with pytest.raises(SystemExit) as end:
        cli.main(line.split())
    assert end.value.code == 130
    assert called["problem"] == fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    assert (called["sizes"], called["runs"]) == ([60, 120, 240], 24)


def test_the_toml_file_is_understood(tmp_path):
    (text,) = blocks("toml", README.parent / "docs" / "start.md")
    (tmp_path / "problem.toml").write_text(text)
    config = read_config(tmp_path / "problem.toml")
    assert config.problem == fl.ExtensiveQuadratic(0.5, fl.Spectrum.marchenko_pastur(0.25), start="gaussian")
    assert config.simulate == {"sizes": [60, 120, 240], "runs": 24, "rng": 0}


def test_links_and_figures_exist():
    targets = re.findall(r"\]\((?!https?://)([^)]+)\)", README.read_text(encoding="utf-8"))
    assert targets
    assert [target for target in targets if not (README.parent / target.partition("#")[0]).exists()] == []
