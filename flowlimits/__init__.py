"""Training dynamics of two-layer networks: exact flow, high-dimensional limit, finite-size simulation, verdict.

State a learning problem once; get its exact gradient flow, its high-dimensional or mean-field limit, its
finite-size simulation, and a verdict on how they agree.  Names load on first use.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_MODULES = ("committee", "conventions", "margin", "ode", "plot", "quadratic", "random_networks")

_NAMES = {
    "Committee": "committee.committee",
    "Schedule": "committee.schedule",
    "Event": "events",
    "ExtensiveQuadratic": "quadratic.extensive",
    "MarginFlow": "margin.flow",
    "GuessAndCheck": "random_networks.guess_and_check",
    "MeanFieldQuadratic": "quadratic.mean_field",
    "QuadraticFlow": "quadratic.flow",
    "Spectrum": "quadratic.spectrum",
    "EarlyAlignment": "samples.alignment",
    "SampleFlow": "samples.flow",
    "XorMixture": "mixture.xor",
    "compare": "compare",
    "convergence": "compare",
    "crossing": "daily",
    "extend": "daily",
    "to_table": "daily",
    "wrap": "daily",
    "cite": "citations",
    "load": "results",
    "load_problem": "load",
    "refine": "studies.adaptive",
    "save": "results",
    "solve_many": "many",
    "study": "studies.grid",
    "StudyError": "studies.errors",
    "StudyInterrupted": "studies.errors",
}

__all__ = sorted([*_MODULES, *_NAMES, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        # With the name and the module Python itself suggests the nearest name.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    globals()[name] = value
    return value


class _Package(ModuleType):
    """The package itself, in which a function keeps its name though a module has the same one.

    Importing `flowlimits.compare` would otherwise put the module where `flowlimits.compare` is the function.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _NAMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
