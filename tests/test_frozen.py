"""The numbers, keys, files and messages of the package are those that were recorded in `support/frozen.json`.

Every case computes something through the public interface; what it returns is compared with the record bit for bit.
The hash of a result covers names, dimensions, types, shapes, bytes and attributes of its variables, its attributes,
and the call and root of random streams in its provenance.  It does not cover wall times, versions, the rest of the
provenance and the coordinate `event`.  Bits belong to a machine and to versions of the numerical libraries, so that on
others the cases of bits are skipped; messages, keys and names are compared everywhere.

To record the results of now, of all cases or of those that are named::

    python tests/test_frozen.py
    python tests/test_frozen.py committee_erf text_of_refusals

A change of a recorded result is a change of what users get: the changelog has to say so.
"""

import base64
import contextlib
import hashlib
import io
import json
import platform
import re
import runpy
import sys
import tempfile
import warnings
import zlib
from pathlib import Path
from unittest import mock

import llvmlite.binding
import numba
import numpy as np
import pytest
import scipy
import xarray as xr

import flowlimits as fl
from flowlimits.core import progress
from flowlimits.core.storage import with_array_variables

RECORD = Path(__file__).with_name("support") / "frozen.json"
#: Reading it must not fail where it is about to be written.
FROZEN = json.loads(RECORD.read_text()) if RECORD.exists() else {"machine": {}, "cases": {}}
CASES = {}

TIMES = np.array([0.0, 0.05, 0.3])
LATE = np.array([0.1, 1.0, 30.0])
X = np.array([[1.0, 0.2, -0.4], [-0.3, 0.9, 0.5], [0.4, -1.1, 0.3], [-0.8, -0.6, 0.1], [0.2, 0.7, -1.0]])
Y = np.array([1.0, -1.0, 0.5, 1.0, -0.7])
SIGNS = np.sign(Y)
SEPARABLE = np.sign(X[:, 0])
Q, R, T = [[0.5, 0.1], [0.1, 0.6]], [[0.1, 0.05], [0.2, -0.1]], [[1.0, 0.1], [0.1, 0.9]]
UNIT = [[1.0, 0.1], [0.1, 1.0]]
QUIET = {"progress": False}


def machine():
    """Return what the bits of a result depend on beside the package."""
    features = sorted(name for name, there in llvmlite.binding.get_host_cpu_features().items() if there)
    processor = numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name()  # NUMBA_CPU_NAME asks for another
    return {
        "system": platform.system(),
        "processor": f"{platform.machine()} {processor}",
        "features": hashlib.sha256(" ".join(features).encode()).hexdigest()[:16],
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "llvm": ".".join(map(str, llvmlite.binding.llvm_version_info)),
    }


def case(function):
    """Add a case whose bits are compared on the machine of the record."""
    CASES[function.__name__] = function
    return function


def everywhere(function):
    """Add a case that is compared on every machine."""
    function.everywhere = True
    return case(function)


def near(function):
    """Add a case whose numbers are compared up to rounding, on every machine."""
    function.near = True
    return case(function)


# Hashes


def plain(value):
    return value.item() if isinstance(value, np.generic) else np.asarray(value).tolist()


def text(value):
    return json.dumps(value, default=plain, sort_keys=True)


def parts_of_dataset(dataset, stopped=False):
    """Return the bytes of every part of a result, as files hold it, by its name."""
    dataset = with_array_variables(dataset)
    found = {}
    for name, variable in dataset.variables.items():
        if name == "event":
            continue
        values = np.ascontiguousarray(variable.values)
        words = values.dtype.kind not in "biufc"
        head = [
            list(map(str, variable.dims)),
            "words" if words else values.dtype.str,
            list(values.shape),
            variable.attrs,
        ]
        found[str(name)] = text(head).encode() + (
            text(values.astype(str).tolist()).encode() if words else values.tobytes()
        )
    attributes = dict(dataset.attrs)
    details = json.loads(attributes.pop("provenance", "{}"))
    call = dict(details.get("call") or {})
    if stopped:  # whether the call states all times that were asked for is not settled
        call.pop("times", None)
    found["attrs problem"] = str(attributes.pop("problem", "")).encode()
    found["attrs"] = text(attributes).encode()
    found["provenance"] = text([call, details.get("root_seed")]).encode()
    return found


def parts_of(value):
    """Return the bytes of everything in a value: Datasets, arrays, numbers, words, and lists and mappings of those."""
    if isinstance(value, xr.Dataset):
        return parts_of_dataset(value)
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {f"{name} / {part}": content for name, item in items for part, content in parts_of(item).items()}
    if isinstance(value, np.ndarray):
        return {"array": text([value.dtype.str, list(value.shape)]).encode() + np.ascontiguousarray(value).tobytes()}
    return {"value": text(value).encode()}


def hashed(value):
    """Return the hash of a value, and beginnings of the hashes of its parts, which say where two values differ."""
    parts = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(parts_of(value).items())}
    whole = hashlib.sha256(text(parts).encode()).hexdigest()
    return {"sha256": whole, "parts": {name: digest[:8] for name, digest in parts.items()}}


