"""The cache of compiled functions, and life without one."""

import os
import shutil
import textwrap

import fresh_process
import numpy as np
import pytest
from fresh_process import PACKAGE

from flowlimits.compiled import cache as _cache
from flowlimits.compiled import jit as _jit
from flowlimits.ode.batch import loop as lanes
from flowlimits.ode.batch import steps


def cache_of_this_process():
    return {"NUMBA_CACHE_DIR": os.environ["NUMBA_CACHE_DIR"]} if "NUMBA_CACHE_DIR" in os.environ else {}


def test_user_functions_and_loops_come_from_the_cache_of_the_first_process(tmp_path):
    from flowlimits.ode import explicit_loop

    _jit.compile_now(explicit_loop.advance)  # unless an earlier process did
    code = """
        import flowlimits as fl
        from flowlimits.ode import explicit_loop as explicit

        @fl.ode.right_hand_side
        def decay(t, y, dy, params, work):
            dy[0] = -params[0] * y[0]

        _, states, _ = fl.ode.integrate(decay, [1.0], [1.0], [1.0])
        print(decay.function.cache_hits, sum(explicit.advance.stats.cache_hits.values()), states[0, 0])
        import sys
        print(*[name for name in ("scipy.integrate", "scipy.optimize", "matplotlib", "xarray") if name in sys.modules])
    """
    first = fresh_process.run(code, tmp_path, HOME=str(tmp_path), **cache_of_this_process())
    second = fresh_process.run_again(tmp_path / "script.py", HOME=str(tmp_path), **cache_of_this_process())
    assert first[:2] == ["0", "1"]
    assert second[:2] == ["1", "1"]
    assert first[2] == second[2]
    assert len(second) == 3


def test_a_change_in_a_callee_of_another_file_is_noticed(tmp_path):
    (tmp_path / "helper.py").write_text(
        "from flowlimits.compiled.jit import jit\n\n@jit\ndef rate(y):\n    return 2.0 * y\n"
    )
    code = """
        from helper import rate
        from flowlimits.compiled.jit import RHS_SIGNATURE, callback, call_rhs, jit, A1, ADDRESS
        import numpy as np

        @callback(RHS_SIGNATURE)
        def f(t, y, dy, params, work):
            dy[0] = rate(y[0])

        @jit(_ := __import__("numba").types.void(ADDRESS, A1, A1))
        def call(address, y, dy):
            call_rhs(address, 0.0, y, dy, y, y)

        dy = np.zeros(1)
        call(f.address, np.ones(1), dy)
        print(dy[0], f.cache_hits)
    """
    environment = {"HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert fresh_process.run(code, tmp_path, **environment) == ["2.0", "0"]
    assert fresh_process.run_again(tmp_path / "script.py", **environment) == ["2.0", "1"]
    # Of another length: Python itself takes a file of the same second and size for unchanged.
    (tmp_path / "helper.py").write_text(
        "from flowlimits.compiled.jit import jit\n\n@jit\ndef rate(y):\n    return 3.0 * y + 0.0\n"
    )
    assert fresh_process.run_again(tmp_path / "script.py", **environment) == ["3.0", "0"]


def test_what_lies_behind_functions_of_vectors_is_in_the_key(monkeypatch):
    """`velocity` calls compiled functions only where it is compiled itself."""
    key = _cache._fingerprint(lanes.attempt.py_func)
    assert _cache._fingerprint(lanes.attempt.py_func) == key
    monkeypatch.setattr(steps, "SHIFTED", 99)
    assert _cache._fingerprint(lanes.attempt.py_func) != key


@pytest.mark.parametrize("place", ["nowhere", "full"])
def test_functions_compile_without_any_place_for_a_cache(tmp_path, place):
    # Root may write everywhere, so the places are blocked by files where folders should be.
    (tmp_path / "__pycache__").write_text("")
    (tmp_path / "file").write_text("")
    blocked = str(tmp_path / "file" / "below")
    environment = {"HOME": blocked, "XDG_CACHE_HOME": blocked, "PYTHONDONTWRITEBYTECODE": "1"}
    fill = ""
    if place == "nowhere":
        environment["NUMBA_CACHE_DIR"] = blocked
    else:
        # Writing fails after the folder was found writable, as on a full disk.
        environment["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
        fill = """
        from numba.core.caching import IndexDataCacheFile

        def full(self, *arguments):
            raise OSError(28, "No space left on device")

        IndexDataCacheFile.save = full
        """
    code = textwrap.dedent(fill) + textwrap.dedent("""
        from flowlimits.compiled.jit import RHS_SIGNATURE, callback, jit
        import numba

        @jit
        def helper(x):
            return 2 * x

        @jit(numba.float64(numba.float64))
        def double(x):
            return helper(x)

        @callback(RHS_SIGNATURE)
        def f(t, y, dy, params, work):
            dy[0] = helper(y[0])

        print(double(21.0), f.address != 0)
        """)
    assert fresh_process.run(code, tmp_path, **environment) == ["42.0", "True"]


def copy_without_caches(tmp_path):
    """Copy the package so that neither it nor the home can hold a cache; return the environment for it."""
    copy = tmp_path / "flowlimits"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.nb?"))
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").write_text("")
    blocked = str(copy / "__init__.py" / "below")
    environment = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), blocked)
    return environment | {"PYTHONPATH": str(tmp_path), "COPY": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}


def test_modules_of_a_package_that_cannot_be_written_compile(tmp_path):
    environment = copy_without_caches(tmp_path)
    (tmp_path / "flowlimits" / "probe.py").write_text(
        "from .compiled.jit import FLOAT, jit\n\n@jit(FLOAT(FLOAT))\ndef double(x):\n    return 2 * x\n"
    )
    code = """
        import os
        from flowlimits.probe import double
        import flowlimits
        assert flowlimits.__file__.startswith(os.environ["COPY"])
        print(double(21.0))
    """
    assert fresh_process.run(code, tmp_path, **environment) == ["42.0"]


