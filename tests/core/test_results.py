"""Results: schema, files that are whole or as they were, repetition bit for bit."""

import copy
import json
import os
import stat

import numpy as np
import pytest
import toy
import xarray as xr

import flowlimits as fl
from flowlimits.core import results
from flowlimits.core.registry import DESCRIPTIONS
from flowlimits.core.threads import Interrupted, run_threads
from flowlimits.data.rerun import differing, rerun

TIMES = np.geomspace(0.01, 10, 30)

pytestmark = pytest.mark.usefixtures("toy_classes")


@pytest.fixture
def limit():
    return toy.make().solve(TIMES)


@pytest.fixture
def runs():
    return toy.make().simulate(TIMES, dimension=50, runs=4, rng=3)


def test_a_result_follows_the_schema(limit, runs):
    assert limit["risk"].dims == ("time",)
    assert runs["risk"].dims == ("run", "time")
    assert limit.attrs["kind"] == "limit"
    assert limit.attrs["clock"] == "tau = t/d"
    assert runs.attrs["dimension"] == 50
    assert limit["overlap"].attrs == {"long_name": "overlap", "symbol": r"\chi"}
    assert results.provenance(runs)["call"] == {"verb": "simulate", "dimension": 50, "runs": 4}
    assert results.provenance(runs)["root_seed"] == {"entropy": ["3"], "spawn_key": []}
    assert results.time_variables(runs) == ["risk", "overlap", "misalignment"]


def test_versions_are_those_of_the_loaded_packages():
    import h5netcdf
    import numba
    import scipy

    told = results.versions()
    assert told["numpy"] == np.__version__
    assert (told["scipy"], told["numba"], told["h5netcdf"]) == (
        scipy.__version__,
        numba.__version__,
        h5netcdf.__version__,
    )
    assert told["flowlimits"] == fl.__version__


def test_saved_and_loaded_results_are_identical(tmp_path, limit, runs):
    for result in (limit, runs):
        path = fl.save(result, tmp_path / "result.nc")
        assert path == tmp_path / "result.nc"
        again = fl.load(path)
        assert again.identical(result)
        assert differing(result, again) == []
        assert {name: type(v) for name, v in again.attrs.items() if isinstance(v, str)} == {
            name: type(v) for name, v in result.attrs.items() if isinstance(v, str)
        }


def test_the_problem_comes_back_from_the_file(tmp_path, limit):
    path = fl.save(limit, tmp_path / "result.nc")
    assert fl.load_problem(path) == toy.make()
    assert fl.load_problem(str(path)) == toy.make()
    assert fl.load_problem(limit) == toy.make()


@pytest.mark.parametrize("value", [np.nextafter(1.0, 2.0), 5e-324, -0.0, np.nan, np.inf, 1 / 3])
def test_every_bit_of_a_number_survives(tmp_path, limit, value):
    changed = limit.copy(deep=True)
    changed["risk"].values[:] = value
    again = fl.load(fl.save(changed, tmp_path / "result.nc"))
    assert again["risk"].values.tobytes() == changed["risk"].values.tobytes()


def test_a_slice_of_a_loaded_large_result_can_be_saved(tmp_path):
    large = toy.make().simulate(np.linspace(0, 1, 800), dimension=50, runs=3, rng=0)
    part = fl.load(fl.save(large, tmp_path / "large.nc")).isel(run=slice(0, 1), time=slice(0, 5))
    assert fl.load(fl.save(part, tmp_path / "part.nc")).identical(part)


