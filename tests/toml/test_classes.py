"""Every class of problems is reached by TOML files and by flags, arrays from files included."""

import inspect

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.command_line import problems
from flowlimits.core import fields
from flowlimits.core.problem import Problem, description_class
from flowlimits.core.registry import DESCRIPTIONS, PROBLEMS
from flowlimits.data.rerun import differing
from flowlimits.toml.file import ConfigError, read_config
from flowlimits.toml.values import read_array

X = np.array([[1.0, 0.2, -0.4], [-0.3, 0.9, 0.5], [0.4, -1.1, 0.3], [-0.8, -0.6, 0.1]])
Y = np.array([1.0, -1.0, 0.5, 1.0])
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
W = np.array([[0.1, -0.2, 0.3], [0.2, 0.1, -0.1]])

CASES = {
    "XorMixture": (
        "width = 4\nseparation = 1.0\nnoise_scale = 0.5\nloss = 'logistic'\nscale = 0.5\ndimension = 50\nrng = 3",
        "--width 4 --separation 1 --noise-scale 0.5 --loss logistic --scale 0.5 --start-dimension 50 --weights-rng 3 --times 0.1,0.2",
        lambda: fl.XorMixture(4, separation=1.0, noise_scale=0.5, loss="logistic", scale=0.5, dimension=50, rng=3).solve([0.1, 0.2]),
        "times = [0.1, 0.2]",
    ),
    "SampleFlow": (
        "X = 'X.csv'\ny = 'data.npz:labels'\nweights = ['W.npy', 'a.csv']\nactivation = 'tanh'",
        "--X X.csv --y data.npz:labels --weights W.npy,a.csv --activation tanh --times 0.1,0.2",
        lambda: fl.SampleFlow(X, Y, weights=(W, [1.0, -0.5]), activation="tanh").solve([0.1, 0.2]),
        "times = [0.1, 0.2]",
    ),
    "EarlyAlignment": (
        "X = 'data.npz'\ny = [1.0, -1.0, 0.5, 1.0]\nwidth = 3\nbalance = 0.5\nrng = 1",
        "--X data.npz --y 1,-1,0.5,1 --width 3 --balance 0.5 --weights-rng 1 --times 0.1,0.2",
        lambda: fl.EarlyAlignment(X, Y, width=3, balance=0.5, rng=1).solve([0.1, 0.2]),
        "times = [0.1, 0.2]",
    ),
    "MarginFlow": (
        "X = 'X.csv'\ny = 'signs.csv'\nrng = 2\nmodel = {class = 'QuadraticModel', width = 3}",
        "--model QuadraticModel --model-width 3 --X X.csv --y signs.csv --weights-rng 2 --log-losses 5,50",
        lambda: fl.MarginFlow(fl.margin.QuadraticModel(3), X, SIGNS, rng=2).solve([5.0, 50.0]),
        "log_losses = [5.0, 50.0]",
    ),
    "GuessAndCheck": (
        "X = 'X.csv'\ny = 'signs.csv'\nX_test = 'X.csv'\ny_test = 'signs.csv'\ndepth = 2",
        "--X X.csv --y signs.csv --X-test X.csv --y-test signs.csv --depth 2 --rng 1 --accuracy 0.05",
        lambda: fl.GuessAndCheck(X, SIGNS, X, SIGNS, depth=2).solve(rng=1, accuracy=0.05),
        "rng = 1\naccuracy = 0.05",
    ),
    "MeanField": (
        "teacher = [[1.0]]\nstart = {kind = 'gaussian', dimension = 30, scale = 0.5}",
        "--teacher T.csv --start gaussian --start-dimension 30 --start-scale 0.5 --particles 64 --times 0.5",
        lambda: fl.MeanField([[1.0]], fl.Ensemble.gaussian(30, 0.5)).solve([0.5], particles=64),
        "particles = 64\ntimes = [0.5]",
    ),
    "SingleUnit": (
        "link = 'tanh'\nQ = 0.1\nR = 0.02\nlearning_rate = 0.1\nnoise = 0.01",
        "--link tanh --Q 0.1 --R 0.02 --learning-rate 0.1 --noise 0.01 --times 0.1,0.2",
        lambda: fl.SingleUnit("tanh", Q=0.1, R=0.02, learning_rate=0.1, noise=0.01).solve([0.1, 0.2]),
        "times = [0.1, 0.2]",
    ),
    "EmpiricalQuadratic": (
        "student_ratio = 0.5\nteacher = {kind = 'orthonormal', ratio = 0.25}\nsample_ratio = 0.3\nnoise = 0.1\nweight_decay = 'vanishing'",
        "--student-ratio 0.5 --teacher-ratio 0.25 --sample-ratio 0.3 --noise 0.1 --weight-decay vanishing --sample-ratios 0.2,0.4",
        lambda: fl.EmpiricalQuadratic(
            0.5, fl.Spectrum.orthonormal(0.25), 0.3, noise=0.1, weight_decay="vanishing"
        ).solve(sample_ratios=[0.2, 0.4]),
        "sample_ratios = [0.2, 0.4]",
    ),
    "Committee": (
        "Q = 'Q.csv'\nR = [[0.1], [0.2]]\nT = 'data.npz:T'\nsecond_layer = [1.0, 0.5]",
        "--Q Q.csv --R R.npy --T data.npz:T --second-layer 1,0.5 --times 0.1,0.2",
        lambda: fl.Committee([[0.5, 0.1], [0.1, 0.6]], [[0.1], [0.2]], [[1.0]], second_layer=[1.0, 0.5]).solve([0.1, 0.2]),
        "times = [0.1, 0.2]",
    ),
    "QuadraticFlow": (
        "W = 'W.npy'\nW_star = 'X.csv'",
        "--W W.npy --W-star X.csv --times 0.1,0.2",
        lambda: fl.QuadraticFlow(W, X).solve([0.1, 0.2]),
        "times = [0.1, 0.2]",
    ),
}  # fmt: skip


