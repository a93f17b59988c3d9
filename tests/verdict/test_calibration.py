"""The rates that the documentation states for the verdict on several sizes; minutes, so not among the default tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_right_theory_agrees_and_theories_five_percent_off_differ(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from validation.calibration import STATED, calibrate

    rows = calibrate(STATED)
    assert len(rows) == 5
    for _, _, theory, seeds, agrees, differs, *_ in rows:
        assert (agrees if theory == "right" else differs) >= 0.95 * seeds
