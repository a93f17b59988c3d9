"""Requests that are well formed and cannot be met: each room says why."""

import json

import numpy as np
import pytest
import xarray as xr

import flowlimits as fl
from flowlimits.core import fields

X = np.array([[1.0, 0.2], [-0.4, 1.0], [0.3, -1.0], [-1.0, 0.5]])
Y = np.array([1.0, -1.0, 1.0, -1.0])


def mixture(**physics):
    return fl.XorMixture(2, dimension=10, rng=0, **physics)


def log_of(tmp_path, text):
    path = tmp_path / "run.dat"
    path.write_text(text)
    return path


def start_files(tmp_path, **changes):
    files = {"R": "1,0\n0,1\n", "Q": "1,0\n0,1\n", "T": "1,0\n0,1\n", "v": "1\n1\n", "A": "1\n1\n"} | changes
    for name, text in files.items():
        (tmp_path / f"net_{name}0.dat").write_text(text)
    return tmp_path / "net"


ONE = {"Q": [[0.5]], "R": [[0.1]], "T": [[1.0]]}
TEACHER = fl.Spectrum.orthonormal(0.25)
PAIR = np.array([[0.1], [0.2]])
#: Numbers that are floats, and whose powers are none.
BEYOND = {
    **{f"Committee {name}": (name, lambda name=name: fl.Committee(**ONE | {name: [[1e200]]})) for name in "QRT"},
    **{
        f"Committee {name}": (name, lambda name=name, value=value: fl.Committee(**ONE, **{name: value}))
        for name, value in {
            "second_layer": [1e200], "teacher_second_layer": [1e200], "learning_rate": 1e308, "noise": 1e200, "weight_decay": 1e60,
            "second_layer_rate": 1e200,
        }.items()
    },
    "many committees": ("T", lambda: fl.solve_many(fl.Committee, ONE | {"T": [[[1e308]], [[1.0]]]}, times=[1.0])),
    "XorMixture": ("second_layer", lambda: fl.XorMixture(Q=np.eye(2), R=np.eye(2) / 9, second_layer=[1, 1e200])),
    "XorMixture rate": ("learning_rate", lambda: mixture(learning_rate=1e200)),
    "QuadraticFlow": ("W_star", lambda: fl.QuadraticFlow(np.eye(2), 1e200 * np.eye(2))),
    "QuadraticFlow covariance": ("covariance", lambda: fl.QuadraticFlow(np.eye(2), np.eye(2), covariance=[1, 1e308])),
    "MeanFieldQuadratic": ("teacher_eigenvalues", lambda: fl.MeanFieldQuadratic([1e200, 1], 1.0)),
    "ExtensiveQuadratic": ("student_ratio", lambda: fl.ExtensiveQuadratic(1e200, TEACHER)),
    "ExtensiveQuadratic decay": ("weight_decay", lambda: fl.ExtensiveQuadratic(0.5, TEACHER, weight_decay=1e200)),
    "EmpiricalQuadratic": ("sample_ratio", lambda: fl.EmpiricalQuadratic(0.5, TEACHER, 1e200)),
    "Spectrum": ("nodes", lambda: fl.Spectrum([0, 1e200], [0.5, 0.5])),
    "Ensemble": ("projections", lambda: fl.Ensemble(None, 1.0, 1e200 * PAIR, 1.0)),
    "MeanField": ("teacher", lambda: fl.MeanField([[1e200]], fl.Ensemble(None, 1.0, PAIR, 1.0))),
    "SingleUnit": ("T", lambda: fl.SingleUnit("linear", Q=1.0, R=0.0, T=1e200)),
    "SampleFlow": ("weights", lambda: fl.SampleFlow(X, Y, weights=(1e200 * np.eye(2), [1, 1]))),
    "SampleFlow test data": ("y_test", lambda: fl.SampleFlow(X, Y, width=2, rng=0, X_test=X, y_test=1e200 * Y)),
    "EarlyAlignment": ("directions", lambda: fl.EarlyAlignment(X, Y, directions=1e200 * np.eye(2))),
    "MarginFlow": ("weights", lambda: fl.MarginFlow(fl.margin.LinearModel(), X, Y, weights=[1e200, 1])),
    "GuessAndCheck": ("X", lambda: fl.GuessAndCheck(1e200 * X, Y, X, Y)),
    "conventions": ("gamma", lambda: fl.conventions.Arnaboldi(gamma=1e200)),
}  # fmt: skip
WEIGHTS = {
    "Committee.from_weights": ("W", lambda: fl.Committee.from_weights(1e30 * np.eye(2), np.eye(2))),
    "Ensemble.from_weights": ("W_star", lambda: fl.Ensemble.from_weights(np.eye(2), 1e30 * np.eye(2))),
    "SingleUnit.from_weights": ("w", lambda: fl.SingleUnit.from_weights([1e30, 0], [1.0, 1.0])),
    "XorMixture scale": ("scale", lambda: mixture(scale=1e30)),
}


