"""A definition states what a study computes, in a form that can be hashed, stored and compared.

A study's identity is the name of its function, the version that the user gives it, the names of its axes, its
fixed parameters and the root of its random streams.  The key of a point is a hash of that identity and of the
point's own values, so that points of two definitions can never be taken for each other, and a finer grid finds
the points of the coarser one.  The code of the function stands beside the identity: it is compared, and a change
is reported in words, but it is no part of the keys.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import itertools
import json
import textwrap
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.problem import Description

FORMAT = 1


def canonical(value: Any, name: str = "value") -> Any:
    """Return the JSON-ready form of `value` in which equal values are equal text and no bit of a float is lost."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return {"float": value.hex()}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple):
        return [canonical(item, name) for item in value]
    if isinstance(value, Mapping):
        return {
            "mapping": sorted(
                ([canonical(key, name), canonical(item, name)] for key, item in value.items()), key=text_of
            )
        }
    if isinstance(value, Description):
        arrays: dict[str, np.ndarray] = {}
        plain = value.to_plain(arrays)
        return {"description": json.dumps(plain, sort_keys=True), "arrays": canonical(arrays, name)}
    if type(value).__module__.startswith("xarray") and getattr(value, "ndim", 1) == 0:
        return canonical(value.values[()], name)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufUS":
        content = hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).hexdigest()
        return {"array": content, "shape": list(value.shape), "dtype": value.dtype.str}
    raise TypeError(
        f"Argument `{name}` of type {type(value).__name__} cannot be part of a study's key: pass numbers, words, arrays or problems."
    )


def text_of(plain: Any) -> str:
    """Return the one JSON text of a canonical value."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclasses.dataclass(frozen=True)
class Definition:
    """What a study computes: identity (all fields but `code`) and code.

    Attributes
    ----------
    function, version : str
    axes : tuple of str
        The names of the axes, sorted: their order is a matter of presentation.
    parameters : dict
        Canonical forms by name.
    root : dict or None
        The root of the random streams; None where the function takes no `rng`.
    code : dict
        One digest or value for the function and for every name of its own module that it uses.
    """

    function: str
    version: str
    axes: tuple[str, ...]
    parameters: dict[str, Any]
    root: dict[str, Any] | None
    code: dict[str, str]

    def plain(self) -> dict[str, Any]:
        return {"format": FORMAT, **dataclasses.asdict(self), "axes": list(self.axes)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Definition:
        """Rebuild a definition; KeyError, TypeError or ValueError if `plain` is not one."""
        if plain["format"] != FORMAT:
            raise ValueError(f"format {plain['format']!r} is unknown to this version")
        code = {str(name): str(value) for name, value in dict(plain["code"]).items()}
        axes = tuple(str(name) for name in plain["axes"])
        return cls(str(plain["function"]), str(plain["version"]), axes, dict(plain["parameters"]), plain["root"], code)

    @property
    def identity(self) -> bytes:
        plain = self.plain()
        del plain["code"]
        return hashlib.blake2b(text_of(plain).encode(), digest_size=16).digest()

    def identity_changes(self, now: Definition) -> list[str]:
        """Return what differs between the stored identity and the one of now, in words."""
        changes = []
        for field, words in (("function", "the function"), ("version", "the version")):
            before, after = getattr(self, field), getattr(now, field)
            if before != after:
                changes.append(f"{words} was {before!r} and is {after!r}")
        if self.axes != now.axes:
            changes.append(f"the axes were {', '.join(self.axes)} and are {', '.join(now.axes)}")
        for name in sorted({*self.parameters, *now.parameters}):
            before, after = self.parameters.get(name, "absent"), now.parameters.get(name, "absent")
            if before != after:
                changes.append(f"the parameter `{name}` was {_shown(before)} and is {_shown(after)}")
        if self.root != now.root:
            changes.append(
                f"the root of the random streams (`rng`) was {_shown_root(self.root)} and is {_shown_root(now.root)}"
            )
        return changes

    def code_changes(self, now: Definition) -> list[str]:
        """Return what differs between the stored code and the code of now, in words."""
        changes = []
        for name in sorted({*self.code, *now.code}):
            before, after = self.code.get(name), now.code.get(name)
            if before == after:
                continue
            if before is None or after is None:
                changes.append(f"`{name}` is {'no longer' if after is None else 'newly'} used")
            elif before.startswith("code ") or after.startswith("code "):
                changes.append(f"the code of `{name}` changed")
            else:
                changes.append(
                    f"the {'value' if name.startswith('self.') or name.endswith('=') else 'global value'} `{name}` was {before} and is {after}"
                )
        return changes

    def point_keys(self, axes: Mapping[str, Sequence[Any]], repeats: int) -> list[bytes]:
        """Return the key of every point of a grid, repeats innermost, in the order of the axes given."""
        base = hashlib.blake2b(self.identity, digest_size=16)
        names = list(axes)
        tokens = [[text_of([name, canonical(value)]) for value in values] for name, values in axes.items()]
        order = sorted(range(len(names)), key=lambda i: names[i])
        keys = []
        for chosen in itertools.product(*tokens):
            start = base.copy()
            start.update("".join([chosen[i] for i in order]).encode())
            for repeat in range(repeats):
                point = start.copy()
                point.update(b"%d" % repeat)
                keys.append(point.digest())
        return keys


def generator(key: bytes) -> np.random.Generator:
    """Return the random stream of a point: a function of its key and of nothing else."""
    return np.random.default_rng(np.random.SeedSequence(int.from_bytes(key, "little")))


def _shown(plain: Any) -> str:
    if isinstance(plain, dict) and set(plain) == {"float"}:
        return repr(float.fromhex(plain["float"]))
    shown = text_of(plain)
    return shown if len(shown) < 80 else shown[:77] + "..."


def _shown_root(root: dict[str, Any] | None) -> str:
    return "absent" if root is None else "-".join(map(str, [*root["entropy"], *root["spawn_key"]]))


def unwrap(function: Callable[..., Any]) -> tuple[Any, dict[str, Any]]:
    """Return the plain function behind partials and compiled functions, and the arguments that partials fix."""
    import functools

    fixed: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        if function.args:
            raise TypeError(
                "A study's function may be a functools.partial with keywords, but not with positional arguments."
            )
        fixed = {**function.keywords, **fixed}
        function = function.func
    return getattr(function, "py_func", function), fixed


def function_name(function: Any) -> str:
    """Return the name of a function without the place where it was defined."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).rpartition("<locals>.")[2]


