"""The only place that configures Numba: flags, signatures, cache, and calls by address.

Every compiled function of the package is made by one of two decorators.

`jit`
    An ordinary compiled function. Functions that Python calls carry an explicit signature, so that they are compiled (or found in the
    disk cache) when their module is imported; helpers called from compiled code only carry none.
`callback`
    A compiled function with a C address. An integrator receives equations as such an address, an integer, and calls it through one of
    the ``call_*`` intrinsics below. So the loop is compiled once for all models, and both sides are found in the disk cache by the next
    process. A compiled function passed as an argument, or closed over, would be compiled anew in every process.

All of them release the GIL, follow NumPy's rules for division by zero, and keep the strict rules of floating-point arithmetic: step
control needs NaN to be NaN.

Cache
    Numba stores compiled code beside the source file, or below the home, or where ``NUMBA_CACHE_DIR`` points.
    Where none of them can be written, when the disk is full, and for functions that have no source file (typed at
    a prompt, made by ``exec``), functions are compiled in memory, in every process, without a warning.  Numba
    itself notices changes in the file of a function; the cache here also notices changes in the compiled
    functions that it calls and in the plain values that it reads, wherever they are defined.

Without compilation
    With Numba's own switch ``NUMBA_DISABLE_JIT=1`` every function runs as Python, callbacks included: slowly, but a
    debugger stops in it, an index beyond the end raises, and coverage counts its lines.  Division by zero and
    overflow raise there too, where compiled code returns infinity or NaN.
"""

import functools
import hashlib
import importlib
import inspect
import pickle
import sys
import types as python_types
from collections.abc import Callable
from typing import Any, ClassVar

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import sigutils
from numba.core.caching import FunctionCache, NullCache
from numba.core.ccallback import CFunc
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic


def _defer_blas() -> None:
    """Let Numba import `scipy.linalg` when compiled code first multiplies matrices, and not when Numba starts.

    `numba.np.arraymath` imports it only to learn that it is there, which SciPy as our requirement makes sure; that took
    a sixth of the time from import to a first curve.  Every use in Numba looks for it again.
    """
    from numba.np import linalg

    look = getattr(linalg, "ensure_blas", None)
    if look is None or "numba.np.arraymath" in sys.modules:
        return
    linalg.ensure_blas = lambda: None
    try:
        arraymath = importlib.import_module("numba.np.arraymath")
        vars(arraymath)["ensure_blas"] = look
    finally:
        linalg.ensure_blas = look


_defer_blas()

FLOAT = types.float64
ADDRESS = types.int64
A1 = types.float64[::1]
A2 = types.float64[:, ::1]

#: f(t, y, dy, params, work) writes dy
RHS_SIGNATURE = types.void(FLOAT, A1, A1, A1, A1)
#: jacobian(t, y, J, params, work) writes J[i, j] = d dy[i] / d y[j]
JACOBIAN_SIGNATURE = types.void(FLOAT, A1, A2, A1, A1)
#: jacobian(t, y, D, U, V, params, work) writes J = diag(D) + U V^T
STRUCTURED_SIGNATURE = types.void(FLOAT, A1, A1, A2, A2, A1, A1)
#: g(t, y, params, work) returns the value whose sign is watched
EVENT_SIGNATURE = FLOAT(FLOAT, A1, A1, A1)

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
INTERPRETED = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]


def jit(signature=None, **options):
    """Compile a function, as ``@jit`` or ``@jit(signature)``.

    Parameters
    ----------
    signature : numba signature, optional
        One fixed signature, compiled at once.  Without it the function is compiled where compiled code calls it.
    **options
        Further options of `numba.njit`, such as ``inline="always"``.
    """
    if isinstance(signature, python_types.FunctionType):
        return _compile(signature, None, options)
    return functools.partial(_compile, signature=signature, options=options)


def _compile(function, signature, options):
    if INTERPRETED:
        function.py_func = function
        return function
    dispatcher = numba.njit(**_OPTIONS, **options)(function)
    dispatcher._cache = _LazyCache(function)
    if signature is not None:
        dispatcher.compile(signature)
        dispatcher.disable_compile()
    return dispatcher


