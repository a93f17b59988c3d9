"""Studies: the table, the streams, the failures, and what is refused."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import study_functions as functions
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import flowlimits as fl
from flowlimits.studies.keys import Definition, canonical, text_of


def study(function, axes, **options):
    return fl.study(function, axes, progress=False, **options)


def test_the_table_is_the_function_on_the_grid():
    a, b = np.linspace(0, 1, 7), np.array([1, 5, 9])
    table = study(functions.product, {"a": a, "b": b})
    assert table["product"].dims == ("a", "b")
    np.testing.assert_array_equal(table["product"], a[:, None] * b[None, :])
    np.testing.assert_array_equal(table["a"], a)
    assert table["b"].dtype == np.int64
    assert (table["status"] == 1).all()
    assert "status" not in table.data_vars


def test_the_function_receives_plain_values():
    seen = []

    def function(a, b, c):
        seen.append((a, b, c))
        return 0.0

    study(function, {"a": np.array([1.5]), "b": np.array([2]), "c": ["word"]})
    assert [type(value) for value in seen[0]] == [float, int, str]


def test_every_kind_of_result_becomes_variables():
    def everything(a):
        curve = xr.DataArray([a, 2 * a], dims="time", coords={"time": [0.0, 1.0]}, attrs={"symbol": "c"})
        return {
            "number": a,
            "whole": 3,
            "truth": a > 1,
            "word": "up" if a > 1 else "no",
            "array": np.full((2, 3), a),
            "curve": curve,
            "zero": curve[0],
        }

    table = study(everything, {"a": [1.0, 2.0]})
    assert table["number"].dtype == np.float64
    assert table["whole"].dtype.kind == "i"
    assert table["truth"].values.tolist() == [False, True]
    assert table["word"].values.tolist() == ["no", "up"]
    assert table["array"].dims == ("a", "array_0", "array_1")
    assert table["curve"].dims == ("a", "time")
    assert table["curve"].attrs == {"symbol": "c"}
    np.testing.assert_array_equal(table["time"], [0.0, 1.0])
    assert table["zero"].dims == ("a",)


def test_a_zero_dimensional_dataarray_is_a_number_with_the_name_of_the_function():
    def last(a):
        return xr.DataArray([1.0, a], dims="time", coords={"time": [0.0, 5.0]}, name="risk")[-1]

    table = study(last, {"a": [1.0, 2.0]})
    assert list(table.data_vars) == ["last"]
    assert "time" not in table.coords
    assert table["last"].values.tolist() == [1.0, 2.0]


def test_a_dataset_keeps_its_variables_but_not_the_arrays_of_its_problem():
    def solution(a):
        return xr.Dataset(
            {"x": ("time", [a, a]), "problem_Q": ("i", np.zeros(int(a)))},
            coords={"time": [0.0, 1.0]},
            attrs={"problem": "{}"},
        )

    table = study(solution, {"a": [1.0, 2.0]})
    assert list(table.data_vars) == ["x"]


def test_whole_numbers_and_floats_mix_to_floats():
    table = study(lambda a: 1 if a < 2 else 0.5, {"a": [1, 2, 3]})
    assert table["value"].values.tolist() == [1.0, 0.5, 0.5]


def test_parameters_and_partials_are_fixed_arguments():
    assert study(functions.product, {"a": [1.0, 2.0]}, parameters={"b": 3.0})["product"].values.tolist() == [3.0, 6.0]
    assert study(functools.partial(functions.product, b=3.0), {"a": [1.0, 2.0]})["product"].values.tolist() == [
        3.0,
        6.0,
    ]


def test_repeats_have_streams_of_their_own():
    table = study(functions.noise, {"a": [1.0, 2.0]}, repeats=3, rng=0)
    assert table["mean"].dims == ("a", "repeat")
    assert table["path"].dims == ("a", "repeat", "path_0")
    assert len(np.unique(table["path"])) == table["path"].size


def test_streams_belong_to_the_point_and_not_to_the_order_or_the_grid():
    alone = study(functions.noise, {"a": [2.0]}, rng=4)
    among = study(functions.noise, {"a": [0.5, 1.0, 2.0, 7.0]}, rng=4, workers=3)
    xr.testing.assert_identical(alone["path"].isel(a=0, drop=True), among["path"].sel(a=2.0, drop=True))
    other = study(functions.noise, {"a": [2.0]}, rng=5)
    assert (other["path"] != alone["path"]).all()


def test_the_order_of_the_axes_changes_no_number():
    one = study(functions.slow, {"a": [1.0, 2.0], "b": [3.0, 4.0]}, rng=1)
    two = study(functions.slow, {"b": [3.0, 4.0], "a": [1.0, 2.0]}, rng=1)
    xr.testing.assert_equal(one["value"], two["value"].transpose("a", "b"))


def test_a_failed_point_is_recorded_and_the_rest_goes_on():
    with pytest.warns(
        UserWarning,
        match=r"1 of 5 points failed; the first, at a=3: ValueError: three is not allowed \(study_functions.py, line \d+\)",
    ):
        table = study(functions.fails_at_three, {"a": [1, 2, 3, 4, 5]})
    assert table["status"].values.tolist() == [1, 1, 2, 1, 1]
    np.testing.assert_array_equal(table["fails_at_three"], [10, 20, np.nan, 40, 50])
    assert table["failure_point"].values.tolist() == [2]
    assert "three is not allowed" in str(table["failure_message"].values[0])


def test_a_study_without_any_result_is_an_error():
    with pytest.raises(
        fl.StudyError, match=r"All 2 points that were computed failed; the first, at a=1: SystemExit: 5"
    ):
        study(functions.polite_exit, {"a": [1, 2]})


def test_another_shape_at_another_point_is_named():
    with pytest.raises(ValueError) as caught:
        study(functions.other_shape_at_two, {"a": [1, 2, 3]}, workers=1)
    assert (
        str(caught.value)
        == "Function `other_shape_at_two` returned shape (3,) for `other_shape_at_two` (at a=2), but shape (2,) (at a=1)."
    )


def test_other_variables_or_coordinates_at_another_point_are_named():
    with pytest.raises(ValueError, match=r"returned the variables y \(at a=2\), but x \(at a=1\)"):
        study(lambda a: {"x": 1.0} if a == 1 else {"y": 1.0}, {"a": [1, 2]}, workers=1)
    with pytest.raises(ValueError, match=r"another coordinate `time` \(at a=2\) than elsewhere"):
        study(lambda a: xr.DataArray([0.0], dims="time", coords={"time": [float(a)]}), {"a": [1, 2]}, workers=1)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "Argument `axes` must have at least one axis, but is empty."),
        ([1, 2], "Argument `axes` must map names to values, but is [1, 2]."),
        ({"a": []}, "Axis `a` must hold at least one value, but is empty."),
        ({"a": 3.0}, "Axis `a` must be a sequence, but is 3.0; what is equal at all points goes into `parameters`."),
        (
            {"a": "word"},
            "Axis `a` must be one-dimensional, but is 'word'; what is equal at all points goes into `parameters`.",
        ),
        (
            {"a": [[1.0, 2.0]]},
            "Axis `a` must be one-dimensional, but is [[1.0, 2.0]]; what is equal at all points goes into `parameters`.",
        ),
        ({"a": [1.0, 1.0]}, "Axis `a` must not repeat a value, but repeats 1.0 at index 1."),
        ({"a": ["x", "y", "x"]}, "Axis `a` must not repeat a value, but repeats 'x' at index 2."),
        ({"a": [1.0, 3.0, 2.0]}, "Axis `a` must increase strictly, but is not sorted: 2 follows 3 at index 2."),
        ({"a": [1.0, float("nan")]}, "Axis `a` must be finite, but holds nan."),
        ({"a": [1, "x"]}, "Axis `a` must hold numbers or words, but mixes them."),
        ({"a": [None, 1]}, "Axis `a` must hold numbers, words or truth values, but holds None."),
        ({"a b": [1.0]}, "Argument `axes` must have the names of arguments as keys, but has 'a b'."),
        ({"a": [1.0], "bb": [1.0]}, "Function `product` has no argument `bb`; did you mean `b`?"),
        ({"a": [1.0]}, "Function `product` needs `b`: make it an axis, or give it in parameters=dict(b=...)."),
    ],
)
def test_bad_axes_are_told_in_a_sentence(axes, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        study(functions.product, axes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 0}, "Argument `repeats` must be at least 1, but is 0."),
        (
            {"repeats": 2},
            "Argument `repeats` is 2, but function `product` has no argument `rng`: all repeats would be equal.",
        ),
        (
            {"rng": 1},
            "Argument `rng` was given, but function `product` has no argument `rng` that could take its random numbers.",
        ),
        ({"workers": 0}, "Argument `workers` must be at least 1, but is 0."),
        ({"part": "3/2"}, "Argument `part` must be i/n with 1 <= i <= n, but is 3/2."),
        ({"part": "half"}, "Argument `part` must be a pair (i, n) or \"i/n\", but is 'half'."),
        (
            {"executor": "thread"},
            'Argument `executor` must be one of "threads", "processes", "mpi", but is \'thread\'; did you mean `threads`?',
        ),
        ({"parameters": {"a": 1.0}}, "`a` is an axis and a parameter; it can be one of them."),
        ({"parameters": {"c": 1.0}}, "Function `product` has no argument `c`."),
    ],
)
def test_bad_arguments_are_told_in_a_sentence(options, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        study(functions.product, {"a": [1.0], "b": [2.0]}, **options)
    assert str(caught.value) == message


def test_results_of_another_kind_fail_with_a_sentence():
    for value, words in (
        (None, "returned None for `value`"),
        (1j, "returned complex numbers for `value`"),
        ({}, "returned an empty mapping"),
        ([[1], [1, 2]], "returned "),
    ):
        with pytest.raises(fl.StudyError, match=words):
            study(lambda a, value=value: value, {"a": [1]})


def test_a_variable_with_the_name_of_an_axis_is_refused():
    with pytest.raises(
        ValueError, match=r"The function returned a variable `a`, which is an axis of the study: rename one of them\."
    ):
        study(lambda a: {"a": 1.0}, {"a": [1.0]})


def test_parts_together_are_the_whole(tmp_path):
    axes = {"a": np.arange(1.0, 6), "b": np.arange(4.0)}
    first = study(functions.product, axes, folder=tmp_path, part=(1, 3))
    assert int((first["status"] == 1).sum()) == 7
    assert np.isnan(first["product"]).sum() == 13
    study(functions.product, axes, folder=tmp_path, part="2/3")
    last = study(functions.product, axes, folder=tmp_path, part="3/3")
    xr.testing.assert_identical(last.drop_attrs(deep=False), study(functions.product, axes).drop_attrs(deep=False))


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(plain_values, plain_values)
@settings(deadline=None)
def test_canonical_texts_are_equal_exactly_where_values_are(one, two):
    same = text_of(canonical(one)) == text_of(canonical(two))
    assert same == (repr(_sorted(one)) == repr(_sorted(two)))


def _sorted(value):
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_keys_tell_apart_everything_that_defines_a_point():
    base = Definition("f", "", ("a", "b"), {}, None, {})
    axes = {"a": [0.1, 0.2], "b": [1, 2]}
    keys = base.point_keys(axes, 2)
    assert len(set(keys)) == 8
    others = [
        Definition("g", "", ("a", "b"), {}, None, {}),
        Definition("f", "2", ("a", "b"), {}, None, {}),
        Definition("f", "", ("a", "b"), {"c": 1}, None, {}),
        Definition("f", "", ("a", "b"), {}, {"entropy": ["1"], "spawn_key": []}, {}),
    ]
    assert len({key for other in [base, *others] for key in other.point_keys(axes, 2)}) == 40
    assert base.point_keys({"a": [0.1], "b": [1.0]}, 1) != base.point_keys({"a": [0.1], "b": [1]}, 1)
    assert base.point_keys({"b": [1], "a": [0.1]}, 1) == base.point_keys({"a": [0.1], "b": [1]}, 1)


def test_keys_are_the_same_in_another_process_and_another_year():
    # Written down once: a change here orphans every study that anyone has stored.
    keys = Definition("f", "", ("a",), {"c": {"float": "0x1.0p+0"}}, None, {}).point_keys({"a": [0.5, 1]}, 1)
    assert [key.hex() for key in keys] == ["fc0cdeca00398d1a5d641233f4cd7b28", "50d0eb25e2d4d76fa06b59e8ec834359"]


def test_a_study_needs_no_folder_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study(functions.product, {"a": [1.0], "b": [2.0]})
    assert list(tmp_path.iterdir()) == []


def test_the_package_keeps_the_function_study_after_its_modules_are_imported():
    code = "import flowlimits as fl, flowlimits.studies.grid, flowlimits.plot\nassert callable(fl.study) and callable(fl.refine) and callable(fl.plot.study)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
