"""Training dynamics of two-layer networks: exact flow, high-dimensional limit, finite-size simulation, verdict.

State a learning problem once; get its exact gradient flow, its high-dimensional or mean-field limit, its
finite-size simulation, and a verdict on how they agree.  Names load on first use.  The pages that docstrings name,
such as docs/theory.md, are installed in share/doc/flowlimits below ``sys.prefix``.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from .core.registry import MODULES, NAMES

__version__ = "0.2.0"

__all__ = sorted([*MODULES, *NAMES, "__version__"])


def __getattr__(name: str) -> Any:
    if name in NAMES:
        value = getattr(importlib.import_module(NAMES[name]), name)
    elif name in MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        # With the name and the module Python itself suggests the nearest name.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
