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


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    import os
    import stat

    pipe = tmp_path / "pipe.nc"
    os.mkfifo(pipe)
    (tmp_path / "link.nc").symlink_to(pipe)
    for path in (pipe, tmp_path / "link.nc"):
        with pytest.raises(OSError, match="it is a device or a pipe, which a file would replace"):
            fl.save(fl.Committee([[0.5]], [[0.1]], [[1.0]]).solve([0.1]), path)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_working_directory_that_is_gone_is_told(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError, match=r"^Cannot write x\.nc: the working directory is gone"):
        check_writable("x.nc")


def test_a_disk_that_is_full_is_told_with_the_name_of_the_figure_or_stream(tmp_path, monkeypatch):
    import errno
    from pathlib import Path

    from flowlimits.command_line import results

    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    axes = fl.plot.curves(fl.Committee([[0.5]], [[0.1]], [[1.0]]).solve([0.1, 0.2]))
    with pytest.raises(OSError, match=r"^Cannot write .*risk\.pdf: No space left on device"):
        results.save_figure(axes.figure, str(tmp_path / "risk.pdf"))
    assert not list(tmp_path.iterdir())
    sentence = cli._sentence(OSError(errno.ENOSPC, "No space left on device"))
    assert sentence == "Error: Cannot write to standard output: No space left on device."
