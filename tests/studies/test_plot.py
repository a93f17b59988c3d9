"""Plots of studies: what is drawn is the table."""

import numpy as np
import pytest
import xarray as xr

import flowlimits as fl

pytest.importorskip("matplotlib")


def law(a, b, c, rng):
    return {"risk": a + 10 * b + 100 * c + 0.1 * rng.normal(), "phase": "up" if a > 0.5 else "down"}


@pytest.fixture(scope="module")
def table():
    return fl.study(
        law, {"a": [0.0, 0.4, 1.0], "b": [1.0, 10.0, 100.0, 1000.0], "c": [0, 1]}, repeats=4, rng=0, progress=False
    )


def test_lines_are_means_over_repeats_with_their_standard_errors(table):
    axes = fl.plot.study(table, x="a", at={"b": 10.0, "c": 0})
    expected = table["risk"].sel(b=10.0, c=0)
    line = axes.get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), expected.mean("repeat"), rtol=1e-14)
    band = axes.collections[0].get_paths()[0].vertices
    error = expected.std("repeat", ddof=1) / 2
    assert band[:, 1].max() == pytest.approx(float((expected.mean("repeat") + error).max()), rel=1e-12)
    assert axes.get_xlabel() == "a"
    assert axes.get_ylabel() == "risk"


def test_a_second_dimension_becomes_a_line_each(table):
    axes = fl.plot.study(table, x="a", at={"c": 1})
    assert len(axes.get_lines()) == 4
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1", "10", "100", "1000"]


def test_a_map_is_the_mean_of_the_table_on_cells_around_the_points(table):
    axes = fl.plot.study(table, x="a", y="b", at={"c": 0}, levels=[50.0])
    mesh = axes.collections[0]
    np.testing.assert_allclose(
        mesh.get_array().ravel(), table["risk"].sel(c=0).mean("repeat").transpose("b", "a").values.ravel(), rtol=1e-14
    )
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], [-0.2, 0.2, 0.7, 1.3])
    np.testing.assert_allclose(corners[:, 0, 1], 10.0 ** np.array([-0.5, 0.5, 1.5, 2.5, 3.5]))
    assert axes.get_yscale() == "log"
    assert axes.get_xscale() == "linear"


def test_missing_points_are_left_grey():
    holes = xr.Dataset({"risk": (("a", "b"), [[1.0, np.nan], [3.0, 4.0]])}, coords={"a": [0.0, 1.0], "b": [0.0, 1.0]})
    mesh = fl.plot.study(holes, "a", "b").collections[0]
    assert mesh.get_array().mask.ravel().tolist() == [False, False, True, False]


def test_words_make_a_phase_diagram(table):
    axes = fl.plot.study(table, x="a", y="b", variable="phase", at={"c": 0, "repeat": 0})
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["down", "up"]
    assert axes.collections[0].get_array().ravel()[:3].tolist() == [0.0, 0.0, 1.0]


def test_facets_share_one_colour_scale(table):
    panels = fl.plot.study(table, x="a", y="b", facet="c")
    shown = [panel for panel in panels.ravel() if panel.get_visible()]
    assert [panel.get_title() for panel in shown] == ["c = 0", "c = 1"]
    limits = {panel.collections[0].get_clim() for panel in shown}
    assert len(limits) == 1


def test_facets_share_one_colour_bar_and_label_the_outer_panels(table):
    panels = fl.plot.study(table, x="a", y="b", facet="c").ravel()
    assert len(panels[0].figure.axes) == len(panels) + 1
    assert [panel.get_ylabel() for panel in panels] == ["b", ""]
    assert [panel.get_xlabel() for panel in panels] == ["a", "a"]


def test_a_word_has_one_colour_in_all_facets():
    words = xr.DataArray(
        [[["up", "up"], ["up", "up"]], [["down", "up"], ["up", "up"]]], dims=("c", "a", "b"), name="phase"
    )
    panels = fl.plot.study(words.to_dataset(), x="a", y="b", facet="c").ravel()
    assert [panel.collections[0].get_array().ravel().tolist() for panel in panels] == [[1.0] * 4, [0.0, 1.0, 1.0, 1.0]]
    legends = [panel.get_legend() for panel in panels]
    assert legends[0] is None
    assert [text.get_text() for text in legends[1].get_texts()] == ["down", "up"]


def test_words_on_an_axis_become_ticks():
    table = fl.study(lambda kind, a: a, {"kind": ["square", "centred"], "a": [0.0, 1.0]}, progress=False)
    axes = fl.plot.study(table, "kind", "a")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["square", "centred"]


def test_it_draws_into_given_axes(table):
    first = fl.plot.study(table, "a", "b", at={"c": 0})
    assert fl.plot.study(table, "a", at={"b": 1.0, "c": 0}, ax=first) is first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "d"}, "Argument `x` must be one of a, b, c, but is 'd'."),
        ({"x": "a", "y": "a"}, "Each dimension can have one role, but they are x='a', y='a'."),
        (
            {"x": "a", "y": "b"},
            "Dimension `c` has no place in this plot: choose a value with at=dict(c=...), or facet='c'.",
        ),
        ({"variable": "rsk"}, "Argument `variable` must be one of risk, phase, but is 'rsk'; did you mean `risk`?"),
        ({"at": {"d": 1}}, "Argument `at` names `d`, which is no dimension of `risk`."),
        ({"x": "a", "y": "b", "hue": "c"}, "A map has no `hue`; use `facet` for a third dimension."),
    ],
)
def test_bad_input_is_told_in_a_sentence(table, options, message):
    with pytest.raises(ValueError) as caught:
        fl.plot.study(table, **options)
    assert str(caught.value) == message


def test_what_is_no_table_is_refused():
    with pytest.raises(TypeError, match=r"Argument `table` must be the Dataset of a study, but is 3\."):
        fl.plot.study(3)


def test_points_of_two_axes_are_a_map_by_default():
    pytest.importorskip("adaptive")
    table = fl.refine(lambda a, b: a + b, {"a": (0.0, 1.0), "b": (0.0, 1.0)}, points=12, progress=False)
    axes = fl.plot.study(table)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "b")