def code_of(function: Any) -> dict[str, str]:
    """Return digests of the code that `function` runs in its own module, and the plain values that it reads there.

    Comments, layout and docstrings do not count.  Imported packages do not either: their versions are in the
    provenance.  What cannot be read (a function typed at a prompt) is described by its byte code.
    """
    home = getattr(function, "__module__", None)
    if str(home).startswith("flowlimits."):
        return {}  # the function of a TOML study: this package is known by its version, too
    found = _state_of(function)
    pending = [(function_name(function), function)]
    while pending:
        name, item = pending.pop()
        if name in found:
            continue
        item = getattr(item, "py_func", item)
        if isinstance(item, types.FunctionType | types.MethodType | type):
            found[name] = "code " + _code_digest(item)
            pending += _names_used(item, home)
        elif item is function:
            found[name] = "code " + _code_digest(type(item))
            pending += _names_used(type(item), home)
        else:
            try:
                found[name] = _shown(canonical(item))
            except TypeError:
                continue
    return dict(sorted(found.items()))


def _state_of(function: Any) -> dict[str, str]:
    """Return the plain values that a function carries: its defaults, and what the object holds whose method it is."""
    owner = getattr(function, "__self__", None if isinstance(function, types.FunctionType | type) else function)
    held = {f"self.{name}": value for name, value in getattr(owner, "__dict__", {}).items()}
    plain = getattr(function, "__func__", function)
    if isinstance(plain, types.FunctionType):
        parameters = inspect.signature(plain).parameters.values()
        held |= {f"{p.name}=": p.default for p in parameters if p.default is not p.empty}
    shown = {}
    for name, value in held.items():
        try:
            shown[name] = _shown(canonical(value))
        except TypeError:
            continue
    return shown


def _code_digest(item: Any) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(item)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return hashlib.blake2b(_bytecode(getattr(item, "__code__", None)), digest_size=8).hexdigest()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:]  # type: ignore[attr-defined]
    return hashlib.blake2b(ast.dump(tree).encode(), digest_size=8).hexdigest()


def _bytecode(code: Any) -> bytes:
    if code is None:
        return b""
    constants = [_bytecode(c) if isinstance(c, types.CodeType) else repr(c).encode() for c in code.co_consts]
    return b"|".join([code.co_code, repr(code.co_names).encode(), *constants])


def _names_used(item: Any, home: str | None) -> list[tuple[str, Any]]:
    """Return the (name, value) of closure cells and of the globals of its own module that `item` refers to."""
    functions = (
        [item]
        if not isinstance(item, type)
        else [value for value in vars(item).values() if isinstance(value, types.FunctionType)]
    )
    used: dict[str, Any] = {}
    for function in functions:
        function = inspect.unwrap(getattr(function, "__func__", function))
        code = getattr(function, "__code__", None)
        if code is None:
            continue
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            try:
                used[name] = cell.cell_contents
            except ValueError:
                continue
        for name in global_names(code):
            if name in function.__globals__:
                used[name] = function.__globals__[name]
    plain = (bool, int, float, str, list, tuple, dict, np.ndarray, np.generic, Description)
    return [
        (name, value)
        for name, value in used.items()
        if isinstance(value, plain) or getattr(value, "__module__", None) == home
    ]


def global_names(code: types.CodeType) -> set[str]:
    """Return the names of globals and attributes that a function, or a function inside it, uses."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= global_names(constant)
    return names
