"""A second process that compiles what will be needed, while this one compiles and computes what comes first.

Both work on one list of functions, this process from its front as it comes to need them, the second from its end, each after a claim:
an empty file in a folder of their own, which only one of them can make. What the second process has claimed is waited for as long as it lives.
All that it leaves are files of the cache, so nothing depends on it: where it cannot start, or is killed, this process compiles alone.
"""

from __future__ import annotations

import importlib
import inspect
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Functions from which on a process of its own pays.
LEAST = 2
#: Seconds between two looks for a file.
TURN = 0.01


class Second:
    """The second process, and the files that it is to make."""

    def __init__(self, wanted: dict[Path, str]) -> None:
        self.wanted, self.folder = wanted, tempfile.mkdtemp(prefix="flowlimits-")
        listed = [part for path, name in wanted.items() for part in (name, str(path))]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            # -P: in a clone, `-m` would find the package of the working directory before the one that is installed and runs here.
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, self.folder, *listed],
                stdin=subprocess.PIPE, env=environment, **quiet,
            )  # fmt: skip
        except OSError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def brings(self, path: Path | None) -> bool:
        """Return whether the file is there, once the second process has made it or has ended; at once where it did not claim it."""
        if path not in self.wanted or claim(self.folder, path):
            return False
        while not path.exists():
            if self.process.poll() is not None:
                return path.exists()
            time.sleep(TURN)
        return True

    def end(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


class _Now:
    """The second process there is now."""

    second: Second | None = None


def brings(find: Callable[[], Path | None]) -> bool:
    """Return whether a second process brings, or has brought, this file of the cache."""
    second = _Now.second
    return second is not None and second.brings(find())


@contextmanager
def beside(functions: Sequence[Any], processors: int) -> Iterator[None]:
    """Let a second process compile the functions that are neither compiled nor in the cache, in the order in which they are needed here."""
    # Where nothing is compiled, functions have no cache.
    later = [one for one in functions if hasattr(one, "_cache")] if processors > 1 else []
    named = {one._cache.file(): one for one in later}
    wanted = {path: _place(one) for path, one in named.items() if path is not None and not path.exists()}
    if len(wanted) < LEAST or _Now.second is not None or not _may_start():
        yield
        return
    try:
        _Now.second = Second(wanted)
    except OSError:  # no folder, no more processes, or no memory for one
        yield
        return
    try:
        yield
    finally:
        _Now.second.end()
        _Now.second = None


def _place(compiled: Any) -> str:
    """Return the module of a function, and its name there, which is not that of its text where one text makes several."""
    module = inspect.unwrap(compiled).__module__
    return f"{module}:{next((name for name, value in vars(sys.modules[module]).items() if value is compiled), '')}"


def _may_start() -> bool:
    """Return whether this is a process of Python that is not itself one of many workers."""
    python = Path(sys.executable or "").name.startswith("python") and not getattr(sys, "frozen", False)
    return python and multiprocessing.parent_process() is None


def claim(folder: str, path: Path) -> bool:
    """Return whether the function of this file is ours to compile."""
    try:
        os.close(os.open(os.path.join(folder, path.name), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def _end_with_parent(folder: str) -> None:
    """End at once when the process that started this one has ended, or closed the pipe between them."""
    os.read(0, 1)  # not sys.stdin: its lock would be held when this process ends
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def main(folder: str, *listed: str) -> None:
    """Compile the functions of a list of names and files from its end, until a file does not come to be."""
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    for name, path in zip(listed[-2::-2], map(Path, listed[::-2])):
        module, _, attribute = name.partition(":")
        function = getattr(importlib.import_module(module), attribute, None)
        if function is not None and claim(folder, path):
            function.compile_once() if hasattr(function, "compile_once") else function.address
            if not path.exists():
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
