"""What all tests share."""

import signal
import sys

import pytest
import toy
from hypothesis import settings

from flowlimits.command_line import main as cli
from flowlimits.command_line import problems
from flowlimits.compiled.announce import announcement
from flowlimits.core import fields, progress, registry
from flowlimits.core.registry import DESCRIPTIONS
from flowlimits.toml import file

# A shell starts what runs in its background with interrupts ignored; here, and in the programs that tests start, they must arrive.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What is compiled for the first time says so on stderr, which tests of messages do not expect.
announcement.said = True

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
    monkeypatch.setattr(progress, "PATIENCE", float("inf"))  # on a busy machine everything takes long

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


DECAY = fields.Table(
    (fields.number("rate", "Rate."), fields.choice("word", "A word.", ("plain", "fancy"), "plain")),
    {},
    size="dimension",
    size_help="Dimension.",
)


@pytest.fixture
def decay_command(tmp_path, monkeypatch, toy_classes):
    """Add a class of problems in the two places that a new room touches."""
    monkeypatch.chdir(tmp_path)
    for table in (registry.PROBLEMS, problems.PROBLEMS, file.PROBLEMS):
        monkeypatch.setitem(table, "Decay", registry.Entry("decay", "toy", "An exponential."))
    monkeypatch.setitem(problems.CLASSES, "decay", "Decay")
    real = fields.table_of
    monkeypatch.setattr(fields, "table_of", lambda name: DECAY if name == "Decay" else real(name))
