"""Studies from TOML files, the commands, and the page about a folder."""

import json
import os
import re
import subprocess
import sys
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
import study_functions as functions
import xarray as xr

import flowlimits as fl
from flowlimits.command_line.main import main
from flowlimits.studies.from_toml import read_study
from flowlimits.studies.report import collect, write_report
from flowlimits.toml.file import ConfigError

STUDY = """
[problem]
class = "ExtensiveQuadratic"
teacher = { kind = "orthonormal" }

[solve]
rtol = 1e-7

[study]
quantity = "risk"
times = [0.5]

[study.axes]
student_ratio = [0.25, 0.5]
"teacher.ratio" = "0.1:0.3:3"
"""


def run(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "width.toml"
    path.write_text(STUDY)
    return path


def test_a_file_gives_the_table_that_the_function_would(file, capsys):
    assert run(["study", str(file), "--quiet"]) == 0
    assert capsys.readouterr().out == f"6 points: 6 finished.  The table is {file.parent}/width/study.nc.\n"
    table = fl.load(file.parent / "width" / "study.nc")
    expected = [
        [
            float(fl.ExtensiveQuadratic(p, fl.Spectrum.orthonormal(k)).solve([0.5], rtol=1e-7)["risk"][0])
            for k in np.linspace(0.1, 0.3, 3)
        ]
        for p in (0.25, 0.5)
    ]
    assert table["risk"].dims == ("student_ratio", "teacher_ratio")
    np.testing.assert_array_equal(table["risk"], expected)


def test_parts_of_a_job_array_make_the_whole(file, capsys):
    assert run(["study", str(file), "--quiet", "--part", "1/2", "--folder", str(file.parent / "s")]) == 0
    assert capsys.readouterr().out.startswith("6 points: 3 finished, 3 missing.")
    assert run(["study", str(file), "--quiet", "--part", "2/2", "--folder", str(file.parent / "s")]) == 0
    assert capsys.readouterr().out.startswith("6 points: 6 finished.")
    run(["study", str(file), "--quiet"])
    parts, whole = (fl.load(file.parent / name / "study.nc") for name in ("s", "width"))
    xr.testing.assert_identical(parts.drop_attrs(deep=False), whole.drop_attrs(deep=False))


def test_a_first_point_that_cannot_be_built_is_told_before_anything_is_computed(file, capsys):
    file.write_text(STUDY.replace("[0.25, 0.5]", "[-0.5, 0.5]"))
    assert run(["study", str(file), "--quiet"]) == 2
    assert "Argument `student_ratio` must be positive, but is -0.5." in capsys.readouterr().err
    assert not (file.parent / "width").exists()


def test_failed_points_end_with_status_one(file, capsys):
    file.write_text(
        STUDY.replace("student_ratio = [0.25, 0.5]", '"solve.rtol" = [1e-7, 0.5]').replace(
            "teacher = {", "student_ratio = 0.5\nteacher = {"
        )
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run(["study", str(file), "--quiet"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("6 points: 3 finished, 3 failed.")
    assert "3 of 6 points failed" in said.err
    assert "Argument `rtol` must lie between 1e-14 and 0.1, but is 0.5. The messages" in said.err


def test_a_curve_keeps_its_times_and_an_option_can_be_an_axis(file):
    file.write_text(
        STUDY.replace("times = [0.5]", "times = [0.1, 0.5]")
        .replace("student_ratio = [0.25, 0.5]", '"solve.rtol" = [1e-9, 1e-4]')
        .replace("teacher = {", "student_ratio = 0.5\nteacher = {")
    )
    found = read_study(file)
    table = fl.study(found.function, found.axes, progress=False, **found.arguments)
    assert table["risk"].dims == ("solve_rtol", "teacher_ratio", "time")
    assert table["risk"].attrs["long_name"]
    assert (table["risk"].sel(solve_rtol=1e-9) != table["risk"].sel(solve_rtol=1e-4)).any()


def test_the_time_of_an_event_can_be_the_quantity(file):
    file.write_text(
        STUDY.replace('quantity = "risk"', 'event = { variable = "overlap", value = 0.5 }').replace(
            "[0.5]", "[0.0, 5.0]"
        )
    )
    found = read_study(file)
    table = fl.study(found.function, found.axes, progress=False, **found.arguments)
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.1))
    event = problem.solve([0.0, 5.0], rtol=1e-7, events=[fl.Event("overlap", 0.5)])["event_time"].values[0]
    assert float(table["event_time"].sel(student_ratio=0.5, teacher_ratio=0.1)) == event


def test_all_faults_of_a_file_are_told_at_once(file):
    text = (
        STUDY.replace('quantity = "risk"', 'quantit = "risk"\nrepeats = 1.5').replace("[0.25, 0.5]", "[0.5, 0.25]")
        + "\n[studies]\n"
    )
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_study(file)
    assert sorted(str(caught.value).splitlines()) == [
        f"{file}: [studies]: unknown section; did you mean `study`?",
        f"{file}: study.axes: Axis `student_ratio` must increase strictly, but is not sorted: 0.25 follows 0.5 at index 1.",
        f"{file}: study.quantit: unknown key; did you mean `quantity`?",
        f"{file}: study.repeats: must be a whole number, but is 1.5.",
    ]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            'quantity = "risk"',
            'quantity = "rsk"',
            "study.quantity: ExtensiveQuadratic has no variable `rsk`; did you mean `risk`?",
        ),
        (
            'quantity = "risk"',
            "",
            "study: give either `quantity` (names of variables) or `event` (a variable and a value).",
        ),
        (
            "student_ratio = [0.25",
            "student_ration = [0.25",
            "student_ration: unknown key; did you mean `student_ratio`?",
        ),
        (
            "student_ratio = [0.25",
            '"simulate.runs" = [0.25',
            "study.axes: `simulate.runs` has no effect on a study whose verb is `solve`.",
        ),
        ("[study]", "[stud]", "[stud]: unknown section; did you mean `study`?"),
    ],
)
def test_faults_of_a_file_are_sentences(file, before, after, message):
    file.write_text(STUDY.replace(before, after))
    with pytest.raises(ConfigError) as caught:
        read_study(file)
    assert f"{file}: {message}" in str(caught.value).splitlines()