def callback(signature):
    """Compile a function to a C callback, as ``@callback(RHS_SIGNATURE)``; the intrinsics take its ``.address``.

    The function stays callable from Python, uncompiled.  Keep the callback for as long as its address is used.
    """

    def compile_callback(function):
        if INTERPRETED:
            return _InterpretedCallback(function, signature)
        result: Any = CFunc(
            function, sigutils.normalize_signature(signature), locals={}, options=dict(_OPTIONS, nopython=True)
        )
        result._cache = _LazyCache(function)
        result.compile()
        return result

    return compile_callback


class _InterpretedCallback:
    """Stands in for a callback where nothing is compiled; its address is a key, under which `call` finds the function."""

    _functions: ClassVar[dict[int, Callable]] = {}

    def __init__(self, function, signature):
        functools.update_wrapper(self, function)
        self._sig = sigutils.normalize_signature(signature)
        self.address = id(self)
        self._functions[self.address] = function

    def __call__(self, *arguments):
        return self._functions[self.address](*arguments)

    @classmethod
    def call(cls, address, *arguments):
        """Call the function at `address`."""
        return cls._functions[int(address)](*arguments)


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


class _LazyCache(NullCache):
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
    digest = hashlib.sha256(repr(sorted(_OPTIONS.items())).encode())
    pending: list[Any] = [function]
    seen: set[Any] = set()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        names = _add_code(digest, current.__code__)
        scope = dict(current.__globals__)
        scope.update(_closure(current))
        modules = [scope[name] for name in names if isinstance(scope.get(name), python_types.ModuleType)]
        found = [(name, scope[name]) for name in names if name in scope]
        found += [(name, vars(module)[name]) for module in modules for name in names if name in vars(module)]
        for name, value in found:
            if isinstance(value, Dispatcher | CFunc):
                pending.append(inspect.unwrap(value))
            elif isinstance(value, python_types.FunctionType) and value.__module__.split(".")[0] == "flowlimits":
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


def _closure(function):
    cells = function.__closure__ or ()
    return dict(zip(function.__code__.co_freevars, (cell.cell_contents for cell in cells)))


def _add_code(digest, code):
    """Add bytecode and constants to the digest; return the names that the code mentions, in order."""
    digest.update(code.co_code)
    names = [*code.co_names, *code.co_freevars]
    digest.update(repr(names).encode())
    for constant in code.co_consts:
        if isinstance(constant, python_types.CodeType):
            names += _add_code(digest, constant)
        else:
            digest.update(repr(constant).encode())
    return names


def _intrinsic(function) -> Any:
    # The implementation takes a typing context that callers do not pass.
    return _InterpretedCallback.call if INTERPRETED else intrinsic(function)


def _call_by_address(signature):
    """Return an intrinsic ``call(address, *arguments)`` for callbacks of this signature."""
    full = signature.return_type(ADDRESS, *signature.args)

    def generate(context, builder, typed, arguments):
        returns_nothing = signature.return_type == types.void
        result = ir.VoidType() if returns_nothing else context.get_value_type(signature.return_type)
        kind = ir.FunctionType(result, [context.get_value_type(kind) for kind in signature.args])
        pointer = builder.inttoptr(arguments[0], kind.as_pointer())
        value = builder.call(pointer, list(arguments[1:]))
        return context.get_dummy_value() if returns_nothing else value

    return full, generate


@_intrinsic
def call_rhs(typingctx, address, t, y, dy, params, work):
    """Call the right-hand side at `address`: writes dy."""
    return _call_by_address(RHS_SIGNATURE)


@_intrinsic
def call_jacobian(typingctx, address, t, y, J, params, work):
    """Call the dense Jacobian at `address`: writes J."""
    return _call_by_address(JACOBIAN_SIGNATURE)


@_intrinsic
def call_structured_jacobian(typingctx, address, t, y, D, U, V, params, work):
    """Call the Jacobian diag(D) + U V^T at `address`: writes D, U, V."""
    return _call_by_address(STRUCTURED_SIGNATURE)


@_intrinsic
def call_event(typingctx, address, t, y, params, work):
    """Call the event function at `address`: returns its value."""
    return _call_by_address(EVENT_SIGNATURE)
