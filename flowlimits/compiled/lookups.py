"""What Numba finds again and again while it types: the meaning of an operator, and the flags of a compilation.

Numba asks some twenty templates what `*` means for two numbers, anew at each place where it stands, and lists the values of all flags, one attribute
at a time, whenever it looks for an implementation.  Both answers are kept here; they are a fifth of the time of a compilation.
"""

import operator
from typing import Any

from numba.core import types
from numba.core.targetconfig import ConfigStack, TargetConfig
from numba.core.types.functions import BaseFunction

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
