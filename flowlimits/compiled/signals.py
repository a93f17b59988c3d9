"""Signals that arrive while machine code is made are answered after it: what their handlers raise would leave LLVM's objects half owned."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_depth = 0
_arrived: list[int] = []


class _Later:
    """A handler that waits; outside of `deferred`, should one ever be left there, it is the handler that it stands for."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def __call__(self, number: int, frame: Any) -> None:
        if _depth:
            _arrived.append(number)
        else:
            self.handler(number, frame)


def _answer(numbers: list[int]) -> None:
    """Send the signals again, each of them whatever the handlers of the others raise."""
    try:
        while numbers:
            signal.raise_signal(numbers.pop(0))
    finally:
        if numbers:
            _answer(numbers)


@contextmanager
def deferred() -> Iterator[None]:
    """Let no handler that is written in Python run within; signals are answered, once each, at the end.

    Python runs handlers between two of its own instructions, also in the functions that LLVM calls back, where what they raise is
    dropped, and between a call of LLVM and the line that notes whose an object is now, after which it is freed twice.
    """
    global _depth
    if threading.current_thread() is not threading.main_thread():  # no other thread runs handlers
        yield
        return
    outer = _depth == 0
    replaced: dict[int, Any] = {}
    process = os.getpid()
    try:
        if outer:
            for number in signal.valid_signals():
                handler = signal.getsignal(number)
                if callable(handler) and not isinstance(handler, _Later):
                    replaced[number] = handler
                    signal.signal(number, _Later(handler))
        _depth += 1
        try:
            yield
        finally:
            _depth -= 1
    finally:
        if outer:
            for changed, handler in replaced.items():
                signal.signal(changed, handler)
            numbers = list(dict.fromkeys(_arrived)) if os.getpid() == process else []
            _arrived.clear()
            _answer(numbers)
