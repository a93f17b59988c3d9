"""Many problems side by side give the bits of one at a time, whatever their number, order, neighbours and threads."""

import io
import tracemalloc

import batch_problems
import numpy as np
import pytest
from batch_problems import CASES, CHAIN, PENDULUM, SWITCHING

import flowlimits as fl
from flowlimits.ode.batch import lanes

TIMES = np.array([0.0, 0.1, 0.7, 2.0, 5.0])
NUMBER = 150  # enough for a trace


@pytest.fixture(scope="module")
def solved():
    """The states of every case, computed once."""
    kept = {}

    def solve(name, method="dop853"):
        if (name, method) not in kept:
            rhs, y0s, params, work_size = CASES[name](NUMBER)
            found = fl.ode.integrate_batch(rhs, y0s, TIMES, params, method=method, work_size=work_size, threads=1)
            kept[name, method] = (rhs, y0s, params, work_size), found[1], found[2]
        return kept[name, method]

    return solve


def same(one, other):
    return np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("method", ["dop853"])
@pytest.mark.parametrize("name", list(CASES))
def test_a_lane_takes_the_steps_of_one_problem_and_ends_with_its_bits(name, method, solved):
    (rhs, y0s, params, work_size), states, report = solved(name, method)
    assert report.operations > 0 or name.startswith("branches")
    for i in (0, 1, 77, NUMBER - 1):
        _, expected, one = fl.ode.integrate(
            rhs, y0s[i], TIMES, params[i], method=method, dense=False, work_size=work_size
        )
        assert same(states[i], expected)
        assert (report.steps[i], report.rejected[i], report.evaluations[i]) == (
            one.steps,
            one.rejected,
            one.evaluations,
        )
        assert (report.statuses[i], report.outputs[i], report.reached[i]) == (one.status, TIMES.size, one.reached)
    assert report.methods == (method,) * NUMBER
    assert not report.failed.size


@pytest.mark.parametrize("name", list(CASES))
def test_the_function_itself_and_its_trace_give_the_same_bits(name, solved, monkeypatch):
    (rhs, y0s, params, work_size), states, report = solved(name)
    monkeypatch.setattr(lanes, "WORTH", NUMBER + 1)
    _, other, plain = fl.ode.integrate_batch(rhs, y0s, TIMES, params, method="dop853", work_size=work_size)
    assert plain.operations == 0
    assert same(states, other)
    assert np.array_equal(report.evaluations, plain.evaluations)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 15, 16, 17, 127, 128, 129, 1000])
def test_neighbours_order_and_threads_change_nothing(count, threads):
    rhs, y0s, params, _ = batch_problems.random(PENDULUM, 1000, 2, 2)
    some = np.random.default_rng(count).permutation(1000)[:count]
    _, whole, report = fl.ode.integrate_batch(rhs, y0s, TIMES, params, threads=1)
    _, part, other = fl.ode.integrate_batch(rhs, y0s[some], TIMES, params[some], threads=threads)
    assert same(part, whole[some])
    for name in ("steps", "rejected", "evaluations", "reached"):
        assert np.array_equal(getattr(other, name), getattr(report, name)[some])
    assert other.threads == threads


@pytest.mark.parametrize("threads", [1, 2])
def test_problems_of_other_equations_are_parted_and_put_together_again(threads):
    rng = np.random.default_rng(0)
    params = np.column_stack([rng.choice([-2.0, 0.0, 2.0], 600), rng.uniform(0.0, 1.0, 600)])
    y0s = rng.uniform(0.0, 1.0, (600, 1))
    _, states, report = fl.ode.integrate_batch(SWITCHING, y0s, TIMES, params, method="dop853", threads=threads)
    assert report.operations > 0
    for i in range(0, 600, 37):
        assert same(states[i], fl.ode.integrate(SWITCHING, y0s[i], TIMES, params[i], method="dop853", dense=False)[1])


def test_too_many_different_equations_are_not_compiled():
    def loops(t, y, dy, params, work):
        total = 0.0
        for i in range(int(params[0])):
            total += y[0] / (i + 1.0)
        dy[0] = -total

    rhs = fl.ode.right_hand_side(loops)
    params = np.arange(1.0, 201.0)[:, None]
    _, states, report = fl.ode.integrate_batch(rhs, np.ones((200, 1)), TIMES, params, method="dop853")
    assert report.operations == 0
    assert same(states[5], fl.ode.integrate(rhs, [1.0], TIMES, [6.0], method="dop853", dense=False)[1])


def test_groups_too_small_to_compile_for_call_the_function_itself():
    params = np.column_stack([np.repeat([2.0, -2.0], [200, 20]), np.zeros(220)])
    _, states, report = fl.ode.integrate_batch(SWITCHING, np.full((220, 1), 0.5), TIMES, params, method="dop853")
    assert report.operations > 0
    assert same(states[210], fl.ode.integrate(SWITCHING, [0.5], TIMES, params[210], method="dop853", dense=False)[1])


@pytest.mark.parametrize("number", [3, 200])
def test_shared_parameters_are_those_of_every_problem(number):
    y0s = np.random.default_rng(0).standard_normal((number, 2))
    _, shared, _ = fl.ode.integrate_batch(PENDULUM, y0s, TIMES, [1.3, 0.4])
    _, own, _ = fl.ode.integrate_batch(PENDULUM, y0s, TIMES, np.tile([1.3, 0.4], (number, 1)))
    assert same(shared, own)


