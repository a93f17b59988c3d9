"""The cache of compiled functions, and life without one."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import numpy as np
import pytest

import flowlimits
from flowlimits.compiled import cache as _cache
from flowlimits.compiled import jit as _jit
from flowlimits.compiled import linking
from flowlimits.ode.batch import loop as lanes
from flowlimits.ode.batch import steps

PACKAGE = Path(flowlimits.__file__).parent


def run(code, folder, **environment):
    """Run a script in a fresh process; return what it prints."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code))
    return run_again(script, **environment)


def run_again(script, *arguments, **environment):
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    kept |= {"PYTHONPATH": str(PACKAGE.parent), "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


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
    first = run(code, tmp_path, HOME=str(tmp_path), **cache_of_this_process())
    second = run_again(tmp_path / "script.py", HOME=str(tmp_path), **cache_of_this_process())
    assert first[:2] == ["0", "1"]
    assert second[:2] == ["1", "1"]
    assert first[2] == second[2]
    assert len(second) == 3


def test_functions_and_callbacks_are_compiled_when_they_are_wanted():
    @_jit.jit(_jit.FLOAT(_jit.FLOAT))
    def double(x):
        return 2.0 * x

    @_jit.jit(_jit.FLOAT(_jit.A1))
    def doubled_sum(values):
        return double(values.sum())

    @_jit.callback(_jit.EVENT_SIGNATURE)
    def event(t, y, params, work):
        return double(y[0])

    assert not double.overloads
    assert not doubled_sum.overloads
    for wrong in (np.ones(2, dtype=np.int64), np.ones((2, 2)), 1.0):
        with pytest.raises(TypeError, match="No matching definition"):
            doubled_sum(wrong)
    assert doubled_sum(np.ones(2)) == 4.0
    assert double(3) == 6.0
    assert len(double.overloads) == len(doubled_sum.overloads) == 1
    assert event._wrapper_address is None
    assert _jit.compile_now(event) == event.address != 0
    assert _jit.compile_now(3) is None


@pytest.mark.skipif(_jit.INTERPRETED, reason="nothing is compiled")
def test_helpers_become_machine_code_with_their_callers_and_alone_only_for_python(monkeypatch):
    made = []

    class Finalised(linking._Library):
        def finalize(self):
            made.append(self.name.rpartition(".")[2])
            super().finalize()

    @_jit.jit
    def deepest(x):
        return np.array([x, 2.0 * x]).sum()

    @_jit.jit
    def never(x):
        # The compiler sees that nothing happens here, and links nothing of it.
        for _ in range(0):
            x = deepest(x)
        return x

    @_jit.jit
    def double(x, shift=1.0):
        return max(deepest(x), never(x)) - x + shift

    @_jit.jit(_jit.FLOAT(_jit.FLOAT))
    def first(x):
        return never(x) + double(x)

    @_jit.jit(_jit.FLOAT(_jit.FLOAT))
    def second(x):
        return double(x, 2.0) + first(x)

    changes = [(*one[:2], Finalised if one[2] is linking._Library else one[2]) for one in linking._CHANGES]
    monkeypatch.setattr(linking, "_CHANGES", changes)
    assert (first(3.0), second(3.0)) == (10.0, 18.0)
    assert made == ["first", "second"]
    assert not double.overloads
    assert (double(3.0), double(3.0, 0.0)) == (7.0, 6.0)
    assert "double" not in made  # compiled by Numba as it is


@pytest.mark.skipif(_jit.INTERPRETED, reason="nothing is compiled")
def test_what_a_user_compiles_is_compiled_by_numba_as_it_is():
    """Functions of both use the same of Numba's own implementations and helpers, in either order."""

    def classes():
        return [vars(owner).get(name) for owner, name, _ in linking._CHANGES]

    @_jit.jit
    def helper(x):
        return np.array([x, 2.0 * x]).sum() + max(x, 1.0)

    @_jit.jit(_jit.FLOAT(_jit.FLOAT))
    def ours(x):
        return helper(x) + np.ones(3).sum()

    def theirs(x):
        return helper(x) + np.ones(3).sum() + np.arange(4.0).sum()

    plain = classes()
    assert linking._Library not in plain
    before = numba.njit(theirs)(3.0)
    assert ours(3.0) == 15.0
    assert classes() == plain
    after = numba.njit(lambda x: theirs_compiled(x) + helper(x))
    theirs_compiled = numba.njit(theirs)
    assert (before, after(3.0)) == (21.0, 33.0)
    whole = theirs_compiled.overloads[(numba.types.float64,)].library
    assert type(whole) is linking.JITCodeLibrary

    @_jit.jit(_jit.FLOAT(_jit.FLOAT))
    def ours_again(x):
        return helper(x) + np.arange(4.0).sum() + np.ones(3).sum()

    assert ours_again(3.0) == 21.0


@pytest.mark.slow
def test_the_first_use_compiles_no_more_functions_than_it_needs(tmp_path):
    code = """
        import flowlimits as fl
        from flowlimits.compiled import linking

        names = []
        finalize = linking._Library.finalize

        def counted(self):
            names.append(self.name.rpartition(".")[2])
            finalize(self)

        linking._Library.finalize = counted
        problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
        problem.solve([0.1, 0.2])
        problem.simulate([0.1, 0.2], dimension=40, runs=2, rng=0, progress=False)
        print(*names)
    """
    names = run(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert len([name for name in names if name != "nrt"]) <= 11, names


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
    assert run(code, tmp_path, **environment) == ["2.0", "0"]
    assert run_again(tmp_path / "script.py", **environment) == ["2.0", "1"]
    # Of another length: Python itself takes a file of the same second and size for unchanged.
    (tmp_path / "helper.py").write_text(
        "from flowlimits.compiled.jit import jit\n\n@jit\ndef rate(y):\n    return 3.0 * y + 0.0\n"
    )
    assert run_again(tmp_path / "script.py", **environment) == ["3.0", "0"]


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
    assert run(code, tmp_path, **environment) == ["42.0", "True"]


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
    assert run(code, tmp_path, **environment) == ["42.0"]


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
    assert run(code, tmp_path, **copy_without_caches(tmp_path)) == ["0.367879", "0.367879"]


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
    assert run(code, tmp_path, **environment) == ["42.0", "0"]
    for path in (tmp_path / "cache").rglob("*.nb?"):
        path.write_bytes(path.read_bytes()[:20])
    assert run_again(tmp_path / "script.py", **environment) == ["42.0", "0"]


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
    found = [run_again(tmp_path / "script.py", *c, **environment) for c in (["first"], ["second"], ["first", "second"])]
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


def test_strict_floating_point_rules_and_no_gil():
    @_jit.jit(_jit.FLOAT(_jit.FLOAT))
    def divide(x):
        return x / 0.0 - x / 0.0

    assert np.isnan(divide(1.0))
    assert divide.targetoptions["nogil"]
    assert "fastmath" not in divide.targetoptions


def test_matrix_products_compile_though_scipy_linalg_is_loaded_late():
    """Numba is kept from importing `scipy.linalg` at its start; products of matrices must find it when they need it."""
    code = (
        "import sys, numpy as np, numba\n"
        "from flowlimits.compiled.jit import jit\n"
        "@jit\n"
        "def plus(x): return x + 1.0\n"
        "assert plus(1.0) == 2.0 and 'scipy.linalg' not in sys.modules\n"
        "@numba.njit\n"
        "def product(A, B): return A @ B, np.dot(A, B), np.linalg.solve(A, B)\n"
        "A = np.array([[2.0, 1.0], [0.0, 3.0]])\n"
        "B = np.array([[1.0, 4.0], [5.0, 2.0]])\n"
        "first, second, third = product(A, B)\n"
        "assert np.array_equal(first, A.dot(B)) and np.array_equal(second, first) and np.allclose(A.dot(third), B)\n"
        "assert 'scipy.linalg' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


@pytest.mark.slow
def test_a_numba_of_other_insides_compiles_all_the_same(tmp_path):
    code = """
        import numba.core.codegen

        del numba.core.codegen.JITCodeLibrary
        import flowlimits as fl

        print(f"{float(fl.Committee([[0.5]], [[0.1]], [[1.0]]).solve([1.0])['risk'][0]):.12f}")
    """
    import flowlimits as fl

    expected = float(fl.Committee([[0.5]], [[0.1]], [[1.0]]).solve([1.0])["risk"][0])
    assert run(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path)) == [f"{expected:.12f}"]


@pytest.mark.skipif(_jit.INTERPRETED, reason="nothing is compiled")
def test_an_interrupt_that_was_dropped_while_machine_code_was_written_is_raised():
    """LLVM hands the code to a callback, where Python drops exceptions: an error of Numba's followed, that there is no code."""

    @_jit.jit(_jit.FLOAT(_jit.FLOAT))
    def double(x):
        return 2.0 * x

    save = double._cache.save_overload

    def as_after_an_interrupt(signature, result):
        result.library._compiled_object = None
        save(signature, result)

    double._cache.save_overload = as_after_an_interrupt
    with pytest.raises(KeyboardInterrupt):
        double(1.0)
    assert double(1.5) == 3.0
