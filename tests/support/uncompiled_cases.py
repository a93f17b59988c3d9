"""Small computations that together run every compiled function; `test_uncompiled.py` runs them compiled and as Python.

As a script, where Numba compiles nothing, it writes the results to the file named by its first argument.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import flowlimits as fl

TIMES = np.array([0.0, 0.05, 0.3])
LATE = np.array([0.1, 1.0, 30.0])
X = np.array([[1.0, 0.2, -0.4], [-0.3, 0.9, 0.5], [0.4, -1.1, 0.3], [-0.8, -0.6, 0.1], [0.2, 0.7, -1.0]])
Y = np.array([1.0, -1.0, 0.5, 1.0, -0.7])
SIGNS = np.sign(Y)
Q, R, T = [[0.5, 0.1], [0.1, 0.6]], [[0.1, 0.05], [0.2, -0.1]], [[1.0, 0.1], [0.1, 0.9]]

CASES: dict[str, Callable[[], Any]] = {}


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    """Add a computation; it returns a result, an array, or a tuple of those."""
    CASES[function.__name__] = function
    return function


def numbers(result: Any) -> np.ndarray:
    """Return all numbers of a result in one vector."""
    if isinstance(result, tuple | list):
        return np.concatenate([numbers(part) for part in result])
    if hasattr(result, "data_vars"):
        return np.concatenate([numbers(result[name].values) for name in sorted(result.data_vars)])
    return np.asarray(result, dtype=np.float64).ravel()


def compute(names: list[str]) -> dict[str, np.ndarray]:
    """Return the numbers of the named cases."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return {name: numbers(CASES[name]()) for name in names}


# Integrators


@fl.ode.right_hand_side
def decay(t, y, dy, params, work):
    for i in range(y.size):
        dy[i] = -params[i] * (y[i] - np.cos(t))


def _decay_jacobian(t, y, J, params, work):
    for i in range(y.size):
        for j in range(y.size):
            J[i, j] = -params[i] if i == j else 0.0


def _decay_structured(t, y, D, U, V, params, work):
    for i in range(y.size):
        D[i] = -params[i] - 1.0
        U[i, 0] = 1.0
        V[i, 0] = 1.0 if i == 0 else 0.0
        U[i, 1] = V[i, 1] = 0.0
    D[0] = -params[0] - 1.0


@fl.ode.event(terminal=False)
def half(t, y, params, work):
    return y[0] - 0.5


@fl.ode.event(direction=1)
def late(t, y, params, work):
    return t - 1.5


RATES = np.array([1.0, 3.0, 2000.0])


@case
def explicit_integrators():
    options = {"params": RATES[:2], "events": [half, late]}
    runs = [
        fl.ode.integrate(decay, [1.0, 2.0], [0.5, 1.0, 2.0], method=method, dense=dense, **options)[:2]
        for method in ("dop853",)
        for dense in (False, True)
    ]
    return [np.append(times, states) for times, states in runs]


@case
def stiff_integrators():
    dense = fl.ode.right_hand_side(decay.function, jacobian=_decay_jacobian)
    structured = fl.ode.right_hand_side(decay.function, jacobian=_decay_structured, rank=2)
    found = []
    for rhs, options in (
        (decay, {}), (dense, {}), (structured, {}), (decay, {"sparsity": np.eye(3)}), (decay, {"events": [half, late]}),
        (decay, {"dense": True}),
    ):  # fmt: skip
        for method in ("radau", "radau5", "radau9", "radau13"):
            _, states, _ = fl.ode.integrate(
                rhs, [1.0, 2.0, 0.3], LATE, params=RATES, method=method, rtol=1e-5, **options
            )
            found.append(states)
    return found


@fl.ode.right_hand_side
def van_der_pol(t, y, dy, params, work):
    dy[0] = y[1]
    dy[1] = params[0] * ((1.0 - y[0] ** 2) * y[1] - y[0])


@fl.ode.right_hand_side
def broken_beyond_one(t, y, dy, params, work):
    dy[0] = -y[0] if t < 1.0 else np.nan


@case
def stiffness_that_ends():
    """After the fast component has died out the explicit method takes over, with each kind of Jacobian."""
    rates, times = np.array([1.0, 3.0, 60.0]), [0.5, 40.0, 80.0]
    structured = fl.ode.right_hand_side(decay.function, jacobian=_decay_structured, rank=2)
    plain = fl.ode.right_hand_side(decay.function, jacobian=_decay_jacobian)
    return [
        fl.ode.integrate(rhs, [1.0, 2.0, 0.3], times, params=rates, method="auto", rtol=1e-4)[1]
        for rhs in (plain, structured)
    ]


