"""The examples of the page on studies run as they stand."""

import re
from pathlib import Path

import pytest

from flowlimits.studies.from_toml import read_study

PAGE = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_python_examples_run(tmp_path, monkeypatch):
    pytest.importorskip("adaptive")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    examples = [text for text in blocks("python") if "SLURMCluster" not in text]
    assert len(examples) == 2
    for text in examples:
        small = text.replace(", 40)", ", 6)").replace("points=400", "points=40")
        exec(compile(small.replace("folder=", "progress=False, folder="), "docs/studies.md", "exec"), names)
    assert names["table"]["final_risk"].shape == (6, 6)
    assert names["line"].sizes["point"] == 40
    assert (tmp_path / "studies" / "width" / "refined.nc").exists()


def test_the_toml_example_is_read(tmp_path):
    (text,) = blocks("toml")
    (tmp_path / "width.toml").write_text(text)
    found = read_study(tmp_path / "width.toml")
    assert {name: len(values) for name, values in found.axes.items()} == {"student_ratio": 40, "teacher_ratio": 40}
    assert found.folder == tmp_path / "width"