def computed(name):
    """Return what is recorded of a case: its words as they are, numbers near a value, or hashes."""
    function = CASES[name]
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
    ):
        warnings.simplefilter("ignore")
        value = function()
    if getattr(function, "everywhere", False):
        return {"words": json.loads(text(value))}
    if getattr(function, "near", False):
        return {"values": {part: np.asarray(numbers).ravel().tolist() for part, numbers in value.items()}}
    return hashed(value)


# Gradient flow of quadratic networks


def quadratic(activation, decay, method, **options):
    problems = (
        fl.QuadraticFlow.gaussian(6, 3, 2, rng=0, activation=activation, weight_decay=decay),
        fl.QuadraticFlow.gaussian(8, 2, 4, rng=2, activation=activation, weight_decay=decay),
        fl.QuadraticFlow.orthonormal(9, 4, 3, rng=1, activation=activation, weight_decay=decay),
    )
    return [problem.solve(LATE, method=method, **options) for problem in problems]


QUADRATICS = [("square", 0.0), ("square", 0.1), ("centred", 0.0), ("centred", 0.1)]
for _activation, _decay in QUADRATICS:
    for _method in ("reduced", "auto"):
        _name = f"quadratic_flow_{_activation}_{'decay_' if _decay else ''}{_method}"
        CASES[_name] = lambda activation=_activation, decay=_decay, method=_method: quadratic(activation, decay, method)


@case
def quadratic_flow_eigenvalues_and_state():
    return quadratic("square", 0.0, "reduced", observables=["eigenvalues", "trace"], keep_state=True)


def named_values(results):
    """Return the numbers of some results by names."""
    names = [[str(name) for name in result.data_vars if not str(name).startswith("problem_")] for result in results]
    return {f"{i} {name}": results[i][name].values for i in range(len(results)) for name in names[i]}


@near
def quadratic_flow_matrix_values():
    return named_values(
        [
            result
            for activation, decay in QUADRATICS
            for result in quadratic(activation, decay, "matrix", observables=["eigenvalues", "trace"])
        ]
    )


@case
def quadratic_flow_events_and_crossing():
    result = fl.QuadraticFlow.gaussian(6, 3, 2, rng=0).solve(
        np.geomspace(0.01, 30, 20), events=[fl.Event("overlap", 0.6), fl.Event("risk", 0.0)]
    )
    return result, fl.crossing(result, "overlap", 0.6)


@case
def quadratic_flow_simulate():
    return [
        p.simulate([0.1, 0.5], step=0.01, **QUIET)
        for p in (
            fl.QuadraticFlow.orthonormal(9, 4, 3, rng=1),
            fl.QuadraticFlow.gaussian(6, 3, 2, rng=0, activation="centred"),
        )
    ]


@near
def quadratic_flow_of_large_matrices():
    """The order of sums in products of large matrices is free."""
    problem = fl.QuadraticFlow.gaussian(150, 30, 10, rng=0)
    return named_values([problem.solve([0.5, 5.0], method="matrix")])


# Extensive and infinite widths


@case
def extensive_orthonormal():
    problems = [fl.ExtensiveQuadratic(alpha, fl.Spectrum.orthonormal(0.25)) for alpha in (0.1, 0.25, 0.5, 1.5)]
    return [problem.solve(LATE) for problem in problems]


@case
def extensive_gaussian_and_marchenko_pastur():
    return fl.ExtensiveQuadratic(0.4, fl.Spectrum.marchenko_pastur(0.3, 6), "gaussian", weight_decay=0.1).solve(
        [0.2, 1.0], rtol=1e-6
    )


@case
def extensive_start_of_a_spectrum():
    start, teacher = fl.Spectrum([0.5, 1.5], [0.5, 0.5]), fl.Spectrum([0.0, 1.0, 3.0], [0.5, 0.25, 0.25])
    spectral = fl.ExtensiveQuadratic(0.5, teacher).solve([0.1, 3.0], rtol=1e-5, spectrum=[0.5, 2.0])
    return spectral, fl.ExtensiveQuadratic(1.2, fl.Spectrum.orthonormal(0.25), start).solve([0.1, 1e3], rtol=1e-5)


@case
def extensive_centred_and_decay():
    teacher = fl.Spectrum.orthonormal(0.25)
    centred = fl.ExtensiveQuadratic(0.5, teacher, activation="centred").solve(
        [0.1, 1.0], rtol=1e-5, spectrum=[0.5, 2.0]
    )
    return centred, fl.ExtensiveQuadratic(0.5, teacher, weight_decay=0.2).solve(LATE)


@case
def extensive_late_times_and_events():
    teacher = fl.Spectrum([0.0, 0.8, 1.2], [0.1, 0.45, 0.45]).normalised()
    late = fl.ExtensiveQuadratic(0.2, teacher).solve([1.0, 50.0, 1e7], rtol=1e-4)
    return late, fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)).solve(
        LATE, events=[fl.Event("overlap", 0.9)]
    )


@case
def extensive_simulate():
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    flow = problem.simulate([0.1, 1.0], dimension=20, runs=3, rng=0, **QUIET)
    return flow, problem.simulate([0.1, 0.2], dimension=12, runs=2, rng=1, method="gd", step=0.05, **QUIET)


