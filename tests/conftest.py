"""What all tests share."""

import signal
import sys
from typing import Literal

import pytest
import toy
from hypothesis import settings

from flowlimits.command_line import main as cli
from flowlimits.command_line import problems
from flowlimits.core.registry import DESCRIPTIONS
from flowlimits.toml import tables as schema

# A shell starts what runs in its background with interrupts ignored; here, and in the programs that tests start, they must arrive.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples everywhere and every time; how long one takes says nothing on a busy machine.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def _close_figures():
    """Close the figures that a test registered with pyplot, where another test has loaded it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Call the command line in a new folder; return its status, what it printed, and its errors."""
    monkeypatch.chdir(tmp_path)

    def call(line):
        with pytest.raises(SystemExit) as end:
            cli.main(line.split())
        printed = capsys.readouterr()
        return end.value.code, printed.out, printed.err

    return call


@pytest.fixture
def toy_classes(monkeypatch):
    """Let results of the classes that only tests have be loaded and repeated."""
    for name, module in (toy.TABLE | {"Rounded": "compare_problems"}).items():
        monkeypatch.setitem(DESCRIPTIONS, name, module)


class DecayTable(schema.ProblemTable):
    rate: float
    word: Literal["plain", "fancy"] = "plain"

    def make(self, kind, fields):
        return kind(fields.pop("rate"), toy.Law([0.0, 2.0], [0.5, 0.5]), **fields)


@pytest.fixture
def decay_command(tmp_path, monkeypatch, toy_classes):
    """Add a class of problems in the two places that a new room touches."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(schema.PROBLEMS, "Decay", DecayTable)
    flags = problems.ProblemFlags(
        "Decay",
        "An exponential.",
        (problems.option("--rate", type=float, required=True), problems.option("--word", default="plain")),
        lambda given: {"rate": given["rate"], "word": given["word"]},
        "--dimension",
        "Dimension.",
    )
    monkeypatch.setitem(problems.FLAGS, "decay", flags)