@pytest.mark.parametrize("case", [*BEYOND, *WEIGHTS])
def test_numbers_whose_powers_are_no_floats_are_refused_before_any_work(case):
    name, make = (BEYOND | WEIGHTS)[case]
    with pytest.raises(ValueError) as caught:
        make()
    bound = "1e+50" if case in BEYOND else "1e+25"
    problem = "Problem 0: " if case == "many committees" else ""
    assert str(caught.value).startswith(f"{problem}Argument `{name}` must be at most {bound} in size, but is ")


FLOW = fl.MeanField([[1.0]], fl.Ensemble(None, 1.0, PAIR, 1.0))
TOO_MANY = "Argument `runs` must be at most 1000000, but is 2147483648: make several results, each with its own `rng`."
TOO_LARGE = [
    (lambda: fl.Committee(**ONE, learning_rate=0.1).simulate([0.1], dimension=5, runs=2**31), TOO_MANY),
    (lambda: mixture(learning_rate=0.1).simulate([0.1], dimension=6, runs=2**31), TOO_MANY),
    (lambda: fl.ExtensiveQuadratic(0.5, TEACHER).simulate([0.1], dimension=8, runs=2**31), TOO_MANY),
    (lambda: fl.MeanFieldQuadratic([1, 0.5], 1.0).simulate([0.1], student_width=8, runs=2**31), TOO_MANY),
    (lambda: FLOW.simulate([0.1], student_width=8, dimension=10, runs=2**31), TOO_MANY),
    (lambda: fl.SingleUnit("linear", Q=1, R=0, T=1, learning_rate=0.1).simulate([0.1], dimension=8, runs=2**31), TOO_MANY),
    (lambda: fl.GuessAndCheck(X, Y, X, Y).simulate([2], runs=2**31, max_networks=10**13), TOO_MANY),
    (lambda: fl.ExtensiveQuadratic(0.5, TEACHER).simulate([0.1], dimension=10**9), "`dimension` must leave arrays below"),
    (lambda: fl.MeanFieldQuadratic([1, 0.5], 1.0).simulate([0.1], student_width=10**13), "`student_width` must leave arrays below"),
    (lambda: FLOW.simulate([0.1], student_width=10**13, dimension=10), "`student_width` must leave arrays below"),
    (lambda: fl.Committee.random(10**9, 2, dimension=10**9), "`student_width` must leave arrays below"),
    (lambda: fl.Committee(**ONE).weights(10**13), "`dimension` must leave arrays below"),
    (lambda: fl.SampleFlow(X, Y, width=2, rng=0).simulate([0.1], step=1e-14), "at steps of 1e-14, for 1e+13, and at most"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "sentence"), TOO_LARGE)
def test_what_no_machine_holds_or_finishes_is_refused_at_once(call, sentence):
    with pytest.raises(ValueError) as caught:
        call()
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("path", lambda: fl.to_table(fl.Committee(**ONE).solve([0.1]), 3)),
        ("folder", lambda: fl.study(lambda a: a, {"a": [1]}, folder=3)),
        ("path", lambda: fl.conventions.read_nn2pp_log(3)),
    ],
)
def test_what_is_no_path_is_named(name, call):
    with pytest.raises(TypeError, match=f"^Argument `{name}` must be a path, but is 3"):
        call()


def test_large_numbers_whose_powers_are_floats_are_computed_with():
    for problem in (
        fl.Committee([[1e49]], [[0.0]], [[1.0]]),
        fl.Committee([[1e49]], [[0.0]], [[1.0]], activation="square"),
        fl.Committee.from_weights(1e24 * np.eye(2), np.eye(2)),
        fl.QuadraticFlow(1e49 * np.eye(2), np.eye(2)),
        fl.MeanFieldQuadratic([1.0, 0.5], 1e90),
    ):
        assert np.isfinite(problem.solve([0.0, 0.5])["risk"].values).all()