@case
def extensive_solve_many():
    teachers = [fl.Spectrum([0.0, low, 1.2], [0.1, 0.45, 0.45]).normalised() for low in np.linspace(0.5, 0.9, 100)]
    zero = fl.Spectrum([0.0, 0.5, 1.5], [0.4, 0.3, 0.3])
    found = []
    for start, ratios in (
        ("orthonormal", np.linspace(1.0, 2.0, 100)),
        ("gaussian", np.linspace(0.3, 2.0, 100)),
        (zero, np.linspace(0.6, 0.9, 100)),
    ):
        problems = [fl.ExtensiveQuadratic(ratio, teacher, start) for ratio, teacher in zip(ratios, teachers)]
        found.append(fl.solve_many(problems, [0.0, 0.1, 3.0], rtol=1e-4, **QUIET))
    return found


@case
def mean_field():
    problems = [
        fl.MeanFieldQuadratic([1.0, 0.5, 0.5, 0.0], 0.3, **physics)
        for physics in ({}, {"activation": "centred", "weight_decay": 0.1})
    ]
    return [problem.solve(LATE) for problem in problems]


@case
def mean_field_simulate():
    problem = fl.MeanFieldQuadratic([1.0, 0.5, 0.0], 0.3)
    flow = problem.simulate([0.1, 1.0], student_width=12, runs=2, rng=0, **QUIET)
    return flow, problem.simulate([0.1, 0.2], student_width=12, runs=2, rng=0, method="gd", step=0.05, **QUIET)


# Fixed widths


def committee(activation, **physics):
    found = []
    for rate in (0.0, 0.02):
        for second in (0.0, 0.5):
            if activation == "centred" and rate and second:
                continue
            problem = fl.Committee(
                Q,
                R,
                T,
                activation=activation,
                learning_rate=rate,
                second_layer_rate=second,
                noise=0.1,
                weight_decay=0.01,
            )
            found.append(problem.solve(TIMES))
    return found


for _activation in ("square", "centred", "hermite3", "x**3 - x", "erf", "relu", "linear"):
    CASES[f"committee_{_activation.replace(' ', '')}"] = lambda activation=_activation: committee(activation)


@case
def committee_observables_and_two_activations():
    two = fl.Committee(Q, R, T, activation="square", teacher_activation="x**2 + x", learning_rate=0.05).solve(TIMES)
    relu = fl.Committee(Q, R, T, activation="relu", second_layer=[1.0, -0.5], teacher_second_layer=[1.0, 0.5])
    return two, fl.Committee(Q, R, T).solve(LATE, observables=["overlap"]), relu.solve(LATE)


@case
def committee_on_the_sphere_and_schedules():
    rate = fl.Schedule([0.0, 0.2], [0.02, 0.01])
    sphere = fl.Committee(UNIT, R, T, activation="erf", learning_rate=rate, spherical=True).solve(TIMES)
    return sphere, fl.Committee(Q, R, T, learning_rate=rate, noise=0.2).solve(TIMES)


@case
def committee_random_and_wide():
    found = [
        fl.Committee.random(2, 3, dimension=40, rng=5, activation=activation).solve(TIMES)
        for activation in ("square", "erf", "relu")
    ]
    W, W_star = np.random.default_rng(0).standard_normal((2, 20, 30))
    return [*found, fl.Committee.from_weights(W, W_star).solve([0.01, 0.02], rtol=1e-5)]


@case
def committee_methods_of_integration():
    return [
        fl.Committee(Q, R, T, activation="erf").solve(LATE, method=method)
        for method in ("auto", "dop853", "radau", "radau5", "radau9", "radau13")
    ]


@case
def committee_stopped_by_an_event():
    stopping = fl.Committee([[0.5]], [[0.1]], [[1.0]]).solve(
        np.linspace(0, 20, 9), events=[fl.Event("risk", 0.1, stop=True)]
    )
    passing = fl.Committee(Q, R, T).solve(LATE, events=[fl.Event("risk", 0.1), fl.Event("overlap", 0.5)])
    return {name: content.hex() for name, content in parts_of_dataset(stopping, stopped=True).items()}, passing


@case
def committee_that_diverges():
    with pytest.raises(fl.ode.IntegrationError) as caught:
        fl.Committee(Q, R, T, activation="hermite3", learning_rate=0.2, noise=0.1).solve(TIMES)
    return str(caught.value), caught.value.partial


def committee_runs(activation, method):
    second = 0.3 * (activation != "centred")
    problem = fl.Committee(Q, R, T, activation=activation, learning_rate=0.05, noise=0.1, second_layer_rate=second)
    return problem.simulate([0.05, 0.5], dimension=8, runs=2, rng=0, method=method, **QUIET)


@case
def committee_simulate_overlaps():
    return [committee_runs(activation, "overlaps") for activation in ("square", "centred", "hermite3", "erf", "relu")]


@case
def committee_simulate_samples():
    return [committee_runs(activation, "samples") for activation in ("square", "centred", "hermite3", "erf", "relu")]


@case
def committee_simulate_gd():
    problems = [
        fl.Committee(Q, R, T, activation=activation, second_layer_rate=0.5)
        for activation in ("square", "hermite3", "erf", "relu")
    ]
    problems.append(fl.Committee(UNIT, R, T, spherical=True))
    return [problem.simulate([0.05, 0.1], dimension=8, step=0.01, rng=0, **QUIET) for problem in problems]


