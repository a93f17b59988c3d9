"""Data frames of results, verdicts in files, results computed anew."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import flowlimits as fl

TIMES = [0.1, 0.5, 1.0]
Q, R, T = [[0.5, 0.1], [0.1, 0.6]], [[0.1], [0.2]], [[1.0]]


@pytest.fixture(scope="module")
def problem():
    return fl.MeanFieldQuadratic([0.5, 0.5, 0.0], 0.1)


def test_a_row_per_time_and_a_column_per_entry_of_a_matrix():
    result = fl.Committee(Q, R, T).solve(TIMES)
    frame = fl.to_dataframe(result)
    assert frame["time"].tolist() == TIMES
    np.testing.assert_array_equal(frame["Q[0, 1]"], result["Q"][:, 0, 1])
    np.testing.assert_array_equal(frame["risk"], result["risk"])
    assert not any(column.startswith("problem_") for column in frame)


def test_runs_and_times_are_rows(problem):
    runs = problem.simulate(TIMES, student_width=5, runs=2, rng=0)
    frame = fl.to_dataframe(runs, variables=["risk", "eigenvalues"])
    assert list(frame.columns) == ["run", "time", "risk", *(f"eigenvalues[{i}]" for i in range(3))]
    assert frame["run"].tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(frame["risk"], runs["risk"].values.ravel())
    np.testing.assert_array_equal(frame["eigenvalues[2]"], runs["eigenvalues"].values[..., 2].ravel())


def test_long_is_one_row_per_number(problem):
    frame = fl.to_dataframe(problem.solve(TIMES), variables=["risk", "trace"], layout="long")
    assert list(frame.columns) == ["time", "variable", "value"]
    assert len(frame) == 6
    wide = frame.pivot_table(index="time", columns="variable", values="value")
    np.testing.assert_array_equal(wide["trace"], problem.solve(TIMES)["trace"])


def test_studies_and_batches_have_rows_of_their_own(tmp_path):
    def area(width, height):
        return {"area": width * height, "sides": np.array([width, height])}

    table = fl.study(area, {"width": [1.0, 2.0], "height": [1.0, 2.0, 3.0]}, progress=False)
    frame = fl.to_dataframe(table)
    assert list(frame.columns) == ["width", "height", "status", "area", "sides[0]", "sides[1]"]
    assert frame["area"].tolist() == [1, 2, 3, 2, 4, 6]
    batch = fl.solve_many(
        fl.ExtensiveQuadratic, {"student_ratio": np.array([0.5, 0.6]), "teacher": fl.Spectrum.orthonormal(0.25)}, TIMES
    )
    frame = fl.to_dataframe(batch, variables="risk")
    assert frame["problem"].tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(frame["risk"], batch["risk"].values.ravel())
    written = pd.read_csv(fl.to_table(batch, tmp_path / "batch.csv", variables="risk"))
    assert list(written.columns) == ["problem", "time", "risk"]
    written = pd.read_csv(fl.to_table(table, tmp_path / "study.csv", variables="area"))
    assert written["area"].tolist() == [1, 2, 3, 2, 4, 6]


def test_any_dataset_has_a_frame():
    assert fl.to_dataframe(xr.Dataset({"x": ("i", [1.0, 2.0])}))["x"].tolist() == [1.0, 2.0]
    assert fl.to_dataframe(xr.Dataset({"x": 1.0}))["x"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((3,), "Argument `result` must be a result (an xarray.Dataset), but is 3."),
        ((xr.Dataset({"x": 1.0}), "y"), "Argument `variables` must be one of \"x\", but is 'y'."),
    ],
)
def test_what_has_no_frame_is_refused(arguments, sentence):
    result, *names = arguments
    with pytest.raises((TypeError, ValueError)) as caught:
        fl.to_dataframe(result, **({"variables": names[0]} if names else {}))
    assert str(caught.value) == sentence


def test_a_verdict_is_saved_and_loaded(problem, tmp_path, run):
    verdict = fl.convergence(problem, TIMES, sizes=[20, 40, 80], runs=4, rng=0, progress=False)
    again = fl.load(fl.save(verdict, tmp_path / "verdict.nc"))
    assert type(again) is type(verdict)
    assert str(again) == str(verdict)
    for name in ("verdict", "passed", "unit", "level", "at", "sentences"):
        assert getattr(again, name) == getattr(verdict, name), name
    for name in ("largest", "allowed", "exponent", "exponent_error", "unseen"):
        np.testing.assert_equal(getattr(again, name), getattr(verdict, name))
    xr.testing.assert_equal(again.dataset, verdict.dataset)
    xr.testing.assert_equal(again.theory, verdict.theory)
    assert again.theory.attrs["problem"] == verdict.theory.attrs["problem"]
    assert len(again.runs) == len(verdict.runs) == 3
    for one, two in zip(again.runs, verdict.runs):
        xr.testing.assert_equal(one, two)
    assert fl.load_problem(again.theory) == problem
    assert fl.plot.overview(again) is not None
    status, out, _ = run("show verdict.nc")
    assert (status, verdict.sentences[0] in out) == (0, True)
    assert run("plot verdict.nc -o verdict.pdf")[0] == 0
    assert str(fl.compare(again.theory, *again.runs)) == str(fl.compare(verdict.theory, *verdict.runs))


def test_a_forged_verdict_is_refused(tmp_path):
    xr.Dataset({"x": 1.0}, attrs={"kind": "verdict"}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match="This Dataset holds no verdict of this version"):
        fl.load(tmp_path / "x.nc")


def test_rerun_takes_results_and_files(problem, tmp_path):
    runs = problem.simulate(TIMES, student_width=5, runs=2, rng=0)
    path = fl.save(runs, tmp_path / "runs.nc")
    for source in (runs, path, str(path)):
        xr.testing.assert_equal(fl.rerun(source), runs)
    with pytest.raises(TypeError, match="Argument `result` must be a result or the path of one, but is 3"):
        fl.rerun(3)


def test_the_arrays_of_a_problem_do_not_multiply_the_rows_of_a_result(tmp_path):
    """They are text among the attributes, variables in files, and both forms of a file are read."""
    problem = fl.QuadraticFlow.orthonormal(40, 10, 5, rng=0)
    result = problem.solve(np.linspace(0.1, 5, 50))
    assert len(result.to_dataframe()) == 50
    path = fl.save(result, tmp_path / "saved.nc")
    with xr.open_dataset(path) as opened:
        assert {"problem_W", "problem_W_star"} <= set(opened.data_vars)
        assert fl.load_problem(opened.load()) == problem
    assert fl.load(path).identical(result)
    result.to_netcdf(tmp_path / "plain.nc", engine="h5netcdf")
    assert fl.load_problem(tmp_path / "plain.nc") == problem
    broken = result.assign_attrs(problem_arrays='{"problem_W": ["<f8", [3, 3], "AAAA"]}')
    with pytest.raises(
        ValueError, match=r"^The attribute `problem_arrays` of this Dataset holds no arrays of a problem: "
    ):
        fl.load_problem(broken)