MIXTURE = [
    (
        lambda: mixture(learning_rate=0.1).solve([1.0]),
        "Argument `learning_rate` must be 0 with noise_scale = 0: the noise of SGD vanishes with the cluster's variance.",
    ),
    (
        lambda: mixture().solve([1.0], method="closed"),
        'Argument `method` must be "auto" or "atoms" with noise_scale = 0, but is \'closed\'.',
    ),
    (
        lambda: mixture(noise_scale=0.5).solve([1.0], method="atoms"),
        'Method "atoms" needs noise_scale = 0, but it is 0.5.',
    ),
    (
        lambda: mixture(noise_scale=0.5, loss="logistic").solve([1.0], method="closed"),
        'Method "closed" needs the squared loss and learning_rate = 0, but they are "logistic" and 0.',
    ),
    (
        lambda: mixture().simulate([1.0], dimension=5, method="overlaps"),
        'Method "overlaps" is one-pass SGD and needs learning_rate > 0; at 0 use "descent" or "fresh" with `samples=`.',
    ),
    (
        lambda: mixture(learning_rate=0.1).simulate([1.0], dimension=5, samples=3),
        'Arguments `step` and `samples` belong to the methods "descent" and "fresh", not to "overlaps".',
    ),
    (
        lambda: mixture(learning_rate=0.1).simulate([1.0], dimension=5, method="fresh", samples=3),
        'Method "fresh" simulates gradient flow and needs learning_rate = 0, but it is 0.1.',
    ),
    (
        lambda: mixture().simulate([1.0], dimension=5),
        'Argument `samples`, the number of inputs per step, must be given for the method "descent".',
    ),
    (
        lambda: mixture(learning_rate=0.1).simulate([1.0], dimension=3, weights=np.ones((2, 3))),
        'Argument `dimension` must be at least width + 2 = 4 for the method "overlaps", but is 3.',
    ),
    (
        lambda: mixture().simulate([0.1, 0.2], dimension=5, samples=3, step=1.0),
        "Argument `times` asks for two times within one step of the simulation: take them further apart.",
    ),
    (
        lambda: mixture(noise_scale=1e-160),
        "Argument `noise_scale` must be 0 or at least 1e-50, but is 1e-160: rescale it.",
    ),
    (
        lambda: fl.XorMixture(2),
        "Argument `dimension` must be given together with `width`: the overlaps of random weights depend on it.",
    ),
]


@pytest.mark.parametrize(("request_", "message"), MIXTURE, ids=range(len(MIXTURE)))
def test_mixtures_say_which_method_goes_with_which_physics(request_, message):
    with pytest.raises(ValueError) as caught:
        request_()
    assert str(caught.value) == message


@pytest.mark.parametrize("loss", ["squared", "exponential"])
def test_a_step_too_long_for_the_mixture_is_named(loss):
    problem = fl.XorMixture(2, noise_scale=1.0, loss=loss, second_layer_rate=1.0, scale=5.0, dimension=10, rng=1)
    with pytest.raises(
        FloatingPointError,
        match=r"^The simulation left the finite range within \d+ steps: lower the learning rate or the step\.$",
    ):
        problem.simulate([100.0], dimension=12, samples=20, step=1.0, rng=0)


TASKS = [
    ({"labels": [0, 1]}, "Argument `labels` must have shape (4,), but has shape (2,)."),
    ({"classes": (1, 1)}, "Argument `classes` must hold two different labels, but is (1, 1)."),
    ({"samples": 6}, "Class 1 has 2 points, but 3 are asked for."),
    ({"samples": 4}, "No points are left for testing: lower `samples`."),
]


@pytest.mark.parametrize(("change", "message"), TASKS)
def test_tasks_from_data_need_enough_points_of_each_class(change, message):
    arguments = {"inputs": X, "labels": [1, 0, 1, 0], "classes": (1, 0), "samples": 2, "rng": 0} | change
    with pytest.raises(ValueError) as caught:
        fl.random_networks.binary_task(**arguments)
    assert str(caught.value) == message


def test_a_task_from_data_holds_the_asked_numbers_of_points():
    inputs, labels = np.arange(24.0).reshape(12, 2), np.repeat([3, 5], 6)
    train, signs, test, test_signs = fl.random_networks.binary_task(inputs, labels, (3, 5), samples=5, test=4, rng=0)
    assert train.shape == (5, 2)
    assert test.shape == (4, 2)
    assert signs.tolist().count(1.0) == 3
    assert set(test_signs) <= {1.0, -1.0}
    np.testing.assert_allclose(inputs[labels == 3].mean(axis=0) - inputs.mean(axis=0), [-6.0, -6.0])


