"""Numba's disk cache with the callees of a function in its key, walkers over code that find them."""

from __future__ import annotations

import dis
import functools
import glob
import hashlib
import inspect
import os
import pickle
import secrets
import sys
import types
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import FunctionCache, NullCache
from numba.core.ccallback import CFunc
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

from .announce import missed
from .beside import brings


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield a code object and those of the functions defined in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from codes(one)


def instructions(code: types.CodeType) -> Iterator[dis.Instruction]:
    """Yield the instructions of a code object and of the functions defined in it."""
    for one in codes(code):
        yield from dis.get_instructions(one)


def outside(function: Any) -> dict[str, Any]:
    """Return what a function finds outside itself: globals, and variables of the functions around it."""
    cells = dict(zip(function.__code__.co_freevars, (cell.cell_contents for cell in function.__closure__ or ())))
    return {**function.__globals__, **cells}


@functools.lru_cache(maxsize=1024)
def names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Return the names of globals and outer variables, and all other names: of attributes, of imports."""
    outer, others = set(code.co_freevars), set()
    for one in codes(code):
        for instruction in dis.get_instructions(one):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                outer.add(instruction.argval)
            elif (
                isinstance(instruction.argval, str)
                and instruction.argval in one.co_names
                and instruction.opname != "LOAD_CONST"
            ):
                others.add(instruction.argval)
    return outer, others


def returns_a_value(function: Any) -> bool:
    """Return whether the code of a function holds a return of anything but None."""
    found = list(dis.get_instructions(function))
    for before, instruction in zip([None, *found], found):
        if instruction.opname == "RETURN_CONST" and instruction.argval is not None:
            return True
        if (
            instruction.opname == "RETURN_VALUE"
            and before is not None
            and not (before.opname == "LOAD_CONST" and before.argval is None)
        ):
            return True
    return False


#: How every function is compiled.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

#: What reading a file of the cache may raise.
_DAMAGED = (EOFError, ImportError, AttributeError, pickle.UnpicklingError)


@functools.cache
def _compiler() -> str:
    """Return the digest of the modules of this folder, which say how functions are compiled: what others made is not found."""
    return _hashed(*(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))


class _Names:
    """Numbers that tell functions of one name apart in the symbols of machine code; drawn, since Numba's own count from one.

    Two processes count alike, so two different functions that share a qualified name (closures; Numba's own implementations)
    get one symbol if each is compiled in a process of its own.  The linker of a third process, which loads both from the cache,
    takes the first for both: a wrong number without a word.
    """

    def __next__(self) -> int:
        return secrets.randbits(62)


FunctionIdentity._unique_ids = _Names()  # type: ignore[assignment]


class _Files:
    """One file per function, signature, processor and source; its name says which, so there is no index to be raced for.

    Numba numbers the files and lists them in an index, which is read, changed and written in three steps: of two processes,
    one may put its code under the number that the other has listed.
    """

    def __init__(self, folder, base, stamp):
        self._folder = Path(folder)
        self._base = base
        self._source = _hashed(_compiler(), numba.__version__, stamp)[:10]

    def _path(self, key):
        return self._folder / f"{self._base}.{self._source}.{_hashed(*key)[:24]}.nbc"

    def load(self, key):
        """Return what was saved under the key; None if nothing was, or if it is damaged."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        seal, data = content[:32], content[32:]
        return pickle.loads(data) if seal == hashlib.sha256(data).digest() else None

    def save(self, key, data):
        """Save under the key, at once or not at all, and remove what an older source or an older Numba left."""
        path = self._path(key)
        if not path.exists():
            self._remove_old()
        content = dumps(data)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _remove_old(self):
        for path in self._folder.glob(f"{glob.escape(self._base)}.*.nb[ci]"):
            if not path.name.startswith(f"{self._base}.{self._source}."):
                path.unlink(missing_ok=True)
        (self._folder / f"{self._base}.nbi").unlink(missing_ok=True)


class _DiskCache(FunctionCache):
    """Numba's disk cache, with the compiled callees in its key, and never a reason to fail."""

    def __init__(self, function):
        super().__init__(function)
        locator = self._impl.locator
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, locator.get_source_stamp())  # type: ignore[assignment]

    def _index_key(self, sig, codegen):
        return (*super()._index_key(sig, codegen), _fingerprint(self._py_func))

    def file(self, sig, codegen):
        return self._cache_file._path(self._index_key(sig, codegen))  # type: ignore[attr-defined]

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except (OSError, *_DAMAGED):
            return None

    def save_overload(self, sig, data):
        with suppress(OSError):
            super().save_overload(sig, data)


class LazyCache(NullCache):
    """The disk cache of a function, looked for when it is first needed; none where there is no place for one.

    Helpers that only compiled code calls are part of their callers' cache entry, and need none in a warm process.
    """

    def __init__(self, function, wanted=None):
        self._function, self.found = function, False
        #: The one signature, and the context for which it is compiled.
        self.wanted = wanted

    @functools.cached_property
    def _cache(self):
        try:
            return _DiskCache(self._function)
        except (RuntimeError, OSError):
            return NullCache()

    @property
    def cache_path(self):
        return self._cache.cache_path

    def file(self):
        """Return the path of the function of the one signature; None where it was found or compiled already, or nothing is kept."""
        if self.found or self.wanted is None or isinstance(self._cache, NullCache):
            return None
        return self._cache.file(self.wanted[0], self.wanted[1].codegen())

    def load_overload(self, sig, target_context):
        found = self._cache.load_overload(sig, target_context)
        if found is None:
            missed()
            if brings(self.file):
                found = self._cache.load_overload(sig, target_context)
        self.found = found is not None
        return found

    def save_overload(self, sig, data):
        library = data.library
        library._ensure_finalized()
        if library._object_caching_enabled and library._compiled_object is None:
            # Ctrl-C while LLVM writes machine code arrives in the callback that keeps it, where Python drops all exceptions.
            raise KeyboardInterrupt
        self.found = True
        self._cache.save_overload(sig, data)


def _hashed(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()


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
                if loose := getattr(value, "targetoptions", {}).get("fastmath"):
                    digest.update(f"{name}: {sorted(loose) if isinstance(loose, set) else loose}".encode())
            elif isinstance(value, types.FunctionType) and value.__module__.split(".")[0] == "flowlimits":
                # What it means inside compiled code is defined in its file, perhaps by compiled functions there.
                digest.update(_source(value.__module__))
                own = vars(sys.modules[value.__module__]).values()
                pending += [inspect.unwrap(one) for one in own if isinstance(one, Dispatcher | CFunc)]
            elif isinstance(value, bool | int | float | complex | str | tuple | np.generic):
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
