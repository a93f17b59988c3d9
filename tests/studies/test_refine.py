"""Refinement of a boundary, with its points in the store of the study."""

import json

import numpy as np
import pytest
import study_functions as functions
import xarray as xr

import flowlimits as fl

pytest.importorskip("adaptive")

BOX = {"a": (0.0, 1.0), "b": (0.0, 1.0)}


def radius(a, b):
    return np.hypot(a, b)


def step(a):
    return np.tanh(40 * (a - 0.3))


def stumbles(a):
    if 0.4 < a < 0.6:
        raise ValueError("not here")
    return a - 0.5


def refine(function, box, **options):
    return fl.refine(function, box, progress=False, **options)


def test_points_gather_along_the_boundary():
    table = refine(radius, BOX, points=200, boundary=0.7)
    assert table["radius"].dims == ("point",)
    np.testing.assert_array_equal(table["radius"], np.hypot(table["a"], table["b"]))
    near = np.abs(table["radius"].values - 0.7) < 0.05
    # The band holds 5.5 per cent of the square.
    assert near.mean() > 0.5


def test_points_gather_where_a_curve_is_steep():
    table = refine(step, {"a": (0.0, 1.0)}, points=60)
    assert (np.abs(table["a"].values - 0.3) < 0.1).mean() > 0.4


def test_a_boundary_in_one_dimension_is_pinned_down():
    table = refine(step, {"a": (0.0, 1.0)}, points=60, boundary=0.0)
    a = np.sort(table["a"].values)
    after = int(np.searchsorted(a, 0.3))
    # Sixty points of an even grid bracket it thirty times less closely.
    assert a[after] - a[after - 1] < 1 / 59 / 30


def test_refinement_and_grid_share_one_store(tmp_path):
    grid = fl.study(radius, {"a": [0.0, 1.0], "b": [0.0, 1.0]}, folder=tmp_path, progress=False)
    table = refine(radius, BOX, points=30, boundary=0.7, folder=tmp_path)
    assert (grid["status"] == 1).all()
    # The corners come first in any refinement, and were there.
    assert len(np.unique(np.stack([table["a"], table["b"]]), axis=1).T) == 30
    again = refine(radius, BOX, points=40, boundary=0.7, folder=tmp_path)
    np.testing.assert_array_equal(again["radius"].values[:24], table["radius"].values[:24])
    same = refine(radius, BOX, points=40, boundary=0.7, folder=tmp_path)
    xr.testing.assert_equal(again, same)
    assert json.loads(same.attrs["provenance"])["executor"] == "none: all points were stored"
    xr.testing.assert_identical(fl.load(tmp_path / "refined.nc"), same)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_choice_of_points_does_not_depend_on_the_workers(workers):
    expected = refine(functions.product, BOX, points=40, boundary=0.2, workers=2)
    xr.testing.assert_equal(refine(functions.product, BOX, points=40, boundary=0.2, workers=workers), expected)


def test_failed_points_are_recorded_and_the_rest_goes_on():
    with pytest.warns(UserWarning, match=r"points failed; the first, at a=0\.\d+: ValueError: not here"):
        table = refine(stumbles, {"a": (0.0, 1.0)}, points=40)
    inside = (table["a"].values > 0.4) & (table["a"].values < 0.6)
    np.testing.assert_array_equal(table["status"].values == 2, inside)
    assert inside.any()
    assert not inside.all()


@pytest.mark.parametrize(
    ("box", "options", "message"),
    [
        ({"a": (1.0, 0.0)}, {}, "Axis `a` must go from a lower to a higher end, but goes from 1 to 0."),
        ({"a": 1.0}, {}, "Axis `a` must be a pair of numbers, but is 1.0."),
        ({}, {}, "Argument `box` must name the ends of one or two axes, but is {}."),
        ({"a": (0.0, 1.0)}, {"points": 2}, "Argument `points` must be at least 4, but is 2."),
        ({"a": (0.0, 1.0)}, {"variable": "y"}, "Argument `variable` must be one of step, but is 'y'."),
    ],
)
def test_bad_input_is_told_in_a_sentence(box, options, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        refine(step, box, **({"points": 10} | options))
    assert str(caught.value) == message
