"""Compiled functions of a user on their way to other processes: by name, or as Python functions compiled again there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any


def by_name(item: Any) -> tuple[str, str] | None:
    """Return module and name under which another process finds an item, None if it is not found there."""
    plain = item.function.__wrapped__
    module, name = plain.__module__, plain.__qualname__
    found: Any = sys.modules.get(str(module))
    for part in name.split("."):
        found = getattr(found, part, None)
    return (module, name) if found is item else None


def reduce(item: Any, make: Callable, functions: tuple[Any, ...], options: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return how an item is pickled.

    Parameters
    ----------
    make : callable
        ``make(*functions, *options)`` makes it again, from the Python functions.
    functions, options : tuple
        Callbacks or None, and plain values.
    """
    place = by_name(item)
    if place is not None and not (place[0] == "__main__" and _in_memory()):
        return find, place
    plain = tuple(None if one is None else one.__wrapped__ for one in functions)
    return load, (_by_value(plain), make, options)


def find(module: str, name: str) -> Any:
    """Return an item by its place."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def load(functions: bytes, make: Callable, options: tuple[Any, ...]) -> Any:
    """Return an item made anew from its Python functions; compiled code is found in the cache where there is one."""
    import pickle

    return make(*pickle.loads(functions), *options)


def _in_memory() -> bool:
    """Whether the main module is a notebook or a prompt, which another process cannot import."""
    return not hasattr(sys.modules["__main__"], "__file__")


def _by_value(functions: tuple[Any, ...]) -> bytes:
    try:
        import cloudpickle
    except ImportError:
        name = functions[0].__qualname__
        raise TypeError(
            f"`{name}` cannot be sent to another process: it is defined inside a function, in a notebook or at a prompt.  "
            "Define it at the top of a module, or install cloudpickle."
        ) from None
    return cloudpickle.dumps(functions)
