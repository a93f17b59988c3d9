"""A pool gives threads, processes, dask and MPI the one interface of `concurrent.futures`.

What is ours here is small: make the pool, say how many chunks to keep in flight, make it anew when it broke.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from ..core.checks import choice, integer, show
from ..core.threads import available_threads
from .worker import StudyError, Task, begin_process, identity_of_process, prepare, run_chunk

NAMES = ("threads", "processes", "mpi")


class Pool:
    """An executor in use.

    Attributes
    ----------
    name : str
        The executor in words, for the provenance.
    local : bool
        Whether the function runs in threads of this process, and so is not pickled.
    """

    def __init__(self, executor: Any, workers: int | None, task: Task):
        self.name, self.factory, self.owned = _describe(executor, workers)
        self.workers = workers
        self.task = task
        self.executor: Any = None
        self.payload: Task | bytes = task
        self.local = True
        self._counted = -1e9
        self._count = 1
        self._calls = 0
        self.start()

    def start(self) -> None:
        """Make the executor and let one worker load the function."""
        self.executor = self.factory()
        if not isinstance(self.executor, Executor) and not hasattr(self.executor, "get_executor"):
            raise TypeError(f"Argument `executor` must make an executor, but made {show(self.executor)}.")
        if hasattr(self.executor, "get_executor"):
            # Equal calls are one call to dask unless it is told that they are not.
            self.executor = self.executor.get_executor(pure=False)
        self.local = isinstance(self.executor, ThreadPoolExecutor)
        if self.local:
            return
        self.payload = pickle.dumps((identity_of_process(), dumps(self.task)))
        try:
            with main_without_a_file():
                first = self.executor.submit(prepare, self.payload)
            first.result()
        except Exception as error:
            self.close(wait=False)
            raise StudyError(_cannot_start(self.task.name, error)) from error

    def capacity(self) -> int:
        """Return the number of workers; a cluster may grow, so it is asked every few seconds."""
        if self.workers is not None:
            return self.workers
        if time.monotonic() - self._counted > 5:
            self._count = max(_workers_of(self.executor), 1)
            self._counted = time.monotonic()
        return self._count

    def submit(self, points: list[Any], budget: float) -> Future[Any]:
        self._calls += 1
        with main_without_a_file():
            return self.executor.submit(run_chunk, self.payload, points, budget, self._calls)

    def rebuild(self, error: BaseException) -> None:
        """Replace an executor that broke.

        Raises
        ------
        StudyError
            If the executor was given as an object and so cannot be made again.
        """
        if not self.owned:
            raise StudyError(
                f"The executor broke ({type(error).__name__}: {error}). Finished points are kept. To let a study replace its "
                "executor and find the point that breaks it, pass a function that makes the executor instead of the executor itself."
            ) from error
        self.close(wait=False)
        self.start()

    def close(self, wait: bool = True) -> None:
        """Shut an executor of our own down; without `wait`, end its worker processes."""
        if not self.owned or self.executor is None:
            return
        if not wait and isinstance(self.executor, ProcessPoolExecutor):
            # There is no public way before Python 3.14; a point of an hour would hold up the end for an hour.
            for process in list((getattr(self.executor, "_processes", None) or {}).values()):
                with contextlib.suppress(OSError, ValueError):
                    process.kill()
        # `cancel_futures` is unknown to dask and loky; the driver has cancelled its futures.
        with contextlib.suppress(Exception):
            self.executor.shutdown(wait=wait)


@contextlib.contextmanager
def main_without_a_file() -> Iterator[None]:
    """Hide the file of a main program that has none, such as <stdin>: new worker processes would look for it and end."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if main is None or file is None or os.path.exists(file):
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = file


def _describe(executor: Any, workers: int | None) -> tuple[str, Callable[[], Any], bool]:
    count = workers or available_threads()
    if executor is None or isinstance(executor, str):
        name = "threads" if executor is None else choice("executor", executor, NAMES)
        made = {"threads": lambda: ThreadPoolExecutor(count), "processes": lambda: _processes(count), "mpi": _mpi}
        return name, made[name], True
    if isinstance(executor, Executor) or hasattr(executor, "get_executor"):
        return type(executor).__name__, lambda: executor, False
    if callable(executor):
        return getattr(executor, "__name__", type(executor).__name__), executor, True
    raise TypeError(
        f"Argument `executor` must be None, one of {', '.join(NAMES)}, an executor, a dask Client, or a function that makes one, but is {show(executor)}."
    )


def _processes(count: int) -> Executor:
    import multiprocessing

    # Never fork: OpenMP does not survive it.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=begin_process)


def _mpi() -> Executor:
    try:
        from mpi4py.futures import MPIPoolExecutor
    except ImportError:
        raise ImportError('Executor "mpi" needs mpi4py: pip install "flowlimits[mpi]".') from None
    return MPIPoolExecutor()


def _workers_of(executor: Any) -> int:
    client = getattr(executor, "_client", None)
    if client is not None and hasattr(client, "nthreads"):
        return sum(client.nthreads().values())
    for name in ("_max_workers", "num_workers"):
        count = getattr(executor, name, None)
        if isinstance(count, int) and count > 0:
            return count
    return available_threads()


def check_workers(workers: Any) -> int | None:
    return None if workers is None else integer("workers", workers, minimum=1)


def dumps(task: Task) -> bytes:
    """Return the task as bytes for another process.

    Functions that other processes cannot import travel by value if cloudpickle (a part of dask) is there.

    Raises
    ------
    StudyError
        If the function cannot be sent.
    """
    try:
        pickled = pickle.dumps(task)
        if getattr(task.function, "__module__", None) != "__main__":
            return pickled
    except Exception as error:
        pickled, reason = None, f"{type(error).__name__}: {error}"
    try:
        import cloudpickle

        return cloudpickle.dumps(task)
    except ImportError:
        if pickled is not None:
            return pickled
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    raise StudyError(
        f"Function `{task.name}` cannot be sent to another process ({reason}). Define it with `def` at the top level of a module, "
        "and make in it what cannot be pickled (files, locks, compiled objects); or use threads: executor=None."
    )


def _cannot_start(name: str, error: BaseException) -> str:
    from concurrent.futures import BrokenExecutor

    if isinstance(error, BrokenExecutor):
        return (
            'The workers end as soon as they start. In a script, put what starts the study below `if __name__ == "__main__":`, '
            "because every worker process imports the script; and make sure that the workers have the memory to start."
        )
    return (
        f"The workers cannot load function `{name}` ({type(error).__name__}: {error}). Define it in a module that every worker can import, "
        "or use threads: executor=None."
    )


def warm_up(function: Any) -> None:
    """Load, in this process, the parts of flowlimits that a function names.

    Their compiled signatures then stand in the disk cache before the workers look for them: two processes that
    compile one function at the same time can spoil it.
    """
    import flowlimits

    from .keys import global_names

    code = getattr(function, "__code__", None)
    for name in sorted(global_names(code)) if code is not None else ():
        if name in flowlimits.__all__:
            with contextlib.suppress(ImportError, AttributeError):
                getattr(flowlimits, name)
