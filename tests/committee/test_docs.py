"""The example of the page on fixed widths runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.command_line import main as cli

PAGE = (Path(__file__).parents[2] / "docs" / "committee.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_example_runs_from_a_papers_convention_to_a_curve(capsys):
    text = EXAMPLES[0]
    names: dict[str, object] = {}
    exec(compile(text.replace("runs=8", "runs=8, progress=False"), "docs/committee.md", "exec"), names)
    limit, theirs = names["limit"], names["theirs"]
    assert isinstance(theirs, fl.conventions.Nn2pp)
    np.testing.assert_allclose(theirs.from_time(limit["time"]), names["steps_over_N"], rtol=1e-12)
    assert float(capsys.readouterr().out.split()[0]) == pytest.approx(float(limit["specialisation"][-1]))
    # The noise of SGD keeps the risk above zero.
    assert 0 < float(limit["risk"][-1]) < 0.05 * float(limit["risk"][0])
    verdict = fl.compare(limit.isel(time=slice(0, 60)), names["runs"])
    assert verdict.passed
    assert names["axes"].get_lines()


def test_the_plateau_of_a_solution_is_a_fixed_point(capsys):
    names: dict[str, object] = {}
    exec(compile(EXAMPLES[1], "docs/committee.md", "exec"), names)
    points, plateau = names["points"], names["plateau"]
    assert points["unstable"].values[0] == 0
    assert (points["unstable"].values[1:] > 0).all()
    assert float(plateau["risk"][0]) == pytest.approx(float(points["risk"][1]), rel=1e-6)


def test_the_command_runs(capsys):
    (line,) = re.findall(r"^flowlimits (.*)$", PAGE, flags=re.MULTILINE)
    with pytest.raises(SystemExit) as end:
        cli.main(line.split())
    assert end.value.code == 0
    last = capsys.readouterr().out.split()
    assert float(last[-2]) == 1000.0
    expected = fl.Committee.random(2, 2, dimension=500, rng=0, activation="erf", learning_rate=0.2).solve([1000.0])
    assert float(last[-1]) == pytest.approx(float(expected["risk"][0]), rel=1e-4, abs=1e-9)