@pytest.mark.slow
def test_a_package_that_cannot_be_written_integrates(tmp_path):
    code = """
        import flowlimits as fl

        @fl.ode.right_hand_side
        def decay(t, y, dy, params, work):
            dy[0] = -y[0]

        for method in ("dop853", "radau"):
            print(round(fl.ode.integrate(decay, [1.0], [1.0], method=method)[1][0, 0], 6))
    """
    assert fresh_process.run(code, tmp_path, **copy_without_caches(tmp_path)) == ["0.367879", "0.367879"]


def test_a_damaged_cache_is_compiled_over(tmp_path):
    code = """
        from flowlimits.compiled.jit import jit
        import numba

        @jit(numba.float64(numba.float64))
        def double(x):
            return 2 * x

        print(double(21.0), sum(double.stats.cache_hits.values()))
    """
    environment = {"HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert fresh_process.run(code, tmp_path, **environment) == ["42.0", "0"]
    for path in (tmp_path / "cache").rglob("*.nb?"):
        path.write_bytes(path.read_bytes()[:20])
    assert fresh_process.run_again(tmp_path / "script.py", **environment) == ["42.0", "0"]


def test_functions_of_one_name_from_two_processes_stay_apart(tmp_path):
    """Closures share a name; each compiled by a process of its own, a third must not take one for both."""
    term = "s += math.sin(i * c + {0}) * math.exp(i * c - {0}) + math.tan(i + c * {0})"
    long = "; ".join(term.format(float(k)) for k in range(24))
    code = f"""
        import math, sys
        from numba import float64
        from flowlimits.compiled.jit import jit

        def make(c):
            @jit
            def helper(x):
                s = 0.0
                for i in range(int(x)):
                    {long}  # so long that it is called, and not copied into its callers
                return c + 1e-300 * s
            return helper

        one, two = make(1.0), make(2.0)
        if "first" in sys.argv:
            @jit(float64(float64))
            def first(x):
                return {" + ".join(f"one(x + {k})" for k in range(8))}
            print(first(3.0), sum(first.stats.cache_hits.values()))
        if "second" in sys.argv:
            @jit(float64(float64))
            def second(x):
                return {" + ".join(f"two(x + {k})" for k in range(8))}
            print(second(3.0), sum(second.stats.cache_hits.values()))
    """
    environment = {"HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "script.py").write_text(textwrap.dedent(code))
    found = [
        fresh_process.run_again(tmp_path / "script.py", *c, **environment)
        for c in (["first"], ["second"], ["first", "second"])
    ]
    assert found == [["8.0", "0"], ["16.0", "0"], ["8.0", "1", "16.0", "1"]]


@pytest.mark.parametrize("kind", [int, float, np.int64, np.float32, np.bool_, lambda value: (np.int64(value),)])
def test_a_changed_constant_is_another_function(kind):
    def reads(value):
        scope = {"CONSTANT": kind(value), "__name__": __name__}
        exec("def reads(x):\n    return x * CONSTANT", scope)
        return _cache._fingerprint(scope["reads"])

    assert reads(0) == reads(0) != reads(1)


def test_other_rules_of_arithmetic_are_another_function():
    def reads(rules):
        scope = {"helper": _jit.jit(**rules)(lambda x: x + 1.0), "__name__": __name__}
        exec("def reads(x):\n    return helper(x)", scope)
        return _cache._fingerprint(scope["reads"])

    if not _jit.INTERPRETED:
        keys = [reads(rules) for rules in ({}, {"fastmath": {"contract"}}, {"fastmath": {"contract", "nsz"}})]
        assert len(set(keys)) == 3
        assert reads({"fastmath": {"nsz", "contract"}}) == keys[2]


def test_two_processes_that_save_at_once_do_not_take_each_others_files(tmp_path, monkeypatch):
    def files():
        return _cache._DiskCache(_jit.is_callback)._cache_file

    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    first, second = files(), files()
    real, begun = os.replace, []

    def replace(source, target):
        """Both have read what is there; the files of the first are there before those of the second."""
        begun.append((source, target))
        if len(begun) == 1:
            second.save(("second",), "code of the second")
            return
        if len(begun) == 2:
            real(*begun[0])
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    first.save(("first",), "code of the first")
    third = files()
    assert third.load(("first",)) == "code of the first"
    assert third.load(("second",)) == "code of the second"
    assert third.load(("third",)) is None


def test_a_changed_byte_of_the_cache_is_noticed_and_old_files_go(tmp_path):
    files = _cache._Files(tmp_path, "module.function-1.py311", "source of today")
    files.save(("key",), list(range(100)))
    files.save(("other",), "other")
    (path,) = (one for one in tmp_path.iterdir() if one == files._path(("key",)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert files.load(("key",)) is None
    assert files.load(("other",)) == "other"
    (tmp_path / "module.function-1.py311.nbi").write_bytes(b"index of Numba")
    (tmp_path / "module.function-1.py311.1.nbc").write_bytes(b"code of Numba")
    (tmp_path / "module.function-11.py311.1.nbc").write_bytes(b"another function")
    later = _cache._Files(tmp_path, "module.function-1.py311", "source of tomorrow")
    later.save(("key",), "new")
    assert later.load(("key",)) == "new"
    assert sorted(tmp_path.iterdir()) == sorted([later._path(("key",)), tmp_path / "module.function-11.py311.1.nbc"])
