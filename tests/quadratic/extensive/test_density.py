"""The spectrum of d Z in the limit: sum rules, atoms, and eigenvalues of finite matrices."""

import naive_extensive as naive
import numpy as np
import pytest

import flowlimits as fl


def energies(highest):
    return np.unique(np.concatenate([np.geomspace(1e-4, highest, 400), np.linspace(1e-3, highest, 500)]))


def moments(problem, time):
    """Return the limit, and mass, mean and square of density and atoms, by quadrature on every band of the density."""
    limit = problem.solve([time], spectrum=energies(14))
    E, full = limit.energy.values, limit.density.values[0] > 1e-7
    edges = np.flatnonzero(np.diff(full.astype(int))) + 1
    bands = [(E[a - 1], E[b]) for a, b in zip(edges[::2], edges[1::2])]
    positions, weights = np.nan_to_num(limit.atom_position.values[0]), limit.atom_weight.values[0]
    total = np.array([weights @ positions**k for k in range(3)])
    angle = (np.arange(600) + 0.5) * np.pi / 600
    for a, b in bands:
        # Clustered points resolve the square-root edges.
        inner = (a + b) / 2 - (b - a) / 2 * np.cos(angle)
        density = problem.solve([time], spectrum=inner).density.values[0]
        measure = density * np.sin(angle) * (b - a) / 2 * np.pi / 600
        total += [measure.sum(), measure @ inner, measure @ inner**2]
    return limit, total


@pytest.mark.parametrize(
    ("student_ratio", "teacher", "start", "activation"),
    [
        (0.5, fl.Spectrum.marchenko_pastur(0.25), "gaussian", "square"),
        (0.5, fl.Spectrum.marchenko_pastur(0.25, 64), "orthonormal", "square"),
        (0.3, fl.Spectrum.marchenko_pastur(0.6), "gaussian", "square"),
        (0.4, fl.Spectrum.marchenko_pastur(1.2), "gaussian", "centred"),
        (1.3, fl.Spectrum.marchenko_pastur(0.5), "orthonormal", "square"),
        (0.8, fl.Spectrum.orthonormal(0.5), "orthonormal", "square"),
        (0.3, fl.Spectrum.orthonormal(0.6), "gaussian", "square"),
        (0.5, fl.Spectrum([0, 1, 3], [0.5, 0.25, 0.25]), fl.Spectrum([0, 1, 3], [0.5, 0.25, 0.25]), "square"),
    ],
)
def test_sum_rules(student_ratio, teacher, start, activation):
    """Density and atoms integrate to one; the moments are the trace, and tr Z^2 from overlap and risk."""
    problem = fl.ExtensiveQuadratic(student_ratio, teacher, start, activation)
    limit, (mass, mean, square) = moments(problem, 0.05)
    a = float(teacher.weights @ teacher.nodes**2)
    assert mass == pytest.approx(1, abs=3e-4)
    assert mean == pytest.approx(float(limit.trace[0]), abs=3e-4)
    # risk = c - 2 chi sqrt(a c) + a for tr Z^2 = c.
    c = square
    assert c - 2 * float(limit.overlap[0]) * np.sqrt(a * c) + a == pytest.approx(float(limit.risk[0]), rel=1e-3)


