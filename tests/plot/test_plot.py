"""Plots draw the numbers of the results, with labels from their attributes, and refuse what they cannot draw."""

import io

import numpy as np
import pytest
import toy
import xarray as xr
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import flowlimits as fl
from flowlimits.plot import style

TIMES = np.geomspace(0.01, 10, 30)


@pytest.fixture
def limit():
    return toy.make().solve(TIMES)


@pytest.fixture
def runs():
    return toy.make().simulate(TIMES, dimension=50, runs=8, rng=3)


def saved(axes, kind):
    buffer = io.BytesIO()
    axes.figure.savefig(buffer, format=kind)
    return buffer.getvalue()


def test_a_theory_is_a_line_through_its_values(limit):
    (line,) = fl.plot.curves(limit, variable="overlap").lines
    np.testing.assert_array_equal(line.get_xdata(), TIMES)
    np.testing.assert_array_equal(line.get_ydata(), limit["overlap"])


def test_simulations_are_means_with_one_standard_error(limit, runs):
    axes = fl.plot.curves(limit, runs, variable="overlap")
    (container,) = axes.containers
    points, _, (bars,) = container
    np.testing.assert_allclose(points.get_ydata(), runs["overlap"].mean("run"), rtol=1e-14)
    lengths = np.array([segment[1, 1] - segment[0, 1] for segment in bars.get_segments()])
    expected = 2 * runs["overlap"].values.std(axis=0, ddof=1) / np.sqrt(8)
    np.testing.assert_allclose(lengths, expected, rtol=1e-10, atol=1e-15)


def test_many_times_are_a_band():
    times = np.linspace(0, 2, 100)
    runs = toy.make().simulate(times, dimension=50, runs=8, rng=3)
    axes = fl.plot.curves(runs, variable="overlap")
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    middle, error = runs["overlap"].values.mean(axis=0), runs["overlap"].values.std(axis=0, ddof=1) / np.sqrt(8)
    assert np.isclose(corners[:, 1].max(), (middle + error).max(), rtol=1e-12)
    assert np.isclose(corners[:, 1].min(), (middle - error).min(), rtol=1e-12)
    assert len(fl.plot.curves(runs, variable="overlap", runs_as="points").containers) == 1


def test_a_single_run_has_no_error(limit):
    one = toy.make().simulate(TIMES, dimension=50, runs=1, rng=3)
    (container,) = fl.plot.curves(one, variable="overlap").containers
    assert not container.has_yerr


def test_a_measurement_has_the_error_it_came_with():
    measured = xr.Dataset(
        {"overlap": ("time", [0.2, 0.4]), "overlap_error": ("time", [0.01, 0.02])},
        coords={"time": [1.0, 2.0]},
        attrs={"kind": "measurement", "dimension": 40},
    )
    (container,) = fl.plot.curves(measured).containers
    (bars,) = container[2]
    np.testing.assert_allclose([s[1, 1] - s[0, 1] for s in bars.get_segments()], [0.02, 0.04])


def test_every_entry_of_a_larger_variable_is_drawn():
    values = np.arange(12.0).reshape(2, 6).T.reshape(2, 3, 2)
    dataset = xr.Dataset({"Q": (("time", "a", "b"), values)}, coords={"time": [1.0, 2.0]}, attrs={"kind": "exact"})
    axes = fl.plot.curves(dataset, variable="Q")
    np.testing.assert_array_equal([line.get_ydata() for line in axes.lines], values.reshape(2, 6).T)
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [f"Q[{i}, {j}]" for i in range(3) for j in range(2)]
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 6


def test_labels_come_from_the_attributes(limit, runs):
    axes = fl.plot.curves(limit, runs, variable="risk")
    assert axes.get_xlabel() == r"time  $\tau = t/d$"
    assert axes.get_ylabel() == r"population risk  $\mathcal{R}$"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["limit", "$d$ = 50, 8 runs"]


def test_problems_that_differ_are_told_apart_and_their_runs_share_the_colour():
    slow, fast = toy.make(1.0), toy.make(3.0)
    runs = [problem.simulate(TIMES, dimension=50, runs=2, rng=0) for problem in (fast, slow)]
    axes = fl.plot.curves(slow.solve(TIMES), fast.solve(TIMES), *runs, variable="overlap")
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[:2] == ["rate 1, limit", "rate 3, limit"]
    theories = [to_hex(line.get_color()) for line in axes.lines[:2]]
    drawn = [to_hex(container[0].get_color()) for container in axes.containers]
    assert drawn == theories[::-1]
    assert theories[0] != theories[1]


def test_own_labels_replace_them(limit, runs):
    axes = fl.plot.curves(limit, runs, labels=["a", "b"])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert fl.plot.curves(limit, legend=False).get_legend() is None


@pytest.mark.parametrize(
    ("times", "scale"),
    [
        (np.geomspace(0.01, 10, 30), "log"),
        (np.concatenate([[0.0], np.geomspace(0.01, 10, 30)]), "log"),
        (np.linspace(0, 10, 30), "linear"),
        (np.linspace(0.01, 10, 30), "linear"),
        (np.geomspace(1, 2, 5), "linear"),
        (np.array([1.0]), "linear"),
    ],
)
def test_the_time_axis_follows_the_grid(times, scale):
    assert fl.plot.curves(toy.make().solve(times)).get_xscale() == scale