@case
def committee_simulate_on_the_sphere():
    problem = fl.Committee(UNIT, R, T, learning_rate=0.05, weight_decay=0.1, spherical=True)
    return [
        problem.simulate([0.05, 0.1], dimension=d, runs=2, rng=0, method=m, keep_state=True, **QUIET)
        for d in (4, 40)
        for m in ("overlaps", "samples")
    ]


@case
def committee_extend():
    limit = fl.Committee(Q, R, T, activation="erf").solve(TIMES)
    runs = fl.Committee(Q, R, T, learning_rate=0.05).simulate(
        [0.05, 0.1], dimension=8, runs=2, rng=0, keep_state=True, **QUIET
    )
    return fl.extend(limit, [1.0, 2.0]), fl.extend(runs, [0.2, 0.3])


@case
def committee_solve_many():
    drawn = [fl.Committee.random(2, 2, dimension=40, rng=i) for i in range(100)]
    arrays = {name: np.array([getattr(one, name) for one in drawn]) for name in ("Q", "R", "T")}
    found = []
    for physics in (
        {},
        {"activation": "erf"},
        {"learning_rate": np.linspace(0.0, 0.02, 100), "noise": 0.1},
        {"activation": "relu"},
    ):
        found.append(fl.solve_many(fl.Committee, arrays | physics, [0.0, 1.0, 4.0], **QUIET))
    return found


@case
def committee_solve_many_of_a_list():
    problems = [fl.Committee.random(2, 1, dimension=40, rng=i, activation="hermite3", scale=0.3) for i in range(140)]
    return fl.solve_many(problems, [0.0, 0.5], **QUIET), fl.solve_many(problems[:7], [0.0, 0.5], rtol=1e-5, **QUIET)


@case
def committee_module():
    result = fl.Committee(Q, R, T, activation="erf", learning_rate=0.02).solve(np.linspace(0.0, 20.0, 30))
    tools = fl.committee
    found = [
        tools.specialisation(result),
        tools.plateau(result),
        tools.weak_recovery(result).to_dataset(name="weak recovery"),
    ]
    return [*found, tools.invariants(fl.Committee(Q, R, T).solve(LATE))]


# Mixtures, samples, margins, random networks


@case
def xor_mixture():
    physics = {"label_noise": 0.1, "second_layer_rate": 1.0, "scale": 0.3, "dimension": 20, "rng": 0}
    found = [fl.XorMixture(4, loss=loss, **physics).solve(LATE[:2]) for loss in ("squared", "logistic", "exponential")]
    found.append(fl.XorMixture(2, noise_scale=0.5, **physics).solve(TIMES[1:], rtol=1e-4, error_points=64))
    for loss in ("squared", "logistic"):
        found.append(
            fl.XorMixture(2, loss=loss, noise_scale=0.5, learning_rate=0.1, **physics).solve(
                [0.05], rtol=1e-3, points=32, error_points=32
            )
        )
    return found


@case
def xor_mixture_simulate():
    physics = {
        "noise_scale": 0.5,
        "label_noise": 0.1,
        "second_layer_rate": 1.0,
        "scale": 0.3,
        "dimension": 10,
        "rng": 0,
    }
    online, batch = fl.XorMixture(2, learning_rate=0.5, **physics), fl.XorMixture(2, loss="logistic", **physics)
    found = [
        online.simulate([0.1, 0.2], dimension=6, runs=2, rng=0, method=method, **QUIET)
        for method in ("overlaps", "samples")
    ]
    return found + [
        batch.simulate([0.1, 0.2], dimension=6, samples=8, runs=2, rng=0, method=method, **QUIET)
        for method in ("descent", "fresh")
    ]


@case
def sample_flow():
    found = []
    for activation in ("relu", "square", "tanh", "softplus"):
        for loss in ("squared", "logistic", "exponential"):
            labels = Y if loss == "squared" else SIGNS
            problem = fl.SampleFlow(
                X, labels, width=4, scale=0.3, activation=activation, loss=loss, rng=0, bias=loss == "logistic"
            )
            found.append(problem.solve(TIMES, rtol=1e-4))
    return found


@case
def sample_flow_kinks_and_merged():
    problem = fl.SampleFlow(X, Y, width=4, scale=1e-2, rng=0, X_test=X, y_test=Y)
    methods = ("auto", "kinks", "merged", "dop853")
    return [problem.solve([1.0, 8.0], rtol=1e-4, method=method, keep_state=True, **QUIET) for method in methods]


@case
def sample_flow_simulate():
    return fl.SampleFlow(X, Y, width=4, scale=0.3, rng=0).simulate([0.1, 0.2], step=0.05)


@case
def early_alignment():
    generator = np.random.default_rng(1)
    inputs, labels = generator.standard_normal((12, 3)), generator.standard_normal(12)
    problems = [
        fl.EarlyAlignment(X, Y, width=6, rng=0),
        fl.EarlyAlignment(X, Y, width=3, balance=0.2, rng=0),
        fl.EarlyAlignment(inputs, labels, width=10, balance=-0.5, rng=0),
        fl.EarlyAlignment.population([1.0, 0.5], width=3, rng=0),
    ]
    return [problem.solve([1.0, 5.0, 20.0], **QUIET) for problem in problems]


@case
def early_alignment_simulate():
    return fl.EarlyAlignment(X, Y, width=6, rng=0).simulate([0.5, 1.0], scale=0.01, **QUIET)