@case
def many_events():
    @fl.ode.event(terminal=False)
    def swing(t, y, params, work):
        return np.sin(40.0 * t)

    found = []
    for method in ("dop853", "radau"):
        _, states, report = fl.ode.integrate(
            decay, [1.0, 2.0, 0.3], LATE[:2], params=RATES[[0, 1, 1]], events=[swing], method=method
        )
        found += [states, report.crossings[0]]
    return found


@case
def integrators_that_stop():
    found = []
    for method in ("dop853", "radau"):
        for options in ({"max_steps": 3}, {"max_step": 0.2}):
            try:
                found.append(
                    fl.ode.integrate(decay, [1.0, 2.0, 0.3], LATE, params=RATES[[0, 1, 1]], method=method, **options)[1]
                )
            except fl.ode.IntegrationError as error:
                found.append(error.states)
    return found


@case
def stiff_oscillation():
    found = [
        fl.ode.integrate(van_der_pol, [2.0, 0.0], [1.0, 2.0], params=[1e3], method=m, rtol=1e-4)[1]
        for m in ("radau", "auto")
    ]
    for method in ("dop853", "radau"):
        try:
            fl.ode.integrate(broken_beyond_one, [1.0], [0.5, 2.0], method=method)
        except fl.ode.IntegrationError as error:
            found.append(error.states)
    return found


@case
def stiffness_is_found():
    return fl.ode.integrate(decay, [1.0, 2.0, 0.3], LATE, params=RATES, method="auto")[1]


@fl.ode.right_hand_side
def many_decays(t, y, dy, params, work):
    for i in range(y.size):
        dy[i] = -params[i] * (y[i] - np.cos(t))


@fl.ode.right_hand_side
def quadratic_growth(t, y, dy, params, work):
    work[0] = y[0] * y[0]
    dy[0] = work[0]


@fl.ode.event
def growth_doubled(t, y, params, work):
    return y[0] - 0.55


@case
def batches_in_lanes():
    """Straight lines and lanes that call the function itself; problems that are stiff, that blow up, that have too many steps."""
    found = []
    for method in ("auto", "dop853"):
        for number in (3, 130):
            y0s = np.linspace(-1.0, 1.0, 2 * number).reshape(number, 2)
            found.append(
                fl.ode.integrate_batch(
                    many_decays, y0s, [0.0, 0.2, 0.4], [1.0, 3.0], method=method, rtol=1e-5, threads=1
                )[1]
            )
    starts = np.array([[0.5], [2.0], [-1.0]] + 20 * [[0.1]])
    for options in ({}, {"max_steps": 3}, {"first_step": 0.3}):
        batch = fl.ode.integrate_batch(
            quadratic_growth, starts, [0.3, 1.0], work_size=1, method="dop853", threads=1, **options
        )
        found += [np.nan_to_num(batch[1]), batch[2].outputs]
    grown = fl.ode.integrate_batch(quadratic_growth, starts, [0.3, 1.0], work_size=1, events=growth_doubled, threads=1)[
        2
    ]
    found.append(np.nan_to_num(grown.event_times))
    found.append(
        fl.ode.integrate_batch(van_der_pol, [[2.0, 0.0], [2.0, 0.0]], [1.0, 2.0], [[1.0], [1e3]], rtol=1e-4, threads=1)[
            1
        ]
    )
    found.append(np.nan_to_num(fl.ode.integrate_batch(broken_beyond_one, np.ones((2, 1)), [0.5, 2.0], threads=1)[1]))
    found.append(fl.ode.integrate_batch(quadratic_growth, starts, [0.0], work_size=1, threads=1)[1])
    return found


# Networks of squares


@case
def quadratic_flow():
    found = []
    for activation, decay_rate in (("square", 0.0), ("centred", 0.1)):
        problem = fl.QuadraticFlow.gaussian(6, 3, 2, rng=0, activation=activation, weight_decay=decay_rate)
        for method in ("reduced", "matrix"):
            found.append(problem.solve(LATE, method=method, observables=["overlap", "eigenvalues", "trace"]))
    return found


