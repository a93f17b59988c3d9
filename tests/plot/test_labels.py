"""Curves and lines of studies are told apart: by words, numbers, entries, problems, quantities."""

import json

import numpy as np
import pytest
import toy
import xarray as xr
from matplotlib.colors import to_hex

import flowlimits as fl

TIMES = np.linspace(0.0, 2.0, 100)


def made(kind="exact", array=None, run=None, **fields):
    """Return a result whose problem has these fields."""
    values = {"risk": ("time", np.exp(-TIMES)), "overlap": ("time", 1 - 0.5 * np.exp(-TIMES))}
    if array is not None:
        values["problem_R"] = (("a", "b"), np.atleast_2d(array))
        fields["R"] = {"array": "problem_R"}
    problem = {"class": "Committee", **fields}
    return xr.Dataset(values, coords={"time": TIMES}, attrs={"kind": kind, "problem": json.dumps(problem)})


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def colours(artists):
    return [to_hex(artist.get_color()) for artist in artists]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (({"activation": "erf"}, {"activation": "relu"}), ["activation erf", "activation relu"]),
        (({"teacher": {"kind": "orthonormal"}}, {"teacher": {"kind": "wishart"}}), ["teacher orthonormal", "teacher wishart"]),
        (({"spherical": True}, {"spherical": False}), ["spherical", "not spherical"]),
        (({"array": 0.1 * np.eye(2)}, {"array": 0.2 * np.eye(2)}), ["R[0, 0] 0.1", "R[0, 0] 0.2"]),
        (({"noise": 0.1}, {"noise": 0.25}), ["noise 0.1", "noise 0.25"]),
        (({}, {}), ["exact (1)", "exact (2)"]),
    ],
)  # fmt: skip
def test_theories_are_labelled_by_what_differs(fields, expected):
    axes = fl.plot.curves(*[made(**one) for one in fields])
    assert legend(axes) == expected
    assert fields[0] == {} or len(set(colours(axes.lines))) == 2


def test_long_labels_are_folded_and_kinds_stay_where_they_differ():
    results = [
        made(activation="erf", start="orthonormal"),
        made(kind="limit", activation="hermite", start="gaussian"),
    ]
    assert legend(fl.plot.curves(*results)) == [
        "activation erf,\nstart orthonormal, exact",
        "activation hermite,\nstart gaussian, limit",
    ]


def test_runs_of_the_same_size_are_labelled_by_their_problem():
    runs = [toy.make(rate).simulate(TIMES, dimension=50, runs=2, rng=0) for rate in (1.0, 3.0)]
    assert legend(fl.plot.curves(*runs)) == ["rate 1", "rate 3"]


def test_a_batch_names_its_problems_their_coordinates_and_failures():
    values = np.exp(-np.outer([1.0, 2.0, 3.0], TIMES))
    values[1, 50:] = np.nan
    batch = xr.Dataset(
        {"risk": (("problem", "time"), values)},
        coords={"time": TIMES, "problem": [0, 1, 2], "status": ("problem", ["success", "diverged", "success"])},
        attrs={"kind": "exact"},
    )
    axes = fl.plot.curves(batch)
    assert legend(axes) == ["problem 0", "problem 1 (failed)", "problem 2"]
    assert len(set(colours(axes.lines))) == 3
    rated = fl.plot.curves(batch.assign_coords(rate=("problem", [1.0, 2.0, 3.0])))
    assert legend(rated) == ["rate 1", "rate 2 (failed)", "rate 3"]


def test_many_entries_are_shades_of_which_some_are_named():
    wide = xr.Dataset({"m": (("time", "unit"), np.ones((100, 30)))}, coords={"time": TIMES}, attrs={"kind": "exact"})
    axes = fl.plot.curves(wide, variable="m")
    assert len(set(colours(axes.lines))) == 30
    assert legend(axes)[0] == "m[0]"
    assert legend(axes)[-1] == "m[29]"
    assert len(legend(axes)) == 9


def test_many_times_of_runs_are_thinned_points_above_the_theory():
    problem = toy.make()
    runs = [problem.simulate(TIMES, dimension=size, runs=4, rng=3) for size in (50, 100)]
    axes = fl.plot.curves(problem.solve(TIMES), *runs, variable="overlap")
    points = [container[0] for container in axes.containers]
    assert all(20 <= len(p.get_xdata()) <= 24 for p in points)
    assert not set(points[0].get_xdata()[1:-1]) & set(points[1].get_xdata()[1:-1])
    assert min(p.get_zorder() for p in points) > axes.lines[0].get_zorder()
    mean = runs[0]["overlap"].mean("run")
    np.testing.assert_allclose(points[0].get_ydata(), mean.sel(time=points[0].get_xdata()), rtol=1e-14)


def test_a_band_shows_where_runs_of_a_dimension_are_predicted():
    times = np.linspace(0, 4, 9)
    overlaps = {"Q": [[0.5]], "R": [[0.2]], "T": [[1.0]]}
    theory = fl.Committee(**overlaps, activation="erf", learning_rate=1.0).solve(times, fluctuations=True)
    theory["needs_dimension"][-3:] = 1000  # as where a plateau is left
    axes = fl.plot.curves(theory, variable="risk", dimension=100)
    (band,) = axes.collections
    low, high = (band.get_paths()[0].vertices[side, 1] for side in (slice(1, 7), slice(13, 7, -1)))
    expected = (theory["risk"] + theory["bias_risk"] / 100)[:6], theory["std_risk"][:6] / 10
    np.testing.assert_allclose((low + high) / 2, expected[0], rtol=1e-12)
    np.testing.assert_allclose((high - low) / 2, expected[1], rtol=1e-9)
    assert "runs of $d$ = 100, predicted" in legend(axes)
    assert band.get_paths()[0].vertices[:, 0].max() == times[5]


