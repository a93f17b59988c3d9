"""What all tests share."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _close_figures():
    """Close the figures that a test registered with pyplot, where another test has loaded it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