@pytest.fixture
def arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savetxt("X.csv", X, delimiter=",", header="a,b,c", comments="")
    np.savetxt("signs.csv", SIGNS)
    np.savetxt("a.csv", [1.0, -0.5])
    np.savetxt("Q.csv", [[0.5, 0.1], [0.1, 0.6]], delimiter=",")
    (tmp_path / "T.csv").write_text("1.0\n")
    np.save("W.npy", W)
    np.save("R.npy", [[0.1], [0.2]])
    np.savez("data.npz", X=X, labels=Y, T=[[1.0]])
    return tmp_path


@pytest.mark.parametrize("name", CASES)
def test_files_and_flags_state_the_real_problem(name, run, arrays):
    keys, flags, make, solve = CASES[name]
    if inspect.isabstract(description_class(name)):
        pytest.skip("not whole yet")
    expected = make()
    status, _, err = run(f"solve {PROBLEMS[name].command} {flags} -o flags.nc")
    assert (status, err) == (0, "")
    assert differing(fl.load("flags.nc"), expected) == []
    (arrays / "problem.toml").write_text(f'[problem]\nclass = "{name}"\n{keys}\n[solve]\n{solve}\n')
    assert run("solve problem.toml -o file.nc")[0] == 0
    assert differing(fl.load("file.nc"), expected) == []


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_table_is_that_of_the_constructor(name):
    table, parameters = fields.table_of(name), inspect.signature(description_class(name)).parameters
    taken = {key: p.default for key, p in parameters.items() if p.kind is not p.VAR_KEYWORD}
    assert set(taken) == {*table.names, *table.outside}
    for field in table.fields:
        if field.default is fields.REQUIRED:
            assert taken[field.name] is inspect.Parameter.empty or taken[field.name] is None, field.name
        elif field.default is not None:
            assert taken[field.name] in (field.default, None), field.name
    for name in (*table.solve, *table.simulate):
        assert name in fields.ARGUMENTS


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("verb", ["solve", "simulate"])
def test_the_arguments_of_verbs_are_those_of_their_methods(name, verb):
    method = getattr(description_class(name), verb, None)
    if getattr(method, "__isabstractmethod__", False):
        pytest.skip("no such verb yet")
    taken = inspect.signature(method).parameters
    table = fields.table_of(name)
    assert [
        word for word in getattr(table, verb) if word not in taken and (name, verb) != ("QuadraticFlow", "simulate")
    ] == []
    assert not table.size or verb == "solve" or table.size in taken


