"""Simulate a mean-field problem at finite width: units drawn from the law of the start, and their exact flow."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ode
from ..core import checks, results, streams
from ..core.threads import run_threads
from . import equations, forms, observables, rules
from .forms import Form
from .rules import Particles

if TYPE_CHECKING:
    import xarray as xr

    from .observables import Asked
    from .physics import MeanFieldPhysics

#: States beyond which the implicit method is not tried.
LARGE = 600
#: Levels of the grid over the span on which units meet a target (forms.GRID times a power of two).
LEVEL = 1


@dataclass(frozen=True)
class Places:
    """Where the span of the teacher lies among the d coordinates, and the group of the covariance of each coordinate."""

    span: np.ndarray
    groups: np.ndarray
    eigenvalues: np.ndarray

    def rest(self, group: int) -> np.ndarray:
        """Return the coordinates of a group outside the span."""
        return np.setdiff1d(np.flatnonzero(self.groups == group), self.span)


@dataclass(frozen=True)
class Setting:
    """What all runs of a simulation share."""

    physics: MeanFieldPhysics
    width: int
    dimension: int
    places: Places
    times: np.ndarray
    rtol: float
    atol: float
    step: float
    asked: Asked


def simulate(
    physics: MeanFieldPhysics, times: Any, *, student_width: Any, dimension: Any, weights: Any, second_layer: Any, runs: Any, rng: Any,
    step: Any, observables_: Any, points: Any, degree: Any, rtol: Any, atol: Any, threads: Any, progress: Any,
) -> xr.Dataset:  # fmt: skip
    """Return the runs; see `MeanField.simulate`."""
    wanted = checks.times(times)
    p = checks.integer("student_width", student_width, minimum=1)
    count = streams.runs(runs)
    d = _check_dimension(physics, dimension)
    checks.check_elements("student_width", p, float(p) * d)
    places = _places(physics, d)
    asked = observables.check(physics, observables.check_names(observables_, observables.FUNCTION), points, degree)
    own = None if weights is None else checks.starting_weights(weights, count, p, d)
    a = None if second_layer is None else checks.array("second_layer", second_layer, (p,))
    if step is not None and physics.temperature == 0:
        raise ValueError(
            "Argument `step` belongs to a positive temperature: without noise the flow of the weights is exact."
        )
    setting = Setting(
        physics,
        p,
        d,
        places,
        wanted,
        *checks.tolerances(rtol, atol),
        checks.number("step", 0.01 if step is None else step, positive=True),
        asked,
    )
    root = streams.root(rng)
    generators = streams.generators(root, count)
    began = time.perf_counter()
    equations_of = _form(setting)
    call: dict[str, Any] = {
        "verb": "simulate", "student_width": p, "dimension": d, "step": None if step is None else setting.step, "rtol": setting.rtol,
        "atol": setting.atol, "observables": list(asked.names) or None, "degree": asked.degree,
    }  # fmt: skip
    extra = asked.extra(physics, None)
    if points is not None:
        call["points"] = asked.points.tolist()
    if own is not None:
        call["weights"] = {"array": "start_W"}
        axes = ("run", "student", "input") if own.ndim == 3 else ("student", "input")
        extra["start_W"] = (axes, own, {"long_name": "starting weights of the student"})
    if a is not None:
        call["second_layer"] = a.tolist()

    def run(index: int) -> dict[str, np.ndarray]:
        u, drawn = _draw(physics, places, p, generators[index])
        if own is not None:
            u = (own if own.ndim == 2 else own[index]) / math.sqrt(d)
        return _run(setting, *equations_of, u, drawn if a is None else a, generators[index])

    def assemble(outcomes: list[dict[str, np.ndarray]]) -> xr.Dataset:
        variables = {name: np.stack([one[name] for one in outcomes]) for name in outcomes[0]}
        details = {
            "method": "exact flow" if physics.temperature == 0 else "Euler steps",
            "wall_time": time.perf_counter() - began,
        }
        return results.build(
            physics, kind="simulation", times=wanted, variables=variables, call=call | {"runs": len(outcomes)}, provenance=details, run=True,
            coords=asked.coords(physics), extra=extra, root=root, attrs={"student_width": p, "input_dimension": d},
        )  # fmt: skip

    # Compiled here, once, and not by several threads.
    _run(
        replace(setting, times=np.zeros(1)),
        *equations_of,
        *_draw(physics, places, p, np.random.default_rng(0)),
        np.random.default_rng(0),
    )
    return run_threads(run, count, threads=threads, progress=progress, description="runs", assemble=assemble)


def _check_dimension(physics: MeanFieldPhysics, dimension: Any) -> int:
    m, given = physics.directions, physics.dimension
    if dimension is None:
        if given is None:
            raise ValueError(
                "Argument `dimension` is missing: the start has infinite dimension, and runs need a finite one."
            )
        return given
    d = checks.integer("dimension", dimension, minimum=1)
    if given is not None and d != given:
        raise ValueError(f"Argument `dimension` must be that of the start, {given}, but is {d}.")
    if d < m:
        raise ValueError(f"Argument `dimension` must be at least {m}, the directions of the teacher, but is {d}.")
    norms = physics.start.norms
    if d == m and (norms is None or norms.any()) and given is None:
        raise ValueError(
            f"Argument `dimension` must exceed the {m} directions of the teacher, since the units have lengths outside them, but is {d}."
        )
    return d


def _places(physics: MeanFieldPhysics, d: int) -> Places:
    """Return the eigenbasis of the covariance: group after group, in each the span of the teacher first."""
    m = physics.directions
    if physics.covariance is None:
        return Places(np.arange(m), np.zeros(d, dtype=int), np.ones(d))
    sizes = physics.covariance.multiplicities(d)
    opened = [U.shape[1] for U in physics.group_rows]
    small = np.flatnonzero(sizes <= opened)
    if small.size:
        raise ValueError(
            f"Argument `dimension` must leave each group of the covariance more directions than the teacher has there, but is {d}: "
            f"group {small[0]} has {sizes[small[0]]}."
        )
    begins = np.cumsum(sizes) - sizes
    span = np.concatenate([begin + np.arange(size) for begin, size in zip(begins, opened, strict=True)])
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return Places(span, groups, physics.covariance.eigenvalues[groups])


def _draw(
    physics: MeanFieldPhysics, places: Places, p: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return u = W/sqrt d, shape (p, d), and the second layer."""
    start, d = physics.start, places.groups.size
    chosen = generator.choice(start.size, size=p, p=start.weights / start.weights.sum())
    normal = generator.standard_normal((p, d))
    if start.kind == "atoms":
        assert start.projections is not None
        assert start.norms is not None
        u = np.zeros((p, d))
        u[:, places.span] = start.projections[chosen]
        count = 1 if physics.covariance is None else physics.covariance.count
        norms = start.norms.reshape(start.size, -1)
        if norms.shape[1] < count:
            assert physics.covariance is not None
            norms = norms * np.sqrt(physics.covariance.weights)
        for group in range(count):
            where = places.rest(group)
            if where.size:
                rest = normal[:, where]
                u[:, where] = norms[chosen, group, None] * rest / np.linalg.norm(rest, axis=1, keepdims=True)
    elif start.kind == "gaussian":
        u = start.scale * normal / math.sqrt(d)
    else:
        u = start.scale * normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return u, start.second_layer[chosen]


