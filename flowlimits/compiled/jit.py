"""The only place that configures Numba: flags, signatures, cache, and calls by address.

Every compiled function of the package is made by one of two decorators.

`jit`
    An ordinary compiled function. Functions that Python calls carry an explicit signature, for which they are compiled (or found in
    the disk cache) at the first call; helpers called from compiled code only carry none.
`callback`
    A compiled function with a C address, compiled when that is first asked for. An integrator receives equations as such an
    address, an integer, and calls it through one of the ``call_*`` intrinsics below. So the loop is compiled once for all models,
    and both sides are found in the disk cache by the next process. A compiled function passed as an argument, or closed over,
    would be compiled anew in every process.

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
import importlib
import inspect
import sys
import types as python_types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import numba
from llvmlite import ir
from numba import types
from numba.core import sigutils
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError as CompilationError  # noqa: F401, for those who compile what a user wrote
from numba.extending import intrinsic

from .announce import compiling as announced
from .cache import OPTIONS, LazyCache

try:
    from .linking import as_part, within
except (AttributeError, ImportError):  # a Numba of other insides: everything is a whole, and compiled in twice the time

    def as_part(dispatcher: Any) -> None:
        """Leave the function as it is."""

    within = nullcontext  # type: ignore[assignment]


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


@contextmanager
def compiling() -> Iterator[None]:
    """Compile a function of this package, or find it in the cache."""
    with announced(), within():
        yield


INTERPRETED = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]


def jit(signature=None, **options):
    """Compile a function, as ``@jit`` or ``@jit(signature)``.

    Parameters
    ----------
    signature : numba signature, optional
        The one signature, compiled at the first call.  Without it the function is compiled where compiled code calls it.
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
    dispatcher = numba.njit(**OPTIONS, **options)(function)
    dispatcher._cache = LazyCache(function)
    if signature is not None:
        _fix(dispatcher, signature)
    else:
        as_part(dispatcher)
    return dispatcher


def _fix(dispatcher, signature):
    """Let a dispatcher know one signature only, compiled when Python or compiled code first calls it."""

    def compile_once():
        with global_compiler_lock:
            if not dispatcher.overloads:
                with compiling():
                    dispatcher.compile(signature)
                dispatcher.disable_compile()

    def for_python(*arguments, **keywords):
        compile_once()
        # Called again, with the one signature.
        return dispatcher

    def for_compiled_code(arguments, keywords):
        compile_once()
        return type(dispatcher).get_call_template(dispatcher, arguments, keywords)

    dispatcher._compile_for_args, dispatcher.get_call_template = for_python, for_compiled_code
    dispatcher.compile_once, dispatcher._cache.wanted = compile_once, (signature, dispatcher.targetctx)


def compile_now(value):
    """Compile a callback, or a function with a signature, ahead of its first use; leave anything else."""
    if isinstance(value, _Callback):
        return value.address
    return getattr(value, "compile_once", lambda: None)() if isinstance(value, Dispatcher) else None


class _Callback(CFunc):
    """A C callback that is compiled, or found in the disk cache, when its address is first asked for."""

    _wrapper_address: Any

    @global_compiler_lock
    def compile(self):
        if self._wrapper_address is None:
            super().compile()

    @property
    def address(self):
        if self._wrapper_address is None:
            with compiling():
                self.compile()
        return self._wrapper_address


def callback(signature, *, at_once=False):
    """Compile a function to a C callback, as ``@callback(RHS_SIGNATURE)``; the intrinsics take its ``.address``.

    It is compiled when its address is first asked for, or at once, so that what a user wrote fails where it is given.
    The function stays callable from Python, uncompiled.  Keep the callback for as long as its address is used.
    """

    def compile_callback(function):
        if INTERPRETED:
            return _InterpretedCallback(function, signature)
        result: Any = _Callback(
            function, sigutils.normalize_signature(signature), locals={}, options=dict(OPTIONS, nopython=True)
        )
        result._cache = LazyCache(function, (result._sig, result._targetdescr.target_context))
        if at_once:
            with compiling():
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


def is_callback(value: Any, signature: Any = None) -> bool:
    """Whether the value is a compiled callback, of this signature if one is given."""
    return isinstance(value, CFunc | _InterpretedCallback) and (
        signature is None or getattr(value, "_sig", None) == signature
    )


def is_compiled(value: Any) -> bool:
    """Whether the value is a compiled function, or stands for one where nothing is compiled."""
    return isinstance(value, Dispatcher) or getattr(value, "py_func", None) is value


def is_strict(function: Any) -> bool:
    """Whether a compiled function or callback keeps the strict rules of floating-point arithmetic, in one thread."""
    options = getattr(getattr(function, "_compiler", function), "targetoptions", {})
    return not options.get("fastmath") and not options.get("parallel")


def caller(signature) -> Any:
    """Return an intrinsic ``call(address, *arguments)`` for callbacks of this signature."""
    if INTERPRETED:
        return _InterpretedCallback.call
    full = signature.return_type(ADDRESS, *signature.args)

    def generate(context, builder, typed, arguments):
        returns_nothing = signature.return_type == types.void
        result = ir.VoidType() if returns_nothing else context.get_value_type(signature.return_type)
        kind = ir.FunctionType(result, [context.get_value_type(kind) for kind in signature.args])
        pointer = builder.inttoptr(arguments[0], kind.as_pointer())
        value = builder.call(pointer, list(arguments[1:]))
        return context.get_dummy_value() if returns_nothing else value

    def call(typingctx, *arguments):
        return full, generate

    # Numba asks for the parameters; callers do not pass the first.
    names = ["typingctx", *(f"argument_{i}" for i in range(len(full.args)))]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return intrinsic(call)


call_rhs, call_event = caller(RHS_SIGNATURE), caller(EVENT_SIGNATURE)
call_jacobian, call_structured_jacobian = caller(JACOBIAN_SIGNATURE), caller(STRUCTURED_SIGNATURE)

# Jacobians of a structure of their own.

#: jacobian(t, y, data, params, work) writes a Jacobian of a structure of its own
STRUCTURE_SIGNATURE = types.void(FLOAT, A1, A1, A1, A1)
COMPLEX = types.complex128
C1 = types.complex128[::1]
PIVOTS = types.int64[::1]
#: factor(shift, h, data, factors, pivots) decomposes shift - h J and returns 1, or 0 if that is singular
FACTOR = types.int64(FLOAT, FLOAT, A1, A1, PIVOTS)
FACTOR_COMPLEX = types.int64(COMPLEX, FLOAT, A1, C1, PIVOTS)
#: solve(h, data, factors, pivots, x) overwrites x
SOLVE = types.void(FLOAT, A1, A1, PIVOTS, A1)
SOLVE_COMPLEX = types.void(FLOAT, A1, C1, PIVOTS, C1)

call_structure, call_factor, call_solve = caller(STRUCTURE_SIGNATURE), caller(FACTOR), caller(SOLVE)
call_factor_complex, call_solve_complex = caller(FACTOR_COMPLEX), caller(SOLVE_COMPLEX)
