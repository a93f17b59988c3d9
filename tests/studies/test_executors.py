"""The same study on threads, processes, dask and MPI; workers that die; functions that cannot travel."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import study_functions as functions
import xarray as xr

import flowlimits as fl

AXES = {"a": np.linspace(0, 1, 10), "b": np.arange(5.0)}
HERE = Path(__file__).parents[1] / "support"


def study(function, axes, **options):
    return fl.study(function, axes, progress=False, **options)


def without_provenance(table):
    return table.drop_attrs(deep=False)


@pytest.fixture(scope="module")
def reference():
    return without_provenance(study(functions.slow, AXES, rng=7, repeats=2, workers=1))


@pytest.mark.parametrize("workers", [2, 3])
def test_threads_give_the_same_bits(reference, workers):
    xr.testing.assert_identical(
        without_provenance(study(functions.slow, AXES, rng=7, repeats=2, workers=workers)), reference
    )


def test_an_executor_from_outside_is_used_and_left_open(reference):
    with ThreadPoolExecutor(2) as pool:
        xr.testing.assert_identical(
            without_provenance(study(functions.slow, AXES, rng=7, repeats=2, executor=pool)), reference
        )
        assert pool.submit(lambda: 5).result() == 5


def test_processes_give_the_same_bits_with_one_thread_each(reference):
    xr.testing.assert_identical(
        without_provenance(study(functions.slow, AXES, rng=7, repeats=2, executor="processes", workers=2)), reference
    )
    table = study(functions.environment, {"a": [1, 2, 3, 4]}, executor="processes", workers=2)
    assert set(table["blas"].values) == {1}
    assert set(table["numba"].values) == {1}
    assert os.getpid() not in table["process"].values


def test_a_point_that_kills_its_worker_is_isolated_tried_again_and_recorded(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    with pytest.warns(UserWarning, match="1 of 12 points failed; the first, at a=3: The worker died, 2 times"):
        table = study(
            functions.kills_its_worker,
            {"a": np.arange(12)},
            executor="processes",
            workers=2,
            parameters={"log": str(log)},
            folder=tmp_path / "s",
        )
    expected = np.arange(12.0) ** 2
    expected[3] = np.nan
    np.testing.assert_array_equal(table["kills_its_worker"], expected)
    assert table["status"].values.tolist() == [1, 1, 1, 2] + [1] * 8
    assert log.read_text().split().count("3") == 2


def test_a_broken_pool_from_outside_ends_the_study_with_advice(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    pool = ProcessPoolExecutor(1, mp_context=get_context("forkserver"))
    try:
        with pytest.raises(
            fl.StudyError, match=r"The executor broke \(BrokenProcessPool.*pass a function that makes the executor"
        ):
            study(
                functions.kills_its_worker,
                {"a": [1, 2, 3, 4]},
                executor=pool,
                parameters={"log": str(log)},
                folder=tmp_path / "s",
            )
    finally:
        pool.shutdown(wait=True)

    def make():
        return ProcessPoolExecutor(1, mp_context=get_context("forkserver"))

    with pytest.warns(UserWarning, match="1 of 4 points failed"):
        table = study(
            functions.kills_its_worker,
            {"a": [1, 2, 3, 4]},
            executor=make,
            parameters={"log": str(log)},
            folder=tmp_path / "s",
        )
    assert table["status"].values.tolist() == [1, 1, 2, 1]


def test_a_function_that_cannot_travel_is_told_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(fl.StudyError) as caught:
        study(lambda a: a, {"a": [1]}, executor="processes")
    assert "Function `value` cannot be sent to another process (" in str(caught.value)
    assert str(caught.value).endswith(
        "Define it with `def` at the top level of a module, and make in it what cannot be pickled (files, locks, compiled objects); "
        "or use threads: executor=None."
    )


def test_a_parameter_that_cannot_be_part_of_a_key_is_refused():
    with pytest.raises(TypeError) as caught:
        study(functions.product, {"a": [1]}, parameters={"b": object()})
    assert (
        str(caught.value)
        == "Argument `b` of type object cannot be part of a study's key: pass numbers, words, arrays or problems."
    )


def test_a_function_that_workers_cannot_import_is_told(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['cloudpickle'] = None\n"
        "import types, flowlimits as fl\n"
        "if __name__ == '__main__':\n"
        "    made = types.ModuleType('made'); exec('def f(a): return a', made.__dict__); made.f.__module__ = 'made'; sys.modules['made'] = made\n"
        "    try:\n"
        "        fl.study(made.f, dict(a=[1]), executor='processes', progress=False)\n"
        "    except fl.StudyError as error:\n"
        "        print(error)\n"
    )
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout.strip() == (
        "The workers cannot load function `f` (ModuleNotFoundError: No module named 'made'). "
        "Define it in a module that every worker can import, or use threads: executor=None."
    )


def test_a_script_without_its_guard_is_told(tmp_path):
    (tmp_path / "script.py").write_text(
        "import flowlimits as fl\ndef f(a): return a\nfl.study(f, dict(a=[1]), executor='processes', progress=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert (
        'The workers end as soon as they start. In a script, put what starts the study below `if __name__ == "__main__":`'
        in done.stderr
    )


def test_a_script_with_its_guard_runs_its_own_function_in_processes(tmp_path):
    (tmp_path / "script.py").write_text(
        "import flowlimits as fl\ndef f(a): return 2 * a\n"
        "if __name__ == '__main__':\n    print(fl.study(f, dict(a=[1, 2]), executor='processes', progress=False)['f'].values)\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout.strip() == "[2 4]", done.stderr


def test_the_parent_loads_what_the_function_names_before_workers_start():
    code = (
        "import sys, flowlimits as fl\n"
        "from flowlimits.studies.executors import warm_up\n"
        "def f(a):\n    return fl.QuadraticFlow, a\n"
        "assert 'flowlimits.quadratic.finite.problem' not in sys.modules\n"
        "warm_up(f)\n"
        "assert 'flowlimits.quadratic.finite.problem' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    os.environ["DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__DISK"] = "false"
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        yield made


@pytest.mark.filterwarnings("default")
def test_dask_gives_the_same_bits_and_limits_its_workers(cluster, reference):
    from distributed import Client

    with Client(cluster) as client:
        xr.testing.assert_identical(
            without_provenance(study(functions.slow, AXES, rng=7, repeats=2, executor=client)), reference
        )
        xr.testing.assert_identical(
            without_provenance(study(functions.slow, AXES, rng=7, repeats=2, executor=client.get_executor())), reference
        )
        table = study(functions.environment, {"a": [1, 2, 3, 4]}, executor=client)
        assert set(table["blas"].values) == {1}


@pytest.mark.filterwarnings("default")
def test_a_lost_dask_worker_loses_no_point(cluster, tmp_path):
    from distributed import Client

    with Client(cluster) as client:
        log = tmp_path / "log"
        log.write_text("")
        axes = {"a": np.arange(30)}
        # Kill a worker from outside while the study runs.
        process = next(iter(client.run(os.getpid).values()))
        import threading

        threading.Timer(0.3, lambda: os.kill(process, 9)).start()
        table = study(functions.sleep, axes, executor=client, folder=tmp_path / "s", parameters={"seconds": 0.05})
        assert (table["status"] == 1).all()
        np.testing.assert_array_equal(table["sleep"], np.arange(30))


@pytest.mark.skipif(shutil.which("mpiexec") is None, reason="needs mpiexec")
def test_mpi_gives_the_same_bits(tmp_path, reference):
    pytest.importorskip("mpi4py")
    (tmp_path / "script.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "import numpy as np, flowlimits as fl, study_functions as f\n"
        "if __name__ == '__main__':\n"
        "    fl.study(f.slow, dict(a=np.linspace(0, 1, 10), b=np.arange(5.)), rng=7, repeats=2, executor='mpi', folder='s', progress=False)\n"
    )
    environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    command = ["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures", "script.py"]
    subprocess.run(command, cwd=tmp_path, env=environment, timeout=120, check=True)
    xr.testing.assert_identical(without_provenance(fl.load(tmp_path / "s" / "study.nc")), reference)


def test_two_workers_are_nearly_twice_as_fast_as_one():
    """Points that wait, so that the cores of the machine that runs the tests do not matter: this is the driver's share."""
    took = {}
    for workers in (1, 2):
        start = time.perf_counter()
        study(functions.sleep, {"a": np.arange(60.0)}, workers=workers)
        took[workers] = time.perf_counter() - start
    assert took[1] / took[2] > 1.8


@pytest.mark.slow
def test_a_point_costs_less_than_fifty_microseconds_beyond_itself(tmp_path):
    study(functions.product, {"a": np.arange(10.0), "b": np.arange(2.0)}, folder=tmp_path / "warm")
    start = time.process_time()
    study(functions.product, {"a": np.arange(100.0), "b": np.arange(200.0)}, folder=tmp_path / "s")
    assert (time.process_time() - start) / 20_000 < 50e-6


def test_an_interrupt_ends_worker_processes_in_the_middle_of_a_long_point(tmp_path):
    script = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import flowlimits as fl, study_functions as f\n"
        "if __name__ == '__main__':\n"
        "    fl.study(f.sleep, dict(a=[1.0, 2.0, 3.0]), parameters=dict(seconds=300.0), executor='processes', workers=2, folder='s', progress=False)\n"
    )
    (tmp_path / "script.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    journal = tmp_path / "s" / "underway"
    end = time.monotonic() + 60
    while not (journal.is_dir() and any(path.stat().st_size for path in journal.iterdir())) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)
    # A terminal sends the interrupt to every process of the group.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "StudyInterrupted: Interrupted after 0 of 3 points." in errors