def _form(setting: Setting) -> tuple[Any, Form]:
    """Return the compiled module and the pair form of the units, with the target on a grid where the teacher has no closed moments."""
    physics, p, d = setting.physics, setting.width, setting.dimension
    c = np.append(setting.places.eigenvalues, 1.0)
    # The last row, the length outside all coordinates, is zero.
    rows = np.stack([c, np.zeros(d + 1), 1.0 / c])
    blank = Particles(np.full(p, 1.0 / p), np.zeros(p), np.zeros((p, d)), np.zeros(p))
    h, shares = rules.angles(None, 1)
    if physics.target is None and physics.closed:
        U = np.zeros((len(physics.teacher_rows), d))
        U[:, setting.places.span] = physics.teacher_rows
        form = forms.pairs_with(physics, blank, rows, U, h, shares, refines=False)
        return form.module, form
    from . import equations_units

    form = forms.pairs_with(physics, blank, rows, np.zeros((0, d)), h, shares, refines=False)
    level = LEVEL if physics.directions < 3 else 0
    points, weights = forms.grid_of(physics, level)
    values = physics.target_values(points)
    form.params[equations.REST] = 0.5 * float(weights @ values**2)
    tail = [
        points.T.ravel(),
        weights * values,
        forms.smoothing(physics),
        [len(points), physics.directions, form.params.size],
    ]
    return equations_units, replace(
        form, params=np.concatenate([form.params, *tail]), work_size=form.work_size + 4 * len(points)
    )