def test_files_of_another_program_are_refused_with_their_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        fl.conventions.read_nn2pp_log(tmp_path / "none.dat")
    assert str(caught.value) == f"There is no file {tmp_path / 'none.dat'}."
    with pytest.raises(ValueError, match=r"_R0\.dat holds no comma-separated matrix: ") as refused:
        fl.conventions.read_nn2pp_start(start_files(tmp_path, R="a,b\n"))
    assert refused.value.__cause__ is None
    with pytest.raises(
        ValueError, match=r"_T0\.dat must have shape \(2, 2\) to fit _R0\.dat, but has shape \(1, 2\)\.$"
    ):
        fl.conventions.read_nn2pp_start(start_files(tmp_path, T="1,0\n"))


GRIDS = [
    ("1:2", "'1:2' must be"),
    ("a:2:3", "but 'a' is no number."),
    ("1:2:x", "but the count 'x' is no whole number."),
    ("0:1:3:log", "A logarithmic grid must start and stop above 0, but goes from 0 to 1."),
    ("1:2:0", "A grid must have at least one point, but has 0."),
    (",", "',' must be"),
]


@pytest.mark.parametrize(("text", "message"), GRIDS)
def test_grids_that_cannot_be_read_are_quoted(text, message):
    with pytest.raises(ValueError) as caught:
        fields.parse_grid(text)
    assert message in str(caught.value)


def table_of(**variables):
    data = {name: (dims, np.zeros(tuple({"a": 2, "b": 3}[dim] for dim in dims))) for name, dims in variables.items()}
    return xr.Dataset(data, coords={"a": [0.0, np.inf], "b": [1.0, np.nan, -np.inf]})


TABLES = [
    ({"words": ()}, None, "The Dataset holds no variable of numbers."),
    (
        {"one": ("a", "b"), "other": ("a",)},
        ["one", "other"],
        "Variable `other` does not have the axes (a, b) of the rows.",
    ),
]


@pytest.mark.parametrize(("variables", "asked", "message"), TABLES)
def test_tables_need_variables_of_one_shape(tmp_path, variables, asked, message):
    dataset = table_of(**variables)
    if "words" in dataset:
        dataset["words"] = ("a", ["x", "y"])
    with pytest.raises(ValueError) as caught:
        fl.to_table(dataset, tmp_path / "table.csv", variables=asked)
    assert str(caught.value) == message


def test_infinite_and_missing_numbers_are_typeset(tmp_path):
    path = tmp_path / "table.tex"
    fl.to_table(table_of(one=("a", "b")), path)
    text = path.read_text()
    for word in (r"$\infty$", r"$-\infty$", r"\text{nan}"):
        assert word in text


def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        fl.to_table(table_of(one=("a", "b")), tmp_path / "table.csv")
    assert list(tmp_path.iterdir()) == []


def test_logarithms_of_times_need_positive_times():
    result = fl.wrap([0.0, 1.0, 2.0], risk=[1.0, 0.5, 0.1])
    with pytest.raises(ValueError) as caught:
        fl.crossing(result, "risk", 0.3, scale="log")
    assert str(caught.value) == 'Argument `scale` cannot be "log" for times that start at 0.'


def test_only_results_in_time_are_extended():
    networks = fl.GuessAndCheck(X, Y, X, Y).simulate([2], runs=2, rng=0)
    with pytest.raises(ValueError) as caught:
        fl.extend(networks, [1.0])
    assert str(caught.value) == "Argument `result` must be a result in time: it has no coordinate `time`."


def test_citing_a_result_cites_the_papers_of_its_problem():
    problem = fl.Committee([[0.5]], [[0.1]], [[1.0]])
    assert fl.cite(problem.solve([1.0])) == fl.cite(problem) == fl.cite(fl.Committee)
    assert fl.cite(problem).startswith(fl.cite())


def test_a_result_that_lost_what_its_call_refers_to_is_not_repeated():
    from flowlimits.data.rerun import rerun

    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    result = problem.solve([0.5], spectrum=[0.5, 1.0])
    details = json.loads(result.attrs["provenance"])
    details["call"]["spectrum"] = {"array": "lost"}
    result.attrs["provenance"] = json.dumps(details)
    with pytest.raises(ValueError) as caught:
        rerun(result)
    assert str(caught.value) == "The result holds no variable `lost`, to which its call refers."


def test_long_spectra_print_their_range():
    spectrum = fl.Spectrum(np.arange(5.0), np.full(5, 0.2))
    assert repr(spectrum) == "Spectrum(<5 nodes in [0, 4], mean 2>)"
    assert repr(fl.Spectrum([0.0, 2.0], [0.5, 0.5])) == "Spectrum([0.0, 2.0], [0.5, 0.5])"


