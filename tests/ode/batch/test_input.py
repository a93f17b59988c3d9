"""Bad input of `integrate_batch`: one sentence each, before anything is computed."""

import numpy as np
import pytest
from batch_problems import PENDULUM, pendulum

import flowlimits as fl

Y0S = np.ones((200, 2))


def with_entry(array, index, value):
    changed = np.array(array)
    changed[index] = value
    return changed


def call(rhs=PENDULUM, y0s=Y0S, times=(1.0, 2.0), params=(1.0, 1.0), **options):
    return fl.ode.integrate_batch(rhs, y0s, times, params, **options)


VALUES = [
    ({"y0s": [[1.0, 2.0], [1.0]]}, "Argument `y0s` must have the same shape for every problem, but problem 0 has (2,) and problem 1 has (1,)."),
    ({"y0s": [[1.0, 2.0], [1.0, 2.0], 3.0]}, "Argument `y0s` must have the same shape for every problem, but problem 0 has (2,) and problem 2 has ()."),
    ({"y0s": with_entry(Y0S, (137, 1), np.nan)}, "Argument `y0s` must be finite, but problem 137 holds nan."),
    ({"y0s": with_entry(Y0S, ([3, 9, 9], [0, 0, 1]), np.inf)}, "Argument `y0s` must be finite, but problem 3 holds inf (1 more do so)."),
    ({"y0s": [[1.0, 2.0], [1.0, [2.0, 3.0]]]}, "Argument `y0s` must have the same shape for every problem, but problem 0 has (2,) and problem 1 has ragged rows."),
    ({"y0s": []}, "Argument `y0s` must have shape (problems, n), one start per row, but has shape (0,)."),
    ({"y0s": np.ones((0, 2))}, "Argument `y0s` must hold at least one problem, but is empty."),
    ({"y0s": np.ones((4, 0))}, "Argument `y0s` must hold at least one component per problem, but its rows are empty."),
    ({"y0s": [1.0, 2.0]}, "Argument `y0s` must have shape (problems, n), one start per row, but has shape (2,)."),
    ({"params": with_entry(np.ones((200, 2)), (8, 0), -np.inf)}, "Argument `params` must be finite, but problem 8 holds -inf."),
    ({"params": [1.0, np.nan]}, "Argument `params` must be finite, but holds nan."),
    ({"params": np.ones((3, 2))}, "Argument `params` must have shape (problems, m) = (200, m), or (m,) or (1, m) for all problems, but has shape (3, 2)."),
    ({"params": np.ones((200, 2, 1))}, "Argument `params` must have shape (problems, m) = (200, m), or (m,) or (1, m) for all problems, but has shape (200, 2, 1)."),
    ({"params": [1.0]}, "The right-hand side `pendulum` needs longer arrays than y0 (2), `params` (1) and `work_size` (0) at t = 0: index 1 is out of bounds for axis 0 with size 1."),
    (
        {"times": np.ones((200, 2))},
        "Argument `times` must be one-dimensional: all problems of a batch share the requested times.  For other times, ask for all of them and select, or make one batch per set of times.",
    ),
    (
        {"times": [[1.0], [1.0, 2.0]]},
        "Argument `times` must be one-dimensional: all problems of a batch share the requested times.  For other times, ask for all of them and select, or make one batch per set of times.",
    ),
    ({"times": []}, "Argument `times` must hold at least one time, but is empty."),
    ({"times": [1.0, 1.0]}, "Argument `times` must increase strictly, but 1 follows 1 at index 1."),
    ({"start": 3.0}, "Argument `times` must not begin before `start` = 3, but begins at 1."),
    ({"threads": 0}, "Argument `threads` must be at least 1, but is 0."),
    ({"threads": -2}, "Argument `threads` must be at least 1, but is -2."),
    ({"rtol": -1e-8}, "Argument `rtol` must not be negative, but is -1e-08."),
    ({"rtol": 0.0, "atol": 0.0}, "Arguments `rtol` and `atol` must not both be zero."),
    ({"atol": [1.0, 1.0, 1.0]}, "Argument `atol` must be a number or have shape (2,), but has shape (3,)."),
    ({"max_steps": 0}, "Argument `max_steps` must be at least 1, but is 0."),
    ({"work_size": -1}, "Argument `work_size` must be at least 0, but is -1."),
    ({"first_step": 0.0}, "Argument `first_step` must be positive, but is 0.0."),
    ({"max_step": -1.0}, "Argument `max_step` must be positive, but is -1.0."),
    ({"method": "dop835"}, 'Argument `method` must be one of "auto", "dop853", "radau", "radau5", "radau9", "radau13", but is \'dop835\'; did you mean `dop853`?'),
]  # fmt: skip

TYPES = [
    ({"rhs": pendulum}, "Argument `rhs` must be a function decorated with fl.ode.right_hand_side, but is the function `pendulum`; write @fl.ode.right_hand_side above `def pendulum`."),
    ({"rhs": 3}, "Argument `rhs` must be a function decorated with fl.ode.right_hand_side, but is 3."),
    ({"y0s": "starts"}, "Argument `y0s` must be an array of numbers, but is 'starts'."),
    ({"y0s": [["1", "2"]]}, "Argument `y0s` must be an array of numbers, but is [['1', '2']]."),
    ({"y0s": [[1j, 2.0]]}, "Argument `y0s` must be an array of numbers, but is [[1j, 2.0]]."),
    ({"y0s": None}, "Argument `y0s` must be an array of numbers, but is None."),
    ({"params": [["a", "b"]] * 200}, None),
    ({"threads": 1.5}, "Argument `threads` must be a whole number, but is 1.5."),
    ({"threads": True}, "Argument `threads` must be a whole number, but is True."),
    ({"progress": "yes"}, "Argument `progress` must be True, False or None, but is 'yes'."),
    ({"start": "now"}, "Argument `start` must be a number, but is 'now'."),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), VALUES)
def test_bad_values_are_refused_in_one_sentence(given, message):
    with pytest.raises(ValueError) as caught:
        call(**given)
    assert str(caught.value) == message


@pytest.mark.parametrize(("given", "message"), TYPES)
def test_things_of_another_kind_are_refused_in_one_sentence(given, message):
    with pytest.raises(TypeError) as caught:
        call(**given)
    assert message is None or str(caught.value) == message


def test_what_is_given_is_not_changed_and_may_have_any_layout():
    y0s, params = np.asfortranarray(Y0S * 2.0), np.ones((400, 2), dtype=np.float32)[::2]
    y0s.flags.writeable = params.flags.writeable = False
    _, states, _ = call(y0s=y0s, params=params)
    _, expected, _ = call(y0s=y0s.tolist(), params=[1, 1])
    assert np.array_equal(states, expected)
