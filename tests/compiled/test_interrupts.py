"""Signals that arrive while machine code is made."""

import signal
import threading

import pytest
from numba.core.codegen import JITCodeLibrary
from numba.core.cpu import CPUContext

from flowlimits.compiled import jit as _jit
from flowlimits.compiled.signals import deferred


class Cut(BaseException):
    """What a handler raises."""


@pytest.fixture
def heard():
    """What happens, in order; handlers of two signals raise."""
    said = []

    def handler(number, frame):
        said.append(number)
        raise Cut(number)

    before = {number: signal.signal(number, handler) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    yield said
    for number in before:
        assert signal.getsignal(number) is handler
        signal.signal(number, before[number])


def test_handlers_run_at_the_end_once_each_whatever_another_raises(heard):
    @deferred()
    def work():
        with deferred():
            signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR1)
        heard.append("done")

    with pytest.raises(Cut):
        work()
    assert heard == ["done", signal.SIGUSR1, signal.SIGUSR2]
    with pytest.raises(Cut):
        signal.raise_signal(signal.SIGUSR1)


def test_an_error_within_is_not_lost_with_the_signal(heard):
    @deferred()
    def work():
        signal.raise_signal(signal.SIGUSR1)
        raise ValueError("own")

    with pytest.raises(Cut) as caught:
        work()
    assert isinstance(caught.value.__context__, ValueError)


def test_another_thread_leaves_handlers_alone(heard):
    found = []

    def work():
        with deferred():
            found.append(signal.getsignal(signal.SIGUSR1))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGUSR1)]


@pytest.mark.skipif(_jit.INTERPRETED, reason="nothing is compiled")
@pytest.mark.parametrize(
    ("owner", "name"), [(JITCodeLibrary, "_finalize_specific"), (CPUContext, "load_additional_registries")]
)
def test_a_signal_in_the_middle_leaves_numba_whole(heard, monkeypatch, owner, name):
    """Else a module is freed twice, or the list of what Numba knows ends, and nothing can be compiled any more."""

    @_jit.jit(_jit.FLOAT(_jit.FLOAT))
    def triple(x):
        return 3.0 * x

    real = getattr(owner, name)

    def in_the_middle(self):
        signal.raise_signal(signal.SIGUSR1)
        real(self)
        heard.append("made")

    monkeypatch.setattr(owner, name, in_the_middle)
    with pytest.raises(Cut):
        triple(1.0)
    assert heard[0] == "made"
    assert heard.count(signal.SIGUSR1) == 1
    monkeypatch.undo()
    assert triple(1.5) == 4.5


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
