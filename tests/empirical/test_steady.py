"""Where training on finitely many samples ends: reference values, independent integrals, theorems, and limits."""

import itertools
import math
import warnings

import naive_empirical
import numpy as np
import pytest

import flowlimits as fl
from flowlimits.empirical import recovery

MP = fl.Spectrum.marchenko_pastur
ORTHONORMAL = fl.Spectrum.orthonormal
REFERENCE = naive_empirical.REFERENCE
INDEFINITE = fl.Spectrum.symmetric([-1.5, 0.0, 1.0, 4.0], [0.2, 0.3, 0.3, 0.2])
NAMES = {
    "risk": "risk", "train_risk": "train_risk", "in_sample": "in_sample_risk", "overlap": "overlap", "misalignment": "misalignment",
    "trace": "trace", "rank": "rank", "response": "response", "xi": "effective_noise", "q": "threshold",
}  # fmt: skip


def problem_of(row, **changes):
    fields = {"noise": row["noise"], "weight_decay": row.get("weight_decay", 0.0)} | changes
    return fl.EmpiricalQuadratic(row["student_ratio"], naive_empirical.teacher_of(row), row["sample_ratio"], **fields)


def solve(problem, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return problem.solve(**arguments)


def check_row(row, found):
    gap = row["teacher"] == ["mp", row["student_ratio"]]
    for theirs, ours in NAMES.items():
        if theirs in row:
            expected = pytest.approx(row[theirs], rel=1e-8 if gap else 1e-10, abs=1e-13)
            assert float(found[ours]) == expected, (ours, row["teacher"])


@pytest.mark.parametrize("number", range(len(REFERENCE["steady"])))
def test_reference_values_of_positive_decay(number):
    row = REFERENCE["steady"][number]
    found = solve(problem_of(row))
    check_row(row, found)
    assert str(found["regime"].values) == row["regime"]
    assert int(found["solutions"]) == row["branches"]


@pytest.mark.parametrize("number", range(len(REFERENCE["zero_plus"])))
def test_reference_values_of_vanishing_decay(number):
    row = REFERENCE["zero_plus"][number]
    check_row(row, solve(problem_of(row, weight_decay="vanishing")))


@pytest.mark.parametrize("number", range(len(REFERENCE["square_activation"])))
def test_reference_values_of_the_square_activation(number):
    row = REFERENCE["square_activation"][number]
    found = solve(problem_of(row, activation="square", weight_decay=0.3))
    check_row({**row, "response": float(found["response"])}, found)
    assert found.attrs["status"] == "conjectured"


def test_reference_values_of_thresholds():
    for row in REFERENCE["thresholds"]:
        found = fl.EmpiricalQuadratic(row["student_ratio"], MP(row["teacher_ratio"]), 1.0).thresholds()
        for name in ("interpolation", "recovery_small_decay", "recovery_no_decay"):
            assert float(found[name]) == pytest.approx(row[name], rel=1e-12)
    for row in REFERENCE["interpolation"]:
        problem = problem_of(row | {"sample_ratio": 1.0})
        assert float(problem.thresholds()["interpolation"]) == pytest.approx(row["interpolation"], rel=1e-11)


def test_reference_values_of_the_bayes_line():
    for row in REFERENCE["bayes"]:
        problem = problem_of(row | {"student_ratio": 1.0})
        assert float(problem.bayes()["risk"]) == pytest.approx(row["risk"], rel=1e-10)


@pytest.mark.parametrize(
    ("teacher", "student_ratio", "sample_ratio", "noise", "decay"),
    [
        (MP(0.5), 1.0, 0.4, 0.25, 0.4),
        (MP(0.3), 0.4, 0.3, 1.0, 0.04),
        (MP(1.4), 0.6, 0.35, 0.1, 0.3),
        (fl.Spectrum([0, 0.5, 3.0], [0.4, 0.4, 0.2 / 1.0]).normalised(), 0.35, 0.5, 0.2, 0.1),
        (ORTHONORMAL(0.4), 0.8, 0.25, 0.0, 0.5),
        (INDEFINITE, 1.0, 0.4, 0.25, 0.4),
        (INDEFINITE, 0.4, 0.5, 0.2, 0.1),
    ],
)
def test_the_equations_hold_for_integrals_over_polynomial_roots(teacher, student_ratio, sample_ratio, noise, decay):
    problem = fl.EmpiricalQuadratic(student_ratio, teacher, sample_ratio, noise, decay)
    found = solve(problem, sample_ratios=[sample_ratio]).isel(sample_ratio=0)
    for name, value in naive_empirical.residuals(problem, found).items():
        assert abs(value) < 3e-7, name


def test_density_and_trace_agree_and_the_atom_is_what_the_rank_leaves():
    problem = fl.EmpiricalQuadratic(0.4, MP(0.3), 0.5, 0.25, 0.04)
    energies = np.linspace(1e-3, 20, 40_001)
    found = solve(problem, spectrum=energies)
    density = found["density"].values
    assert np.trapezoid(density, energies) == pytest.approx(float(found["rank"]), rel=1e-3)
    assert np.trapezoid(density * energies, energies) == pytest.approx(float(found["trace"]), rel=1e-3)
    assert float(found["atom_weight"][0]) == pytest.approx(0.6)


def test_spectrum_is_that_of_a_projected_random_matrix():
    """Zt is the positive part of teacher plus noise minus q: draw that matrix."""
    problem = fl.EmpiricalQuadratic(1.0, MP(0.5), 0.4, 0.25, 0.4)
    found = problem.solve(spectrum=np.linspace(0.01, 12, 1200))
    xi, q, d = float(found["effective_noise"]), float(found["threshold"]), 600
    rng = np.random.default_rng(1)
    G = rng.standard_normal((d, d))
    teacher = np.diag(problem.teacher.eigenvalues(d))
    values, vectors = np.linalg.eigh(teacher + np.sqrt(xi / (2 * d)) * (G + G.T) - q * np.eye(d))
    kept = np.maximum(values, 0)
    Z = vectors * kept @ vectors.T
    assert np.sum((Z - teacher) ** 2) / d == pytest.approx(float(found["risk"]), rel=0.02)
    assert kept.mean() == pytest.approx(float(found["trace"]), rel=0.01)
    assert (kept > 0).mean() == pytest.approx(float(found["rank"]), abs=0.01)
    counts, edges = np.histogram(kept[kept > 0], bins=6, range=(0.01, 12))
    mass = [
        np.trapezoid(found["density"].sel(energy=slice(a, b)), found["energy"].sel(energy=slice(a, b)))
        for a, b in itertools.pairwise(edges)
    ]
    np.testing.assert_allclose(counts / d, mass, atol=0.015)


def test_infinitely_many_samples_are_the_population_risk():
    for activation, student_ratio, decay in (("centred", 0.6, 0.2), ("centred", 0.3, 0.2), ("square", 0.2, 0.0)):
        problem = fl.EmpiricalQuadratic(student_ratio, MP(0.5), math.inf, 0.0, decay, activation)
        end, late = solve(problem), problem.solve([1.0, 3000.0])
        extensive = fl.ExtensiveQuadratic(
            student_ratio, MP(0.5), start="gaussian", activation=activation, weight_decay=decay
        ).solve([1.0, 3000.0])
        np.testing.assert_array_equal(late["risk"], extensive["risk"])
        assert float(end["risk"]) == pytest.approx(float(late["risk"][-1]), rel=2e-3)
        assert end.attrs["status"] == "proven"


@pytest.mark.parametrize(
    ("activation", "student_ratio"), [("centred", 0.7), ("centred", 0.3), ("square", 0.7), ("square", 0.3)]
)
def test_many_samples_tend_to_infinitely_many(activation, student_ratio):
    problem = fl.EmpiricalQuadratic(student_ratio, MP(0.5), 1.0, 0.1, 0.2, activation)
    found = solve(problem, sample_ratios=[1e3, 1e4, math.inf])
    for name in ("risk", "trace", "overlap", "train_risk", "in_sample_risk"):
        gap = np.abs(found[name].values - found[name].values[-1])
        assert gap[1] < 0.2 * gap[0] + 1e-12, name
        assert gap[1] < 0.02


def test_teachers_with_negative_eigenvalues_are_cut_off_at_zero():
    """Infinitely many samples leave what the student cannot be; noiseless ones act like noise, and nothing recovers."""
    problem = fl.EmpiricalQuadratic(0.9, INDEFINITE, 0.5, 0.0, "vanishing")
    found = problem.solve(sample_ratios=[0.5, 2.0, 1e4, math.inf])
    assert (found["risk"] > 0.449).all()
    assert float(found["risk"][-1]) == pytest.approx(0.2 * 1.5**2)
    assert float(found["risk"][2]) == pytest.approx(0.2 * 1.5**2, rel=1e-3)
    assert set(found["status"].values[:3]) == {"conjectured"}
    changes = problem.thresholds()
    assert np.isnan([float(changes[name]) for name in ("recovery_small_decay", "recovery_no_decay", "square")]).all()
    assert 0.2 < float(changes["interpolation"]) < 0.5
    assert float(problem.bayes([0.2])["risk"][0]) < float(problem.solve(sample_ratios=[0.2])["risk"][0])
    late = fl.EmpiricalQuadratic(0.9, INDEFINITE, math.inf).solve([100.0])
    assert float(late["risk"][0]) == pytest.approx(0.45, rel=1e-3)


def test_no_estimate_beats_bayes_and_no_decay_beats_the_best():
    problem = fl.EmpiricalQuadratic(1.0, MP(0.5), 0.3, 0.5, 0.1)
    best = problem.best_weight_decay()
    decays = np.geomspace(best / 30, best * 30, 41)
    risks = problem.solve(weight_decays=decays)["risk"].values
    at_best = float(problem.solve(weight_decays=[best])["risk"][0])
    assert at_best <= risks.min()
    assert risks[20] == pytest.approx(at_best, rel=1e-9)
    assert float(problem.bayes()["risk"]) < at_best


def test_vanishing_decay_is_the_limit_of_small_decay():
    for sample_ratio in (0.1, 0.25, 0.6):
        problem = fl.EmpiricalQuadratic(0.7, MP(0.5), sample_ratio, 0.5, "vanishing")
        end = problem.solve()
        small = problem.solve(weight_decays=[1e-4, 1e-5])
        gap = np.abs(small["risk"].values - float(end["risk"]))
        assert gap[1] == pytest.approx(0.1 * gap[0], rel=0.1)


def test_risk_peaks_at_the_interpolation_threshold():
    problem = fl.EmpiricalQuadratic(1.0, MP(0.5), 0.3, 0.5, "vanishing")
    ratios = np.linspace(0.05, 0.8, 301)
    threshold = float(problem.thresholds()["interpolation"])
    peak = ratios[np.argmax(problem.solve(sample_ratios=ratios)["risk"].values)]
    assert abs(peak - threshold) < 0.004


def test_the_teacher_is_found_above_the_recovery_thresholds():
    problem = fl.EmpiricalQuadratic(0.9, MP(0.3), 0.3, 0.0, "vanishing")
    threshold = float(problem.thresholds()["recovery_small_decay"])
    found = problem.solve(sample_ratios=[threshold - 1e-3, threshold - 1e-9, threshold + 1e-9, 0.5])
    risk = found["risk"].values
    assert risk[0] > 1e-6
    assert 0 <= risk[1] < 1e-10
    assert (risk[2:] == 0).all()
    assert (found["overlap"].values[2:] == 1).all()
    square = fl.EmpiricalQuadratic(0.9, MP(0.3), threshold + 1e-3, activation="square").solve()
    assert float(square["risk"]) == 0


def test_thresholds_of_the_noise_are_those_without_as_it_vanishes():
    exact = recovery.noiseless_thresholds(fl.EmpiricalQuadratic(0.7, MP(0.5), 1.0))
    noisy = [fl.EmpiricalQuadratic(0.7, MP(0.5), 1.0, noise).thresholds() for noise in (1e-6, 1e-8, 1e-10)]
    for name, limit in (("interpolation", exact.interpolation), ("square", exact.small_decay)):
        gaps = [abs(float(one[name]) - limit) for one in noisy]
        assert gaps[1] < 0.5 * gaps[0], name
        assert gaps[2] < 0.5 * gaps[1], name
        assert gaps[2] < 1e-3, name


def test_folds_are_counted_and_named():
    problem = fl.EmpiricalQuadratic(0.1, MP(0.1), 0.12, 0.1, 0.04)
    with pytest.warns(UserWarning, match="counting bound"), pytest.warns(UserWarning, match="fold"):
        found = problem.solve()
    assert int(found["solutions"]) == 3
    assert float(found["risk"]) == pytest.approx(0.19669, rel=1e-4)
    ratios = np.array([0.100, 0.1043, 0.1045, 0.1428, 0.1430])
    np.testing.assert_array_equal(solve(problem, sample_ratios=ratios)["solutions"], [1, 1, 3, 3, 1])


def test_width_changes_nothing_above_the_minimal_student_ratio():
    problem = fl.EmpiricalQuadratic(1.0, MP(0.5), 0.4, 0.25, 0.4)
    least = float(problem.thresholds()["minimal_student_ratio"])
    wide, enough, narrow = (
        fl.EmpiricalQuadratic(k, MP(0.5), 0.4, 0.25, 0.4).solve() for k in (1.0, least + 1e-6, least - 1e-2)
    )
    assert float(enough["risk"]) == pytest.approx(float(wide["risk"]), rel=1e-12)
    assert str(narrow["regime"].values) == "width"
    assert abs(float(narrow["risk"]) / float(wide["risk"]) - 1) > 1e-6


def test_nearly_equal_atoms_do_not_cost_accuracy():
    """Steep power laws have clusters whose sums cancel: moving them apart by little moves the result by little."""
    z = np.arange(1.0, 51) ** -1.9
    whole = fl.EmpiricalQuadratic(0.6, fl.Spectrum.from_eigenvalues(z / z.mean()), 0.3, 0.1, 0.05).solve()
    split = np.concatenate([z * (1 - 1e-5), z * (1 + 1e-5)])
    near = fl.EmpiricalQuadratic(0.6, fl.Spectrum.from_eigenvalues(split / split.mean()), 0.3, 0.1, 0.05).solve()
    for name in ("risk", "trace", "overlap", "rank"):
        assert float(near[name]) == pytest.approx(float(whole[name]), rel=1e-7)


def random_problem(rng):
    width = rng.uniform(0.05, 1.5)
    teacher = [
        lambda: MP(width),
        lambda: ORTHONORMAL(min(width, 0.95)),
        lambda: fl.Spectrum.from_eigenvalues(np.arange(1.0, rng.integers(4, 60)) ** -rng.uniform(0.3, 2)).normalised(),
        lambda: fl.Spectrum([0.0, 0.625, 1.875, 5.0], [0.5, 0.2, 0.2, 0.1]),
    ][rng.integers(4)]()
    student = rng.choice([rng.uniform(0.05, 1.2), min(width, 1.0), 1.0])
    noise = rng.choice([0.0, 10 ** rng.uniform(-3, 1)])
    return fl.EmpiricalQuadratic(student, teacher, 0.3, noise, 10 ** rng.uniform(-6, 1))


def check_curves(seed, count):
    from flowlimits.empirical.equations_curve import system

    rng = np.random.default_rng(seed)
    ratios = np.linspace(0.01, 0.8, 100)
    for _ in range(count):
        problem = random_problem(rng)
        found = solve(problem, sample_ratios=ratios)
        setting, memory = problem.setting(problem.weight_decay), np.zeros(2, dtype=complex)
        for a, xi, q in zip(ratios, found["effective_noise"].values, found["threshold"].values):
            state = system(setting, problem.law.table, memory, xi, q)
            assert abs((state[6] + problem.noise / 2) / (2 * a * xi) - 1) < 1e-8, problem
            assert abs(setting[-1] / q + state[3] / a - 1) < 1e-8, problem


def test_no_curve_is_lost():
    check_curves(0, 25)


@pytest.mark.slow
def test_no_curve_of_three_hundred_is_lost():
    check_curves(1, 300)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fl.EmpiricalQuadratic(0, MP(0.5), 1), "Argument `student_ratio` must be positive, but is 0.0."),
        (lambda: fl.EmpiricalQuadratic(0.5, MP(0.5), -1), "Argument `sample_ratio` must be positive, but is -1.0."),
        (
            lambda: fl.EmpiricalQuadratic(0.5, MP(0.5), 1, noise=-1),
            "Argument `noise` must not be negative, but is -1.0.",
        ),
        (
            lambda: fl.EmpiricalQuadratic(0.5, fl.Spectrum([0, 2], [0.25, 0.75]), 1),
            "Argument `teacher` must have the mean eigenvalue 1 (trace one per dimension of d Z), but its mean is 1.5. "
            "Spectrum.normalised() divides by it.",
        ),
        (
            lambda: fl.EmpiricalQuadratic(0.5, INDEFINITE, 1, activation="square"),
            'Argument `activation` must be "centred" for a teacher with negative eigenvalues, which no weights realise, but is '
            '"square": the locked trace is known here for teachers of weights only.',
        ),
        (
            lambda: fl.EmpiricalQuadratic(0.5, MP(0.5), 1, start=INDEFINITE),
            "Argument `start` must have no negative eigenvalues, but is "
            "Spectrum.symmetric([-1.5, 0.0, 1.0, 4.0], [0.2, 0.3, 0.3, 0.2]): no weights realise them.",
        ),
        (
            lambda: fl.EmpiricalQuadratic(0.5, MP(0.5), 1, weight_decay="small"),
            "Argument `weight_decay` must be a number or \"vanishing\", but is 'small'.",
        ),
        (
            lambda: fl.EmpiricalQuadratic(0.5, MP(0.5), 1).solve(sample_ratios=[0.5, 0.0]),
            "Argument `sample_ratios` must be positive, but is 0 at index [1].",
        ),
        (
            lambda: fl.EmpiricalQuadratic(0.5, MP(0.5), 1).solve([1.0]),
            "The limit in time is known for infinite samples only (ExtensiveQuadratic); at finite sample_ratio "
            'simulate(times, dimension=..., data="hermitian") approaches it as 1/d^2.',
        ),
        (
            lambda: fl.EmpiricalQuadratic(0.9, MP(0.3), 0.3).solve(),
            'Argument `weight_decay` must be positive or "vanishing" here, but is 0.0: at sample_ratio = 0.3, below the interpolation '
            "threshold 0.3775 of this problem, the samples are interpolated and the end of training depends on the start, for which no "
            "theory is known. simulate(end=True) trains from a start.",
        ),
        (
            lambda: fl.EmpiricalQuadratic(0.9, MP(0.3), 0.3, activation="square").solve(),
            'Argument `activation` must be "centred" here, but is "square": at sample_ratio = 0.3, below the threshold of the square '
            "activation 0.327155 of this problem, the samples are interpolated and the end of training depends on the start, for which "
            "no theory is known. simulate(end=True) trains from a start.",
        ),
        (
            lambda: fl.EmpiricalQuadratic(0.9, MP(0.3), 0.5, activation="square").best_weight_decay(),
            "The risk of the square activation does not depend on the weight decay: none is best.",
        ),
    ],
)
def test_bad_input_is_answered_with_a_sentence(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_results_are_saved_loaded_and_repeated(tmp_path):
    from flowlimits.data.rerun import differing, rerun

    problem = fl.EmpiricalQuadratic(1.0, MP(0.5), 0.4, 0.25, 0.4)
    for result in (
        problem.solve(),
        problem.solve(sample_ratios=[0.2, 0.4], weight_decays=[0.1, 0.2], spectrum=[1.0, 2.0]),
        problem.bayes([0.1, 0.2]),
        problem.thresholds(),
    ):
        fl.save(result, tmp_path / "result.nc")
        loaded = fl.load(tmp_path / "result.nc")
        assert fl.load_problem(loaded) == problem
        assert differing(loaded, rerun(loaded)) == []
