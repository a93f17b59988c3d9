"""Limits of extensive widths side by side in lanes: every problem has the bits that it has alone, whatever its neighbours."""

import json

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.compiled.jit import jit
from flowlimits.compiled.simd import LANES, where
from flowlimits.compiled.simd_arrays import line_of
from flowlimits.quadratic import extensive_lanes, extensive_lanes_collocation, many
from flowlimits.quadratic.extensive import collocation as extensive_collocation
from flowlimits.quadratic.extensive import tableau as extensive_tables

pytestmark = pytest.mark.filterwarnings("ignore:The start has the trace")
TIMES = np.geomspace(0.01, 50.0, 9)


def teacher_of(rng, ratio):
    """A teacher of one to four nodes: of the rank of the student or close to it, with zeros, with nodes that hardly act."""
    choice = rng.integers(6)
    if choice == 0 and 0.1 < ratio < 1:
        return fl.Spectrum.orthonormal(ratio)
    if choice == 1 and 0.1 < ratio < 1:
        return fl.Spectrum.orthonormal(ratio * (1 - 10.0 ** rng.uniform(-9, -1)))
    nodes, weights = rng.uniform(0.1, 2.0, rng.integers(1, 5)), rng.uniform(0.2, 1.0, 4)
    if choice == 2 and nodes.size > 1:
        nodes[0] = 0.0
    if choice == 3 and nodes.size > 1:
        nodes[0] = 10.0 ** rng.uniform(-9, -2)
    weights = weights[: nodes.size] / weights[: nodes.size].sum()
    return fl.Spectrum(nodes, weights).normalised()


def start_of(rng, ratio):
    """A start: orthonormal, Gaussian, or of one or two nodes, perhaps tiny, beside those at zero."""
    choice = rng.integers(3)
    if choice < 2:
        return ("orthonormal", "gaussian")[choice]
    nodes = rng.uniform(0.2, 2.0, rng.integers(1, 3)) * 10.0 ** rng.uniform(-5, 0)
    zero = min(max(0.0, 1 - ratio) + 0.05 * rng.integers(2), 0.999)
    weights = np.full(nodes.size, (1 - zero) / nodes.size)
    return fl.Spectrum([0.0, *nodes], [zero, *weights]) if zero > 0 else fl.Spectrum(nodes, weights)


def random_problems(number, seed):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        ratio = float(rng.choice([rng.uniform(0.05, 1.6), 10 ** rng.uniform(-2, 0)]))
        found.append(
            fl.ExtensiveQuadratic(
                ratio, teacher_of(rng, ratio), start_of(rng, ratio), weight_decay=float(rng.integers(2)) / 10
            )
        )
    return found


def pairs(number, seed=0, start="orthonormal"):
    """Problems that are alike."""
    rng = np.random.default_rng(seed)
    return [
        fl.ExtensiveQuadratic(float(a), fl.Spectrum.orthonormal(float(b)), start)
        for a, b in rng.uniform(0.1, 0.95, (number, 2))
    ]


def route(result):
    return json.loads(result.attrs["provenance"])["route"]


def assert_same(first, second):
    for name in second.data_vars:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.fixture
def every_group(monkeypatch):
    """Let groups of any size share lanes."""
    monkeypatch.setattr(many, "LEAST", 1)
    monkeypatch.setattr(many, "FEWEST", 1)


@pytest.mark.usefixtures("every_group")
@pytest.mark.parametrize(
    ("times", "rtol"),
    [
        (np.geomspace(1e-3, 1e6, 12), 1e-8),
        ([0.0, 0.1, 3.0], 1e-4),
        (np.geomspace(0.01, 30, 60), 1e-11),
        ([1e-8, 1e4], 1e-8),
        ([0.0], 1e-8),
    ],
    ids=["late", "coarse", "sharp", "few", "start"],
)
def test_every_problem_has_the_bits_that_it_has_alone(times, rtol):
    problems = random_problems(80, len(times))
    result = fl.solve_many(problems, times, rtol=rtol)
    assert route(result) == "lanes"
    assert (result["status"] == "success").all()
    assert (result["reached"] == times[-1]).all()
    for index, problem in enumerate(problems):
        alone = problem.solve(times, rtol=rtol)
        for name in result.data_vars:
            np.testing.assert_array_equal(result[name][index], alone[name])


