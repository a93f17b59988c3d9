"""Numba's disk cache, with the compiled callees of a function in its key, and never a reason to fail."""

import functools
import hashlib
import inspect
import pickle
import sys
import types
from typing import Any

import numpy as np
from numba.core.caching import FunctionCache, NullCache
from numba.core.ccallback import CFunc
from numba.core.dispatcher import Dispatcher

from .code import outside

#: How every function is compiled.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

#: What reading a file of the cache may raise.
_DAMAGED = (EOFError, ImportError, AttributeError, pickle.UnpicklingError)


class _DiskCache(FunctionCache):
    """Numba's disk cache, with the compiled callees in its key, and never a reason to fail."""

    def _index_key(self, sig, codegen):
        return (*super()._index_key(sig, codegen), _fingerprint(self._py_func))

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except (OSError, *_DAMAGED):
            return None

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except OSError:
            return
        except _DAMAGED:
            # The index is damaged, or was written by a version whose modules have other names: start it anew.
            self.flush()
            super().save_overload(sig, data)


class LazyCache(NullCache):
    """The disk cache of a function, looked for when it is first needed; none where there is no place for one.

    Helpers that only compiled code calls are part of their callers' cache entry, and need none in a warm process.
    """

    def __init__(self, function):
        self._function = function

    @functools.cached_property
    def _cache(self):
        try:
            return _DiskCache(self._function)
        except (RuntimeError, OSError):
            return NullCache()

    @property
    def cache_path(self):
        return self._cache.cache_path

    def load_overload(self, sig, target_context):
        return self._cache.load_overload(sig, target_context)

    def save_overload(self, sig, data):
        self._cache.save_overload(sig, data)


def _fingerprint(function):
    """Return a hash of the code of all compiled functions that `function` calls, and of the plain values it reads."""
    digest = hashlib.sha256(repr(sorted(OPTIONS.items())).encode())
    pending: list[Any] = [function]
    seen: set[Any] = set()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        names = _add_code(digest, current.__code__)
        scope = outside(current)
        modules = [scope[name] for name in names if isinstance(scope.get(name), types.ModuleType)]
        found = [(name, scope[name]) for name in names if name in scope]
        found += [(name, vars(module)[name]) for module in modules for name in names if name in vars(module)]
        for name, value in found:
            if isinstance(value, Dispatcher | CFunc):
                pending.append(inspect.unwrap(value))
            elif isinstance(value, types.FunctionType) and value.__module__.split(".")[0] == "flowlimits":
                # What it means inside compiled code is defined in its file, perhaps by compiled functions there.
                digest.update(_source(value.__module__))
                own = vars(sys.modules[value.__module__]).values()
                pending += [inspect.unwrap(one) for one in own if isinstance(one, Dispatcher | CFunc)]
            elif isinstance(value, bool | int | float | complex | str | tuple):
                digest.update(f"{name}={value!r}".encode())
            elif isinstance(value, np.ndarray):
                digest.update(name.encode() + value.tobytes())
    return digest.hexdigest()


@functools.cache
def _source(module):
    """Return the text of a module of the package."""
    try:
        return inspect.getsource(sys.modules[module]).encode()
    except (KeyError, OSError):
        return b""


def _add_code(digest, code):
    """Add bytecode and constants to the digest; return the names that the code mentions, in order."""
    digest.update(code.co_code)
    names = [*code.co_names, *code.co_freevars]
    digest.update(repr(names).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names += _add_code(digest, constant)
        else:
            digest.update(repr(constant).encode())
    return names
