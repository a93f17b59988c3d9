"""The page on refusals shows the sentences that users get."""

import re
from pathlib import Path

import numpy as np
import pytest

import flowlimits as fl

PAGE = Path(__file__).parents[2] / "docs" / "refusals.md"
ROWS = (
    re.findall(r"^\| `([^`]+)` \| ``(.+)`` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    if PAGE.is_file()
    else []
)
NAMES = {name: getattr(np, name) for name in ("ones", "zeros", "full", "identity", "nan", "inf")}
NAMES |= {name: getattr(fl, name) for name in fl.__all__}
ROOMS = (
    "Committee",
    "SingleUnit",
    "Spectrum.power_law",
    "XorMixture",
    "SampleFlow",
    "EarlyAlignment",
    "MarginFlow",
    "GuessAndCheck",
    "MeanField",
    "ode.integrate",
    "study",
    "convergence",
)


@fl.ode.right_hand_side
def decay(t, y, dy, params, work):
    dy[0] = -y[0]


def test_the_page_has_its_rows():
    assert len(ROWS) > 80
    for room in ROOMS:
        assert any(code.startswith(room) for code, _ in ROWS), room


@pytest.mark.parametrize(("code", "sentence"), ROWS)
def test_every_row_is_what_is_said(code, sentence):
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    with pytest.raises((ValueError, TypeError, FileNotFoundError)) as caught:
        eval(code, NAMES | {"problem": problem, "decay": decay})
    assert str(caught.value) == sentence