def test_the_random_problems_reach_what_the_code_distinguishes():
    """Arrival, the multiplier running away, teachers of higher rank and nodes that count as zero are among them."""
    problems = random_problems(80, 12)
    risk = fl.solve_many(problems, [1e6])["risk"].values
    assert (risk == 0).any()
    assert (risk > 1e-3).any()
    keys = {
        (str(problem.start) if isinstance(problem.start, str) else "law", problem.teacher.nodes.size)
        for problem in problems
    }
    assert len(keys) >= 9
    assert any(0 < problem.teacher.nodes[0] < 1e-8 for problem in problems)
    assert any(problem.student_ratio > 1 for problem in problems)


@pytest.mark.parametrize("start", ["orthonormal", "gaussian"])
def test_neighbours_order_and_threads_do_not_matter(start):
    problems = pairs(90, start=start)
    result = fl.solve_many(problems, TIMES, threads=1)
    assert route(result) == "lanes"
    assert_same(fl.solve_many(problems, TIMES, threads=3), result)
    order = np.random.default_rng(1).permutation(90)
    assert_same(fl.solve_many([problems[i] for i in order], TIMES, threads=2), result.isel(problem=order))
    few = fl.solve_many(problems[37:57], TIMES)
    assert route(few) == "compiled steps, one by one"
    assert_same(few, result.isel(problem=slice(37, 57)))


def test_problems_that_take_turns_in_a_lane_do_not_matter_to_each_other(monkeypatch):
    problems = pairs(90)
    result = fl.solve_many(problems, TIMES)
    monkeypatch.setattr(many, "LEAST", 7)
    monkeypatch.setattr(many, "MOST", 7)
    assert_same(fl.solve_many(problems, TIMES), result)


def test_the_work_of_a_thread_has_bounds():
    def sizes(problems, outputs, threads):
        parts = many.alike(problems, outputs, threads)
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(problems)))
        return [len(part) for part in parts]

    assert sizes(pairs(100), 10, 1) == [100]
    assert sizes(pairs(100), 10, 2) == [50, 50]
    assert sizes(pairs(600), 10, 1) == [200, 200, 200]
    assert sizes(pairs(100), 10_000, 1) == [20] * 5
    assert sizes(pairs(64), 10**6, 1) == [16] * 4
    wide = fl.Spectrum(np.arange(1.0, 81.0), np.full(80, 1 / 80)).normalised()
    assert sizes([fl.ExtensiveQuadratic(0.5, wide)] * 96, 10, 1) == [32] * 3
    assert many.alike(pairs(63), 10, 1) == []
    assert many.alike(pairs(70)[:15] + pairs(70, start="gaussian")[:15], 10, 1) == []


def test_a_failing_lane_has_the_end_that_it_has_alone():
    problems = pairs(70)
    result = fl.solve_many(problems, TIMES)
    with pytest.warns(RuntimeWarning, match=r"problems failed; the first is problem \d+: .*Raise `max_steps`"):
        limited = fl.solve_many(problems, TIMES, max_steps=14)
    failed = limited["status"].values != "success"
    assert 5 < failed.sum() < 65
    assert route(limited) == "lanes"
    assert_same(limited.isel(problem=~failed), result.isel(problem=~failed))
    for index in np.flatnonzero(failed):
        with pytest.raises(fl.ode.IntegrationError) as caught:
            problems[index].solve(TIMES, max_steps=14)
        partial = caught.value.partial
        size = partial.sizes["time"]
        assert limited["status"].values[index] == caught.value.report.status.value
        assert limited["reached"].values[index] == caught.value.report.reached
        np.testing.assert_array_equal(limited["risk"][index, :size], partial["risk"])
        np.testing.assert_array_equal(limited["risk"][index, :size], result["risk"][index, :size])
        assert np.isnan(limited["risk"][index, size:]).all()


def test_steps_that_are_too_small_end_a_problem(monkeypatch):
    """No problem is known whose steps become so small: an error that nothing reduces makes them."""
    steps = extensive_lanes.steps
    rows, outcome, place = (
        np.full((1, 1, 9), np.nan),
        np.zeros((1, steps.OUTCOMES), dtype=np.int64),
        np.zeros((LANES, 2), dtype=np.int64),
    )
    lane = np.ones((extensive_lanes.board.LANE, LANES))
    lane[extensive_lanes.board.H] = 9e-11

    @jit
    def end(lane, times, place, rows, outcome):
        return steps.ended(2, times, 100, line_of(lane), place, rows, outcome)

    assert end(lane, np.ones(1), place, rows, outcome)
    assert outcome[0, 0] == steps.STEP_TOO_SMALL
    assert place[:, 0].tolist() == [0, 0, -1, *[0] * (LANES - 3)]
    assert np.isnan(rows).all()


