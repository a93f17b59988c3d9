"""Wrapping one's own numbers, crossings, carrying results on, tables."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import toy
import xarray as xr

import flowlimits as fl
from flowlimits.core.results import clock_symbol
from flowlimits.data.export import with_error

TIMES = np.geomspace(0.1, 2, 12)

pytestmark = pytest.mark.usefixtures("toy_classes")


def test_one_curve_and_several_runs_are_wrapped():
    wrapped = fl.wrap(TIMES, overlap=np.ones((3, 12)), risk=np.zeros(12), dimension=50, clock="tau = t/d")
    assert wrapped["overlap"].dims == ("run", "time")
    assert wrapped["risk"].dims == ("time",)
    assert wrapped.attrs["dimension"] == 50
    assert (wrapped.attrs["kind"], wrapped.attrs["clock"]) == ("measurement", "tau = t/d")


def test_a_wrapped_variable_takes_clock_and_symbols_from_a_problem_or_a_result():
    for like in (toy.make(), toy.make().solve(TIMES)):
        wrapped = fl.wrap(TIMES, overlap=np.ones(12), like=like)
        assert wrapped.attrs["clock"] == "tau = t/d"
        assert wrapped["overlap"].attrs["symbol"] == r"\chi"


def test_matrices_are_wrapped_like_those_of_a_result():
    like = xr.Dataset({"Q": (("time", "student", "student_2"), np.ones((2, 3, 3)))}, coords={"time": [0.0, 1.0]})
    assert fl.wrap(TIMES, Q=np.ones((12, 3, 3)), like=like)["Q"].dims == ("time", "student", "student_2")
    assert fl.wrap(TIMES, Q=np.ones((5, 12, 3, 3)), like=like)["Q"].dims == ("run", "time", "student", "student_2")


def test_a_wrapped_result_survives_a_file(tmp_path):
    wrapped = fl.wrap(TIMES, overlap=np.ones((3, 12)), dimension=50)
    xr.testing.assert_identical(fl.load(fl.save(wrapped, tmp_path / "own.nc")), wrapped)


@pytest.mark.parametrize("shape", [(11,), (3, 11), (12, 3), (2, 3, 12)])
def test_shapes_that_do_not_fit_the_times_are_refused(shape):
    with pytest.raises(ValueError) as caught:
        fl.wrap(TIMES, overlap=np.ones(shape))
    assert str(caught.value) == (
        f"Argument `overlap` must have shape (12,) or (runs, 12) for 12 times, but has shape {shape}."
    )


def test_what_cannot_be_wrapped_is_refused():
    with pytest.raises(
        ValueError, match=r"^There is nothing to wrap: give at least one variable, such as overlap=array\.$"
    ):
        fl.wrap(TIMES)
    with pytest.raises(
        ValueError, match=r"^All variables must have the same number of runs, but `a` has 2, `b` has 3\.$"
    ):
        fl.wrap(TIMES, a=np.ones((2, 12)), b=np.ones((3, 12)))
    with pytest.raises(ValueError, match=r"^Argument `overlap` must be finite, but is nan at index \[0\]\.$"):
        fl.wrap([1.0], overlap=[np.nan])
    with pytest.raises(ValueError, match=r"^Variable `a` is given run by run: its errors follow from the runs\.$"):
        fl.wrap(TIMES, a=np.ones((2, 12)), errors={"a": np.ones(12)})
    with pytest.raises(ValueError, match=r"^Argument `errors\[a\]` must not be negative, but is -1 somewhere\.$"):
        fl.wrap(TIMES, a=np.ones(12), errors={"a": -np.ones(12)})
    with pytest.raises(ValueError, match=r'^Argument `kind` must be one of "measurement"'):
        fl.wrap(TIMES, a=np.ones(12), kind="guess")
    with pytest.raises(ValueError, match=r"^Argument `times` must increase strictly"):
        fl.wrap([1, 1], a=np.ones(2))
    with pytest.raises(TypeError, match=r"^Argument `like` must be a problem or a result, but is 3\.$"):
        fl.wrap(TIMES, a=np.ones(12), like=3)


def test_a_crossing_is_found_within_its_error():
    # The overlap is 1 - exp(-2 t)/2: it is 0.9 at t = log(5)/2.
    expected = np.log(5) / 2
    found = fl.crossing(toy.make().solve(TIMES), "overlap", 0.9)
    assert abs(float(found) - expected) < float(found["error"]) < 0.02 * expected
    fine = fl.crossing(toy.make().solve(np.geomspace(0.1, 2, 200)), "overlap", 0.9)
    assert abs(float(fine) - expected) < 1e-5
    assert float(fine["error"]) < float(found["error"]) / 50


def test_the_error_of_a_crossing_falls_with_the_spacing():
    counts = np.array([20, 40, 80, 160])
    found = [fl.crossing(toy.make().solve(np.linspace(0.1, 2, n)), "risk", 0.03) for n in counts]
    errors = np.abs([float(one) - np.log(0.25 / 0.03) / 4 for one in found])
    assert (errors < [max(float(one["error"]), 1e-12) for one in found]).all()
    assert errors[-1] < errors[0] / 100


def test_crossings_of_runs_and_directions():
    runs = toy.make().simulate(TIMES, dimension=50, runs=5, rng=0)
    rising, falling = fl.crossing(runs, "overlap", 0.9), fl.crossing(runs, "misalignment", 0.1)
    assert rising.dims == ("run",)
    np.testing.assert_allclose(rising, falling, rtol=1e-12)
    assert rising.std() > 0


def test_a_curve_that_never_crosses_gives_nan():
    found = fl.crossing(toy.make().solve(TIMES), "overlap", 0.999)
    assert np.isnan(found)
    assert np.isnan(found["error"])


def test_a_curve_that_touches_the_value_crosses_there():
    data = fl.wrap([0, 1, 2], a=[1.0, 0.0, -1.0], b=[0.0, 1.0, 2.0])
    assert float(fl.crossing(data, "a", 0.0)) == 1.0
    assert float(fl.crossing(data, "b", 0.0)) == 0.0
    assert float(fl.crossing(data, "b", 1.5)) == pytest.approx(1.5)


def test_crossings_of_what_has_none_are_refused():
    data = toy.make().solve(TIMES)
    with pytest.raises(ValueError, match=r"did you mean `overlap`"):
        fl.crossing(data, "overlaps", 0.9)
    with pytest.raises(ValueError, match=r"^A crossing needs at least two times, but the result has one\.$"):
        fl.crossing(data.isel(time=[0]), "overlap", 0.9)
    with pytest.raises(ValueError, match=r'^Argument `scale` cannot be "log" for times that start at 0\.$'):
        fl.crossing(fl.wrap([0, 1], a=[0, 1]), "a", 0.5, scale="log")
    with pytest.raises(TypeError, match=r"^Argument `dataset` must be a result in time"):
        fl.crossing(3, "overlap", 0.9)


def test_a_solution_is_carried_on():
    extended = fl.extend(toy.make().solve(TIMES), [1.0, 3.0, 4.0])
    expected = toy.make().solve(np.union1d(TIMES, [1.0, 3.0, 4.0]))
    xr.testing.assert_equal(extended, expected)


def test_a_simulation_is_carried_on_with_the_same_runs():
    first = toy.make().simulate(TIMES, dimension=50, runs=4, rng=7)
    extended = fl.extend(first, [TIMES[-1] * (1 + 1e-14), 5.0])
    assert extended["time"].size == 13
    xr.testing.assert_equal(extended.isel(time=slice(12))["risk"], first["risk"])


def test_a_problem_that_continues_is_asked_to(monkeypatch):
    asked = []
    monkeypatch.setattr(toy.Decay, "extend", lambda self, result, times: asked.append(times) or result, raising=False)
    fl.extend(toy.make().solve([1.0, 2.0]), [3.0])
    np.testing.assert_array_equal(asked[0], [1.0, 2.0, 3.0])


def test_a_measurement_cannot_be_carried_on():
    with pytest.raises(ValueError, match=r"^This Dataset holds no problem"):
        fl.extend(fl.wrap(TIMES, a=np.ones(12)), [3.0])


def test_a_table_in_csv_has_means_errors_and_all_digits(tmp_path):
    runs = toy.make().simulate(TIMES, dimension=50, runs=4, rng=1)
    with fl.to_table(runs, tmp_path / "runs.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["time", "risk", "risk_error", "overlap", "overlap_error", "misalignment", "misalignment_error"]
    numbers = np.array(rows[1:], dtype=float)
    np.testing.assert_array_equal(numbers[:, 0], TIMES)
    np.testing.assert_array_equal(numbers[:, 1], runs["risk"].mean("run"))
    np.testing.assert_allclose(numbers[:, 2], runs["risk"].std("run", ddof=1) / 2, rtol=1e-12)


def test_a_table_in_latex_puts_the_error_behind_the_last_digit(tmp_path):
    runs = fl.wrap([1.0, 2.0], overlap=[[0.5, 0.7], [0.5, 0.8]], clock="t", like=None)
    path = fl.to_table(runs, tmp_path / "runs.tex", variables="overlap")
    assert path.read_text() == "\n".join(
        [
            r"\begin{tabular}{rr}", r"\hline", r"time & overlap \\", r"\hline",
            r"$1$ & $0.5$ \\", r"$2$ & $0.75(5)$ \\", r"\hline", r"\end{tabular}", "",
        ]
    )  # fmt: skip
    assert r"$\chi$" in fl.to_table(toy.make().solve(TIMES), tmp_path / "limit.tex").read_text()


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.12344, 0.00052, "$0.1234(5)$"),
        (-3.0, 0.0149, "$-3.000(15)$"),
        (1234.5, 31.0, r"$1.23(3)\times 10^{3}$"),
        (8.1e-05, 1.2e-07, r"$8.100(12)\times 10^{-5}$"),
        (0.0, 0.02, "$0.00(2)$"),
        (0.5, 0.0, "$0.5$"),
        (0.5, float("nan"), "$0.5$"),
        (0.00216, 9.6e-06, r"$0.00216(1)$"),
    ],
)
def test_numbers_with_errors(value, error, text):
    assert with_error(value, error) == text


def test_tables_of_matrices_and_of_grids(tmp_path):
    matrix = xr.Dataset({"Q": (("time", "i", "j"), np.arange(8.0).reshape(2, 2, 2))}, coords={"time": [0.0, 1.0]})
    assert fl.to_table(matrix, tmp_path / "q.csv").read_text().splitlines() == [
        'time,"Q[0, 0]","Q[0, 1]","Q[1, 0]","Q[1, 1]"', "0.0,0.0,1.0,2.0,3.0", "1.0,4.0,5.0,6.0,7.0",
    ]  # fmt: skip
    grid = xr.Dataset({"risk": (("x", "y"), [[1.0, 2.0], [3.0, 4.0]])}, coords={"x": [10, 20], "y": [0.1, 0.2]})
    assert fl.to_table(grid, tmp_path / "g.csv").read_text().splitlines() == [
        "x,y,risk", "10,0.1,1.0", "10,0.2,2.0", "20,0.1,3.0", "20,0.2,4.0",
    ]  # fmt: skip


def test_tables_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    data = toy.make().solve(TIMES)
    with pytest.raises(ValueError, match=r"^Argument `path` must end in \.csv or \.tex, but is "):
        fl.to_table(data, tmp_path / "x.xlsx")
    with pytest.raises(IsADirectoryError, match=r"^Cannot write .*: it is a folder\.$"):
        fl.to_table(data, tmp_path / "folder.csv")
    (tmp_path / "folder.csv").rmdir()
    with pytest.raises(ValueError, match=r"did you mean `risk`"):
        fl.to_table(data, tmp_path / "x.csv", variables=["risks"])
    (tmp_path / "old.csv").write_text("old")
    with pytest.raises(TypeError, match=r"^Argument `dataset` must be an xarray\.Dataset, but is 3\.$"):
        fl.to_table(3, tmp_path / "old.csv")
    assert (tmp_path / "old.csv").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]


def test_tables_write_the_clock_as_mathematics(tmp_path):
    limit = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)).solve([0.1, 0.2])
    assert r"$\tau$ & " in fl.to_table(limit, tmp_path / "table.tex").read_text()
    flow = fl.QuadraticFlow.orthonormal(6, 3, 2, rng=0).solve([0.1, 0.2])
    assert "\n$t$ & " in fl.to_table(flow, tmp_path / "flow.tex").read_text()
    assert "; ".join(fl.compare(flow, flow).sentences).count("risk at t = 0.1;") == 1


@pytest.mark.parametrize(
    ("clock", "symbol"),
    [
        ("tau = t/d, dW/dt = -p d grad risk", r"\tau"),
        ("t, dW/dt = -p d grad risk", "t"),
        ("t (steps)", "t"),
        ("minus log loss", ""),
    ],
)
def test_symbols_of_clocks(clock, symbol):
    assert clock_symbol(clock) == symbol


@pytest.mark.parametrize("count", [4, 6, 10, 20])
@pytest.mark.parametrize(
    ("curve", "root"),
    [
        (lambda t, a: np.cos(a * t + 0.3), lambda a: (np.pi / 2 - 0.3) / a),
        (lambda t, a: np.exp(-a * t) - 0.3, lambda a: -np.log(0.3) / a),
        (lambda t, a: np.tanh(4 * a * (t - 1.37)), lambda a: 1.37),
    ],
)
def test_the_error_of_a_crossing_holds_on_coarse_grids(count, curve, root):
    times = np.linspace(0, 3, count)
    for a in np.linspace(0.55, 1.5, 12):
        found = fl.crossing(fl.wrap(times, x=curve(times, a)), "x", 0.0, scale="linear")
        assert abs(float(found) - root(a)) <= float(found.error) + 1e-15


def test_a_curve_that_never_crosses_says_how_near_it_came():
    found = fl.crossing(fl.wrap([1.0, 2.0, 3.0], x=[0.1, 0.7, 0.4]), "x", 0.9)
    assert np.isnan(found)
    assert found.attrs["nearest"] == "x never crosses 0.9: the nearest value is 0.7, at time 2"


def test_a_failed_problem_of_a_batch_has_no_crossing_and_the_others_have():
    values = [[0.1, 0.5, 0.9], [0.1, np.nan, np.nan], [np.nan] * 3, [0.1, 0.6, np.nan]]
    batch = xr.Dataset({"x": (("problem", "time"), values)}, coords={"time": [1.0, 2.0, 3.0]})
    found = fl.crossing(batch, "x", 0.5)
    assert found.values[0] == 2.0
    assert np.isnan(found.values[1:3]).all()
    assert 1 < found.values[3] < 2