@case
def quadratic_flow_with_events():
    problem = fl.QuadraticFlow.gaussian(6, 3, 2, rng=0)
    return problem.solve(LATE, method="reduced", events=[fl.Event("overlap", 0.9)])


@case
def quadratic_flow_of_equal_eigenvalues():
    problem = fl.QuadraticFlow.orthonormal(9, 4, 3, rng=1)
    return problem.solve(LATE, method="reduced"), problem.simulate([0.5], step=0.01)


@case
def quadratic_flow_with_more_teachers_than_students():
    found = []
    for d, p, k in ((8, 2, 4), (7, 4, 3), (6, 3, 3), (9, 6, 6)):
        problem = fl.QuadraticFlow.gaussian(d, p, k, rng=2)
        found.append(problem.solve([0.3, 3.0, 40.0], method="reduced", observables=["eigenvalues"], keep_state=True))
    return found


@case
def mean_field():
    return fl.MeanFieldQuadratic([1.0, 0.5, 0.5, 0.0], 0.3).solve(LATE)


@case
def implicit_steps_under_a_covariance():
    from flowlimits.quadratic.finite import equations_matrix
    from flowlimits.quadratic.finite.matrix_path import form_of

    form = form_of(fl.QuadraticFlow(X[:2, :3], X[2:3, :3], covariance=[2.0, 1.0, 0.5], weight_decay=0.1)._flow())
    _, params, size = form.compiled(*form.V.shape)
    options = {"method": "radau", "rtol": 1e-4, "work_size": size, "structure": form.jacobian(*form.V.shape).structure}
    rhs = fl.ode.right_hand_side(equations_matrix.group_flow)
    found = [fl.ode.integrate(rhs, np.append(form.V.ravel(), 0.0), [0.3, 3.0], params, **options)[1]]
    law = fl.Spectrum([1.6, 0.5], [0.5, 0.5])
    for physics in ({"spherical": True, "learning_rate": 0.1}, {"second_layer_rate": 0.5, "weight_decay": 0.1}):
        found.append(
            fl.Committee(Q, R, T, covariance=law, activation="erf", **physics).solve([2.0], method="radau", rtol=1e-4)
        )
    return found


@case
def networks_of_squares_with_a_covariance():
    found = fl.MeanFieldQuadratic([1.0, 0.5, 0.5, 0.0], 0.3, covariance=[2.0, 1.0, 1.0, 0.5]).solve(LATE)
    teacher = fl.Spectrum([2.0, 2.0, 0.0], [0.25, 0.25, 0.5])
    return found, fl.ExtensiveQuadratic(1.0, teacher, covariance=[1.6, 0.4, 1.0]).solve([0.1, 30.0], rtol=1e-4)


@case
def extensive_limit():
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum([0.0, 1.0, 3.0], [0.5, 0.25, 0.25]))
    return problem.solve([0.1, 3.0], rtol=1e-4, spectrum=[0.5, 2.0])


@case
def extensive_limit_at_late_times():
    problem = fl.ExtensiveQuadratic(0.2, fl.Spectrum([0.0, 0.8, 1.2], [0.1, 0.45, 0.45]).normalised())
    found = fl.ExtensiveQuadratic(1.2, fl.Spectrum.orthonormal(0.25), fl.Spectrum([0.5, 1.5], [0.5, 0.5])).solve(
        [0.1, 1e3], rtol=1e-3
    )
    return problem.solve([1.0, 50.0], rtol=1e-3), found, problem.solve([0.0, 1e7], rtol=1e-3)


@case
def extensive_limit_of_gaussian_start():
    teacher = fl.Spectrum.marchenko_pastur(0.3, 6)
    return fl.ExtensiveQuadratic(0.4, teacher, "gaussian", weight_decay=0.1).solve([0.2], rtol=1e-4)


@case
def extensive_limits_of_all_starts():
    found = []
    zero = fl.Spectrum([0.0, 0.5, 1.5], [0.4, 0.3, 0.3])
    for start in ("gaussian", zero, "orthonormal"):
        ratios = [0.7, 0.8] if start is zero else [1.0, 1.2]
        problems = [
            fl.ExtensiveQuadratic(a, fl.Spectrum([0.0, 0.8, 1.2], [0.1, 0.45, 0.45]).normalised(), start)
            for a in ratios
        ]
        found.append(fl.solve_many(problems, [0.0, 0.1, 3.0], rtol=1e-3, progress=False))
    return found