@pytest.mark.parametrize("stage", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, limit, monkeypatch, stage):
    path = fl.save(limit, tmp_path / "result.nc")
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, stage, fail)
    with pytest.raises(OSError, match=r"Cannot write .*result.nc: No space left on device\."):
        fl.save(toy.make(5.0).solve(TIMES), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["result.nc"]


def test_an_interrupt_while_writing_leaves_no_file(tmp_path, limit, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fl.save(limit, tmp_path / "result.nc")
    assert os.listdir(tmp_path) == []


def test_a_saved_file_has_the_permissions_of_any_new_file(tmp_path, limit):
    plain = tmp_path / "plain"
    plain.touch()
    path = fl.save(limit, tmp_path / "result.nc")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_link_stays_a_link(tmp_path, limit):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.nc"
    link.symlink_to(tmp_path / "there" / "result.nc")
    fl.save(limit, link)
    assert link.is_symlink()
    assert fl.load(link).identical(limit)


def test_paths_that_cannot_be_written_are_refused(tmp_path, limit):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as refused:
        fl.save(limit, tmp_path / "file" / "below" / "result.nc")
    assert str(refused.value) == (
        f"Cannot write {tmp_path}/file/below/result.nc: the folder {tmp_path}/file/below cannot be made, because {tmp_path}/file is a file."
    )
    with pytest.raises(IsADirectoryError) as caught:
        fl.save(limit, tmp_path)
    assert str(caught.value) == f"Cannot write {tmp_path}: it is a folder."
    with pytest.raises(TypeError) as caught:
        fl.save(3, tmp_path / "result.nc")
    assert str(caught.value) == "Argument `dataset` must be an xarray.Dataset, but is 3."


def test_a_folder_without_permission_is_named(tmp_path, limit, monkeypatch):
    real = os.open

    def refuse(path, flags, *rest, **options):
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError) as caught:
        fl.save(limit, tmp_path / "result.nc")
    assert str(caught.value) == f"Cannot write {tmp_path}/result.nc: Permission denied."


def test_missing_and_damaged_files_are_told_apart(tmp_path, limit):
    with pytest.raises(FileNotFoundError) as caught:
        fl.load(tmp_path / "none.nc")
    assert str(caught.value) == f"There is no file {tmp_path}/none.nc."
    with pytest.raises(IsADirectoryError) as folder:
        fl.load(tmp_path)
    assert str(folder.value) == f"Cannot read {tmp_path}: it is a folder."
    (tmp_path / "text.nc").write_text("not a result")
    with pytest.raises(
        ValueError, match=r"text\.nc is not a netCDF-4 file, or is damaged \(.*file signature not found.*\)\.$"
    ):
        fl.load(tmp_path / "text.nc")
    whole = fl.save(limit, tmp_path / "whole.nc").read_bytes()
    for kept in (0, 100, len(whole) // 2, len(whole) - 200):
        (tmp_path / "torn.nc").write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=r"torn\.nc is not a netCDF-4 file, or is damaged"):
            fl.load(tmp_path / "torn.nc")


@pytest.mark.parametrize("what", ["number", "attribute"])
def test_a_flipped_bit_is_noticed(tmp_path, limit, what):
    path = fl.save(limit, tmp_path / "result.nc")
    content = bytearray(path.read_bytes())
    place = content.find(limit["risk"].values.tobytes() if what == "number" else b"closed form")
    assert place > 0
    content[place + 3] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        fl.load(path)
    assert str(caught.value) == f"{path} is damaged, or was changed by another program: its checksum does not fit."


def test_any_netcdf_program_reads_a_saved_file_and_files_of_others_are_read(tmp_path, limit):
    path = fl.save(limit, tmp_path / "result.nc")
    with xr.open_dataset(path, engine="h5netcdf") as opened:
        np.testing.assert_array_equal(opened["risk"], limit["risk"])
    limit.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    assert fl.load(tmp_path / "other.nc").identical(limit)


def test_a_dataset_without_a_problem_says_so(limit):
    bare = limit.copy()
    bare.attrs = {}
    with pytest.raises(ValueError) as caught:
        fl.load_problem(bare)
    assert str(caught.value) == "This Dataset holds no problem: its attribute `problem` is missing."
    with pytest.raises(ValueError) as caught:
        results.provenance(bare)
    assert str(caught.value) == "This Dataset holds no provenance: it is not a result of flowlimits."
    bare.attrs["problem"] = "{"
    with pytest.raises(ValueError, match=r"^The attribute `problem` of this Dataset is no JSON: "):
        fl.load_problem(bare)


def test_a_result_is_repeated_from_its_file(tmp_path, limit, runs):
    for result in (limit, runs, toy.make().simulate(TIMES, dimension=50, runs=3)):
        again = rerun(fl.load(fl.save(result, tmp_path / "result.nc")))
        assert differing(result, again) == []


def test_a_difference_in_one_bit_is_named(limit):
    changed = limit.copy(deep=True)
    changed["overlap"].values[4] = np.nextafter(changed["overlap"].values[4], 2)
    assert differing(limit, changed) == ["overlap"]
    assert differing(limit, limit.drop_vars("risk")) == ["risk"]
    assert differing(limit, limit.isel(time=slice(1, None))) == ["time", "risk", "overlap", "misalignment"]


def test_a_result_that_states_no_call_cannot_be_repeated(limit):
    limit.attrs["provenance"] = json.dumps({"method": "by hand"})
    with pytest.raises(ValueError) as caught:
        rerun(limit)
    assert str(caught.value) == "This Dataset does not state the call that made it, so it cannot be repeated."


def test_a_call_cannot_name_anything_but_the_two_verbs(limit):
    limit.attrs["provenance"] = json.dumps({"call": {"verb": "__init__"}})
    with pytest.raises(ValueError, match="does not state the call"):
        rerun(limit)


def test_threads_change_no_number():
    problem = toy.make()
    one, three = (problem.simulate(TIMES, dimension=50, runs=7, rng=1, threads=threads) for threads in (1, 3))
    assert differing(one, three) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_an_interrupt_keeps_the_finished_runs(threads):
    def run(index):
        if index == 4:
            raise KeyboardInterrupt
        return 10 * index

    with pytest.raises(Interrupted) as caught:
        run_threads(run, 50, threads=threads)
    finished = caught.value.finished
    assert set(range(4)) <= set(finished)
    assert len(finished) < 50
    assert all(value == 10 * index for index, value in finished.items())
    assert str(caught.value) == f"Interrupted after {len(finished)} of 50 runs."


@pytest.mark.parametrize("threads", [1, 3])
def test_the_finished_runs_are_a_result_that_can_be_repeated(monkeypatch, threads):
    whole = toy.make().simulate(TIMES, dimension=50, runs=6, rng=3)
    original = toy.Decay._values
    shifts = []

    def values(self, times, shift=0.0):
        shifts.append(shift)
        if len(shifts) == 4:
            raise KeyboardInterrupt
        return original(self, times, shift)

    monkeypatch.setattr(toy.Decay, "_values", values)
    with pytest.raises(Interrupted) as caught:
        toy.make().simulate(TIMES, dimension=50, runs=40, rng=3, threads=threads)
    partial = caught.value.partial
    kept = partial.sizes["run"]
    assert 1 <= kept <= 6
    assert differing(partial, whole.isel(run=slice(0, kept))) == []
    monkeypatch.undo()
    for name, module in toy.TABLE.items():
        monkeypatch.setitem(DESCRIPTIONS, name, module)
    assert differing(partial, rerun(partial)) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_the_error_of_a_run_is_raised(threads):
    def run(index):
        if index == 2:
            raise ZeroDivisionError("run 2")
        return index

    with pytest.raises(ZeroDivisionError, match="run 2"):
        run_threads(run, 9, threads=threads)


def test_a_dataset_put_together_directly_is_that_of_the_general_constructor(monkeypatch):
    problem = fl.Committee([[0.5]], [[0.1]], [[1.0]])
    direct = problem.solve([1.0, 2.0])
    assert results.DIRECT, "this version of xarray has to be looked at"
    monkeypatch.setattr(results, "DIRECT", False)
    general = problem.solve([1.0, 2.0])
    general.attrs = direct.attrs
    xr.testing.assert_identical(direct, general)
    assert list(direct.variables) == list(general.variables)
    assert list(direct.sizes) == list(general.sizes)
    assert direct.xindexes["time"].equals(general.xindexes["time"])
    assert float(direct.sel(time=1.9, method="nearest")["risk"]) == float(general["risk"][1])
    with pytest.raises(ValueError, match="conflicting sizes"):
        results.build(
            problem, kind="exact", times=np.array([1.0]), variables={"risk": np.ones(2)}, call={"verb": "solve"}
        )


def test_the_attributes_that_hold_a_problem_are_made_once_unless_they_are_long(monkeypatch):
    problem = toy.make()
    first, second = problem.solve(TIMES), problem.solve(TIMES)
    assert first.attrs["problem"] is second.attrs["problem"]
    assert "_attributes" not in problem.__getstate__()
    assert "_attributes" not in vars(copy.deepcopy(problem))
    first.attrs["problem"] = "changed"
    assert json.loads(problem.solve(TIMES).attrs["problem"]) == json.loads(second.attrs["problem"])
    monkeypatch.setattr(results, "LONG", 10)
    other = toy.make()
    assert other.solve(TIMES).attrs["problem"] == second.attrs["problem"]
    assert "_attributes" not in vars(other)