def _run(
    setting: Setting, module: Any, form: Form, u: np.ndarray, a: np.ndarray, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return the variables of one run."""
    physics, times, d = setting.physics, setting.times, setting.dimension
    state = np.concatenate([(u * np.sqrt(setting.places.eigenvalues)).T.ravel(), np.zeros(setting.width), a])
    if physics.temperature > 0:
        states = _diffuse(setting, module, form, state, generator)
    else:
        method = "dop853" if state.size > LARGE else "auto"
        _, states, _ = ode.integrate(
            ode.right_hand_side(module.rhs),
            state,
            times,
            form.params,
            rtol=setting.rtol,
            atol=setting.atol,
            method=method,
            work_size=form.work_size,
        )
    risk = np.zeros(len(times))
    module.risks(np.ascontiguousarray(states), form.params, np.zeros(form.work_size + state.size), risk)
    made = {"risk": np.where(risk < 0.0, 0.0, risk)}
    if not setting.asked.names:
        return made
    p, m = setting.width, physics.directions
    rows = states[:, : d * p].reshape(len(times), d, p)
    count = 1 if physics.covariance is None else physics.covariance.count
    rest = [np.sqrt((rows[:, setting.places.rest(group)] ** 2).sum(1)) for group in range(count)]
    span = rows[:, setting.places.span].reshape(len(times), m * p)
    shells = np.concatenate([span, *rest, states[:, (d + 1) * p :]], axis=1)
    blank = Particles(np.full(p, 1.0 / p), a, np.zeros((p, m)), np.zeros(p))
    return made | observables.describe(physics, blank, shells, setting.asked)


def _diffuse(
    setting: Setting, module: Any, form: Form, state: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Return the states of noisy Euler steps at the requested times, each reached by whole steps of at most the length asked for."""
    from .equations_units import diffuse

    physics, d = setting.physics, setting.dimension
    # The noise is drawn here; the drift is that of the flow without temperature.
    params = form.params.copy()
    params[equations.HEATED] = 0.0
    params[equations.SPHERICAL] = 0.0
    y, now, rows = state.copy(), 0.0, []
    work = np.zeros(form.work_size)
    for end in setting.times:
        count = math.ceil((end - now) / setting.step - 1e-9)
        if count:
            step = (end - now) / count
            sizes = np.sqrt(2.0 * physics.temperature * step / d * setting.places.eigenvalues)
            done = diffuse(
                module.rhs.address,
                generator,
                y,
                params,
                work,
                count,
                step,
                sizes,
                1.0 / setting.places.eigenvalues,
                physics.spherical,
            )
            if done < count:
                raise FloatingPointError(
                    f"The simulation left the finite range at t={now + done * step:.3g}. Lower the step, {setting.step:g}."
                )
        now = float(end)
        rows.append(y.copy())
    return np.array(rows)