@case
def extensive_centred():
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25), activation="centred")
    return problem.solve([0.1, 1.0], rtol=1e-4, spectrum=[0.5, 2.0])


# Committees


@case
def committee_activations():
    found = []
    for activation in ("square", "centred", "hermite3", "x**3 - x", "erf", "relu", "linear"):
        for rate in (0.0, 0.02):
            physics = {"learning_rate": rate, "noise": 0.1, "second_layer_rate": 0.5, "weight_decay": 0.01}
            if activation == "centred" and rate:
                physics["second_layer_rate"] = 0.0
            problem = fl.Committee(Q, R, T, activation=activation, **physics)
            found.append(problem.solve(TIMES, observables=["overlap"] if activation == "square" else None))
    return found


@case
def committee_with_different_activations():
    return fl.Committee(Q, R, T, activation="square", teacher_activation="x**2 + x", learning_rate=0.05).solve(TIMES)


@case
def committee_on_the_sphere_with_a_schedule():
    unit = [[1.0, 0.1], [0.1, 1.0]]
    rate = fl.Schedule([0.0, 0.2], [0.02, 0.01])
    return fl.Committee(unit, R, T, activation="erf", learning_rate=rate, spherical=True).solve(TIMES)


@case
def committee_stopped_by_its_risk():
    return fl.Committee(Q, R, T).solve(LATE, events=[fl.Event("risk", 0.1, stop=True)])


@case
def committee_that_diverges():
    problem = fl.Committee(Q, R, T, activation="hermite3", learning_rate=0.2, noise=0.1)
    try:
        return problem.solve(TIMES)
    except fl.ode.IntegrationError as error:
        return error.states


@case
def committee_deviations_and_fixed_points():
    problem = fl.Committee(Q, R, T, activation="erf", learning_rate=0.2, noise=0.1)
    return problem.solve([0.3], fluctuations=True, sensitivities=["noise"]), problem.fixed_points()[
        "eigenvalues"
    ].values


@case
def wide_committee():
    generator = np.random.default_rng(0)
    W, W_star = generator.standard_normal((20, 30)), generator.standard_normal((20, 30))
    return fl.Committee.from_weights(W, W_star).solve([0.01, 0.02], rtol=1e-5)


@case
def committee_simulations():
    found = []
    for activation in ("square", "centred", "hermite3", "erf", "relu"):
        problem = fl.Committee(
            Q,
            R,
            T,
            activation=activation,
            learning_rate=0.05,
            noise=0.1,
            second_layer_rate=0.3 * (activation != "centred"),
        )
        for method in ("overlaps", "samples"):
            found.append(problem.simulate([0.05, 0.1], dimension=8, runs=1, rng=0, method=method))
        flow = fl.Committee(Q, R, T, activation=activation)
        found.append(flow.simulate([0.05, 0.1], dimension=8, step=0.01))
    return found


@case
def committee_simulations_with_unexplained_fields():
    found = []
    for activation, rate in (("erf", 0.1), ("centred", 0.1), ("erf", 0.0)):
        problem = fl.Committee(
            Q, R, T, activation=activation, learning_rate=rate, weight_decay=0.1, covariance=fl.Spectrum([1.6, 0.5], [0.5, 0.5]),
            unexplained=0.2 * np.eye(2),
        )  # fmt: skip
        for method in ("overlaps", "samples") if rate else ("gd",):
            found.append(problem.simulate([0.05, 0.1], dimension=16, rng=0, method=method))
    return found


@case
def committee_simulations_on_the_sphere():
    unit = [[1.0, 0.1], [0.1, 1.0]]
    problem = fl.Committee(unit, R, T, learning_rate=0.05, weight_decay=0.1, spherical=True)
    return [
        problem.simulate([0.05, 0.1], dimension=8, runs=1, rng=0, method=method) for method in ("overlaps", "samples")
    ]


@case
def committee_chain_that_meets_every_direction():
    unit = [[1.0, 0.1], [0.1, 1.0]]
    physics = {"learning_rate": 0.2, "activation": "relu", "weight_decay": 0.1}
    plain = fl.Committee(unit, [[0.1], [0.2]], [[1.0]], **physics)
    # With teachers that nearly span their space, coordinates beyond them are compressed again and again.
    return [plain.simulate([0.5, 2.0], dimension=d, rng=0, method="overlaps") for d in (4, 40)]


