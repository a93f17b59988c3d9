"""A second process fills the cache, and nothing depends on it."""

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import flowlimits as fl
from flowlimits.compiled import beside as module
from flowlimits.compiled import cache, jit

pytestmark = pytest.mark.skipif(jit.INTERPRETED, reason="nothing is compiled")
MINE = """
from flowlimits.compiled.jit import EVENT_SIGNATURE, FLOAT, callback, jit

@jit(FLOAT(FLOAT))
def first(x):
    return x + 1.0

@jit(FLOAT(FLOAT))
def second(x):
    return 2.0 * x

@callback(EVENT_SIGNATURE)
def third(t, y, params, work):
    return 3.0 * t
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return three compiled functions of a module that nobody has compiled, and their cache."""
    name = f"mine_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module.multiprocessing, "parent_process", lambda: None)  # workers of the tests are some
    found = importlib.import_module(name)
    return [found.first, found.second, found.third]


def ended(process):
    """Wait for the end of a process that is ours, or whose parent was."""
    for _ in range(2000):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_all_is_brought_and_compiled_once(mine, monkeypatch):
    """This process claims one function, as it does when it needs it; the second process brings the others, and leaves that one."""
    files = [one._cache.file() for one in mine]
    with module.beside(mine, 2):
        assert not module.brings(lambda: files[0])
        assert module._Now.second.process.wait(60) == 0
        assert [path.exists() for path in files] == [False, True, True]
        assert not module.brings(lambda: files[0].with_name("another"))
        assert mine[2].address
        assert mine[2].cache_hits == 1
    assert [mine[0](1.0), mine[1](1.0)] == [2.0, 2.0]
    assert [sum(one.stats.cache_hits.values()) for one in mine[:2]] == [0, 1]
    assert module._Now.second is None


def test_a_package_in_the_working_directory_is_not_taken(mine, tmp_path, monkeypatch):
    """README's first command runs in a clone, with the package that is installed."""
    (tmp_path / "clone" / "flowlimits").mkdir(parents=True)
    (tmp_path / "clone" / "flowlimits" / "__init__.py").write_text("raise ImportError")
    monkeypatch.chdir(tmp_path / "clone")
    with module.beside(mine, 2):
        assert module._Now.second.process.wait(60) == 0
    assert all(one._cache.file().exists() for one in mine)


@pytest.mark.skipif(sys.platform != "linux", reason="stops a process and looks for it")
@pytest.mark.parametrize("when", ["before", "waiting"])
def test_what_a_killed_process_had_claimed_is_compiled_here(mine, when):
    with module.beside(mine, 2):
        second = module._Now.second
        os.kill(second.process.pid, signal.SIGSTOP)
        for one in mine:
            assert module.claim(second.folder, one._cache.file())
        if when == "before":
            second.process.kill()
        else:
            threading.Timer(0.3, second.process.kill).start()
        assert [mine[0](1.0), mine[1](1.0), mine[2].address != 0] == [2.0, 2.0, True]
    assert [sum(one.stats.cache_hits.values()) for one in mine[:2]] == [0, 0]


def test_no_process_where_it_would_be_of_no_use(mine, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a process was started")

    monkeypatch.setattr(module.subprocess, "Popen", refuse)
    with module.beside(mine, 1), module.beside(mine[:1], 2), module.beside([], 2):
        pass
    with monkeypatch.context() as patch:
        patch.setattr(module.multiprocessing, "parent_process", lambda: "a parent")
        with module.beside(mine, 2):
            pass
    with monkeypatch.context() as patch:
        patch.setattr(module.sys, "executable", "/usr/bin/program")
        with module.beside(mine, 2):
            pass
    with monkeypatch.context() as patch:
        for one in mine:
            patch.setattr(one._cache, "_cache", cache.NullCache())
        with module.beside(mine, 2):
            pass
    assert mine[0](1.0) == 2.0
    with module.beside(mine[:2], 2):  # one is left
        pass
    with module.beside([one.__wrapped__ for one in mine], 2):  # as where nothing is compiled
        pass


@pytest.mark.parametrize("place", ["subprocess.Popen", "tempfile.mkdtemp"])
def test_a_process_that_cannot_start_is_done_without(mine, monkeypatch, place):
    def full(*arguments, **options):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(place, full)
    with module.beside(mine, 2):
        assert mine[0](1.0) == 2.0
    assert module._Now.second is None


@pytest.mark.skipif(sys.platform != "linux", reason="looks for a process")
def test_the_second_process_ends_with_the_first(mine, tmp_path):
    code = f"""
        import os, {mine[0].__module__} as mine
        from flowlimits.compiled import beside
        with beside.beside([mine.first, mine.second], 2):
            print(beside._Now.second.process.pid, flush=True)
            os.kill(os.getpid(), 9)
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert ended(int(done.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("start", ["orthonormal", "gaussian"])
def test_the_list_of_extensive_widths_is_what_runs_need(start, tmp_path):
    code = f"""
        import flowlimits as fl
        from flowlimits.compiled import cache

        names = []
        load = cache.LazyCache.load_overload

        def loaded(self, *arguments):
            names.append(f"{{self._function.__module__}}:{{self._function.__name__}}")
            return load(self, *arguments)

        cache.LazyCache.load_overload = loaded
        problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25), start={start!r})
        problem.simulate([0.1, 2.0], dimension=60, runs=2, rng=0, progress=False)
        print(*names)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25), start=start)
    named = [f"{one.__wrapped__.__module__}:{one.__name__}" for one in problem._compiled()]
    assert done.stdout.split() == named
