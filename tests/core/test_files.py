"""Where results, tables, figures and pages are written: the same from Python and from the command line."""

import pytest

import flowlimits as fl
from flowlimits.command_line import main as cli
from flowlimits.core.files import check_writable, replacing

FLOW = "extensive --student-ratio 0.5 --teacher-ratio 0.25 --times 0.1,0.2"


def run(line):
    with pytest.raises(SystemExit) as end:
        cli.main(line.split())
    return end.value.code


def test_missing_folders_are_made_by_functions_and_commands_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    limit = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)).solve([0.1, 0.2])
    fl.save(limit, "a/b/limit.nc")
    fl.to_table(limit, "c/d/limit.csv")
    assert run(f"solve {FLOW} -o e/f/limit.nc") == 0
    assert run("plot e/f/limit.nc -o g/h/limit.png") == 0
    assert fl.load("a/b/limit.nc")["risk"].equals(fl.load("e/f/limit.nc")["risk"])
    assert [path.name for path in sorted(tmp_path.rglob("*.*"))] == ["limit.nc", "limit.csv", "limit.nc", "limit.png"]


def test_no_folder_is_made_for_what_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("solve extensive --student-ratio -1 --teacher-ratio 0.25 --times 0.1 -o new/limit.nc") == 2
    assert run("plot none.nc -o new/limit.png") == 2
    assert check_writable("new/newer/limit.nc") == tmp_path / "new" / "newer" / "limit.nc"
    assert list(tmp_path.iterdir()) == []


def write_and_fail(path):
    with replacing(path) as temporary:
        temporary.write_text("new")
        raise ZeroDivisionError


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(ZeroDivisionError):
        write_and_fail(tmp_path / "kept.txt")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]
    with replacing(tmp_path / "kept.txt") as temporary:
        temporary.write_text("new")
        assert (tmp_path / "kept.txt").read_text() == "kept"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]