def test_committees_of_far_moments_know_their_degree():
    with pytest.raises(ValueError, match=r"^Argument `activation` has degree 30, but polynomials end at degree 24: "):
        fl.Committee([[0.5]], [[0.1]], [[1.0]], activation=[0.0] * 30 + [1.0])
    with pytest.raises(ValueError, match="a number in it is too large"):
        fl.Committee([[0.5]], [[0.1]], [[1.0]], activation=f"0x{'f' * 280}*x")


def uncompilable(theta, x, gradient):
    return undefined_name + theta[0]  # noqa: F821


MARGINS = [
    (
        lambda m: m.QuadraticModel(2, "trained", signs=[1, -1]), ValueError,
        'Argument `signs` goes with second_layer="fixed" only; a trained one starts from `weights`.',
    ),
    (lambda m: m.NormOnlyModel(np.eye(2), [1, 2]), ValueError, "Argument `signs` must hold 1 and -1, but holds 2."),
    (lambda m: m.UserModel(np.sin, 3), TypeError, "Argument `function` must be a function written in Python, which Numba compiles, but is <ufunc 'sin'>."),
    (lambda m: m.rate_constant(3), TypeError, "Argument `flow` must be a result of a MarginFlow, but is 3."),
    (
        lambda m: m.rate_constant(fl.Committee([[0.5]], [[0.1]], [[1.0]]).solve([1.0])), TypeError,
        "Argument `flow` must be a result of a MarginFlow, but is one of Committee.",
    ),
    (
        lambda m: m.certify(fl.MarginFlow(m.QuadraticModel(2), X, [1, -1, -1, 1], geometry="linf", rng=0).solve([2.0], rtol=1e-2)), ValueError,
        'The dual of QuadraticModel is known for geometry="l2", but the flow has geometry="linf".',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "kind", "message"), MARGINS, ids=range(len(MARGINS)))
def test_margins_say_what_is_known_for_which_model(request_, kind, message):
    with pytest.raises(kind) as caught:
        request_(fl.margin)
    assert str(caught.value) == message


def test_a_model_that_cannot_be_compiled_is_told_with_the_reason():
    with pytest.raises(
        TypeError,
        match=r"^The model `uncompilable` cannot be compiled: .*undefined_name.* It must write its gradient, return a number, and use what Numba knows\.$",
    ):
        fl.margin.UserModel(uncompilable, 3)


def test_errors_of_margins_travel_between_processes():
    import pickle

    for error in (fl.margin.NoMarginError("no", 0.5, 2.0), fl.margin.BudgetError("much", [1.0])):
        twin = pickle.loads(pickle.dumps(error))
        assert type(twin) is type(error)
        assert (str(twin), vars(twin)) == (str(error), vars(error))


def test_a_committee_that_diverges_is_told_its_largest_learning_rate():
    problem = fl.Committee([[0.5]], [[0.1]], [[1.0]], activation="hermite3", learning_rate=2.0)
    with pytest.raises(
        fl.ode.IntegrationError,
        match=r"Lower the learning rate, 2: at this start the risk decreases only for learning rates below \d",
    ) as caught:
        problem.solve([10.0])
    bound = float(str(caught.value).split("below ")[1].rstrip("."))
    for factor, falls in ((0.9, True), (1.1, False)):
        near = fl.Committee([[0.5]], [[0.1]], [[1.0]], activation="hermite3", learning_rate=factor * bound)
        risk = near.solve([0.0, 1e-6])["risk"].values
        assert bool(risk[1] < risk[0]) is falls


def test_test_data_are_judged_on_request_and_refused_without():
    problem = fl.SampleFlow(X, Y, width=3, rng=0, X_test=X, y_test=Y)
    flow = problem.solve([0.5], observables=["test_risk", "directions", "hidden"])
    np.testing.assert_allclose(flow["test_risk"], flow["risk"], rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(flow["directions"].values, axis=2), 1.0)
    with pytest.raises(ValueError) as caught:
        fl.SampleFlow(X, Y, width=3, rng=0).solve([0.5], observables=["test_risk"])
    assert str(caught.value) == "The observable `test_risk` needs test data: give `X_test` and `y_test`."


def test_an_event_at_a_requested_time_is_that_time():
    problem = fl.Committee([[0.5]], [[0.1]], [[1.0]])
    times = [0.0, 0.3, 1.0]
    start = float(problem.solve([0.0])["risk"][0])
    flow = problem.solve(times, events=[fl.Event("risk", start)])
    assert float(flow["event_time"][0]) == 0.0
    result = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)).solve([0.0], events=[fl.Event("overlap", 0.9)])
    assert np.isnan(result["event_time"].values).all()
