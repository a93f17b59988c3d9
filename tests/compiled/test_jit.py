"""What is compiled, when, and by which rules."""

import subprocess
import sys
from pathlib import Path

import fresh_process
import numba
import numpy as np
import pytest

from flowlimits.compiled import jit as _jit
from flowlimits.compiled import linking


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
    names = fresh_process.run(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert len([name for name in names if name != "nrt"]) <= 11, names


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
    assert fresh_process.run(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path)) == [f"{expected:.12f}"]


def test_draws_of_random_numbers_are_no_calls(tmp_path):
    """A call counts references to the generator, which takes longer than the draw."""
    code = (
        "import numba, numpy as np\n"
        "from flowlimits.committee.simulation.overlap_sgd import RNG\n"
        "from flowlimits.compiled.jit import jit\n"
        "@jit(numba.float64(RNG, numba.int64))\n"
        "def total(rng, count):\n"
        "    found = 0.0\n"
        "    for _ in range(count):\n"
        "        found += rng.standard_normal()\n"
        "    return found\n"
        "rng = np.random.default_rng(0)\n"
        "assert total(rng, 3) == sum(np.random.default_rng(0).standard_normal(3).tolist())\n"
        "text, = total.inspect_asm().values()\n"
        "assert 'total' in text and '_ZN5numba2np6random' not in text, text\n"
    )
    fresh_process.run(code, tmp_path)
