"""The folder of a study: what is committed stays, what is damaged is found, what does not belong is refused."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import study_functions as functions
import xarray as xr

import flowlimits as fl
from flowlimits.studies import store, underway
from flowlimits.studies.shards import DamagedShardError, decode

AXES = {"a": np.linspace(0, 1, 12), "b": np.arange(6.0)}
HERE = Path(__file__).parent


def study(function, axes, **options):
    return fl.study(function, axes, progress=False, **options)


def without_provenance(table):
    return table.drop_attrs(deep=False)


def shards(folder):
    return sorted((folder / "points").glob("*.npz"))


def test_a_second_call_computes_nothing(tmp_path):
    log = tmp_path / "log"
    first = study(functions.logged, AXES, folder=tmp_path / "s", parameters={"log": str(log)})
    second = study(functions.logged, AXES, folder=tmp_path / "s", parameters={"log": str(log)})
    assert len(log.read_text().splitlines()) == 72
    xr.testing.assert_identical(without_provenance(first), without_provenance(second))
    assert json.loads(second.attrs["provenance"])["executor"] == "none: all points were stored"


def test_the_table_in_the_folder_is_the_table_returned(tmp_path):
    table = study(functions.slow, AXES, folder=tmp_path, rng=3, repeats=2)
    xr.testing.assert_identical(fl.load(tmp_path / "study.nc"), table)


def test_a_finer_grid_computes_only_what_is_new(tmp_path):
    log = tmp_path / "log"
    study(functions.logged, {"a": [0.0, 1.0], "b": [0.0]}, folder=tmp_path / "s", parameters={"log": str(log)})
    table = study(functions.logged, {"a": [0.0, 0.5, 1.0], "b": [0.0, 1.0]}, folder=tmp_path / "s", parameters={"log": str(log)})
    assert len(log.read_text().splitlines()) == 6
    assert (table["status"] == 1).all()


def test_more_repeats_keep_the_first_ones(tmp_path):
    two = study(functions.noise, {"a": [1.0]}, folder=tmp_path, repeats=2, rng=0)
    five = study(functions.noise, {"a": [1.0]}, folder=tmp_path, repeats=5)
    np.testing.assert_array_equal(five["mean"].values[:, :2], two["mean"].values)


def test_a_folder_remembers_a_root_that_was_drawn(tmp_path):
    first = study(functions.noise, {"a": [1.0]}, folder=tmp_path)
    second = study(functions.noise, {"a": [1.0, 2.0]}, folder=tmp_path)
    assert first["mean"].values[0] == second["mean"].values[0]
    assert study(functions.noise, {"a": [1.0]})["mean"].values[0] != first["mean"].values[0]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damaged_shards_are_named_set_aside_and_computed_again(tmp_path, damage):
    whole = study(functions.product, AXES, folder=tmp_path)
    victim = shards(tmp_path)[0]
    content = bytearray(victim.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    victim.write_bytes({"cut": content[:-100], "flip": content, "empty": b"", "text": b"no shard"}[damage])
    with pytest.warns(UserWarning, match=f"Set aside 1 damaged file of .*points/{victim.name}: its content does not fit its checksum"):
        again = study(functions.product, AXES, folder=tmp_path)
    xr.testing.assert_identical(without_provenance(again), without_provenance(whole))
    assert (tmp_path / "aside" / victim.name).exists()
    xr.testing.assert_identical(without_provenance(study(functions.product, AXES, folder=tmp_path)), without_provenance(whole))


def test_every_flipped_bit_of_a_shard_is_found(tmp_path):
    study(functions.product, {"a": [1.0], "b": [2.0]}, folder=tmp_path)
    victim = shards(tmp_path)[0]
    content = victim.read_bytes()
    for position in range(0, len(content), 37):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(DamagedShardError):
            decode(victim.name, bytes(flipped))


def test_a_shard_with_a_pickle_in_it_is_damaged_and_not_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    study(functions.product, {"a": [1.0], "b": [2.0]}, folder=tmp_path)
    import io

    from flowlimits.studies.shards import name_of

    buffer = io.BytesIO()
    np.savez(buffer, meta=np.array([Trap()], dtype=object))
    (tmp_path / "points" / name_of(buffer.getvalue())).write_bytes(buffer.getvalue())
    with pytest.warns(UserWarning, match="it is no shard of this version"):
        study(functions.product, {"a": [1.0], "b": [2.0]}, folder=tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_lost_definition_is_read_from_the_shards(tmp_path):
    whole = study(functions.noise, {"a": [1.0, 2.0]}, folder=tmp_path)
    for content in (None, "{", "[1, 2]"):
        (tmp_path / "study.json").unlink()
        if content is not None:
            (tmp_path / "study.json").write_text(content)
        again = study(functions.noise, {"a": [1.0, 2.0]}, folder=tmp_path)
        xr.testing.assert_identical(without_provenance(again), without_provenance(whole))
        assert json.loads((tmp_path / "study.json").read_text())["function"] == "noise"


def test_a_damaged_definition_without_shards_is_told(tmp_path):
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(ValueError, match=r"study.json is damaged or belongs to another program \(JSONDecodeError"):
        study(functions.product, AXES, folder=tmp_path)


def test_a_foreign_folder_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(ValueError) as caught:
        study(functions.product, AXES, folder=tmp_path)
    assert str(caught.value) == f"Folder {tmp_path} is not empty and holds no study (it has thesis.tex). Name a new or an empty folder."
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError) as caught:
        study(functions.product, AXES, folder=tmp_path / "file")
    assert str(caught.value) == f"Cannot use {tmp_path / 'file'} as the folder of a study: it is a file."


def test_an_unwritable_folder_is_told(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store.os, "open", refuse)
    with pytest.raises(PermissionError) as caught:
        study(functions.product, AXES, folder=tmp_path / "s")
    assert str(caught.value) == f"Cannot use {tmp_path / 's'} as the folder of a study: Permission denied."


def test_a_full_disk_is_told_and_what_was_written_is_kept(tmp_path, monkeypatch):
    study(functions.product, {"a": [1.0], "b": [2.0]}, folder=tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store, "_write_plain", full)
        with pytest.raises(OSError, match=r"Cannot write .*\.npz: No space left on device\. What was written before is kept\."):
            study(functions.product, {"a": [1.0, 3.0], "b": [2.0]}, folder=tmp_path)
    assert study(functions.product, {"a": [1.0, 3.0], "b": [2.0]}, folder=tmp_path)["product"].values.tolist() == [[2.0], [6.0]]


def test_failed_points_stay_failed_until_they_are_asked_for(tmp_path):
    options = {"folder": tmp_path / "s", "parameters": {"flag": str(tmp_path / "flag")}}
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"1 of 3 points failed; the first, at a=2: RuntimeError: not yet"):
            table = study(functions.fails_until, {"a": [1, 2, 3]}, **options)
        assert table["status"].values.tolist() == [1, 2, 1]
    with pytest.warns(UserWarning, match="1 of 3 points failed"):
        study(functions.fails_until, {"a": [1, 2, 3]}, retry_failed=True, **options)
    (tmp_path / "flag").write_text("")
    table = study(functions.fails_until, {"a": [1, 2, 3]}, retry_failed=True, **options)
    assert table["status"].values.tolist() == [1, 1, 1]
    assert study(functions.fails_until, {"a": [1, 2, 3]}, **options)["fails_until"].values.tolist() == [1, 2, 3]


def module(text, name="own_code"):
    """Return a module with that text, whose source can be read."""
    import linecache

    made = types.ModuleType(name)
    made.__file__ = f"<{name} {hash(text)}>"
    linecache.cache[made.__file__] = (len(text), None, text.splitlines(keepends=True), made.__file__)
    exec(compile(text, made.__file__, "exec"), made.__dict__)
    sys.modules[name] = made
    return made


CODE = "FACTOR = 2.0\n\ndef helper(a):\n    return FACTOR * a\n\ndef law(a):\n    return helper(a) + 1\n"


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("return helper(a) + 1", "return helper(a) + 2", "the code of `law` changed"),
        ("return FACTOR * a", "return FACTOR + a", "the code of `helper` changed"),
        ("FACTOR = 2.0", "FACTOR = 3.0", "the global value `FACTOR` was 2.0 and is 3.0"),
        ("return helper(a) + 1", "return a + 1", "`FACTOR` is no longer used; `helper` is no longer used; the code of `law` changed"),
    ],
)
def test_a_changed_function_is_refused_with_what_changed_and_how_to_start_anew(tmp_path, before, after, change):
    axes = {"a": [1.0, 2.0]}
    study(module(CODE).law, axes, folder=tmp_path)
    changed = module(CODE.replace(before, after)).law
    with pytest.raises(ValueError) as caught:
        study(changed, axes, folder=tmp_path)
    assert str(caught.value) == (
        f'Folder {tmp_path} holds a study of another definition: {change}. Pass changed="keep" if that does not change the numbers, or '
        'changed="anew" to set its points aside and start anew, or name another folder.'
    )
    kept = study(changed, axes, folder=tmp_path, changed="keep")
    assert kept["law"].values.tolist() == [3.0, 5.0]
    assert study(changed, axes, folder=tmp_path)["law"].values.tolist() == [3.0, 5.0]


def test_what_a_function_carries_with_it_is_part_of_its_code(tmp_path):
    class Law:
        def __init__(self, factor):
            self.factor = factor

        def at(self, a):
            return self.factor * a

        __call__ = at

    def make(shift):
        def law(a, power=shift):
            return a**power + shift

        return law

    for number, (one, other, change) in enumerate(
        [(Law(1.0).at, Law(2.0).at, "`self.factor`"), (Law(1.0), Law(2.0), "`self.factor`"), (make(1.0), make(2.0), "`power=` was 1.0 and is 2.0; the global value `shift`")]
    ):
        study(one, {"a": [1.0]}, folder=tmp_path / str(number))
        with pytest.raises(ValueError, match=f"the value {change} was 1.0 and is 2.0"):
            study(other, {"a": [1.0]}, folder=tmp_path / str(number))


def test_starting_anew_sets_the_old_points_aside(tmp_path):
    axes = {"a": [1.0, 2.0]}
    study(module(CODE).law, axes, folder=tmp_path)
    new = study(module(CODE.replace("+ 1", "+ 2")).law, axes, folder=tmp_path, changed="anew")
    assert new["law"].values.tolist() == [4.0, 6.0]
    assert len(list((tmp_path / "aside" / "study-1" / "points").glob("*.npz"))) == 1


def test_comments_layout_and_docstrings_are_no_change(tmp_path):
    axes = {"a": [1.0, 2.0]}
    study(module(CODE).law, axes, folder=tmp_path)
    same = CODE.replace("def law(a):\n", 'def law(a):\n    """The law."""\n    # as measured\n')
    assert study(module(same).law, axes, folder=tmp_path)["law"].values.tolist() == [3.0, 5.0]


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({"parameters": {"seconds": 0.0}}, "the parameter `seconds` was 0.0001 and is 0.0"),
        ({"version": "2"}, "the version was '' and is '2'"),
        ({"rng": 2}, "the root of the random streams (`rng`) was 1 and is 2"),
    ],
)
def test_another_identity_is_refused(tmp_path, options, change):
    base = {"rng": 1, "parameters": {"seconds": 1e-4}}
    study(functions.slow, AXES, folder=tmp_path, **base)
    with pytest.raises(ValueError) as caught:
        study(functions.slow, AXES, folder=tmp_path, **(base | options))
    assert str(caught.value) == (
        f"Folder {tmp_path} holds a study of another definition: {change}. Pass "
        'changed="anew" to set its points aside and start anew, or name another folder.'
    )
    with pytest.raises(ValueError, match="holds a study of another definition"):
        study(functions.slow, AXES, folder=tmp_path, changed="keep", **(base | options))


def test_small_shards_are_merged_into_large_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("flowlimits.studies.driver.COMMIT_SECONDS", 0.0)
    table = study(functions.slow, AXES, folder=tmp_path, rng=0)
    assert len(shards(tmp_path)) == 1
    xr.testing.assert_identical(without_provenance(table), without_provenance(study(functions.slow, AXES, rng=0)))


def test_two_parents_share_a_folder(tmp_path):
    """Both see each other's points, so that together they compute little twice; both end with the same table."""
    log = tmp_path / "log"
    axes = {"a": np.linspace(0, 1, 30), "b": np.arange(20.0)}
    tables = {}

    def parent(name):
        tables[name] = study(functions.logged, axes, folder=tmp_path / "s", parameters={"log": str(log)}, workers=1)

    threads = [threading.Thread(target=parent, args=(name,)) for name in "xy"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = np.sqrt(axes["a"])[:, None] + axes["b"]
    for table in tables.values():
        np.testing.assert_array_equal(table["logged"], whole)


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
    uninterrupted = study(functions.logged, {"a": np.linspace(0, 1, 50), "b": np.arange(float(length))}, parameters={"log": os.devnull})
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
        codes.append(subprocess.run([sys.executable, "-c", script], cwd=HERE, stderr=subprocess.DEVNULL, timeout=60, check=False).returncode)
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
    process = subprocess.Popen([sys.executable, "-c", "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n" + script], cwd=HERE, stdout=subprocess.PIPE, text=True)
    wait_for_points(folder, 0)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    sentence, count = said.splitlines()
    assert sentence == f"Interrupted after {count} of 500 points. They are in {folder}: the same call goes on from there."
    table = fl.load(folder / "study.nc")
    done = table["status"].values == 1
    assert 0 < done.sum() < 500
    assert done.sum() == int(count)
    np.testing.assert_array_equal(table["sleep"].values[done], np.arange(500.0)[done])
    assert np.isnan(table["sleep"].values[~done]).all()
