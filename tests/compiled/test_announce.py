"""The first use says so: once, and only where it takes long."""

import gc
import time

import pytest

from flowlimits.compiled import announce


@pytest.fixture
def announcement(monkeypatch):
    monkeypatch.setattr(announce, "PATIENCE", 0.2)
    return announce.Announcement()


def test_a_long_compilation_is_announced_once_while_it_runs(announcement, capsys):
    for _ in range(2):
        with announcement.compiling(), announcement.compiling():
            announcement.missed()
            time.sleep(0.6)
            assert announcement.said
    assert capsys.readouterr().err == announce.SENTENCE + "\n"


def test_many_short_compilations_one_after_the_other_are_announced(announcement, capsys):
    for _ in range(100):
        with announcement.compiling():
            announcement.missed()
            time.sleep(0.01)
    assert capsys.readouterr().err == announce.SENTENCE + "\n"


def test_short_compilations_are_not_announced(announcement, capsys):
    for _ in range(2):
        with announcement.compiling():
            announcement.missed()
        announcement.ended -= 1.0
    assert not announcement.said
    assert capsys.readouterr().err == ""


def test_what_is_found_in_the_cache_is_not_announced_however_long_it_takes(announcement, capsys):
    for _ in range(2):
        with announcement.compiling():
            time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_without_a_stream_nothing_fails(announcement, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    announcement.say()
    assert announcement.said


def test_garbage_is_collected_rarely_while_something_is_compiled():
    before = gc.get_threshold()
    with announce.compiling(), announce.compiling():
        assert gc.get_threshold()[0] >= before[0]
        assert gc.get_threshold()[1:] == before[1:]
    assert gc.get_threshold() == before
    try:
        gc.set_threshold(0)
        with announce.compiling():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
