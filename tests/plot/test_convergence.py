"""Plots of the deviation of simulations against their size."""

from types import SimpleNamespace

import numpy as np
import pytest
import toy
import xarray as xr

import flowlimits as fl


@pytest.fixture
def comparison():
    """Deviations of exactly 1/d and 2/d at two times, scale 2, errors of a tenth."""
    sizes = np.array([50, 100, 200])
    deviation = np.stack([np.outer(1 / sizes, [1.0, 1.0]), np.outer(2 / sizes, [1.0, -1.0])], axis=1)
    dims = ("size", "variable", "time")
    data = xr.Dataset(
        {
            "deviation": (dims, deviation),
            "standard_error": (dims, 0.1 * np.abs(deviation)),
            "theory": (dims, 2 + 0 * deviation),
        },
        coords={
            "size": ("size", sizes, {"long_name": "dimension"}),
            "variable": ["risk", "overlap"],
            "time": [1.0, 2.0],
        },
        attrs={"kind": "comparison"},
    )
    return SimpleNamespace(dataset=data, theory=toy.make().solve([1.0, 2.0]), exponent=-1.02, exponent_error=0.05)


def test_convergence_draws_the_relative_deviation_and_its_error(comparison):
    axes = fl.plot.convergence(comparison)
    for container, factor in zip(axes.containers, (1, 2)):
        points, _, (bars,) = container
        np.testing.assert_allclose(
            points.get_xydata(), np.transpose([[50, 100, 200], factor / 2 / np.array([50, 100, 200])])
        )
        lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
        np.testing.assert_allclose(lengths, 0.2 * points.get_ydata())
    guide = next(line for line in axes.lines if line.get_linestyle() == "--")
    assert np.ptp(guide.get_xdata() * guide.get_ydata()) < 1e-12
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["50", "100", "200"]


def test_a_deviation_that_does_not_fall_crosses_the_guide(comparison):
    comparison.dataset["deviation"][:] = 0.1
    axes = fl.plot.convergence(comparison)
    guide = next(line for line in axes.lines if line.get_linestyle() == "--").get_ydata()
    assert guide[0] > 0.05 > guide[-1]
    assert guide[0] < axes.get_ylim()[1]


def test_convergence_names_the_variables_and_the_exponent(comparison):
    axes = fl.plot.convergence(comparison)
    legend = axes.get_legend()
    assert {text.get_text() for text in legend.get_texts()} == {
        r"$\mathcal{R}$",
        r"$\chi$",
        r"$\propto 1/d$",
    }
    assert legend.get_title().get_text() == r"fitted exponent $-1.02 \pm 0.05$"
    assert axes.get_xlabel() == "$d$"


def test_convergence_leaves_out_what_does_not_deviate(comparison):
    comparison.dataset["deviation"].loc[{"variable": "risk"}] *= 1e-12
    assert len(fl.plot.convergence(comparison).containers) == 1
    assert len(fl.plot.convergence(comparison, "risk").containers) == 1


def test_the_entries_of_a_matrix_are_one_curve(comparison):
    entries = comparison.dataset.assign_coords(variable=["Q[0, 0]", "Q[0, 1]"])
    (container,) = fl.plot.convergence(entries).containers
    expected = np.sqrt((1 + 4) / 2) / 2 / np.array([50, 100, 200])
    np.testing.assert_allclose(container[0].get_ydata(), expected)
    (container,) = fl.plot.convergence(entries, "Q[0, 1]").containers
    np.testing.assert_allclose(container[0].get_ydata(), 1 / np.array([50, 100, 200]))


def test_convergence_draws_one_variable_and_takes_the_data_alone(comparison):
    assert len(fl.plot.convergence(comparison, "overlap").containers) == 1
    legend = fl.plot.convergence(comparison.dataset).get_legend()
    assert legend.get_title().get_text() == ""


@pytest.mark.parametrize(
    ("change", "variable", "kind", "message"),
    [
        (
            lambda c: 3,
            None,
            TypeError,
            "Argument `comparison` must be what fl.compare or fl.convergence returns, but is 3.",
        ),
        (
            lambda c: c.theory,
            None,
            ValueError,
            "Argument `comparison` must be a comparison, but is a result: pass fl.compare(theory, *runs).",
        ),
        (
            lambda c: c.dataset.isel(size=[0]),
            None,
            ValueError,
            "A deviation against the size needs at least two sizes: bring runs of several.",
        ),
        (lambda c: c, "overlp", ValueError, "The comparison has no variable `overlp`; did you mean `overlap`?"),
        (lambda c: c, "zz", ValueError, "The comparison has no variable `zz`; it has risk, overlap."),
    ],
)
def test_convergence_refuses_with_a_sentence(comparison, change, variable, kind, message):
    with pytest.raises(kind) as caught:
        fl.plot.convergence(change(comparison), variable)
    assert str(caught.value) == message
