"""The public constructors and verbs: a valid call of each, and of which kind its arguments are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import flowlimits as fl

TIMES = [0.1, 0.2]
#: Checks come before any work: a valid call with so many runs would take minutes.
MANY = 2000

Call = tuple[Callable[..., Any], dict[str, Any], dict[str, str]]


@fl.ode.right_hand_side
def decay(t, y, dy, params, work):
    dy[0] = -y[0]


def linear(theta, x, gradient):
    gradient[:] = x
    return theta @ x


SOLVE = {
    "times": "times", "rtol": "tolerance", "atol": "nonnegative", "method": "choice", "observables": "observables",
    "events": "events", "max_steps": "count", "keep_state": "boolean", "progress": "progress",
}  # fmt: skip
RUN = {"times": "times", "runs": "count", "rng": "rng", "threads": "threads", "progress": "progress"}
DRAW = {"student_width": "count", "teacher_width": "count", "dimension": "count", "rng": "rng"}


def quadratic_calls() -> dict[str, Call]:
    spectrum, eye = fl.Spectrum, np.eye(2)
    flow = fl.QuadraticFlow.orthonormal(6, 3, 2, rng=0)
    extensive = fl.ExtensiveQuadratic(0.5, spectrum.orthonormal(0.25))
    mean_field = fl.MeanFieldQuadratic([1.0, 0.5, 0.0], 0.3)
    nodes = spectrum([0.0, 2.0], [0.5, 0.5])
    physics = {"activation": "choice", "weight_decay": "nonnegative"}
    small = {"dimension": 4, "student_width": 2, "teacher_width": 1, "rng": 0}
    runs = {"times": TIMES, "runs": MANY}
    return {
        "QuadraticFlow": (fl.QuadraticFlow, {"W": eye, "W_star": eye}, {"W": "matrix", "W_star": "matrix"} | physics),
        "QuadraticFlow.orthonormal": (fl.QuadraticFlow.orthonormal, small, DRAW | physics),
        "QuadraticFlow.gaussian": (fl.QuadraticFlow.gaussian, small, DRAW | physics),
        "QuadraticFlow.solve": (flow.solve, {"times": TIMES}, SOLVE),
        "QuadraticFlow.simulate": (
            flow.simulate, {"times": TIMES, "step": 1e-9}, {"times": "times", "method": "choice", "step": "positive", "progress": "progress"},
        ),
        "ExtensiveQuadratic": (
            fl.ExtensiveQuadratic, {"student_ratio": 0.5, "teacher": spectrum.orthonormal(0.25)},
            {"student_ratio": "positive", "teacher": "choice", "start": "choice"} | physics,
        ),
        "ExtensiveQuadratic.solve": (extensive.solve, {"times": TIMES}, SOLVE | {"spectrum": "optional vector"}),
        "ExtensiveQuadratic.simulate": (
            extensive.simulate, runs | {"dimension": 200}, RUN | {"dimension": "count", "method": "choice", "observables": "observables"},
        ),
        "ExtensiveQuadratic.relaxation_time": (extensive.relaxation_time, {"dimension": 40}, {"dimension": "count"}),
        "MeanFieldQuadratic": (
            fl.MeanFieldQuadratic, {"teacher_eigenvalues": [1.0, 0.5], "start": 0.3}, {"teacher_eigenvalues": "vector", "start": "nonnegative"} | physics,
        ),
        "MeanFieldQuadratic.solve": (mean_field.solve, {"times": TIMES}, SOLVE),
        "MeanFieldQuadratic.simulate": (
            mean_field.simulate, runs | {"student_width": 100},
            RUN | {"student_width": "count", "method": "choice", "rtol": "tolerance", "atol": "nonnegative", "observables": "observables",
                   "weights": "optional array"},
        ),
        "Spectrum": (
            spectrum, {"nodes": [0.0, 2.0], "weights": [0.5, 0.5]},
            {"nodes": "vector", "weights": "vector", "kind": "choice", "refine": "boolean", "scale": "positive"},
        ),
        "Spectrum.orthonormal": (spectrum.orthonormal, {"ratio": 0.5}, {"ratio": "positive"}),
        "Spectrum.marchenko_pastur": (spectrum.marchenko_pastur, {"ratio": 0.5}, {"ratio": "positive", "nodes": "count"}),
        "Spectrum.from_weights": (spectrum.from_weights, {"W": eye}, {"W": "matrix"}),
        "Spectrum.from_eigenvalues": (spectrum.from_eigenvalues, {"values": [1.0, 2.0]}, {"values": "vector"}),
        "Spectrum.symmetric": (
            spectrum.symmetric, {"nodes": [-1.0, 2.0], "weights": [0.5, 0.5]}, {"nodes": "vector", "weights": "optional array"},
        ),
        "Spectrum.width": (spectrum.orthonormal(0.5).width, {"dimension": 10}, {"dimension": "count"}),
        "Spectrum.multiplicities": (nodes.multiplicities, {"dimension": 10}, {"dimension": "count"}),
        "Spectrum.eigenvalues": (nodes.eigenvalues, {"dimension": 10}, {"dimension": "count"}),
        "Spectrum.realised": (nodes.realised, {"dimension": 10}, {"dimension": "count"}),
    }  # fmt: skip


def committee_calls() -> dict[str, Call]:
    eye = np.eye(2)
    overlaps = {"Q": eye * 0.5, "R": [[0.1], [0.2]], "T": [[1.0]]}
    flow, online = fl.Committee(**overlaps), fl.Committee(**overlaps, learning_rate=0.1)
    physics = {
        "activation": "activation", "teacher_activation": "optional activation", "learning_rate": "nonnegative", "noise": "nonnegative",
        "second_layer": "optional array", "teacher_second_layer": "optional array", "second_layer_rate": "nonnegative",
        "weight_decay": "nonnegative", "spherical": "boolean",
    }  # fmt: skip
    return {
        "Committee": (fl.Committee, overlaps, {"Q": "matrix", "R": "matrix", "T": "matrix"} | physics),
        "Committee.from_weights": (fl.Committee.from_weights, {"W": eye, "W_star": eye}, {"W": "matrix", "W_star": "matrix"} | physics),
        "Committee.random": (
            fl.Committee.random, {"student_width": 2, "teacher_width": 1, "dimension": 10, "rng": 0},
            DRAW | {"scale": "positive", "spherical": "boolean", "noise": "nonnegative"},
        ),
        "Committee.weights": (flow.weights, {"dimension": 10, "rng": 0}, {"dimension": "count", "rng": "rng"}),
        "Committee.solve": (
            online.solve, {"times": TIMES}, {name: kind for name, kind in SOLVE.items() if name != "keep_state"} | {"fluctuations": "boolean", "sensitivities": "observables"},
        ),
        "Committee.fixed_points": (flow.fixed_points, {"starts": 2, "rng": 0}, {"starts": "count", "rng": "rng"}),
        "Committee.simulate": (
            online.simulate, {"times": TIMES, "dimension": 1000, "runs": MANY},
            RUN | {"dimension": "count", "method": "optional choice", "observables": "observables", "keep_state": "boolean", "weights": "optional array", "start": "optional choice"},
        ),
        "Committee.simulate, descent": (flow.simulate, {"times": TIMES, "dimension": 10, "step": 1e-9}, {"times": "times", "step": "optional positive"}),
        "Schedule": (fl.Schedule, {"times": [0.0, 1.0], "values": [1.0, 2.0]}, {"times": "times", "values": "vector"}),
    }  # fmt: skip


def mean_field_calls() -> dict[str, Call]:
    start = {"weights": [0.5, 0.5], "second_layer": [1.0, -1.0], "projections": [[0.1], [0.2]], "norms": [1.0, 1.0]}
    law, atoms = fl.Ensemble.gaussian(8), fl.Ensemble(**start)
    problem = fl.MeanField([[1.0]], law)
    rates = {
        "second_layer_rate": "nonnegative",
        "weight_decay": "nonnegative",
        "temperature": "nonnegative",
        "spherical": "boolean",
    }
    solve = {name: kind for name, kind in SOLVE.items() if name != "keep_state"}
    return {
        "Ensemble": (fl.Ensemble, start, {"weights": "optional array", "second_layer": "array", "projections": "matrix", "norms": "array"}),
        "Ensemble.gaussian": (fl.Ensemble.gaussian, {"dimension": 8}, {"scale": "positive"}),
        "Ensemble.uniform_sphere": (fl.Ensemble.uniform_sphere, {"dimension": 8}, {"scale": "positive"}),
        "Ensemble.from_weights": (fl.Ensemble.from_weights, {"W": np.eye(3), "W_star": np.eye(3)[:1]}, {"W": "matrix", "W_star": "matrix"}),
        "MeanField": (
            fl.MeanField, {"teacher": [[1.0]], "start": atoms},
            {"teacher": "matrix", "start": "choice", "activation": "activation", "teacher_activation": "optional activation",
             "teacher_second_layer": "optional array"} | rates,
        ),
        "MeanField.solve": (
            problem.solve, {"times": TIMES, "particles": 4},
            solve | {"particles": "count", "accuracy": "positive", "form": "choice", "degree": "size", "points": "optional array"},
        ),
        "MeanField.simulate": (
            problem.simulate, {"times": TIMES, "student_width": 30, "runs": MANY},
            RUN | {"student_width": "count", "dimension": "optional count", "observables": "observables", "weights": "optional array",
                   "second_layer": "optional array", "step": "optional positive", "rtol": "tolerance", "atol": "nonnegative", "degree": "size",
                   "points": "optional array"},
        ),
    }  # fmt: skip


def sample_calls() -> dict[str, Call]:
    X = np.random.default_rng(0).normal(size=(5, 3))
    y = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    data = {"X": X, "y": y}
    weights = (np.ones((2, 3)), np.ones(2))
    sample = fl.SampleFlow(X, y, width=3, scale=0.1, rng=0)
    early = fl.EarlyAlignment(X, y, width=3, rng=0)
    return {
        "SampleFlow": (
            fl.SampleFlow, data | {"width": 3, "rng": 0},
            {"X": "matrix", "y": "vector", "width": "count", "scale": "positive", "start": "choice", "activation": "choice", "bias": "boolean",
             "loss": "choice", "rng": "rng"},
        ),
        "SampleFlow, weights": (
            fl.SampleFlow, data | {"weights": weights, "X_test": X, "y_test": y}, {"weights": "pair", "X_test": "matrix", "y_test": "vector"},
        ),
        "SampleFlow.solve": (
            sample.solve, {"times": TIMES}, SOLVE | {"rtol": "optional tolerance", "atol": "optional nonnegative", "kink_step": "optional positive"},
        ),
        "SampleFlow.simulate": (sample.simulate, {"times": TIMES, "step": 1e-9}, {"times": "times", "step": "positive", "observables": "observables"}),
        "SampleFlow.predict": (sample.predict, {"W": weights[0], "a": weights[1], "X": X}, {"W": "matrix", "a": "vector", "X": "optional matrix"}),
        "EarlyAlignment": (
            fl.EarlyAlignment, data | {"width": 3, "rng": 0},
            {"X": "matrix", "y": "vector", "width": "count", "balance": "optional array", "drift": "optional array", "rng": "rng"},
        ),
        "EarlyAlignment, directions": (fl.EarlyAlignment, data | {"directions": np.eye(3)}, {"directions": "matrix"}),
        "EarlyAlignment.population": (
            fl.EarlyAlignment.population, {"drift": [1.0, 0.0, 0.0], "width": 3, "rng": 0},
            {"drift": "vector", "width": "count", "rng": "rng", "balance": "optional array"},
        ),
        "EarlyAlignment.solve": (early.solve, {"times": TIMES}, {"times": "times", "max_kinks": "count", "threads": "threads", "progress": "progress"}),
        "EarlyAlignment.simulate": (
            early.simulate, {"times": TIMES, "scale": 0.01},
            {"times": "times", "scale": "positive", "rtol": "tolerance", "kink_step": "optional positive", "max_steps": "count", "progress": "progress"},
        ),
    }  # fmt: skip


def mixture_calls() -> dict[str, Call]:
    eye = np.eye(2)
    draw = {"dimension": 50, "rng": 0}
    flow = fl.XorMixture(4, noise_scale=0.5, **draw)
    online = fl.XorMixture(4, noise_scale=0.5, learning_rate=0.1, **draw)
    return {
        "XorMixture": (
            fl.XorMixture, {"width": 4} | draw,
            {"width": "count", "separation": "positive", "noise_scale": "nonnegative", "label_noise": "nonnegative", "loss": "choice",
             "learning_rate": "nonnegative", "second_layer_rate": "nonnegative", "scale": "optional positive", "dimension": "count", "rng": "rng",
             "second_layer": "optional array"},
        ),
        "XorMixture, overlaps": (fl.XorMixture, {"Q": eye, "R": eye * 0.1}, {"Q": "matrix", "R": "matrix"}),
        "XorMixture.solve": (
            flow.solve, {"times": TIMES},
            SOLVE | {"rtol": "optional tolerance", "atol": "optional nonnegative", "points": "count", "error_points": "count"},
        ),
        "XorMixture.simulate": (
            online.simulate, {"times": TIMES, "dimension": 500, "runs": MANY},
            RUN | {"dimension": "count", "method": "optional choice", "weights": "optional array"},
        ),
        "XorMixture.simulate, descent": (
            flow.simulate, {"times": TIMES, "dimension": 50, "samples": 20, "step": 0.01, "runs": MANY}, {"samples": "count", "step": "optional positive"},
        ),
        "XorMixture.weights": (flow.weights, {"dimension": 10}, {"dimension": "count"}),
    }  # fmt: skip


def margin_calls() -> dict[str, Call]:
    X = np.random.default_rng(0).normal(size=(5, 3))
    y = np.sign(X[:, 0])
    margin = fl.margin
    flow = fl.MarginFlow(margin.LinearModel(), X, y, rng=0)
    width = {"width": "count"}
    return {
        "MarginFlow": (
            fl.MarginFlow, {"model": margin.LinearModel(), "X": X, "y": y, "rng": 0},
            {"model": "choice", "X": "matrix", "y": "vector", "loss": "choice", "geometry": "choice", "rng": "rng", "scale": "positive"},
        ),
        "MarginFlow.solve": (
            flow.solve, {"log_losses": [3.0, 4.0]},
            {"log_losses": "times", "rtol": "tolerance", "atol": "nonnegative", "method": "choice", "kkt": "boolean", "max_steps": "optional count",
             "progress": "progress"},
        ),
        "MarginFlow.simulate": (
            flow.simulate, {"log_losses": [3.0, 4.0], "learning_rate": 0.1, "runs": MANY},
            {"log_losses": "times", "learning_rate": "positive", "batch": "optional count", "runs": "count", "rng": "rng", "kkt": "boolean",
             "max_steps": "count", "threads": "threads", "progress": "progress"},
        ),
        "QuadraticModel": (margin.QuadraticModel, {"width": 3}, width | {"second_layer": "choice", "signs": "optional array"}),
        "ReLUModel": (margin.ReLUModel, {"width": 3}, width),
        "SoftplusModel": (margin.SoftplusModel, {"width": 3}, width),
        "SkipReLUModel": (margin.SkipReLUModel, {"width": 3}, width),
        "NormOnlyModel": (margin.NormOnlyModel, {"directions": np.eye(2), "signs": [1.0, -1.0]}, {"directions": "matrix", "signs": "vector"}),
        "UserModel": (
            margin.UserModel, {"function": linear, "weights_size": 3},
            {"function": "function", "weights_size": "count", "order": "positive", "smooth": "boolean", "homogeneous": "boolean"},
        ),
    }  # fmt: skip


def network_calls() -> dict[str, Call]:
    X = np.random.default_rng(0).normal(size=(5, 3))
    y = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    task = {"X": X[:3], "y": y[:3], "X_test": X, "y_test": y}
    problem = fl.GuessAndCheck(**task)
    widths = {"widths": [50, 60], "runs": 10 * MANY, "rng": 0}
    train = {
        "widths": "widths",
        "runs": "count",
        "method": "choice",
        "rng": "rng",
        "threads": "threads",
        "progress": "progress",
    }
    return {
        "GuessAndCheck": (fl.GuessAndCheck, task, {"X": "matrix", "y": "vector", "X_test": "matrix", "y_test": "vector", "depth": "count", "law": "choice"}),
        "GuessAndCheck.solve": (
            problem.solve, {"rng": 0}, {"accuracy": "positive", "max_points": "count", "rng": "rng", "threads": "threads", "progress": "progress"},
        ),
        "GuessAndCheck.simulate": (problem.simulate, widths, train | {"max_networks": "count"}),
        "GuessAndCheck.descend": (
            problem.descend, widths,
            train | {"learning_rate": "positive", "steps": "count", "loss": "nonnegative", "tolerance": "positive"},
        ),
    }  # fmt: skip


def single_unit_calls() -> dict[str, Call]:
    flow, online = fl.SingleUnit("linear", Q=0.5), fl.SingleUnit("logistic", Q=0.5, learning_rate=0.1)
    physics = {"link": "choice", "learning_rate": "nonnegative", "noise": "nonnegative", "weight_decay": "nonnegative"}
    return {
        "SingleUnit": (fl.SingleUnit, {"link": "linear", "Q": 0.5}, physics),
        "SingleUnit.from_weights": (
            fl.SingleUnit.from_weights, {"w": [1.0, 0.5], "w_star": [0.0, 1.0]}, {"w": "vector", "w_star": "vector"} | physics,
        ),
        "SingleUnit.solve": (flow.solve, {"times": TIMES}, SOLVE),
        "SingleUnit.simulate": (
            online.simulate, {"times": TIMES, "dimension": 1000, "runs": MANY},
            RUN | {"dimension": "count", "method": "optional choice", "observables": "observables"},
        ),
        "SingleUnit.simulate, descent": (flow.simulate, {"times": TIMES, "dimension": 10, "step": 1e-9}, {"times": "times", "step": "optional positive"}),
    }  # fmt: skip


def empirical_calls() -> dict[str, Call]:
    fields = {"student_ratio": 0.5, "teacher": fl.Spectrum.orthonormal(0.25), "sample_ratio": 0.5}
    problem = fl.EmpiricalQuadratic(**fields, noise=0.1, weight_decay=0.1)
    return {
        "EmpiricalQuadratic": (
            fl.EmpiricalQuadratic, fields,
            {"student_ratio": "positive", "teacher": "choice", "noise": "nonnegative", "activation": "choice", "start": "choice"},
        ),
        "EmpiricalQuadratic.solve": (
            problem.solve, {"sample_ratios": [0.3, 0.4], "weight_decays": [0.1, 0.2]},
            {"sample_ratios": "optional array", "weight_decays": "optional array", "spectrum": "optional array"},
        ),
        "EmpiricalQuadratic.bayes": (problem.bayes, {"sample_ratios": [0.3, 0.4]}, {"sample_ratios": "optional array"}),
        "EmpiricalQuadratic.realised": (problem.realised, {"dimension": 40}, {"dimension": "count"}),
        "EmpiricalQuadratic.relaxation_time": (problem.relaxation_time, {"dimension": 40}, {"dimension": "count"}),
        "EmpiricalQuadratic.simulate": (
            problem.simulate, {"times": TIMES, "dimension": 60, "runs": MANY},
            RUN | {"dimension": "count", "data": "choice", "observables": "observables", "weights": "optional array", "rtol": "positive",
                   "gradient_tolerance": "positive", "max_evaluations": "count", "end": "boolean"},
        ),
    }  # fmt: skip


def other_calls() -> dict[str, Call]:
    extensive = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    solved = fl.Committee([[0.5]], [[0.1]], [[1.0]]).solve(TIMES)
    return {
        "ode.integrate": (
            fl.ode.integrate, {"rhs": decay, "y0": [1.0], "times": [1.0]},
            {"rhs": "function", "y0": "state", "times": "times", "params": "optional array", "rtol": "number", "atol": "tolerances",
             "method": "choice", "max_steps": "count", "progress": "progress", "start": "number", "dense": "boolean", "work_size": "size"},
        ),
        "Event": (fl.Event, {"variable": "risk", "value": 1.0}, {"variable": "name", "value": "number", "stop": "boolean"}),
        "wrap": (
            fl.wrap, {"times": TIMES, "risk": [1.0, 0.5]},
            {"times": "times", "risk": "vector", "dimension": "optional count", "student_width": "optional count", "errors": "mapping",
             "kind": "choice", "clock": "optional name", "like": "like"},
        ),
        "crossing": (
            fl.crossing, {"dataset": solved, "variable": "risk", "value": 0.1},
            {"dataset": "dataset", "variable": "choice", "value": "number", "scale": "choice"},
        ),
        "compare": (lambda **options: fl.compare(solved, solved, **options), {}, {"level": "positive", "variables": "observables", "resolution": "positive", "tolerance": "optional positive"}),
        "convergence": (
            fl.convergence, {"problem": extensive, "sizes": [100, 200], "times": TIMES, "runs": MANY}, RUN | {"problem": "choice", "sizes": "widths"},
        ),
        "cite": (fl.cite, {"problem": extensive}, {"problem": "dataset"}),
    }  # fmt: skip


def calls() -> dict[str, Call]:
    """Return every call by its name."""
    rooms = (
        quadratic_calls,
        committee_calls,
        mean_field_calls,
        sample_calls,
        mixture_calls,
        margin_calls,
        network_calls,
        single_unit_calls,
        empirical_calls,
        other_calls,
    )
    return {name: call for room in rooms for name, call in room().items()}
