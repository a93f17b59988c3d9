"""Saved files: seals, what is refused before anything is read, attributes that no result has, failing disks."""

import io
import json
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import toy
import xarray as xr

import flowlimits as fl
from flowlimits.core import files, storage

TIMES = np.linspace(0, 1, 400)


@pytest.fixture
def saved(tmp_path):
    return fl.save(toy.make().solve(TIMES), tmp_path / "result.nc")


def refused(path, match):
    with pytest.raises(ValueError, match=match) as caught:
        fl.load(path)
    return str(caught.value)


@pytest.mark.parametrize("place", range(len(storage.SEAL)))
def test_a_flipped_bit_in_the_word_of_the_seal_does_not_switch_off_the_check(saved, place):
    content = bytearray(saved.read_bytes())
    content[-storage.LENGTH + place] ^= 4
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    assert "is damaged, or was changed by another program" in refused(saved, "damaged")


@pytest.mark.parametrize("size", [1, storage.LENGTH, 512, 2048])
@pytest.mark.parametrize("zeroed", [True, False])
def test_a_lost_last_block_is_refused(saved, size, zeroed):
    content = saved.read_bytes()
    saved.write_bytes(content[:-size] + (bytes(size) if zeroed else b""))
    refused(saved, "damaged")


def test_an_old_file_without_the_mark_is_refused_if_its_seal_is_damaged(tmp_path, monkeypatch):
    result = toy.make().solve(TIMES)
    buffer = io.BytesIO()
    result.to_netcdf(tmp_path / "old.nc", engine="h5netcdf")
    content = (tmp_path / "old.nc").read_bytes()
    del buffer
    (tmp_path / "old.nc").write_bytes(content + storage._seal(content))
    assert fl.load(tmp_path / "old.nc").identical(result)
    (tmp_path / "old.nc").write_bytes(content + b"\nflowlimits sha255 " + storage._seal(content)[len(storage.SEAL) :])
    refused(tmp_path / "old.nc", "its checksum does not fit")


def test_files_of_other_programs_load_without_a_seal(tmp_path):
    result = toy.make().solve(TIMES)
    result.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    assert fl.load(tmp_path / "other.nc").identical(result)


def test_the_mark_is_no_attribute_of_a_result(saved):
    assert storage.SEALED not in fl.load(saved).attrs


def test_where_a_file_ends_is_read_from_its_first_block(tmp_path):
    for version in ("earliest", "latest"):
        with h5py.File(tmp_path / version, "w", libver=version) as file:
            file["x"] = np.arange(10.0)
        content = (tmp_path / version).read_bytes()
        assert files.end_of(content) == len(content)
    assert files.end_of(b"no file") == -1


def forge(path, act):
    with h5py.File(path, "w") as file:
        file["time"] = np.arange(3.0)
        act(file)
    return path


def virtual(file):
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(3,))
    file.create_virtual_dataset("x", layout)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda f: f.create_dataset("x", (4,), "u1", external=[("secret", 0, 4)]), "the data of `/x` lie in another file"),
        (lambda f: f.__setitem__("x", h5py.ExternalLink("other.h5", "/x")), "`/x` is a link to another file"),
        (lambda f: f.__setitem__("x", h5py.SoftLink("/time")), "`/x` is a symbolic link"),
        (lambda f: f.create_group("g").__setitem__("x", h5py.ExternalLink("o", "/x")), "`/g/x` is a link to another file"),
        (virtual, "`/x` is a virtual data set"),
        (lambda f: f.create_dataset("x", (10**11,), "f8", chunks=(1000,)), "`/x` claims 800000000000 bytes, more than the 0"),
        (lambda f: f.create_dataset("x", data=np.arange(9.0), compression="lzf"), "`/x` needs the filter 32000"),
    ],
)  # fmt: skip
def test_a_file_that_points_out_of_itself_or_claims_too_much_is_not_read(tmp_path, act, message):
    path = forge(tmp_path / "forged.nc", act)
    assert message in refused(path, "Cannot read")


def test_groups_that_hold_each_other_end(tmp_path):
    def act(file):
        group = file.create_group("g")
        group["again"] = file["g"]

    with h5py.File(forge(tmp_path / "ring.nc", act)) as file:
        assert "g" in file
    assert files.inspect((tmp_path / "ring.nc").read_bytes()) is False