@pytest.mark.parametrize(
    ("student_ratio", "teacher_kind", "start", "activation"),
    [
        (0.5, "gaussian", "gaussian", "centred"),
        (0.8, "orthonormal", "orthonormal", "centred"),
        (0.8, "orthonormal", "orthonormal", "square"),
        (0.3, "gaussian", "gaussian", "square"),
        (1.3, "gaussian", "orthonormal", "centred"),
    ],
)
def test_eigenvalues_of_a_matrix_flow(student_ratio, teacher_kind, start, activation):
    d, teacher_ratio, gammas = 300, 0.5, np.array([0.1, 0.5])
    rng = np.random.default_rng(3)

    def weights(kind, ratio):
        rows = round(ratio * d)
        return rng.standard_normal((rows, d)) if kind == "gaussian" else naive.haar_rows(rows, d, rng)

    W, W_star = weights(start, student_ratio), weights(teacher_kind, teacher_ratio)
    flow = naive.matrix_flow(W, W_star, gammas, activation, locked=activation == "square")
    law = fl.Spectrum.orthonormal if teacher_kind == "orthonormal" else fl.Spectrum.marchenko_pastur
    problem = fl.ExtensiveQuadratic(student_ratio, law(teacher_ratio), start, activation)
    limit = problem.solve(gammas / 2, spectrum=energies(12))
    E = limit.energy.values
    for k, Z in enumerate(flow):
        values = np.linalg.eigvalsh(Z)
        positions, atoms = limit.atom_position.values[k], limit.atom_weight.values[k]
        density = limit.density.values[k]
        below = np.append(0, np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(E)))
        real = np.isfinite(positions)
        expected = below + (atoms[real] * (positions[real] <= E[:, None] + 0.01)).sum(axis=1)
        found = (values <= E[:, None] + 0.01).mean(axis=1)
        assert np.abs(found - expected).max() < 0.02
        for position, weight in zip(positions[real], atoms[real]):
            near = np.abs(values - position) < 2e-3 * max(position, 1)
            assert near.mean() >= weight - 1e-9
            if position == 0:
                assert (np.abs(values) < 1e-9).mean() == pytest.approx(weight, abs=1e-9)


def test_atoms_of_intersecting_eigenspaces():
    """On the intersections start and teacher commute: scalar flows of a + b - 1 of the dimensions."""
    limit = fl.ExtensiveQuadratic(0.8, fl.Spectrum.orthonormal(0.5), activation="centred").solve([0.1], spectrum=[1.0])
    np.testing.assert_allclose(limit.atom_weight[0], [0.2, 0.3, 0.3], rtol=1e-12)
    gamma, ell, z = 0.2, 1 / 0.8, 2.0
    grown = np.exp(4 * z * gamma)
    expected = [0, ell / (1 + 4 * ell * gamma), grown * ell / (1 + ell * (grown - 1) / z)]
    np.testing.assert_allclose(limit.atom_position[0], expected, rtol=1e-10)


def test_the_density_of_the_start_is_its_law():
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25), "gaussian")
    E = np.linspace(0.2, 5.7, 30)
    limit = problem.solve([1e-9], spectrum=E)
    expected = 0.5 * np.sqrt((5.8284271247461903 - E) * (E - 0.17157287525380988)) / (2 * np.pi * E)
    np.testing.assert_allclose(limit.density[0], expected, rtol=1e-5)


def test_a_learnt_gaussian_teacher_shows_its_own_density():
    """At late times the positive part is resolved beyond the distance of any nodes."""
    problem = fl.ExtensiveQuadratic(0.7, fl.Spectrum.marchenko_pastur(0.5), "gaussian")
    E = np.linspace(0.3, 5.5, 40)
    limit = problem.solve([1e3], spectrum=E)
    expected = 0.5 * np.sqrt((5.8284271247461903 - E) * (E - 0.17157287525380988)) / (2 * np.pi * E)
    np.testing.assert_allclose(limit.density[0], expected, rtol=1e-4)


def test_atoms_after_arrival_are_those_of_the_teacher():
    limit = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.5)).solve([1.0, 1e3], spectrum=[0.5, 1.0])
    np.testing.assert_allclose(limit.atom_position[1], [0, 2])
    np.testing.assert_allclose(limit.atom_weight[1], [0.5, 0.5])
    np.testing.assert_array_equal(limit.density[1], 0)


@pytest.mark.parametrize("values", [[0.0, 1.0], [2.0, 1.0], [1.0, 1.0], [-1.0]])
def test_energies_are_positive_and_increasing(values):
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    with pytest.raises(ValueError, match="Argument `spectrum` must hold positive, increasing eigenvalues"):
        problem.solve([1.0], spectrum=values)


def test_a_spectrum_needs_positive_times():
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    with pytest.raises(ValueError, match="Argument `spectrum` needs positive times"):
        problem.solve([0.0, 1.0], spectrum=[1.0])