@pytest.mark.parametrize(
    "options",
    [
        {"first_step": 1e-3},
        {"max_step": 0.05},
        {"atol": [1e-6, 1e-12]},
        {"atol": [1e-9, 0.0]},
        {"rtol": 0.0, "atol": 1e-9},
        {"rtol": 1e-4, "atol": 0.0},
        {"start": -1.5},
        {"start": 0.05, "first_step": 0.2, "max_step": 0.3},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["dop853"])
def test_options_mean_what_they_mean_for_one_problem(options, method):
    rhs, y0s, params, _ = batch_problems.random(PENDULUM, 130, 2, 2)
    times = TIMES[1:] if options.get("start", 0.0) > 0 else TIMES
    _, states, report = fl.ode.integrate_batch(rhs, y0s, times, params, method=method, **options)
    assert report.operations > 0
    for i in (0, 64, 129):
        _, expected, one = fl.ode.integrate(rhs, y0s[i], times, params[i], method=method, dense=False, **options)
        assert same(states[i], expected)
        assert report.evaluations[i] == one.evaluations


def test_a_requested_time_at_the_start_is_the_start():
    _, states, report = fl.ode.integrate_batch(PENDULUM, [[1.0, 2.0], [3.0, 4.0]], [2.5], [[1.0, 1.0]], start=2.5)
    assert states.tolist() == [[[1.0, 2.0]], [[3.0, 4.0]]]
    assert report.steps.tolist() == [0, 0]
    assert report.reached.tolist() == [2.5, 2.5]
    assert report.message == "All 2 problems were integrated."


def test_memory_is_that_of_the_outputs_whatever_the_steps():
    y0s = np.random.default_rng(0).standard_normal((400, 2))
    fl.ode.integrate_batch(PENDULUM, y0s, [0.1], [1.0, 0.3], threads=1)
    peaks, steps = [], []
    for rtol in (1e-4, 1e-13):
        tracemalloc.start()
        _, states, report = fl.ode.integrate_batch(
            PENDULUM, y0s, [1.0, 20.0], [1.0, 0.3], rtol=rtol, atol=rtol, threads=1
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        steps.append(report.steps.sum())
    assert steps[1] > 5 * steps[0]
    assert abs(peaks[1] - peaks[0]) < 0.2 * peaks[0]


def test_a_bar_counts_the_problems_once(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    rhs, y0s, params, _ = batch_problems.random(PENDULUM, 70, 2, 2)
    fl.ode.integrate_batch(rhs, y0s, TIMES, params, threads=2, progress=True)
    assert file.getvalue() == "problems: 70/70 after 0 s\n"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["radau", "radau5"])
def test_the_implicit_method_takes_problems_one_by_one(method, threads):
    rhs, y0s, params, _ = batch_problems.random(CHAIN, 5, 3, 2, 3)
    _, states, report = fl.ode.integrate_batch(rhs, y0s, TIMES, params, method=method, work_size=3, threads=threads)
    for i in range(5):
        _, expected, one = fl.ode.integrate(rhs, y0s[i], TIMES, params[i], method=method, work_size=3)
        assert same(states[i], expected)
        assert (report.steps[i], report.evaluations[i], report.methods[i]) == (one.steps, one.evaluations, one.method)


def test_a_function_that_changes_its_state_is_refused_and_scratch_is_its_own():
    @fl.ode.right_hand_side
    def careless(t, y, dy, params, work):
        y[0] = min(y[0], params[0])
        dy[0] = y[0]

    @fl.ode.right_hand_side
    def remembering(t, y, dy, params, work):
        work[0] += 1.0
        dy[0] = y[0] * params[1]

    y0s, params = np.linspace(0.1, 1.0, 140)[:, None], np.column_stack([np.linspace(0.5, 2.0, 140), np.ones(140)])
    with pytest.raises(ValueError, match="`careless` writes to `y` or `params` at t = 0"):
        fl.ode.integrate_batch(careless, y0s, TIMES, params)
    _, states, _ = fl.ode.integrate_batch(remembering, y0s, TIMES, params, method="dop853", work_size=1)
    for i in (0, 70, 139):
        expected = fl.ode.integrate(remembering, y0s[i], TIMES, params[i], method="dop853", work_size=1, dense=False)[1]
        assert same(states[i], expected)


@fl.ode.event(terminal=False)
def halved(t, y, params, work):
    return y[0] - 0.5


@fl.ode.event(direction=1)
def late(t, y, params, work):
    return t - params[1]


@fl.ode.right_hand_side
def decays_until(t, y, dy, params, work):
    dy[0] = -params[0] * y[0]


def test_events_of_a_batch_are_those_of_the_closed_form():
    rates, ends = np.linspace(0.1, 3, 24), np.linspace(1.0, 6.0, 24)
    times, params = np.linspace(0.5, 5, 10), np.column_stack([rates, ends])
    _, states, report = fl.ode.integrate_batch(
        decays_until, np.ones((24, 1)), times, params, events=[halved, late], threads=2
    )
    expected = np.log(2) / rates
    seen = expected <= np.minimum(ends, 5.0)
    np.testing.assert_allclose(report.event_times[seen, 0], expected[seen], rtol=1e-7)
    assert np.isnan(report.event_times[~seen, 0]).all()
    stopped = ends <= 5.0
    np.testing.assert_allclose(report.event_times[stopped, 1], ends[stopped], rtol=1e-12)
    np.testing.assert_allclose(report.reached, np.minimum(ends, 5.0), rtol=1e-12)
    assert [status is fl.ode.Status.EVENT for status in report.statuses] == stopped.tolist()
    assert (np.isnan(states[:, :, 0]) == (times > np.nextafter(ends, 9.0)[:, None])).all()
    one = fl.ode.integrate(decays_until, [1.0], times, params[3], events=[halved, late])[2]
    assert one.reached == pytest.approx(report.reached[3], rel=1e-12)
    assert report.failed.size == 0
    with pytest.raises(TypeError, match="Argument `events` must"):
        fl.ode.integrate_batch(decays_until, np.ones((24, 1)), times, params, events=3)