@pytest.mark.parametrize("value", [True, None, {"a": 1}, Path("x"), [None], np.bool_(True)])
def test_attributes_that_no_file_can_hold_are_refused_by_name(tmp_path, value):
    result = toy.make().solve(TIMES)
    result.attrs["mine"] = value
    with pytest.raises(TypeError, match="Attribute `mine` of the Dataset must be text, a number or a list of these"):
        fl.save(result, tmp_path / "x.nc")
    del result.attrs["mine"]
    result["risk"].attrs["mine"] = value
    with pytest.raises(TypeError, match="Attribute `mine` of the variable `risk` must be text"):
        fl.save(result, tmp_path / "x.nc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [lambda p: fl.save(toy.make().solve([1.0]), p), fl.load])
@pytest.mark.parametrize("path", [3, None, 1.5, ["x"]])
def test_what_is_no_path_is_refused_by_name(verb, path):
    with pytest.raises(TypeError, match=r"Argument `path` must be a path, but is"):
        verb(path)


NESTED = "[" * 3000 + "]" * 3000


@pytest.mark.parametrize(
    "problem",
    [
        "null", "3", "[]", '"text"', "{", NESTED, '{"class": 3}', '{"class": []}', '{"class": "UserModel"}', '{"class": "Event"}',
        '{"class": "Committee", "Q": {"array": []}}', "9" * 5000, '{"class": "Spectrum", "nodes": 1, "weights": 1}', 5, [1.0, 2.0],
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", [fl.load_problem, fl.cite, lambda r: fl.extend(r, [2.0])])
def test_forged_problems_are_refused_in_a_sentence(problem, verb):
    result = toy.make().solve([0.5, 1.0])
    result.attrs["problem"] = problem
    with pytest.raises((ValueError, TypeError)) as caught:
        verb(result)
    assert type(caught.value) in (ValueError, TypeError)
    assert str(caught.value)[0].isupper()


@pytest.mark.parametrize(
    "provenance",
    ["null", "3", "[]", '"x"', "{", NESTED, "{}", '{"call": 3}', '{"call": {"verb": 2}}', '{"call": {"verb": "solve", "times": "x"}}',
     '{"call": {"verb": "simulate", "dimension": 4000000000000}, "root_seed": {"entropy": ["1"], "spawn_key": []}}',
     '{"call": {"verb": "solve"}, "root_seed": {"entropy": ["x"], "spawn_key": []}}', '{"call": {"verb": "convergence"}}',
     '{"call": {"verb": "solve"}, "root_seed": 3}', '{"versions": 3}', 7],
)  # fmt: skip
def test_forged_provenance_is_refused_in_a_sentence(provenance, toy_classes):
    result = toy.make().solve([0.5, 1.0])
    result.attrs["provenance"] = provenance
    for verb in (fl.rerun, lambda r: fl.extend(r, [2.0])):
        with pytest.raises((ValueError, TypeError)) as caught:
            verb(result)
        assert type(caught.value) in (ValueError, TypeError)


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", 3), ("clock", 2.5), ("provenance", [1, 2]), ("problem", 1), ("dimension", -4), ("schema", "x")],
)
def test_attributes_of_the_wrong_kind_are_refused_when_a_file_is_read(tmp_path, name, value):
    result = toy.make().solve([0.5, 1.0]).assign_attrs({name: value})
    result.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    assert f"attribute `{name}` of this Dataset" in refused(tmp_path / "x.nc", "attribute")


def test_escapes_of_a_terminal_are_printed_as_text(run, tmp_path):
    result = toy.make().solve([0.5, 1.0])
    details = json.loads(result.attrs["provenance"]) | {"\x1b]0;title\x07": "\x9b31m"}
    result.attrs |= {"kind": "limit\x1b[2J", "provenance": json.dumps(details), "clock": "t\u202e"}
    result.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    status, out, _ = run("show x.nc")
    assert status == 0
    assert "limit\\x1b[2J" in out
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(out)


FULL = """
import resource, signal, sys
import numpy as np, xarray as xr, flowlimits as fl
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
try:
    fl.save(xr.Dataset({"x": ("i", np.random.default_rng(0).normal(size=100000))}), "large.nc")
except OSError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, before)  # a measurement of coverage writes its file at the end
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes")
def test_a_limit_of_file_sizes_is_one_sentence_and_no_crash(tmp_path):
    assert resource.RLIMIT_FSIZE is not None
    made = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (made.returncode, made.stdout, made.stderr) == (0, "Cannot write large.nc: File too large.\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_of_another_program_is_saved_and_loaded(tmp_path):
    plain = xr.Dataset({"x": ("i", [1.0, 2.0]), "w": ("i", ["a", "b"])}, attrs={"title": "mine", "list": [1, 2]})
    found = fl.load(fl.save(plain, tmp_path / "x.nc"))
    xr.testing.assert_equal(found, plain)
