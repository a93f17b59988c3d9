"""The folder of a study: what is committed stays, what is damaged is found, what does not belong is refused."""

import json
import os
import threading

import numpy as np
import pytest
import study_functions as functions
import xarray as xr
from quiet import study, without_provenance

import flowlimits as fl
from flowlimits.studies import store
from flowlimits.studies.blocks import DamagedShardError, decode

AXES = {"a": np.linspace(0, 1, 12), "b": np.arange(6.0)}


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
    table = study(
        functions.logged, {"a": [0.0, 0.5, 1.0], "b": [0.0, 1.0]}, folder=tmp_path / "s", parameters={"log": str(log)}
    )
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
    with pytest.warns(
        UserWarning, match=f"Set aside 1 damaged file of .*points/{victim.name}: its content does not fit its checksum"
    ):
        again = study(functions.product, AXES, folder=tmp_path)
    xr.testing.assert_identical(without_provenance(again), without_provenance(whole))
    assert (tmp_path / "aside" / victim.name).exists()
    xr.testing.assert_identical(
        without_provenance(study(functions.product, AXES, folder=tmp_path)), without_provenance(whole)
    )


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

    from flowlimits.studies.blocks import name_of

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
    assert (
        str(caught.value)
        == f"Folder {tmp_path} is not empty and holds no study (it has thesis.tex). Name a new or an empty folder."
    )
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
        patched.setattr(store.Path, "write_bytes", full)
        with pytest.raises(
            OSError, match=r"Cannot write .*\.npz: No space left on device\. What was written before is kept\."
        ):
            study(functions.product, {"a": [1.0, 3.0], "b": [2.0]}, folder=tmp_path)
    assert study(functions.product, {"a": [1.0, 3.0], "b": [2.0]}, folder=tmp_path)["product"].values.tolist() == [
        [2.0],
        [6.0],
    ]


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