def test_two_quantities_on_one_axes_have_two_colours_and_a_legend():
    result = made()
    axes = fl.plot.curves(result, variable="overlap")
    assert fl.plot.curves(result, variable="risk", ax=axes) is axes
    assert legend(axes) == ["overlap, exact", "risk, exact"]
    assert len(set(colours(axes.lines))) == 2
    assert axes.get_ylabel() == "overlap, risk"


def test_times_without_a_value_and_the_time_zero_are_marked():
    times = np.concatenate([[0.0], np.geomspace(0.01, 10, 20)])
    values = np.exp(-times)
    values[[3, 5]] = np.nan
    result = xr.Dataset({"risk": ("time", values)}, coords={"time": times}, attrs={"kind": "exact"})
    axes = fl.plot.curves(result)
    marks = {line.get_marker(): line for line in axes.lines[1:]}
    np.testing.assert_array_equal(marks["x"].get_xdata(), times[[3, 5]])
    assert marks["<"].get_ydata()[0] == 1.0
    assert "no value" in legend(axes)


def test_labels_are_inside_a_figure_of_seven_inches():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6))
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    result = made()
    result["risk"].attrs = {"long_name": "population risk of the student with respect to its teacher", "symbol": "R"}
    for panel in panels:
        fl.plot.curves(result, variable="risk", ax=panel)
    figure.draw_without_rendering()
    whole = figure.bbox
    for panel in panels:
        for text in (panel.xaxis.label, panel.yaxis.label):
            box = text.get_window_extent()
            assert whole.x0 <= box.x0 <= box.x1 <= whole.x1
            assert whole.y0 <= box.y0 <= box.y1 <= whole.y1
    assert panels[1].yaxis.label.get_window_extent().x0 > panels[0].bbox.x1


def test_margins_that_the_user_set_are_kept():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6))
    figure.subplots_adjust(left=0.3)
    fl.plot.curves(made(), ax=figure.subplots())
    assert figure.get_layout_engine() is None


@pytest.fixture
def table():
    x, y = np.linspace(1, 2, 4), np.linspace(1, 3, 5)
    values = np.add.outer(x, y)
    return xr.Dataset(
        {"risk": (("a", "b"), values), "overlap": (("a", "b"), 1 / values)},
        coords={"a": x, "b": y},
        attrs={"kind": "study"},
    )


def test_a_map_takes_the_scale_of_its_colours_and_axes(table):
    from matplotlib.colors import LogNorm, Normalize

    axes = fl.plot.study(table, "a", "b", variable="risk", norm="log", xscale="log", label="my risk")
    assert isinstance(axes.collections[0].norm, LogNorm)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert axes.figure.axes[1].get_ylabel() == "my risk"
    wide = table * xr.DataArray(np.geomspace(1e-3, 1, 4), dims="a")
    assert isinstance(fl.plot.study(wide, "a", "b", variable="risk").collections[0].norm, LogNorm)
    assert type(fl.plot.study(wide, "a", "b", variable="risk", norm="linear").collections[0].norm) is Normalize


def test_lines_of_two_quantities_have_two_colours_and_a_legend(table):
    cut = table.isel(b=0, drop=True)
    axes = fl.plot.study(cut, "a", variable="risk", yscale="log")
    assert axes.get_yscale() == "log"
    assert axes.get_legend() is None
    fl.plot.study(cut, "a", variable="overlap", ax=axes)
    assert legend(axes) == ["risk", "overlap"]
    assert len(set(colours(axes.lines))) == 2
    named = fl.plot.study(cut, "a", variable="risk", label="mine")
    assert legend(named) == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": "b", "norm": "logg"}, 'Argument `norm` must be one of "linear", "log", but is \'logg\'; did you mean `log`?'),
        ({"xscale": 3}, 'Argument `xscale` must be one of "linear", "log", but is 3.'),
        ({"at": {"b": 1}, "norm": "log"}, "Argument `norm` belongs to a map: give `y` too."),
        ({"at": {"b": 1}, "label": 3}, "Argument `label` must be a string, but is 3."),
    ],
)  # fmt: skip
def test_studies_refuse_with_a_sentence(table, arguments, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        fl.plot.study(table, "a", **arguments)
    assert str(caught.value) == message


def test_a_logarithmic_scale_needs_positive_numbers(table):
    with pytest.raises(ValueError, match=r'Variable `risk` has no positive value: norm="log" needs one\.'):
        fl.plot.study(-table, "a", "b", variable="risk", norm="log")
    shifted = table.assign_coords(a=table["a"] - 1)
    with pytest.raises(ValueError, match=r"Axis `a` must be positive for a logarithmic scale, but begins at 0\."):
        fl.plot.study(shifted, "a", "b", xscale="log")


def test_problems_of_a_batch_that_differ_in_an_array_are_told_apart_and_a_failure_is_named():
    risk = np.exp(-TIMES)[None] * np.array([1.0, np.nan, 2.0])[:, None]
    batch = xr.Dataset(
        {"risk": (("problem", "time"), risk)},
        coords={
            "time": TIMES,
            "learning_rate": ("problem", [0.1, 50.0, 0.1]),
            "status": ("problem", ["success", "step too small", "success"]),
        },
        attrs={"kind": "limit"},
    )
    axes = fl.plot.curves(batch, variable="risk")
    assert axes.get_legend_handles_labels()[1] == [
        "problem 0, learning rate 0.1", "learning rate 50 (failed)", "problem 2, learning rate 0.1",
    ]  # fmt: skip
