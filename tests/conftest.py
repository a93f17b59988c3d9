"""What all tests share."""

import sys

import pytest
from hypothesis import settings

# The same examples everywhere and every time; how long one takes says nothing on a busy machine.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def _close_figures():
    """Close the figures that a test registered with pyplot, where another test has loaded it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