MODELS = {
    "linear": lambda: fl.margin.LinearModel(),
    "quadratic": lambda: fl.margin.QuadraticModel(3),
    "quadratic_trained": lambda: fl.margin.QuadraticModel(3, "trained"),
    "relu": lambda: fl.margin.ReLUModel(4),
    "skip_relu": lambda: fl.margin.SkipReLUModel(4),
    "softplus": lambda: fl.margin.SoftplusModel(4),
}


def margin(loss, geometry):
    problems = [fl.MarginFlow(model(), X, SEPARABLE, loss=loss, geometry=geometry, rng=0) for model in MODELS.values()]
    return [problem.solve([1.0, 2.0], rtol=1e-2, kkt=False, **QUIET) for problem in problems]


for _loss, _geometry in (("exponential", "l2"), ("logistic", "l2"), ("exponential", "linf"), ("exponential", "l1")):
    CASES[f"margin_flow_{_loss}_{_geometry}"] = lambda loss=_loss, geometry=_geometry: margin(loss, geometry)


def linear(theta, x, gradient):
    total = 0.0
    for k in range(x.size):
        gradient[k] = x[k]
        total += theta[k] * x[k]
    return total


@case
def margin_flow_of_a_users_model():
    problem = fl.MarginFlow(fl.margin.UserModel(linear, 3), X, SEPARABLE, weights=[1.0, 0.1, 0.2])
    result = with_array_variables(problem.solve([2.0, 10.0, 100.0], kkt=False, **QUIET))
    kkt = fl.MarginFlow(fl.margin.LinearModel(), X, SEPARABLE, rng=0).solve([2.0, 50.0], **QUIET)
    return [{name: result[name].values for name in sorted(map(str, result.data_vars))}, kkt]


@case
def margin_flow_simulate():
    problem = fl.MarginFlow(fl.margin.QuadraticModel(3), X, SEPARABLE, rng=0)
    return [
        problem.simulate([1.0, 2.0], learning_rate=0.02, batch=batch, runs=2, rng=0, kkt=False, **QUIET)
        for batch in (None, 2)
    ]


def random_networks(method, **options):
    found = []
    for depth, law in ((1, "gaussian"), (2, "gaussian"), (1, "uniform")):
        problem = fl.GuessAndCheck(X[:3], SIGNS[:3], X[3:], SIGNS[3:], depth=depth, law=law)
        if method != "solve":
            found.append(problem.simulate([3, 5], runs=3, rng=0, method=method, **options, **QUIET))
        elif law == "gaussian":
            found.append(problem.solve(accuracy=0.5, max_points=256 * 16, rng=0, **QUIET))
    return found


CASES["guess_and_check_solve"] = lambda: random_networks("solve")
CASES["guess_and_check_guess"] = lambda: random_networks("guess")
CASES["guess_and_check_gd"] = lambda: random_networks("gd", steps=50)
CASES["guess_and_check_flow"] = lambda: random_networks("flow", steps=50, tolerance=0.1)

# Integrators


@fl.ode.right_hand_side
def decay(t, y, dy, params, work):
    for i in range(y.size):
        dy[i] = -params[i] * (y[i] - np.cos(t))


def decay_jacobian(t, y, J, params, work):
    for i in range(y.size):
        for j in range(y.size):
            J[i, j] = -params[i] if i == j else 0.0


def decay_structured(t, y, D, U, V, params, work):
    for i in range(y.size):
        D[i] = -params[i] - 1.0
        U[i, 0] = 1.0
        V[i, 0] = 1.0 if i == 0 else 0.0
        U[i, 1] = V[i, 1] = 0.0
    D[0] = -params[0] - 1.0


@fl.ode.right_hand_side
def pendulum(t, y, dy, params, work):
    work[0] = np.sin(y[0])
    dy[0] = y[1]
    dy[1] = -params[0] * work[0] + 0.1 * np.exp(-t) * np.cos(params[1] * t)


@fl.ode.right_hand_side
def by_sign(t, y, dy, params, work):
    if y[0] > 0.0:
        dy[0] = -params[0] * y[0]
    else:
        dy[0] = y[0] * y[0]


@fl.ode.event(terminal=False)
def half(t, y, params, work):
    return y[0] - 0.5


@fl.ode.event(direction=1)
def late(t, y, params, work):
    return t - 1.5


def integration(*arguments, **options):
    times, states, report = fl.ode.integrate(*arguments, **options)
    return {
        "times": times, "states": states, "method": report.method, "message": report.message, "event_times": report.event_times,
        "counts": [report.steps, report.rejected, report.evaluations, report.jacobians, report.factorisations],
    }  # fmt: skip


@case
def integrate_explicit_with_events():
    found = [
        integration(
            decay, [1.0, 2.0], [0.5, 1.0, 2.0], params=[1.0, 3.0], events=[half, late], method="dop853", dense=d
        )
        for d in (False, True)
    ]
    return [*found, integration(pendulum, [1.0, 0.0], LATE, params=[1.3, 0.4], work_size=1)]


