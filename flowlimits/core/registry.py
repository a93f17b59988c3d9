"""The registry knows where each public name lives, and nothing else does.

The tables are static: nothing is imported by a name that stands in a file, and a name that is not here is refused, with
the nearest one that is.  Only the standard library is imported here, so that the command line stays light.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, NamedTuple

#: Public modules.
MODULES = ("committee", "conventions", "margin", "ode", "plot", "random_networks")


class Entry(NamedTuple):
    """A class of problems: its name on the command line, its module, and a line about it."""

    command: str
    module: str
    help: str


#: Classes of problems.  The room of each offers the table of its fields.
PROBLEMS = {
    "ExtensiveQuadratic": Entry(
        "extensive", "flowlimits.quadratic.extensive.problem", "Quadratic network of extensive width: widths proportional to the dimension, d -> infinity."
    ),
    "QuadraticFlow": Entry(
        "quadratic", "flowlimits.quadratic.finite.problem", "Quadratic network of given weights: the exact flow at finite dimension."
    ),
    "MeanFieldQuadratic": Entry(
        "mean-field", "flowlimits.quadratic.mean_field.problem", "Quadratic network of infinite width at finite dimension."
    ),
    "EmpiricalQuadratic": Entry(
        "empirical", "flowlimits.empirical.problem", "Quadratic network of extensive width on finitely many samples, d -> infinity."
    ),
    "Committee": Entry(
        "committee", "flowlimits.committee.problem", "Network of fixed width and any activation: gradient flow, or one-pass SGD as d -> infinity."
    ),
    "XorMixture": Entry("xor", "flowlimits.mixture.problem", "ReLU network on four Gaussian clusters with XOR labels."),
    "SampleFlow": Entry("sample", "flowlimits.samples.problem", "Gradient flow of a two-layer network on a finite sample."),
    "EarlyAlignment": Entry("alignment", "flowlimits.samples.problem", "Early alignment of ReLU units with a small start."),
    "MarginFlow": Entry("margin", "flowlimits.margin.problem", "Margin flow of a homogeneous network on separable data."),
    "SingleUnit": Entry("single-unit", "flowlimits.single_unit.problem", "One unit and its teacher, any link, loss and covariance."),
    "MeanField": Entry("particles", "flowlimits.mean_field.problem", "Network of infinite width and any activation: the law of one unit."),
    "GuessAndCheck": Entry(
        "guess", "flowlimits.random_networks.problem", "Random networks that classify a training set, at infinite and finite width."
    ),
}  # fmt: skip

#: Classes that results, studies and files may hold, and their modules.
DESCRIPTIONS = {name: entry.module for name, entry in PROBLEMS.items()} | {
    "Schedule": "flowlimits.committee.schedule",
    "Spectrum": "flowlimits.spectrum.spectrum",
    "CovarianceGroups": "flowlimits.spectrum.groups",
    "Event": "flowlimits.core.events",
    "Ensemble": "flowlimits.mean_field.ensemble",
    "LinearModel": "flowlimits.margin.models",
    "NormOnlyModel": "flowlimits.margin.models",
    "QuadraticModel": "flowlimits.margin.models",
    "ReLUModel": "flowlimits.margin.models",
    "SkipReLUModel": "flowlimits.margin.models",
    "SoftplusModel": "flowlimits.margin.models",
    "UserModel": "flowlimits.margin.models",
}

#: Descriptions that a public module or another class offers, and not the package itself.
_IN_MODULES = {
    name
    for name, module in DESCRIPTIONS.items()
    if module in {"flowlimits.margin.models", "flowlimits.spectrum.groups"}
}

#: Names of the package, and their modules.
NAMES = {name: module for name, module in DESCRIPTIONS.items() if name not in _IN_MODULES} | {
    "compare": "flowlimits.verdict.compare",
    "convergence": "flowlimits.verdict.compare",
    "crossing": "flowlimits.core.events",
    "extend": "flowlimits.data.rerun",
    "rerun": "flowlimits.data.rerun",
    "to_dataframe": "flowlimits.data.export",
    "to_table": "flowlimits.data.export",
    "wrap": "flowlimits.data.wrap",
    "cite": "flowlimits.data.cite",
    "load": "flowlimits.core.storage",
    "load_problem": "flowlimits.core.problem",
    "refine": "flowlimits.studies.adaptive",
    "save": "flowlimits.core.storage",
    "solve_many": "flowlimits.many",
    "study": "flowlimits.studies.grid",
    "StudyError": "flowlimits.studies.worker",
    "StudyInterrupted": "flowlimits.studies.worker",
}

#: What files hold beside Datasets: the module, by the attribute `kind`, whose `from_dataset` makes it.
STORED = {"verdict": "flowlimits.verdict.comparison"}

#: The hint of everything with an argument `rng` to `seed`.
SEED = {"seed": "give the seed as `rng`."}


def did_you_mean(word: Any, known: Iterable[str], quote: str = "`") -> str:
    """Return ``; did you mean `name`?`` with the known name nearest to what a user wrote, empty if none is near."""
    found = difflib.get_close_matches(str(word), [str(name) for name in known], n=1, cutoff=0.6)
    return f"; did you mean {quote}{found[0]}{quote}?" if found else ""
