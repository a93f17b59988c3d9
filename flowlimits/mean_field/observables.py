"""What is read off the particles besides the risk: their coordinates, the learnt function on the span, its Hermite components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks
from ..core.results import Variable
from . import moments
from .forms import function_at
from .rules import Particles

if TYPE_CHECKING:
    from .physics import MeanFieldPhysics

PARTICLE = ("second_layer", "projections", "norms", "group_norms")
FUNCTION = ("function", "components")
NAMES = (*PARTICLE, *FUNCTION)
VARIABLES = {
    "risk": Variable("population risk", r"$\mathcal{R}$"),
    "second_layer": Variable("second layer of the particles", "$a$", ("particle",)),
    "projections": Variable(
        "coordinates of the particles in the span of the teacher", "$u$", ("particle", "direction")
    ),
    "norms": Variable("lengths of the particles outside the span", "$s$", ("particle",)),
    "group_norms": Variable(
        "lengths of the particles outside the span, by group of the covariance", "$s_l$", ("particle", "group")
    ),
    "function": Variable("learnt function on the span", "$f$", ("point",)),
    "components": Variable("orthonormal Hermite components of the learnt function", "$f_n$", ("component",)),
}


@dataclass(frozen=True)
class Asked:
    """Which observables, at which points of the span, up to which degree."""

    names: tuple[str, ...]
    points: np.ndarray
    degree: int

    def extra(self, physics: MeanFieldPhysics, particles: Particles | None) -> dict[str, Any]:
        """Return what does not change in time: masses, points, the target there and its components."""
        made: dict[str, Any] = {}
        if particles is not None and set(self.names) & set(PARTICLE):
            made["masses"] = (
                ("particle",),
                particles.masses,
                {"long_name": "shares of the particles", "symbol": "$\\omega$"},
            )
        if "function" in self.names:
            made["points"] = (
                ("point", "direction"),
                self.points,
                {"long_name": "points of the span", "symbol": "$\\xi$"},
            )
            target = {"long_name": "target on the span", "symbol": "$f_\\star$"}
            made["target_function"] = (("point",), physics.target_values(self.points), target)
        if "components" in self.names:
            listed = moments.indices(physics.directions, self.degree)
            values = moments.teacher_components(physics, listed, 80 if physics.directions < 3 else 24)
            values = values / np.sqrt([moments.factorial(beta) for beta in listed])
            target = {"long_name": "orthonormal Hermite components of the target", "symbol": "$f_{\\star n}$"}
            made["target_components"] = (("component",), values, target)
        return made

    def coords(self, physics: MeanFieldPhysics) -> dict[str, Any]:
        """Return the labels of the components: degrees in each direction, such as "1,1"."""
        if "components" not in self.names:
            return {}
        listed = moments.indices(physics.directions, self.degree)
        return {"component": [",".join(map(str, beta)) for beta in listed]}


def check_names(observables: Any, allowed: tuple[str, ...] = NAMES) -> tuple[str, ...]:
    """Return the names of known observables, each once."""
    names = () if observables is None else checks.items("observables", observables, str)
    for name in names:
        checks.choice("observables", name, allowed)
    return tuple(dict.fromkeys(names))


def check(physics: MeanFieldPhysics, names: tuple[str, ...], points: Any, degree: Any) -> Asked:
    """Return what is asked for."""
    m = physics.directions
    if "group_norms" in names and physics.covariance is None:
        raise ValueError('Argument `observables` must not hold "group_norms" without a covariance: ask for "norms".')
    if points is None:
        where = np.linspace(-3.0, 3.0, 61)
        chosen = np.zeros((61, m))
        chosen[:, 0] = where
    else:
        chosen = checks.array("points", points, ("n", m))
    return Asked(names, chosen, checks.integer("degree", degree, minimum=0))


def describe(
    physics: MeanFieldPhysics, particles: Particles, states: np.ndarray, asked: Asked
) -> dict[str, np.ndarray]:
    """Return the observables at states (n, (m + 2) P)."""
    P, m = particles.projections.shape
    n = len(states)
    u = states[:, : m * P].reshape(n, m, P).transpose(0, 2, 1)
    s, a = states[:, m * P : -P].reshape(n, -1, P), states[:, -P:]
    made: dict[str, np.ndarray] = {"second_layer": a, "projections": u}
    if physics.covariance is None:
        made["norms"] = s = s[:, 0]
    else:
        # The state holds them scaled.
        roots = np.sqrt(physics.covariance.eigenvalues[physics.row_groups])
        made["projections"] = u / roots[:m]
        made["group_norms"] = s.transpose(0, 2, 1) / roots[m:]
        made["norms"] = np.sqrt((made["group_norms"] ** 2).sum(2))
        s = np.sqrt((s**2).sum(1))
    if "function" in asked.names:
        zero = np.zeros(len(asked.points))
        form = function_at(physics, particles, asked.points, zero, zero)
        made["function"] = np.zeros((n, len(zero)))
        form.module.errors(np.ascontiguousarray(states), form.params, np.zeros(form.work_size), made["function"])
    if "components" in asked.names:
        listed = moments.indices(m, asked.degree)
        rows = [
            moments.student_components(physics.activation, particles.masses * a[i], u[i], s[i], listed)
            for i in range(n)
        ]
        made["components"] = np.array(rows).reshape(n, len(listed))
    return {name: made[name] for name in asked.names}