@case
def integrate_stiff():
    dense = fl.ode.right_hand_side(decay.function, jacobian=decay_jacobian)
    structured = fl.ode.right_hand_side(decay.function, jacobian=decay_structured, rank=2)
    found = []
    for rhs, options in (
        (decay, {}),
        (dense, {}),
        (structured, {}),
        (decay, {"sparsity": np.eye(3)}),
        (decay, {"events": [half, late]}),
        (decay, {"dense": True}),
    ):
        for method in ("auto", "radau", "radau5", "radau9", "radau13"):
            found.append(
                integration(rhs, [1.0, 2.0, 0.3], LATE, params=[1.0, 3.0, 2000.0], method=method, rtol=1e-5, **options)
            )
    return found


@case
def integrate_batch():
    found = []
    generator = np.random.default_rng(3)
    y0s, params = generator.standard_normal((140, 2)), generator.uniform(0.2, 2.0, (140, 2))
    for rhs, starts, options in (
        (pendulum, y0s, {}),
        (pendulum, y0s[:9], {}),
        (by_sign, y0s[:, :1], {}),
        (pendulum, y0s, {"method": "dop853", "max_steps": 9}),
    ):
        times, states, report = fl.ode.integrate_batch(
            rhs, starts, [0.3, 2.0, 5.0], params[: len(starts)], work_size=1, threads=1, **options, **QUIET
        )
        found.append(
            [
                times,
                states,
                report.steps,
                report.rejected,
                report.evaluations,
                [str(one) for one in report.statuses],
                list(report.methods),
                report.message,
            ]
        )
    return found


# Verdicts, files, tables, conventions


def small_runs(size=20):
    return fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)).simulate(
        [0.1, 0.5, 2.0], dimension=size, runs=8, rng=size, **QUIET
    )


@case
def compare_and_convergence():
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    limit = problem.solve([0.1, 0.5, 2.0])
    found = fl.convergence(problem, [0.1, 0.5, 2.0], sizes=[20, 40], runs=8, rng=0, **QUIET)
    texts = [
        str(fl.compare(limit, small_runs())),
        str(fl.compare(limit, small_runs(), small_runs(40))),
        str(fl.compare(limit, limit)),
        str(found),
    ]
    return texts, found.verdict, found.dataset, float(found.exponent), float(found.exponent_error)


@case
def netcdf_round_trip():
    results = {
        "limit": fl.Committee(Q, R, T, activation="erf").solve(LATE, events=[fl.Event("risk", 0.1)]),
        "runs": small_runs(),
        "many": fl.solve_many([fl.Committee.random(2, 1, dimension=40, rng=i) for i in range(4)], [0.0, 0.5], **QUIET),
        "sample": fl.SampleFlow(X, Y, width=4, scale=0.3, rng=0).solve(TIMES),
        "schedule": fl.Committee(Q, R, T, learning_rate=fl.Schedule([0.0, 0.2], [0.02, 0.01])).solve(TIMES),
    }
    found = {}
    for name, result in results.items():
        found[name] = loaded = fl.load(fl.save(result, f"{name}.nc"))
        if name != "many":
            found[f"problem of {name}"] = repr(fl.load_problem(loaded))
    return found


@case
def tables_and_wrapped_numbers():
    fl.to_table(small_runs(), "table.csv")
    fl.to_table(small_runs(), "table.tex")
    wrapped = fl.wrap([1.0, 2.0], overlap=np.ones((3, 2)), risk=np.zeros(2), dimension=50, clock="tau = t/d")
    return Path("table.csv").read_text(), Path("table.tex").read_text(), wrapped


@case
def conventions():
    theirs = fl.conventions.Nn2pp(K=2, M=2, lr=0.2, sigma=0.1)
    return repr(theirs), theirs.problem(np.array(Q), np.array(R), np.array(T)).solve(TIMES)


@case
def study_of_a_limit():
    def risk(ratio, rate):
        return fl.ExtensiveQuadratic(ratio, fl.Spectrum.orthonormal(0.25), weight_decay=rate).solve([0.5, 2.0])["risk"]

    table = fl.study(risk, {"ratio": [0.3, 0.6], "rate": [0.0, 0.1]}, **QUIET)
    return {str(name): variable.values for name, variable in table.variables.items()}


# Studies: their folders go on


def law(a, b, rng):
    return {"value": np.sin(a) * b, "noise": rng.normal(size=2)}


AXES = {"a": [0.0, 0.1, 1.0], "b": [1, 2]}
TOML = """[problem]
class = "ExtensiveQuadratic"
teacher = { kind = "orthonormal" }

[study]
quantity = ["risk", "overlap"]
times = [1.0]
folder = "width"

[study.axes]
student_ratio = [0.5, 1.0]
"teacher.ratio" = [0.25, 0.5]
"""


def make_study(**options):
    return fl.study(law, AXES, folder="study", rng=3, repeats=2, **options, **QUIET)


def make_toml_study():
    Path("width.toml").write_text(TOML)
    return command("study width.toml")[0]


def stored(folder):
    """Return the points of a study: keys, values of the axes, numbers; and its definition."""
    points = {}
    for path in sorted(Path(folder, "points").glob("*.npz")):
        with np.load(path) as arrays:
            meta = json.loads(arrays["meta"].tobytes())
            for i, key in enumerate(arrays["keys"]):
                names = [*(f"axis{j}" for j in range(len(meta["axes"]))), "repeats"]
                points[key.tobytes().hex()] = [arrays[name][i].item() for name in names]
    definition = json.loads(Path(folder, "study.json").read_text())
    definition.pop("code")
    return {"points": points, "definition": definition}


