"""Studies whose program is killed or interrupted: nothing that was committed is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import study_functions as functions
import xarray as xr
from quiet import study, without_provenance

import flowlimits as fl
from flowlimits.studies import driver as underway
from flowlimits.studies.blocks import decode

HERE = Path(__file__).parents[1] / "support"


def wait_for_points(folder, more_than, seconds=30):
    end = time.monotonic() + seconds
    while len(stored(folder)) <= more_than and time.monotonic() < end:
        time.sleep(0.02)


def stored(folder):
    """Return the keys committed to a folder."""
    keys = []
    for path in (folder / "points").glob("*.npz"):
        try:
            keys += decode(path.name, path.read_bytes()).keys
        except FileNotFoundError:
            continue
    return set(keys)


@pytest.mark.parametrize(("kills", "length"), [(1, 24), pytest.param(3, 80, marks=pytest.mark.slow)])
def test_kills_lose_no_committed_point_and_change_no_bit(tmp_path, kills, length):
    """Thousands of points of a millisecond; the parent is killed at random moments and resumed."""
    log, folder = tmp_path / "log", tmp_path / "s"
    script = (
        "import numpy as np, flowlimits as fl, study_functions as f\n"
        f"fl.study(f.logged, dict(a=np.linspace(0, 1, 50), b=np.arange({length}.)), folder={str(folder)!r}, progress=False, workers=1, parameters=dict(log={str(log)!r}))\n"
    )
    chance = random.Random(os.urandom(8))
    committed = set()
    for _ in range(kills):
        process = subprocess.Popen([sys.executable, "-c", script], cwd=HERE)
        try:
            wait_for_points(folder, len(committed))
            time.sleep(chance.uniform(0.0, 0.3))
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()
        now = stored(folder)
        assert committed < now
        committed = now
        # A point takes a millisecond at least: these are at most 1.2 seconds of work.
        assert len(set(log.read_text().splitlines())) - len(committed) < 1200
    subprocess.run([sys.executable, "-c", script], cwd=HERE, timeout=120, check=True)
    resumed = fl.load(folder / "study.nc")
    uninterrupted = study(
        functions.logged, {"a": np.linspace(0, 1, 50), "b": np.arange(float(length))}, parameters={"log": os.devnull}
    )
    xr.testing.assert_identical(without_provenance(resumed), without_provenance(uninterrupted))
    repeated = sum(count - 1 for count in Counter(log.read_text().splitlines()).values())
    assert repeated < kills * 1200


def test_a_point_that_kills_the_whole_program_is_found_and_recorded(tmp_path):
    """In threads a crash ends the parent, at every resume; its journal names the suspects."""
    log, folder = tmp_path / "log", tmp_path / "s"
    script = (
        "import numpy as np, flowlimits as fl, study_functions as f\n"
        f"fl.study(f.kills_its_worker, dict(a=np.arange(8)), folder={str(folder)!r}, progress=False, workers=2, parameters=dict(log={str(log)!r}))\n"
    )
    codes = []
    for _ in range(7):
        codes.append(
            subprocess.run(
                [sys.executable, "-c", script], cwd=HERE, stderr=subprocess.DEVNULL, timeout=60, check=False
            ).returncode
        )
        if codes[-1] == 0:
            break
    assert codes == [-9, -9, -9, -9, -9, 0]
    table = fl.load(folder / "study.nc")
    assert table["status"].values.tolist() == [1, 1, 1, 2, 1, 1, 1, 1]
    assert "The whole program died 5 times while this point was under way" in str(table["failure_message"].values[0])
    assert log.read_text().split().count("3") == 5


def test_the_journal_of_a_living_parent_raises_no_suspicion(tmp_path):
    journal = underway.Journal(tmp_path / "u", [b"0" * 16, b"1" * 16])
    token = journal.begin([0, 1])
    assert underway.suspicions(tmp_path / "u") == (Counter(), {b"0" * 16, b"1" * 16})
    journal.end(token)
    journal.begin([1])
    journal.file.close()
    path = journal.path.rename(journal.path.with_name("x.999999999." + journal.path.name.split(".", 2)[2]))
    assert underway.suspicions(tmp_path / "u") == (Counter({b"1" * 16: 1}), set())
    path.write_text(path.read_text() + "+ 9 zz tor")
    assert underway.suspicions(tmp_path / "u")[0] == Counter({b"1" * 16: 1})
    underway.forget(tmp_path / "u", {b"1" * 16})
    assert list((tmp_path / "u").iterdir()) == []


def test_an_interrupt_leaves_the_partial_table_on_disk(tmp_path):
    folder = tmp_path / "s"
    script = (
        "import numpy as np, flowlimits as fl, study_functions as f\n"
        "try:\n"
        f"    fl.study(f.sleep, dict(a=np.arange(500.)), folder={str(folder)!r}, progress=False, workers=2)\n"
        "except fl.StudyInterrupted as end:\n"
        "    print(end)\n"
        "    print(int((end.partial['status'] == 1).sum()))\n"
    )
    # A shell may have started us with interrupts ignored, which children inherit.
    process = subprocess.Popen(
        [sys.executable, "-c", "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n" + script],
        cwd=HERE,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for_points(folder, 0)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    sentence, count = said.splitlines()
    assert (
        sentence == f"Interrupted after {count} of 500 points. They are in {folder}: the same call goes on from there."
    )
    table = fl.load(folder / "study.nc")
    done = table["status"].values == 1
    assert 0 < done.sum() < 500
    assert done.sum() == int(count)
    np.testing.assert_array_equal(table["sleep"].values[done], np.arange(500.0)[done])
    assert np.isnan(table["sleep"].values[~done]).all()
