"""Functions that compiled code calls are compiled as parts of their callers: typed, lowered and simplified once, made into machine code there.

Numba optimises each function that compiled code calls as a whole program, writes machine code for it and two doors through which Python could
call it, and inlines its text into the caller, where all but the doors happens again.  A part has no doors: its text stays as it was
lowered, until a function with an address collects the parts that it needs, each once, and optimises all of them together.  What they
compute stays the same: within the rules of arithmetic that `jit` asks for, the compiler never changes a rounding.

All of this holds `within` the compilation of a function of this package, where Numba's own implementations of `numpy.empty`, `min`, `sum` and the
like are parts too.  What a user compiles, before, after or in another thread, is compiled by Numba as it is.
"""

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import sigutils, types, typing
from numba.core.base import BaseContext
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from numba.core.environment import lookup_environment
from numba.core.errors import ForceLiteralArg
from numba.core.event import trigger_event
from numba.core.targetconfig import ConfigStack, TargetConfig
from numba.core.types.functions import BaseFunction

from .signals import deferred

# Numba finds two things again and again while it types: the meaning of an operator, and the flags of a compilation.
#
# Numba asks some twenty templates what `*` means for two numbers, anew at each place where it stands, and lists the values of all flags, one attribute
# at a time, whenever it looks for an implementation.  Both answers are kept here; they are a fifth of the time of a compilation.

_OPERATORS = frozenset(value for value in vars(operator).values() if callable(value))
_PLAIN = (types.Number, types.Boolean, types.Array, types.BaseTuple)

_signatures: dict[Any, Any] = {}
_defaults: dict[type, tuple[dict[str, Any], int]] = {}


def _call_type(self, context, args, kws):
    """Return the signature of a call; of an operator between numbers, arrays or tuples, the one that was found before.

    What was found depends on the templates (in the key of the function), the types and the flags, and a template keeps what it compiled.
    """
    if kws or self.typing_key not in _OPERATORS or not all(isinstance(one, _PLAIN) for one in args):
        return _find_call_type(self, context, args, kws)
    key = (self, context, tuple(args), ConfigStack.top_or_none())
    if key not in _signatures:
        _signatures[key] = _find_call_type(self, context, args, kws)
    return _signatures[key]


def _of_class(kind):
    if kind not in _defaults:
        options = {name: option.default for name, option in kind.options.items()}
        _defaults[kind] = options, hash(tuple(sorted(options)))
    return _defaults[kind]


def _values(self):
    """Return the values of all flags."""
    return _of_class(type(self))[0] | self._values


def _hash(self):
    """Return the hash of the flags: that of their names, as Numba has it."""
    return _of_class(type(self))[1]


_find_call_type = BaseFunction.get_call_type
#: Class, name and what stands there while a function of this package is compiled.
CHANGES = (
    (BaseFunction, "get_call_type", _call_type),
    (TargetConfig, "values", _values),
    (TargetConfig, "__hash__", _hash),
)


def _callers_first(library):
    """Return the libraries that this one needs, each after all that call it: LLVM links what is called already, and no more."""
    done: dict[Any, None] = {}
    pending = [(library, False)]
    while pending:
        current, followed = pending.pop()
        if followed:
            done[current] = None
        elif current not in done:
            pending.append((current, True))
            pending += [] if current._finalized else [(one, False) for one in current._linking_libraries]
    return list(done)[-2::-1]


#: Draws of random numbers: called, each of them would count references to the generator, which takes longer than the draw.
_DRAWS = "_ZN5numba2np6random"