def test_groups_of_all_kinds_in_one_list_come_back_in_order():
    centred = [
        fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.3), activation="centred", weight_decay=decay)
        for decay in (0.0, 0.1)
    ]
    refined = [fl.ExtensiveQuadratic(0.5, fl.Spectrum.marchenko_pastur(0.4))]
    few = [fl.ExtensiveQuadratic(0.4, fl.Spectrum([0.5, 1.0, 1.5], [0.25, 0.5, 0.25]))] * 3
    problems = pairs(50) + centred + refined + few + pairs(17, 1, "gaussian")
    order = np.random.default_rng(0).permutation(len(problems))
    times = [0.0, 0.3, 4.0]
    result = fl.solve_many([problems[i] for i in order], times, observables=["trace"])
    assert route(result) == "67 in lanes, 6 by compiled steps, one by one"
    assert set(result.data_vars) == {"risk", "trace"}
    for row, index in enumerate(order):
        alone = problems[index].solve(times)
        np.testing.assert_array_equal(result["risk"][row], alone["risk"])
        np.testing.assert_array_equal(result["trace"][row], alone["trace"])


def test_an_interrupt_keeps_what_is_finished(monkeypatch):
    problems = pairs(64)
    monkeypatch.setattr(many, "MOST", 16)
    solve, calls = extensive_lanes.solve, []

    def interrupted(*arguments):
        calls.append(len(arguments[0]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return solve(*arguments)

    monkeypatch.setattr(extensive_lanes, "solve", interrupted)
    with pytest.warns(RuntimeWarning, match="Interrupted: 32 of 64 problems are finished"):
        result = fl.solve_many(problems, TIMES, threads=1)
    assert list(result["status"].values) == ["success"] * 32 + ["interrupted"] * 32
    assert np.isnan(result["risk"][32:]).all()
    monkeypatch.undo()
    assert_same(result.isel(problem=slice(32)), fl.solve_many(problems[:32], TIMES))


def test_lines_lie_at_multiples_of_a_vector():
    for lines in (1, 3, 200):
        array = extensive_lanes.lanes_array(lines)
        assert array.shape == (lines, LANES)
        assert array.ctypes.data % extensive_lanes.VECTOR == 0
        assert array.flags.c_contiguous
        assert (array == 1).all()


def small_matrices():
    """Matrices of the collocation, some that need exchanges in some lanes only, some singular."""
    rng = np.random.default_rng(0)
    m = extensive_tables.STAGES
    found = rng.normal(size=(6, LANES, m, m))
    table = extensive_tables.radau_tables()[2]
    found[0] = table + np.eye(m) * np.geomspace(0.1, 100.0, LANES)[:, None, None]
    found[1] = table - np.eye(m) * np.geomspace(0.1, 100.0, LANES)[:, None, None]
    found[2, 3, :, 4] = 0.0
    found[2, 5, 2] = found[2, 5, 6] = 1.0
    found[3, 1] = np.nan
    return found


@jit
def invert_all(matrix, chosen, fine):
    lanes = line_of(fine)
    lanes[0] = where(extensive_lanes_collocation.invert(line_of(matrix), line_of(chosen)), 1.0, 0.0)


@jit
def solve_all(matrix, right, fine):
    lanes = line_of(fine)
    lanes[0] = where(extensive_lanes_collocation.solve_small(line_of(matrix), line_of(right)), 1.0, 0.0)


def in_lanes(arrays):
    return np.ascontiguousarray(arrays.reshape(LANES, -1).T)


@pytest.mark.parametrize("which", range(6))
def test_inverses_and_small_systems_have_the_bits_of_single_ones(which):
    matrices, fine = small_matrices()[which], np.zeros((1, LANES))
    m = matrices.shape[-1]
    lanes = in_lanes(matrices)
    invert_all(lanes, np.zeros((m, LANES)), fine)
    right = np.random.default_rng(1).normal(size=(LANES, m))
    rights, solvable = in_lanes(right), np.zeros((1, LANES))
    solve_all(in_lanes(matrices), rights, solvable)
    assert (fine.sum() < LANES) == (which in (2, 3))
    for l in range(LANES):
        inverse, single = np.empty((m, m)), right[l].copy()
        assert extensive_collocation.invert(matrices[l].copy(), inverse) == (fine[0, l] == 1)
        assert extensive_tables.solve_small(matrices[l].copy(), single) == (solvable[0, l] == 1)
        if fine[0, l]:
            np.testing.assert_array_equal(lanes[:, l].reshape(m, m), inverse)
        if solvable[0, l]:
            np.testing.assert_array_equal(rights[:, l], single)
