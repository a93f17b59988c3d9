"""The registry knows where each public name lives, and nothing else does.

The tables are static: nothing is imported by a name that stands in a file, and a name that is not here is refused.
"""

from __future__ import annotations

#: Public modules.
MODULES = ("committee", "conventions", "margin", "ode", "plot", "random_networks")

#: Classes that results, studies and files may hold, and their modules.
DESCRIPTIONS = {
    "QuadraticFlow": "flowlimits.quadratic.finite.problem",
    "ExtensiveQuadratic": "flowlimits.quadratic.extensive.problem",
    "MeanFieldQuadratic": "flowlimits.quadratic.finite.mean_field",
    "EmpiricalQuadratic": "flowlimits.empirical.problem",
    "EarlyAlignment": "flowlimits.samples.alignment.problem",
    "SampleFlow": "flowlimits.samples.problem",
    "XorMixture": "flowlimits.mixture.problem",
    "SingleUnit": "flowlimits.single_unit.problem",
    "Committee": "flowlimits.committee.problem",
    "Schedule": "flowlimits.committee.schedule",
    "Spectrum": "flowlimits.spectrum.spectrum",
    "CovarianceGroups": "flowlimits.spectrum.groups",
    "Event": "flowlimits.core.events",
    "GuessAndCheck": "flowlimits.random_networks.problem",
    "MeanField": "flowlimits.mean_field.problem",
    "Ensemble": "flowlimits.mean_field.ensemble",
    "MarginFlow": "flowlimits.margin.problem",
    "LinearModel": "flowlimits.margin.models",
    "NormOnlyModel": "flowlimits.margin.models",
    "QuadraticModel": "flowlimits.margin.models",
    "ReLUModel": "flowlimits.margin.models",
    "SkipReLUModel": "flowlimits.margin.models",
    "SoftplusModel": "flowlimits.margin.models",
    "UserModel": "flowlimits.margin.user_model",
}

#: Descriptions that a public module or another class offers, and not the package itself.
_IN_MODULES = {
    name
    for name, module in DESCRIPTIONS.items()
    if module in {"flowlimits.margin.models", "flowlimits.margin.user_model", "flowlimits.spectrum.groups"}
}

#: Names of the package, and their modules.
NAMES = {name: module for name, module in DESCRIPTIONS.items() if name not in _IN_MODULES} | {
    "compare": "flowlimits.verdict.compare",
    "convergence": "flowlimits.verdict.compare",
    "crossing": "flowlimits.core.crossing",
    "extend": "flowlimits.data.extend",
    "to_table": "flowlimits.data.export",
    "wrap": "flowlimits.data.wrap",
    "cite": "flowlimits.data.cite",
    "load": "flowlimits.core.storage",
    "load_problem": "flowlimits.core.rebuild",
    "refine": "flowlimits.studies.adaptive",
    "save": "flowlimits.core.storage",
    "solve_many": "flowlimits.many.solve_many",
    "study": "flowlimits.studies.grid",
    "StudyError": "flowlimits.studies.errors",
    "StudyInterrupted": "flowlimits.studies.errors",
}