@everywhere
def text_of_study_keys():
    make_study()
    return stored("study")


@everywhere
def text_of_toml_study_keys():
    assert make_toml_study() == 0
    return stored("width")


def packed(folder):
    """Return the files of a study as text."""
    files = [Path(folder, "study.json"), *sorted(Path(folder, "points").glob("*.npz"))]
    return {str(file): base64.b85encode(zlib.compress(file.read_bytes(), 9)).decode() for file in files}


def unpack(files):
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(zlib.decompress(base64.b85decode(content)))


def numbers_of(table):
    return {str(name): [str(variable.dims), variable.values] for name, variable in table.variables.items()}


def test_a_recorded_study_is_not_computed_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unpack(FROZEN["study"])
    # A syntax tree, and with it the stored digest of the code, is that of one version of Python.
    same = FROZEN["machine"]["python"] == machine()["python"]
    table = make_study(**({} if same else {"changed": "keep"}))
    assert json.loads(table.attrs["provenance"])["executor"] == "none: all points were stored"
    assert hashed(numbers_of(table)) == FROZEN["study table"]
    assert not Path("study/aside").exists()


def test_a_recorded_study_of_a_toml_file_is_not_computed_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unpack(FROZEN["toml study"])
    assert make_toml_study() == 0
    table = fl.load("width/study.nc")
    assert json.loads(table.attrs["provenance"])["executor"] == "none: all points were stored"
    assert hashed(numbers_of(table)) == FROZEN["toml study table"]
    assert not Path("width/aside").exists()


# Files: what was saved is read and repeated


def make_files():
    committee = fl.Committee([[0.5]], [[0.1]], [[1.0]], activation="erf")
    fl.save(committee.solve([0.0, 1.0]), "limit.nc")
    online = fl.Committee([[0.5]], [[0.1]], [[1.0]], learning_rate=fl.Schedule([0.0, 0.2], [0.02, 0.01]))
    fl.save(online.simulate([0.5, 1.0], dimension=20, runs=2, rng=0, **QUIET), "runs.nc")
    fl.save(fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)).solve([0.5]), "extensive.nc")
    return ["limit.nc", "runs.nc", "extensive.nc"]


@pytest.mark.parametrize("name", list(FROZEN.get("files", ())))
def test_a_recorded_file_is_read_and_repeated(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unpack({name: FROZEN["files"][name]})
    loaded = fl.load(name)
    assert hashed(loaded) == FROZEN["hashes of files"][name]
    assert repr(fl.load_problem(loaded)) == FROZEN["problems of files"][name]
    if FROZEN["machine"] == machine():
        assert command(f"rerun {name}")[0] == 0


# Words


def masked(printed):
    """Replace what differs from run to run and from version to version."""
    printed = re.sub(r"(wall time|versions): .*", r"\1: #", printed)
    return printed.replace(fl.__version__, "#")


def command(line):
    """Run the command line in this process; return its status, what it printed, and its errors."""
    out, err, arguments, shown = io.StringIO(), io.StringIO(), sys.argv, warnings.showwarning
    sys.argv = ["flowlimits", *line.split()]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_module("flowlimits", run_name="__main__", alter_sys=False)
        status = 0
    except SystemExit as end:
        status = end.code
    finally:
        sys.argv, warnings.showwarning = arguments, shown
    return [status, masked(out.getvalue()), masked(err.getvalue())]


COMMANDS = {
    "solve": "solve extensive --student-ratio 0.5 --teacher-ratio 0.25 --times 0.1:10:5:log -o limit.nc",
    "solve_committee": "solve committee --student-width 2 --teacher-width 1 --start-dimension 100 --weights-rng 0 --activation erf --times 0,1,5",
    "simulate": "simulate extensive --student-ratio 0.5 --teacher-ratio 0.25 --dimension 20 --runs 4 --rng 1 --times 0.1,1 -o runs.nc",
    "show": "show limit.nc",
    "rerun": "rerun limit.nc",
    "compare": "compare limit.nc runs.nc",
    "cite": "cite extensive",
    "version": "--version",
    "wrong_verb": "solv",
    "wrong_value": "solve extensive --student-ratio -1 --teacher-ratio 0.25 --times 1",
    "wrong_times": "solve extensive --student-ratio 0.5 --teacher-ratio 0.25 --times 2,1",
    "missing": "solve extensive --teacher-ratio 0.25 --times 1",
    "no_file": "show none.nc",
    "wrong_toml": "solve wrong.toml --times 1",
    "converge": "converge extensive --student-ratio 0.5 --teacher-ratio 0.25 --sizes 12,24 --runs 4 --rng 0 --times 0.1,1 --out figure",
}


#: What lists problems and flags grows with them.
LISTS = {
    "help": "--help",
    "help_of_verb": "solve --help",
    "help_of_solve": "solve extensive --help",
    "help_of_converge": "converge committee --help",
    "wrong_problem": "solve extensiv",
}


@everywhere
def text_of_lists_of_commands():
    return {name: command(line) for name, line in LISTS.items()}


@everywhere
def text_of_commands():
    Path("wrong.toml").write_text('[problem]\nclass = "ExtensiveQuadratic"\nstudent_ratoi = 1\n[sovle]\ntimes = [1]\n')
    with mock.patch.object(progress, "PATIENCE", float("inf")):  # on a busy machine everything takes long
        return {name: command(line) for name, line in COMMANDS.items()}


REFUSALS = {
    "a class": lambda: fl.ExtensiveQuadratic(-1, fl.Spectrum.orthonormal(0.25)),
    "a choice": lambda: fl.Committee(Q, R, T, activation="erff"),
    "a shape": lambda: fl.Committee(Q, R, [[1.0]]),
    "infeasible overlaps": lambda: fl.Committee([[0.1]], [[0.9]], [[1.0]]),
    "times": lambda: fl.Committee(Q, R, T).solve([1.0, 0.5]),
    "a method": lambda: fl.QuadraticFlow.orthonormal(6, 3, 2, rng=0).solve([1.0], method="euler"),
    "an observable": lambda: fl.MeanFieldQuadratic([1.0, 0.5], 0.3).solve([1.0], observables=["overlp"]),
    "a variable of an event": lambda: fl.Committee(Q, R, T).solve([1.0], events=[fl.Event("rsk", 0.1)]),
    "runs": lambda: fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)).simulate([1.0], dimension=20, runs=0),
    "a dimension": lambda: fl.XorMixture(4, noise_scale=0.5, dimension=1, rng=0),
    "labels": lambda: fl.SampleFlow(X, Y, width=4, loss="logistic", rng=0),
    "a geometry": lambda: fl.MarginFlow(fl.margin.LinearModel(), X, SEPARABLE, geometry="l3", rng=0),
    "a depth": lambda: fl.GuessAndCheck(X[:3], SIGNS[:3], X[3:], SIGNS[3:], depth=0),
    "data": lambda: fl.EarlyAlignment(X, Y[:3], width=3, rng=0),
    "fields of many": lambda: fl.solve_many(fl.Committee, {"Q": Q, "R": R, "T": T, "nois": 1.0}, [1.0]),
    "a problem of many": lambda: fl.solve_many(fl.Committee, {"Q": [Q, Q], "R": [R, np.array(R) * 9], "T": T}, [1.0]),
    "a function": lambda: fl.ode.integrate(lambda t, y: -y, [1.0], [1.0]),
    "a tolerance": lambda: fl.ode.integrate(decay, [1.0], [1.0], params=[1.0], rtol=-1.0),
    "a file": lambda: fl.load("none.nc"),
    "a result": lambda: fl.compare(np.ones(3), np.ones(3)),
    "an axis": lambda: fl.study(law, {"c": [1.0]}),
    "a name": lambda: fl.Comittee,
}