@pytest.mark.parametrize("name", PROBLEMS)
def test_no_flag_means_two_things(name):
    table = fields.table_of(name)
    flags = [flag for option in problems.options_of(table) for flag in option.opts]
    verbs = {f"--{word.replace('_', '-')}" for word in (*table.solve, *table.simulate, table.size)}
    assert len(flags) == len(set(flags))
    assert set(flags) & verbs <= {"--dimension"} if name == "QuadraticFlow" else set(flags) & verbs == set()


def test_every_class_of_problems_has_a_table():
    kinds = {name for name in DESCRIPTIONS if issubclass(description_class(name), Problem)}
    assert kinds == set(PROBLEMS)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("none.csv", "cannot read the array file none.csv ([Errno 2] No such file or directory: 'none.csv')"),
        ("data.npz:Z", "cannot read the array file data.npz:Z (it holds no array `Z`, but X, labels, T)"),
        ("ragged.csv", "cannot read the array file ragged.csv (row 2 has 1 numbers, but the first has 2)"),
        ("words.csv", "cannot read the array file words.csv (row 2 holds 'x', which is no number)"),
        ("empty.csv", "cannot read the array file empty.csv (it holds no numbers)"),
        ("torn.npz", "cannot read the array file torn.npz"),
    ],
)
def test_array_files_are_refused_by_name(text, fault, arrays):
    (arrays / "ragged.csv").write_text("1,2\n3\n")
    (arrays / "words.csv").write_text("1,2\n3,x\n")
    (arrays / "empty.csv").write_text("a,b\n")
    (arrays / "torn.npz").write_bytes((arrays / "data.npz").read_bytes()[:300])
    with pytest.raises(ValueError, match="cannot read") as caught:
        read_array(text, ".", "X")
    assert str(caught.value).startswith(fault)


def test_a_start_is_given_or_drawn(run, arrays):
    status, _, err = run("solve committee --Q Q.csv --student-width 2 --times 1")
    assert (status, err) == (
        2, "Error: `Q` and `student_width` exclude each other: give the overlaps or widths and a dimension.\n",
    )  # fmt: skip
    status, _, err = run("solve committee --student-width 2 --teacher-width 1 --times 1")
    assert status == 2
    assert "Missing option '--start-dimension'." in err


def test_models_are_refused_by_key(arrays):
    (arrays / "problem.toml").write_text(
        "[problem]\nclass = 'MarginFlow'\nX = 'X.csv'\ny = 'signs.csv'\nmodel = {class = 'UserModel'}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_config("problem.toml")
    assert "model: class must be one of LinearModel" in str(caught.value)


def test_studies_take_arrays_from_files(run, arrays):
    (arrays / "R.csv").write_text("0.1\n0.2\n")
    (arrays / "study.toml").write_text(
        "[problem]\nclass = 'Committee'\nQ = 'Q.csv'\nR = 'R.csv'\nT = 'data.npz:T'\n"
        "[study]\nquantity = 'risk'\ntimes = [0.5]\n[study.axes]\nweight_decay = [0.0, 0.1]\n"
    )
    assert run("study study.toml --quiet")[0] == 0
    problem = fl.Committee([[0.5, 0.1], [0.1, 0.6]], [[0.1], [0.2]], [[1.0]], weight_decay=0.1)
    assert fl.load("study/study.nc")["risk"].values[1] == problem.solve([0.5])["risk"].values[0]