class _Library(JITCodeLibrary):
    """Code that is optimised and made into machine code when an address in it is asked for, which for parts is never."""

    _text: Any = None

    def add_linking_library(self, library):
        self._linking_libraries.append(library)

    def _get_module_for_linking(self):
        if self._finalized:
            return super()._get_module_for_linking()
        if self._text is None:
            # Several wholes in one process may hold the same part.
            self._text = self._final_module.clone()
            for function in self._text.functions:
                if not function.is_declaration and function.linkage.name == "external":
                    function.linkage = "linkonce_odr"
                    if function.name.startswith(_DRAWS):
                        function.add_function_attribute("alwaysinline")
        return self._text

    @deferred()
    def finalize(self):
        self._linking_libraries = _callers_first(self)
        super().finalize()
        for variable in self._final_module.global_variables:
            if variable.name.startswith("_ZN08NumbaEnv"):
                environment = lookup_environment(variable.name)
                if environment is not None:
                    _set_env(self._codegen, variable.name, environment)

    def _optimize_functions(self, ll_module):
        if not hasattr(self._codegen, "_pass_builder"):  # Numba 0.61
            return super()._optimize_functions(ll_module)
        # As Numba does it, except for functions that are only declared here.
        ll_module.data_layout = self._codegen._data_layout
        for function in ll_module.functions:
            if not function.is_declaration:
                passes, builder = self._codegen._function_pass_manager()
                passes.run(function, builder)

    @deferred()
    def add_llvm_module(self, ll_module):
        super().add_llvm_module(ll_module)

    @classmethod
    @deferred()
    def _unserialize(cls, codegen, state):
        return super()._unserialize(codegen, state)

    @deferred()
    def get_pointer_to_function(self, name):
        if not self._finalized and not self._defines(name):
            return 0
        return super().get_pointer_to_function(name)

    def _defines(self, name):
        try:
            return not self._final_module.get_function(name).is_declaration
        except NameError:
            return False


def _set_env(self, env_name, env):
    """Set the address of an environment, of code that has an address itself."""
    if self._engine.get_global_value_address(env_name):
        _set_env_at(self, env_name, env)


def _call_template(self, args, kws):
    """Let implementations that are Numba's own be parts, from their first call on."""
    if self.py_func.__module__.partition(".")[0] != "numba":
        return _call_template_of_whole(self, args, kws)
    as_part(self)
    return self.get_call_template(args, kws)


_set_env_at, _call_template_of_whole = JITCPUCodegen.set_env, Dispatcher.get_call_template
_CHANGES: tuple[tuple[Any, str, Any], ...] = (
    (JITCPUCodegen, "set_env", _set_env),
    (JITCPUCodegen, "_library_class", _Library),
    (Dispatcher, "get_call_template", _call_template),
    # An exception within would end the generators of what Numba knows, and with them every later compilation.
    (BaseContext, "refresh", deferred()(BaseContext.refresh)),
    (typing.BaseContext, "refresh", deferred()(typing.BaseContext.refresh)),
    *CHANGES,
)
_before: list[Any] = []
_depth = 0


@contextmanager
def within() -> Iterator[None]:
    """Compile a function of this package: Numba's classes are changed for as long, and nobody else compiles meanwhile."""
    global _depth
    with global_compiler_lock:
        if _depth == 0:
            _before[:] = [vars(owner).get(name) for owner, name, _ in _CHANGES]
            for owner, name, value in _CHANGES:
                setattr(owner, name, value)
        _depth += 1
        try:
            yield
        finally:
            _depth -= 1
            if _depth == 0:
                for (owner, name, _), value in zip(_CHANGES, _before):
                    setattr(owner, name, value) if value is not None else delattr(owner, name)


def as_part(dispatcher: Any) -> None:
    """Let a function be a part wherever code compiled `within` calls it; elsewhere it is compiled as ever."""
    own = dispatcher._compiler
    options = dict(own.targetoptions, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    compiler = type(own)(own.py_func, own.targetdescr, options, own.locals, own.pipeline_class)
    parts: dict[Any, Any] = {}

    def compile_part(arguments):
        details = {"dispatcher": dispatcher, "args": arguments, "return_type": None}
        with dispatcher._compiling_counter, trigger_event("numba:compile", data=details):
            try:
                return compiler.compile(arguments, None)
            except ForceLiteralArg as error:
                raise error.bind_fold_arguments(lambda args, kws: compiler.fold_argument_types(args, kws)[1]) from None

    def get_call_template(arguments, keywords):
        if not _depth:
            return _call_template_of_whole(dispatcher, arguments, keywords)
        signature, arguments = compiler.fold_argument_types(arguments, keywords)
        arguments = tuple(arguments)
        with global_compiler_lock:
            if arguments not in parts:
                parts[arguments] = compile_part(arguments)
            signatures = [part.signature for part in parts.values()]
        name = dispatcher.py_func.__name__
        template = typing.make_concrete_template(f"CallTemplate({name})", key=name, signatures=signatures)
        return template, signature, arguments, {}

    def get_overload(signature):
        if not _depth:
            return type(dispatcher).get_overload(dispatcher, signature)
        arguments, _ = sigutils.normalize_signature(signature)
        return parts[tuple(arguments)].entry_point

    dispatcher.get_call_template, dispatcher.get_overload = get_call_template, get_overload