@case
def committee_descent_on_the_sphere():
    unit = [[1.0, 0.1], [0.1, 1.0]]
    flow = fl.Committee(unit, R, T, spherical=True, second_layer_rate=0.5)
    return flow.simulate([0.05, 0.1], dimension=8, step=0.01)


@case
def bivariate_normal_probabilities():
    from flowlimits.gaussian.bivariate import bivariate_cdf

    limits = (-np.inf, -9.0, -1.2, 0.0, 0.7, 8.0, np.inf)
    correlations = (-1.0, -0.999, -0.95, -0.8, -0.2, 0.0, 0.1, 0.5, 0.93, 0.9999, 1.0)
    return [bivariate_cdf(h, k, r) for h in limits for k in limits for r in correlations]


@case
def orthant_probabilities():
    from flowlimits.random_networks.equations import normal_quantile, orthant

    shares = np.array([1e-300, 1e-20, 1e-3, 0.2, 0.5, 0.9, 1.0 - 1e-12])
    L, A = np.array([[1.0, 0.0], [0.5, 0.8]]), np.array([[0.3, -0.4], [1.0, 2.0]])
    steps, shift = np.array([0.618033988749895, 0.414213562373095]), np.array([0.1, 0.7])
    return [normal_quantile(share) for share in shares], orthant(L, A, np.array([0.5, 0.0]), steps, shift, 64)


# Finite samples


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
def sample_flow_at_kinks():
    problem = fl.SampleFlow(X, Y, width=4, scale=1e-2, rng=0)
    return problem.solve([1.0, 8.0], rtol=1e-3), problem.solve([1.0, 8.0], rtol=1e-3, method="merged")


@case
def sample_flow_that_slides_along_kinks():
    angles = np.linspace(0.0, 2.0 * np.pi, 9)[:-1] + 0.1
    inputs = np.column_stack([np.cos(angles), np.sin(angles)])
    labels = np.array([1.0, -0.8, 0.9, -1.1, 0.7, -0.9, 1.2, -1.0])
    early = fl.EarlyAlignment(inputs, labels, width=12, rng=0)
    flow = fl.SampleFlow(inputs, labels, width=6, scale=0.1, rng=0)
    return early.solve([1.0, 30.0]), flow.solve([1.0, 10.0], rtol=1e-3)


@case
def early_alignment_in_three_dimensions():
    generator = np.random.default_rng(1)
    inputs, labels = generator.standard_normal((12, 3)), generator.standard_normal(12)
    return fl.EarlyAlignment(inputs, labels, width=10, balance=-0.5, rng=0).solve([1.0, 10.0, 60.0])


@case
def sample_descent():
    return fl.SampleFlow(X, Y, width=4, scale=0.3, rng=0).simulate([0.1, 0.2], step=0.05)


@case
def early_alignment():
    problem = fl.EarlyAlignment(X, Y, width=6, rng=0)
    unbalanced = fl.EarlyAlignment(X, Y, width=3, balance=0.2, rng=0)
    return problem.solve([1.0, 20.0]), unbalanced.solve([1.0, 20.0])


@case
def population_alignment():
    return fl.EarlyAlignment.population([1.0, 0.5], width=3, rng=0).solve([1.0, 5.0])


# Mixtures


@case
def mixture_of_atoms():
    found = []
    for loss in ("squared", "logistic", "exponential"):
        problem = fl.XorMixture(4, loss=loss, label_noise=0.1, second_layer_rate=1.0, scale=0.3, dimension=20, rng=0)
        found.append(problem.solve(LATE[:2]))
    return found


@case
def mixture_in_closed_form():
    problem = fl.XorMixture(2, noise_scale=0.5, label_noise=0.1, second_layer_rate=1.0, scale=0.3, dimension=20, rng=0)
    return problem.solve(TIMES[1:], rtol=1e-4, error_points=64)


@case
def mixture_at_points():
    found = []
    for loss in ("squared", "logistic", "exponential"):
        physics = {"noise_scale": 0.5, "label_noise": 0.1, "learning_rate": 0.1, "second_layer_rate": 1.0}
        problem = fl.XorMixture(2, loss=loss, **physics, scale=0.3, dimension=20, rng=0)
        found.append(problem.solve([0.05], rtol=1e-3, points=32, error_points=32))
    return found