def test_the_value_axis_is_logarithmic_where_values_span_decades(limit):
    assert fl.plot.curves(limit, variable="misalignment").get_yscale() == "log"
    assert fl.plot.curves(limit, variable="overlap").get_yscale() == "linear"
    assert fl.plot.curves(limit, variable="overlap", yscale="log", xscale="linear").get_yscale() == "log"
    negative = limit.assign(risk=limit["risk"] - 0.01)
    assert fl.plot.curves(negative, variable="risk").get_yscale() == "linear"


def test_the_variable_is_the_overlap_or_else_the_risk(limit):
    assert fl.plot.curves(limit).get_ylabel().startswith("overlap")
    assert fl.plot.curves(limit.drop_vars("overlap")).get_ylabel().startswith("population risk")


def test_results_without_a_risk_show_what_they_are_about():
    flow = fl.MarginFlow(fl.margin.LinearModel(), [[2.0, 0.0], [0.0, 1.0]], [1, 1], rng=0).solve([10.0, 100.0])
    assert fl.plot.curves(flow).get_ylabel().startswith("normalised margin")
    alignment = fl.EarlyAlignment([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0], width=3, rng=0).solve([0.5, 1.0])
    assert len(fl.plot.curves(alignment).lines) >= 3


def test_it_draws_on_given_axes_and_returns_them(limit):
    axes = Figure().subplots()
    assert fl.plot.curves(limit, ax=axes) is axes


@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
def test_figures_can_be_saved_without_a_display(limit, runs, kind):
    content = saved(fl.plot.curves(limit, runs), kind)
    assert content.startswith({"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}[kind])
    assert len(content) > 4000


def test_no_setting_of_matplotlib_is_changed(limit, runs):
    import matplotlib

    before = dict(matplotlib.rcParams)
    saved(fl.plot.curves(limit, runs), "pdf")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ((), {}, TypeError, "There is nothing to draw: give at least one result."),
        ((3,), {}, TypeError, "Argument `results` must hold xarray.Datasets, but holds 3."),
        (
            ("limit",),
            {"variable": "overlp"},
            ValueError,
            "A result has no variable `overlp` in time; did you mean `overlap`?",
        ),
        (
            ("limit",),
            {"variable": "zzz"},
            ValueError,
            "A result has no variable `zzz` in time; it has risk, overlap, misalignment.",
        ),
        (("untimed",), {}, ValueError, "A result without the dimension `time` has no curve."),
        (
            ("limit", "other clock"),
            {},
            ValueError,
            "The results have different clocks (t; tau = t/d): draw them apart.",
        ),
        (
            ("limit",),
            {"labels": ["a", "b"]},
            ValueError,
            "Argument `labels` must hold one label per result, that is 1, but is 2.",
        ),
        (
            ("limit",),
            {"labels": "a"},
            ValueError,
            "Argument `labels` must hold one label per result, that is 1, but is a single string.",
        ),
        (("limit",), {"xscale": "zz"}, ValueError, 'Argument `xscale` must be one of "linear", "log", but is \'zz\'.'),
        (("limit",), {"ax": 3}, TypeError, "Argument `ax` must be a matplotlib Axes or None, but is of type int."),
    ],
)
def test_curves_refuse_with_a_sentence(limit, arguments, options, kind, message):
    known = {"limit": limit, "untimed": xr.Dataset({"a": 1.0}), "other clock": limit.assign_attrs(clock="t")}
    with pytest.raises(kind) as caught:
        fl.plot.curves(*(known.get(a, a) for a in arguments), **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        (r"\chi", r"$\chi$"),
        (r"$\chi$", r"$\chi$"),
        ("tau = t/d", r"$\tau = t/d$"),
        (r"\tau", r"$\tau$"),
        ("a_{", "a_{"),
        ("", ""),
    ],
)
def test_symbols_become_mathtext_where_they_can(symbol, text):
    assert style.formula(symbol) == text


@pytest.mark.parametrize(
    ("clock", "label"),
    [
        ("tau = t/d, dW/dt = -p d grad risk", r"time  $\tau = t/d$"),
        ("t (steps times learning_rate / (p d))", "time  $t$"),
        ("minus log loss", r"minus log loss  $-\log L$"),
        ("steps of a program", "steps of a program"),
    ],
)
def test_clocks_are_named_by_their_symbols(clock, label):
    assert style.clock_label(xr.Dataset(coords={"time": [1.0]}, attrs={"clock": clock})) == label


def test_long_labels_fit_beside_their_axis():
    attributes = {"long_name": "share of units whose larger field is that of their own label", "symbol": r"\rho"}
    axes = fl.plot.curves(
        xr.Dataset({"risk": ("time", [1.0, 2.0], attributes)}, coords={"time": [1.0, 2.0]}, attrs={"kind": "limit"})
    )
    axes.figure.canvas.draw()
    box = axes.yaxis.label.get_window_extent()
    assert box.y0 >= 0
    assert box.y1 <= axes.figure.bbox.y1
    assert axes.get_ylabel().replace("\n", " ") == attributes["long_name"] + r"  $\rho$"


def test_logarithms_stay_on_a_linear_axis():
    result = xr.Dataset({"log_norm": ("time", [1.0, 1000.0])}, coords={"time": [1.0, 2.0]}, attrs={"kind": "exact"})
    assert fl.plot.curves(result, variable="log_norm").get_yscale() == "linear"
    assert fl.plot.curves(result.rename(log_norm="risk")).get_yscale() == "log"


def test_new_figures_are_known_to_pyplot_once_it_is_in_use(limit):
    from matplotlib import pyplot

    axes = fl.plot.curves(limit)
    try:
        assert pyplot.fignum_exists(axes.figure.number)
    finally:
        pyplot.close(axes.figure)
