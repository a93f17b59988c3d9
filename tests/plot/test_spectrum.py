"""Plots of spectra: densities, atoms, histograms."""

import numpy as np
import pytest
import xarray as xr

import flowlimits as fl

ENERGIES = np.linspace(1, 3, 201)


@pytest.fixture
def spectral():
    """A semicircle of weight 1/2 on [1, 3], an atom of weight 0.4 at 0 and one of 0.1 at 3.5, and runs of it."""
    density = 0.5 * 2 / np.pi * np.sqrt(np.clip(1 - (ENERGIES - 2) ** 2, 0, None))
    limit = xr.Dataset(
        {
            "density": (("time", "energy"), np.stack([0 * density, density])),
            "atom_position": (("time", "atom"), [[0.0, 3.5], [0.0, 3.5]]),
            "atom_weight": (("time", "atom"), [[0.4, 0.1], [0.4, 0.1]]),
        },
        coords={"time": [0.5, 1.0], "energy": ENERGIES},
        attrs={"kind": "limit"},
    )
    rng = np.random.default_rng(0)
    bulk = 2 * rng.beta(1.5, 1.5, size=(10, 2, 50)) + 1
    atoms = 3.5 + 0.02 * rng.standard_normal((10, 2, 1)) + np.zeros(10)
    values = np.concatenate([np.zeros((10, 2, 40)), bulk, atoms], axis=-1)
    runs = xr.Dataset({"eigenvalues": (("run", "time", "eigenvalue"), values)}, coords={"time": [0.5, 1.0]})
    return limit, runs


def test_the_spectrum_draws_density_and_histogram_of_equal_area(spectral):
    limit, runs = spectral
    axes = fl.plot.spectrum(limit, runs)
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_ydata(), limit["density"].values[1])
    (stairs,) = axes.patches
    heights, edges, _ = stairs.get_data()
    assert np.isclose((heights * np.diff(edges)).sum(), 0.5, rtol=1e-12)
    assert np.isclose(np.trapezoid(line.get_ydata(), line.get_xdata()), 0.5, rtol=2e-3)


def test_atoms_are_drawn_apart_with_their_weights(spectral):
    limit, runs = spectral
    axes = fl.plot.spectrum(limit, runs, time=1.0)
    (scale,) = [other for other in axes.figure.axes if other is not axes]
    theory, found = scale.lines
    np.testing.assert_allclose(theory.get_xydata(), [[0, 0.4], [3.5, 0.1]])
    np.testing.assert_allclose(found.get_ydata(), [0.4, 0.1])
    np.testing.assert_allclose(found.get_xdata(), [0, 3.5], atol=0.03)
    assert scale.get_ylabel() == "weight of atoms"


@pytest.fixture
def unequal():
    """Half of the eigenvalues uniform on a narrow interval near zero, half on a wide one, and runs of it."""
    energies = np.linspace(0.001, 20, 20_000)
    narrow, wide = abs(energies - 0.2) < 0.05, abs(energies - 8) < 4
    density = np.where(narrow, 0.5 / 0.1, 0) + np.where(wide, 0.5 / 8, 0)
    limit = xr.Dataset(
        {"density": (("time", "energy"), [density])},
        coords={"time": [1.0], "energy": energies},
        attrs={"kind": "limit"},
    )
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.uniform(0.15, 0.25, (8, 1, 100)), rng.uniform(4, 12, (8, 1, 100))], axis=-1)
    return limit, xr.Dataset({"eigenvalues": (("run", "time", "eigenvalue"), values)}, coords={"time": [1.0]})


def test_bulks_of_unequal_width_have_bins_of_their_own_and_are_both_seen(unequal):
    axes = fl.plot.spectrum(*unequal)
    (stairs,) = axes.patches
    heights, edges, _ = stairs.get_data()
    widths = np.diff(edges)
    assert (widths[edges[1:] < 0.3] < 0.01).sum() >= 12
    middle = 0.5 * (edges[1:] + edges[:-1])
    assert heights[abs(middle - 0.2) < 0.04].mean() == pytest.approx(5.0, rel=0.1)
    assert heights[abs(middle - 8) < 3.5].mean() == pytest.approx(0.0625, rel=0.1)
    assert (heights * widths).sum() == pytest.approx(1.0, rel=1e-12)
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 0.0625
    assert axes.get_xlim()[1] < 13
    (stairs,) = fl.plot.spectrum(*unequal, bins=10).patches
    np.testing.assert_allclose(np.ptp(np.diff(stairs.get_data()[1])), 0, atol=1e-12)


def test_a_spectrum_without_runs_or_atoms_is_a_line(spectral):
    limit, _ = spectral
    axes = fl.plot.spectrum(limit.drop_vars(["atom_position", "atom_weight"]))
    assert axes.figure.axes == [axes]
    assert len(axes.lines) == 1


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ((3,), {}, TypeError, "Argument `limit` must be an xarray.Dataset, but is 3."),
        (("limit", 3), {}, TypeError, "Argument `runs` must be an xarray.Dataset, but is 3."),
        (
            ("runs",),
            {},
            ValueError,
            "Argument `limit` holds no variable `density` in time: ask for it with solve(times, spectrum=energies).",
        ),
        (
            ("limit", "limit"),
            {},
            ValueError,
            "Argument `runs` holds no variable `eigenvalues` in time: "
            'ask for it with simulate(times, observables=[..., "eigenvalues"]).',
        ),
        (
            ("limit",),
            {"time": 0.7},
            ValueError,
            "Argument `limit` has no spectrum at the time 0.7; the nearest is 0.5.",
        ),
        (("limit",), {"bins": 0}, ValueError, "Argument `bins` must be at least 1, but is 0."),
    ],
)
def test_spectrum_refuses_with_a_sentence(spectral, arguments, options, kind, message):
    known = dict(zip(("limit", "runs"), spectral))
    with pytest.raises(kind) as caught:
        fl.plot.spectrum(*(known.get(a, a) for a in arguments), **options)
    assert str(caught.value) == message