@case
def mixture_simulations():
    physics = {"noise_scale": 0.5, "label_noise": 0.1, "second_layer_rate": 1.0}
    online = fl.XorMixture(2, **physics, learning_rate=0.5, scale=0.3, dimension=10, rng=0)
    found = [online.simulate([0.1, 0.2], dimension=6, rng=0, method=method) for method in ("overlaps", "samples")]
    batch = fl.XorMixture(2, **physics, loss="logistic", scale=0.3, dimension=10, rng=0)
    found += [
        batch.simulate([0.1, 0.2], dimension=6, samples=8, rng=0, method=method) for method in ("descent", "fresh")
    ]
    return found


# Margins


MODELS = (
    fl.margin.LinearModel(),
    fl.margin.QuadraticModel(3),
    fl.margin.QuadraticModel(3, "trained"),
    fl.margin.ReLUModel(4),
    fl.margin.SkipReLUModel(4),
    fl.margin.SoftplusModel(4),
    fl.margin.NormOnlyModel([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], [1, -1, 1, -1]),
)


@case
def margin_flows():
    problems = [
        fl.MarginFlow(model, X, np.sign(X[:, 0]), loss=loss, rng=0)
        for model in MODELS
        for loss in ("exponential", "logistic")
    ]
    return [problem.solve([2.0, 10.0], rtol=1e-2, kkt=False) for problem in problems]


@case
def margin_flows_of_other_norms():
    problems = [
        fl.MarginFlow(model, X, np.sign(X[:, 0]), geometry=geometry, rng=0)
        for model in MODELS
        for geometry in ("linf", "l1")
    ]
    return [problem.solve([1.0, 2.0], rtol=1e-2, kkt=False) for problem in problems]


@case
def margin_flow_of_a_users_model():
    def linear(theta, x, gradient):
        total = 0.0
        for k in range(x.size):
            gradient[k] = x[k]
            total += theta[k] * x[k]
        return total

    model = fl.margin.UserModel(linear, 3)
    return fl.MarginFlow(model, X, np.sign(X[:, 0]), weights=[1.0, 0.1, 0.2]).solve([2.0, 10.0], kkt=False)


@case
def margin_flow_in_short_steps():
    problem = fl.MarginFlow(fl.margin.ReLUModel(4), X, np.sign(X[:, 0]), rng=0)
    return problem.solve([1.0, 2.0], rtol=1e-6, kkt=False)


@case
def margin_descent():
    problem = fl.MarginFlow(fl.margin.QuadraticModel(3), X, np.sign(X[:, 0]), rng=0)
    return [problem.simulate([1.0, 2.0], learning_rate=0.02, batch=batch, rng=0) for batch in (None, 2)]


# One unit


@case
def single_units():
    law = fl.Spectrum([2.0, 0.5], [0.25, 0.75])
    found = []
    for link, loss in (("linear", None), ("square", None), ("sign", "logistic"), ("v**2", "(u**2 - y)**2/2")):
        problem = fl.SingleUnit(link, loss, Q=0.5, R=[0.02, 0.05], covariance=law, learning_rate=0.05)
        found.append(problem.solve([0.5, 1.0], rtol=1e-4, method="dop853"))
        found.append(problem.simulate([0.1], dimension=10, runs=2, rng=0))
        found.append(problem.simulate([0.1], dimension=10, rng=0, method="samples"))
    found.append(fl.SingleUnit("square", Q=0.5, R=0.1, covariance=law).solve([5.0], rtol=1e-4, method="radau"))
    return found


# Random networks


@case
def guess_and_check():
    found = []
    for depth in (1, 2):
        problem = fl.GuessAndCheck(X[:3], SIGNS[:3], X[3:], SIGNS[3:], depth=depth)
        found.append(problem.solve(accuracy=0.5, max_points=256 * 16, rng=0))
        found.append(problem.simulate([3], runs=3, rng=0))
        found.append(problem.descend([3], runs=2, rng=0, steps=5))
        found.append(problem.descend([3], runs=2, rng=0, steps=5, method="flow", tolerance=0.1))
    uniform = fl.GuessAndCheck(X[:3], SIGNS[:3], X[3:], SIGNS[3:], law="uniform")
    found.append(uniform.simulate([3], runs=3, rng=0))
    return found


# Mean field


