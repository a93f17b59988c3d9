"""Spectra, conventions and files: what goes in comes out, whatever the numbers are."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowlimits as fl

some = settings(max_examples=25)
SEEDS = st.integers(0, 10**6)
SIZES = st.floats(1e-3, 1e3)
RATIOS = st.floats(0.02, 3.0)


@st.composite
def laws(draw):
    """Nodes and weights, equal nodes and nodes of no weight among them."""
    count = draw(st.integers(1, 6))
    nodes = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]) | st.floats(0, 10), min_size=count, max_size=count))
    shares = np.array(draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)), dtype=float)
    shares[0] += 1.0
    return np.array(nodes), shares / shares.sum()


# Spectra


@some
@given(laws(), SEEDS)
def test_equal_nodes_are_merged_and_their_order_does_not_matter(law, seed):
    nodes, weights = law
    spectrum = fl.Spectrum(nodes, weights)
    assert (np.diff(spectrum.nodes) > 0).all()
    assert (spectrum.weights > 0).all()
    assert spectrum.weights.sum() == pytest.approx(1.0)
    assert spectrum.mean == pytest.approx(float(nodes @ weights), abs=1e-12)
    order = np.random.default_rng(seed).permutation(nodes.size)
    shuffled = fl.Spectrum(nodes[order], weights[order])
    np.testing.assert_array_equal(shuffled.nodes, spectrum.nodes)
    np.testing.assert_allclose(shuffled.weights, spectrum.weights, rtol=1e-14)
    halved = fl.Spectrum(np.concatenate([nodes, nodes]), np.concatenate([weights, weights]) / 2)
    np.testing.assert_array_equal(halved.nodes, spectrum.nodes)
    np.testing.assert_allclose(halved.weights, spectrum.weights, rtol=1e-14)


@some
@given(laws().filter(lambda law: law[0] @ law[1] > 1e-6))
def test_normalised_spectra_have_mean_one_and_the_same_rank(law):
    spectrum = fl.Spectrum(*law)
    normalised = spectrum.normalised()
    assert normalised.mean == pytest.approx(1.0, rel=1e-12)
    assert normalised.rank == spectrum.rank
    np.testing.assert_allclose(normalised.normalised().nodes, normalised.nodes, rtol=1e-14)


@some
@given(laws().filter(lambda law: law[0] @ law[1] > 0), st.integers(40, 80))
def test_multiplicities_fill_the_dimension_to_within_one_of_their_share(law, dimension):
    spectrum = fl.Spectrum(*law)
    counts = spectrum.multiplicities(dimension)
    assert counts.sum() == dimension
    assert (np.abs(counts - dimension * spectrum.weights) < 1).all()
    assert spectrum.eigenvalues(dimension).shape == (dimension,)
    assert spectrum.realised(dimension).weights.sum() == pytest.approx(1.0)


@some
@given(RATIOS, st.integers(1, 20))
def test_named_laws_have_mean_one_and_the_rank_of_their_ratio(ratio, count):
    for spectrum in (fl.Spectrum.orthonormal(ratio), fl.Spectrum.marchenko_pastur(ratio, count)):
        assert spectrum.mean == pytest.approx(1.0, rel=1e-9)
        assert spectrum.rank == min(ratio, 1.0)
        assert spectrum.zero_weight == pytest.approx(max(1 - ratio, 0.0), abs=1e-12)


@some
@given(SEEDS, st.integers(1, 5), st.integers(1, 5))
def test_the_spectrum_of_weights_has_their_trace_and_rank(seed, width, dimension):
    W = np.random.default_rng(seed).standard_normal((width, dimension))
    spectrum = fl.Spectrum.from_weights(W)
    assert spectrum.mean == pytest.approx((W**2).sum() / width / dimension)
    assert spectrum.rank == pytest.approx(min(width, dimension) / dimension)


# Conventions


@st.composite
def conventions(draw):
    c = fl.conventions
    noise = draw(st.floats(0, 2))
    kind = draw(st.sampled_from(["arnaboldi", "veiga", "martin", "sarao", "nn2pp"]))
    if kind == "arnaboldi":
        return c.Arnaboldi(draw(SIZES), noise)
    if kind == "veiga":
        return c.Veiga(draw(st.floats(1, 9)), draw(SIZES))
    if kind == "martin":
        return c.Martin(draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    if kind == "sarao":
        return c.SaraoMannelli()
    return c.Nn2pp(draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(SIZES), sigma=noise)


@some
@given(conventions(), SEEDS)
def test_conversions_there_and_back_change_nothing(convention, seed):
    generator = np.random.default_rng(seed)
    values = generator.uniform(0.1, 5.0, 4)
    for there, back in ((convention.to_time, convention.from_time), (convention.to_risk, convention.from_risk)):
        np.testing.assert_allclose(back(there(values)), values, rtol=1e-13)
        np.testing.assert_allclose(there(back(values)), values, rtol=1e-13)
    overlaps = [generator.standard_normal(shape) for shape in ((3, 3), (3, 2), (2, 2))]
    for found, given_ in zip(convention.from_overlaps(*convention.to_overlaps(*overlaps)), overlaps):
        np.testing.assert_allclose(found, given_, rtol=1e-13)


# Files


@st.composite
def problems(draw):
    """Any problem of the package, with random numbers in it."""
    seed = draw(SEEDS)
    generator = np.random.default_rng(seed)
    X, y = generator.standard_normal((4, 3)), generator.standard_normal(4)
    W, W_star = generator.standard_normal((2, 3)), generator.standard_normal((2, 3))
    decay = draw(st.just(0.0) | st.floats(1e-3, 1))
    kind = draw(
        st.sampled_from(
            [
                "flow",
                "extensive",
                "mean field",
                "committee",
                "sample",
                "alignment",
                "mixture",
                "margin",
                "networks",
                "law",
            ]
        )
    )
    if kind == "flow":
        return fl.QuadraticFlow(W, W_star, weight_decay=decay)
    if kind == "extensive":
        teacher = draw(st.sampled_from([fl.Spectrum.orthonormal, fl.Spectrum.marchenko_pastur]))(draw(RATIOS))
        return fl.ExtensiveQuadratic(
            draw(RATIOS), teacher, draw(st.sampled_from(["gaussian", "orthonormal"])), weight_decay=decay
        )
    if kind == "mean field":
        return fl.MeanFieldQuadratic(
            np.abs(y), draw(st.floats(0.1, 2)) if draw(st.booleans()) else np.diag(np.abs(generator.standard_normal(4)))
        )
    if kind == "law":
        start = draw(
            st.sampled_from(
                [
                    fl.Ensemble.gaussian(5),
                    fl.Ensemble.uniform_sphere("infinity"),
                    fl.Ensemble(None, y, X[:, :2], np.abs(y)),
                ]
            )
        )
        return fl.MeanField(
            np.eye(2), start, activation=draw(st.sampled_from(["erf", (0.0, 1.0, 0.5)])), weight_decay=decay
        )
    if kind == "committee":
        rate = draw(st.sampled_from([0.0, 1e-4]) | st.just(fl.Schedule([0.0, 1.0], [2e-4, 1e-4])))
        activation = draw(st.sampled_from(["square", "erf", "relu", "x**3 - x", (0.0, 1.0, 0.5)]))
        return fl.Committee.from_weights(W, W_star, activation=activation, learning_rate=rate, noise=decay)
    if kind == "sample":
        tested = {"X_test": X, "y_test": y} if draw(st.booleans()) else {}
        return fl.SampleFlow(X, y, width=3, bias=draw(st.booleans()), rng=seed, **tested)
    if kind == "alignment":
        return fl.EarlyAlignment(X, y, width=3, balance=draw(st.floats(-1, 1)), rng=seed)
    if kind == "mixture":
        return fl.XorMixture(3, noise_scale=decay, dimension=9, rng=seed)
    if kind == "margin":
        model = draw(
            st.sampled_from(
                [fl.margin.LinearModel(), fl.margin.QuadraticModel(2), fl.margin.NormOnlyModel(np.eye(3), [1, -1, 1])]
            )
        )
        return fl.MarginFlow(model, np.abs(X), np.sign(y), weights=np.arange(1.0, 1.0 + model.size(3)))
    return fl.GuessAndCheck(X, np.sign(y), X[:2], np.sign(y[:2]), depth=draw(st.integers(1, 3)))


@settings(max_examples=40)
@given(problem=problems())
def test_problems_survive_files_copies_and_pickles(problem, tmp_path_factory):
    arrays = {}
    plain = problem.to_plain(arrays)
    folder = tmp_path_factory.mktemp("problem")
    twins = [copy.copy(problem), copy.deepcopy(problem), pickle.loads(pickle.dumps(problem))]
    if (
        problem.clock
        and problem.clock != "minus log loss"
        and not isinstance(problem, fl.SampleFlow | fl.EarlyAlignment)
    ):
        fl.save(problem.solve([0.01]), folder / "result.nc")
        twins.append(fl.load_problem(fl.load(folder / "result.nc")))
    for twin in twins:
        assert twin == problem
        assert hash(twin) == hash(problem)
        again = {}
        assert twin.to_plain(again) == plain
        assert again.keys() == arrays.keys()
        for name, values in arrays.items():
            np.testing.assert_array_equal(values, again[name])
        assert all(not value.flags.writeable for value in vars(twin).values() if isinstance(value, np.ndarray))


@some
@given(problems(), problems())
def test_problems_are_equal_exactly_where_their_contents_are(first, second):
    one, two = {}, {}
    plain = first.to_plain(one) == second.to_plain(two) and one.keys() == two.keys()
    contents = plain and all(np.array_equal(one[name], two[name]) for name in one)
    assert (first == second) is contents