@everywhere
def text_of_refusals():
    found = {}
    for name, function in REFUSALS.items():
        with pytest.raises(Exception) as caught:
            function()
        found[name] = [caught.type.__name__, str(caught.value)]
    return found


@everywhere
def text_of_names_and_problems():
    problems = (
        fl.Committee(Q, R, T),
        fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)),
        fl.MeanFieldQuadratic([1.0, 0.5], 0.3),
    )
    return {
        "names": list(fl.__all__),
        "problems": [repr(problem) for problem in problems],
        "citation": str(fl.cite(problems[1])),
    }


# The test, and the record


@pytest.mark.parametrize("name", list(CASES))
def test_recorded(name):
    function, expected = CASES[name], FROZEN["cases"][name]
    here = machine()
    if not hasattr(function, "everywhere") and not hasattr(function, "near") and here != FROZEN["machine"]:
        other = ", ".join(
            f"{key} {here[key]} instead of {value}" for key, value in FROZEN["machine"].items() if here[key] != value
        )
        pytest.skip(f"bits were recorded elsewhere: {other}")
    found = computed(name)
    if "values" in expected:
        for part, values in expected["values"].items():
            np.testing.assert_allclose(found["values"][part], values, rtol=1e-9, atol=1e-9, err_msg=part)
    elif "words" in expected:
        assert found["words"] == expected["words"]
    else:
        before, after = expected["parts"], found["parts"]
        changed = [part for part in sorted({*before, *after}) if before.get(part) != after.get(part)]
        assert (changed, found["sha256"]) == ([], expected["sha256"])


def record(names):
    """Write the results of the named cases, or of all cases and the files of studies and results, to the record."""
    for name in names or CASES:
        FROZEN["cases"][name] = computed(name)
    if not names:
        FROZEN["machine"] = machine()
        FROZEN["cases"] = {name: FROZEN["cases"][name] for name in CASES}
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            FROZEN["study table"] = hashed(numbers_of(make_study()))
            FROZEN["study"] = packed("study")
            make_toml_study()
            FROZEN["toml study table"] = hashed(numbers_of(fl.load("width/study.nc")))
            FROZEN["toml study"] = packed("width")
            files = make_files()
            FROZEN["files"] = {
                name: base64.b85encode(zlib.compress(Path(name).read_bytes(), 9)).decode() for name in files
            }
            FROZEN["hashes of files"] = {name: hashed(fl.load(name)) for name in files}
            FROZEN["problems of files"] = {name: repr(fl.load_problem(fl.load(name))) for name in files}
    elif FROZEN["machine"] != machine():
        sys.exit("The record was made on another machine: record all cases.")
    RECORD.write_text(json.dumps(FROZEN, indent=1, sort_keys=False) + "\n")


if __name__ == "__main__":
    record(sys.argv[1:])