def test_an_update_of_this_package_does_not_orphan_a_study(file):
    run(["study", str(file), "--quiet"])
    assert json.loads((file.parent / "width" / "study.json").read_text())["code"] == {}


def test_an_array_file_is_part_of_the_key(tmp_path):
    text = (
        '[problem]\nclass = "MeanFieldQuadratic"\nteacher_eigenvalues = "z.npy"\n'
        '[study]\nquantity = "risk"\ntimes = [0.1]\n[study.axes]\nstart = [0.5, 1.0]\n'
    )
    (tmp_path / "s.toml").write_text(text)
    np.save(tmp_path / "z.npy", [1.0, 2.0])
    first = read_study(tmp_path / "s.toml").arguments["parameters"]
    np.save(tmp_path / "z.npy", [1.0, 3.0])
    assert read_study(tmp_path / "s.toml").arguments["parameters"]["problem"] != first["problem"]


def test_help_of_the_commands_loads_nothing_heavy():
    code = (
        "import sys\nfrom flowlimits.command_line.main import main\n"
        "for name in ('study', 'report'):\n"
        "    try:\n        main([name, '--help'])\n    except SystemExit:\n        pass\n"
        "print(sorted({'numpy', 'numba', 'xarray', 'matplotlib', 'pydantic'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


class Page(HTMLParser):
    """What a page refers to, which elements it has, and its text."""

    def __init__(self):
        super().__init__()
        self.tags, self.references, self.text = set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.references += [
            value
            for name, value in attrs
            if name in ("src", "href", "xlink:href") and not value.startswith(("#", "data:"))
        ]

    def handle_data(self, data):
        self.text.append(data)


def read_page(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_the_page_is_self_contained_and_shows_plots_and_failures(tmp_path):
    with pytest.warns(UserWarning, match="1 of 5 points failed"):
        fl.study(functions.fails_at_three, {"a": [1, 2, 3, 4, 5]}, folder=tmp_path, progress=False)
    page = read_page(write_report(tmp_path))
    assert "svg" in page.tags
    assert page.references == []
    assert "script" not in page.tags
    text = " ".join(page.text)
    for words in (
        "fails_at_three over a",
        "ValueError: three is not allowed",
        "finished points",
        "failed points",
        "threads",
        fl.__version__,
    ):
        assert words in text


def hostile(a, word):
    raise (
        ValueError("<script>alert('x')</script> & \"quotes\"")
        if a > 1
        else None
        if a > 2
        else SystemError("<img src=x onerror=y>")
    )


def test_hostile_text_is_escaped(tmp_path):
    with pytest.raises(fl.StudyError):
        fl.study(hostile, {"a": [1, 2], "word": ["<b>", "</td><script>"]}, folder=tmp_path, progress=False)
    page = read_page(write_report(tmp_path))
    assert not {"script", "img", "b"} & page.tags
    assert any("<script>alert('x')</script>" in text for text in page.text)


def test_an_unfinished_study_has_a_page_too(tmp_path):
    fl.study(functions.product, {"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0]}, folder=tmp_path, part="1/2", progress=False)
    os.unlink(tmp_path / "study.nc")
    assert "the study has not come to an end" in " ".join(read_page(write_report(tmp_path)).text)


def test_what_a_folder_holds_can_be_read_without_the_function(tmp_path):
    table = fl.study(functions.noise, {"a": [1.0, 2.0, 3.0]}, folder=tmp_path, repeats=2, rng=0, progress=False)
    xr.testing.assert_equal(collect(tmp_path).dataset, table)


def test_a_refinement_is_collected_as_a_list_of_points(tmp_path):
    pytest.importorskip("adaptive")
    table = fl.refine(
        functions.product, {"a": (0.0, 1.0), "b": (0.0, 1.0)}, points=60, boundary=0.3, folder=tmp_path, progress=False
    )
    found = collect(tmp_path).dataset
    assert found["product"].dims == ("point",)
    np.testing.assert_array_equal(np.sort(found["product"]), np.sort(table["product"]))
    assert "svg" in read_page(write_report(tmp_path)).tags


def test_a_folder_without_a_study_has_no_page(tmp_path, capsys):
    assert run(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"Error: Folder {tmp_path} holds no study.\n"


def test_the_command_writes_the_page(file, capsys):
    run(["study", str(file), "--quiet"])
    assert run(["report", str(file.parent / "width"), "-o", str(file.parent / "page.html")]) == 0
    assert re.search(r"Saved to .*page.html\.\n$", capsys.readouterr().out)
    assert read_page(file.parent / "page.html").references == []


def test_the_table_of_a_study_is_drawn_by_plot(file, capsys, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert run(["study", str(file), "--quiet"]) == 0
    drawn = []
    original = fl.plot.study

    def remembered(*arguments, **options):
        drawn.append((arguments[1:], options))
        return original(*arguments, **options)

    monkeypatch.setattr("flowlimits.plot.study", remembered)
    assert run(["plot", "width/study.nc", "-o", "lines.png"]) == 0
    assert (
        run(
            [
                "plot",
                "width/study.nc",
                "--x",
                "student_ratio",
                "--y",
                "teacher_ratio",
                "--variable",
                "risk",
                "-o",
                "map.png",
            ]
        )
        == 0
    )
    assert [axes for axes, _ in drawn] == [(None, None), ("student_ratio", "teacher_ratio")]
    assert [options["variable"] for _, options in drawn] == [None, "risk"]
    assert os.path.getsize("lines.png") > 1000 < os.path.getsize("map.png")
    for line, sentence in (
        ("width/study.nc width/study.nc", "A study is drawn alone."),
        ("width/study.nc --spectrum", "--spectrum does not belong to a study."),
        ("width/study.nc --x depth", "Argument `x` must be one of student_ratio, teacher_ratio, but is 'depth'."),
    ):
        capsys.readouterr()
        assert run(["plot", *line.split(), "-o", "x.png"]) == 2
        assert sentence in capsys.readouterr().err