@case
def mean_field_limits():
    atoms = {"weights": [0.6, 0.4], "second_layer": [1.0, -0.5], "projections": [[0.1], [0.4]], "norms": [0.9, 0.5]}
    options = {"observables": ["function", "components"], "points": [[0.5]], "rtol": 1e-4, "atol": 1e-6}
    found = []
    for activation in ("erf", "relu", "centred", "hermite3"):
        for dimension in (None, 4):
            start = fl.Ensemble(**atoms, dimension=dimension)
            problem = fl.MeanField(
                [[1.0]], start, activation=activation, second_layer_rate=1.0, spherical=dimension is None
            )
            forms = ["pairs"] if activation in ("erf", "relu") else ["pairs", "low rank"]
            found += [problem.solve([0.1], form=form, **options) for form in forms]
    blocks = fl.Ensemble([1.0], 1.0, [[0.1, 0.2]], [[0.9, 0.5]])
    law = fl.Spectrum([1.5, 0.5], [0.5, 0.5])
    for form in ("pairs", "low rank"):
        grouped = fl.MeanField([[1.0]], blocks, activation="hermite3", covariance=law, spherical=True)
        found.append(grouped.solve([0.1], form=form, rtol=1e-4))
    warm = fl.MeanField([[1.0]], fl.Ensemble(**atoms), temperature=0.1, weight_decay=0.1)
    return [*found, warm.solve([0.1], **options)]


@case
def mean_field_functions():
    start = fl.Ensemble([0.6, 0.4], [1.0, -0.5], [[0.1], [0.4]], [0.9, 0.5])
    problems = [
        fl.MeanField([[1.0]], start, activation=one, teacher_activation="square") for one in ("erf", "relu", "hermite3")
    ]
    law = fl.Spectrum([1.5, 0.5], [0.5, 0.5])
    blocks = fl.Ensemble([1.0], 1.0, [[0.1, 0.2]], [[0.9, 0.5]])
    problems.append(fl.MeanField([[1.0]], blocks, covariance=law))
    return [problem.solve([0.05], form="function", accuracy=1.0, rtol=1e-3, atol=1e-4) for problem in problems]


@case
def mean_field_runs():
    start = fl.Ensemble.gaussian(3)
    found = [
        fl.MeanField([[1.0]], start, activation=one).simulate([0.1], student_width=3, rng=0, rtol=1e-4)
        for one in ("erf", "relu", "hermite3")
    ]
    blank = fl.Ensemble([1.0], 1.0, [[0.0]], 1.0)
    for activation in ("erf", "relu", "centred"):
        problem = fl.MeanField(
            [[1.0]], blank, activation=activation, teacher_activation="linear", temperature=0.1, spherical=True
        )
        found.append(problem.simulate([0.02], student_width=2, dimension=3, rng=0, step=0.01))
    return found


# Finitely many samples


@case
def ends_of_training_on_finitely_many_samples():
    gaussian, few = fl.Spectrum.marchenko_pastur(0.5), fl.Spectrum([0, 1.0, 3.0], [0.5, 0.2, 0.3]).normalised()
    ratios = [0.2, 0.5]
    found = [
        fl.EmpiricalQuadratic(0.4, gaussian, 0.3, 0.3, 0.2).solve(sample_ratios=ratios, spectrum=[0.5, 2.0]),
        fl.EmpiricalQuadratic(1.0, few, 0.3, 0.3, "vanishing").solve(sample_ratios=ratios),
        fl.EmpiricalQuadratic(0.8, gaussian, 0.9, 0.3, activation="square").solve(sample_ratios=[0.9, 1.2]),
        fl.EmpiricalQuadratic(0.4, gaussian, np.inf, 0.3, 0.2).solve(),
        fl.EmpiricalQuadratic(1.0, few, 0.3, 0.3).bayes([0.2, 0.21, 0.5]),
        fl.EmpiricalQuadratic(1.0, gaussian, 0.3, 0.3).bayes([0.3]),
        fl.EmpiricalQuadratic(
            0.6, fl.Spectrum(np.arange(1.0, 12) ** -3, np.full(11, 1 / 11)).normalised(), 0.3, 0.1, 0.1
        ).solve(),
    ]
    return [one.drop_vars(["regime", "status"], errors="ignore") for one in found]


if __name__ == "__main__":
    np.savez(sys.argv[1], **compute(sys.argv[2:] or list(CASES)))
