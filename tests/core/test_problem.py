"""Problems are values: compared, hashed, copied and stored by their content."""

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
import toy

import flowlimits as fl
from flowlimits.core.problem import rebuild

pytestmark = pytest.mark.usefixtures("toy_classes")


def test_equal_content_is_equal_and_has_one_hash():
    one, two = toy.make(), toy.make()
    assert one is not two
    assert one == two
    assert hash(one) == hash(two)
    assert len({one, two, toy.make(3.0)}) == 2


@pytest.mark.parametrize(
    "other",
    [
        toy.make(2.5),
        toy.make(word="other"),
        toy.make(laws=(toy.Law([1.0], [1.0]),)),
        toy.Decay(2.0, toy.Law([0.0, 2.0], [0.5, 0.5 + 1e-16 * 2])),
        toy.Decay(2.0, toy.Law([0.0, 2.0, 3.0], [0.5, 0.5, 0.0])),
    ],
)
def test_different_content_differs(other):
    assert toy.make() != other


def test_a_problem_is_not_equal_to_something_else():
    assert toy.make() != "Decay"
    assert toy.make() != toy.make().law


def test_fields_cannot_be_set():
    with pytest.raises(dataclasses.FrozenInstanceError):
        toy.make().rate = 3.0


def test_arrays_are_independent_copies_and_read_only():
    nodes = np.array([0.0, 2.0])
    law = toy.Law(nodes, [0.5, 0.5])
    nodes[0] = 7.0
    assert law.nodes[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        law.nodes[0] = 1.0


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_are_equal_and_still_read_only(duplicate):
    problem = toy.make(laws=(toy.Law([1.0], [1.0]),))
    again = duplicate(problem)
    assert again == problem
    assert not again.law.nodes.flags.writeable
    assert not again.laws[0].nodes.flags.writeable


def test_replace_checks_again():
    assert dataclasses.replace(toy.make(), rate=3.0) == toy.make(3.0)
    with pytest.raises(ValueError, match="must be positive"):
        dataclasses.replace(toy.make(), rate=-1.0)


def test_it_shows_itself_as_it_is_written():
    assert (
        repr(toy.make(word="a"))
        == "Decay(rate=2.0, law=Law(nodes=[0, 2], weights=[0.5, 0.5]), laws=(), word='a', delay=0.0)"
    )


def test_the_plain_form_is_json_and_rebuilds_the_problem():
    problem = toy.make(0.1 + 0.2, laws=(toy.Law([1.0], [1.0]), toy.Law([1.0, 3.0], [0.5, 0.5])))
    arrays = {}
    text = json.dumps(problem.to_plain(arrays))
    assert sorted(arrays) == [f"problem_{name}" for name in ("law_nodes", "law_weights")] + [
        f"problem_laws_{i}_{name}" for i in (0, 1) for name in ("nodes", "weights")
    ]
    assert rebuild(json.loads(text), arrays) == problem


def test_what_has_no_plain_form_is_refused():
    problem = toy.make()
    object.__setattr__(problem, "word", {1, 2})
    with pytest.raises(TypeError) as caught:
        problem.to_plain({})
    assert str(caught.value) == "A field of type set has no plain form."


def test_only_names_of_the_table_are_rebuilt():
    with pytest.raises(ValueError) as caught:
        rebuild({"class": "os.system", "command": "true"}, {})
    assert str(caught.value) == "There is no problem class `os.system`."
    with pytest.raises(ValueError) as caught:
        rebuild({"class": "ExtensiveQuadratc"}, {})
    assert str(caught.value) == "There is no problem class `ExtensiveQuadratc`; did you mean `ExtensiveQuadratic`?"


def test_a_field_of_another_version_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"^This version of flowlimits cannot rebuild Law: .*'colour'"):
        rebuild({"class": "Law", "nodes": [1.0], "weights": [1.0], "colour": "red"}, {})


def test_a_missing_array_is_named():
    with pytest.raises(ValueError) as caught:
        rebuild({"class": "Law", "nodes": {"array": "problem_nodes"}, "weights": [1.0]}, {})
    assert str(caught.value) == "The result holds no array `problem_nodes`, to which its problem refers."


def test_a_problem_shows_its_sizes_its_activation_and_what_is_not_at_its_default():
    problem = fl.Committee.random(2, 3, dimension=100, rng=0, activation="erf", learning_rate=0.1)
    shown = repr(problem)
    assert shown.startswith("Committee(student_width=2, teacher_width=3, Q=[[0.9323, 0.04689], ")
    assert shown.endswith("T=<array 3x3, norm 1.941>, activation='erf', teacher_activation='erf', learning_rate=0.1)")
    html = problem._repr_html_()
    assert "<b>Committee</b>, on the clock t (" in html
    assert "&lt;array 3x3, norm 1.941&gt;" in html
    assert "Learning rate of one-pass SGD; 0 is gradient flow." in html
    assert "noise" not in shown


def test_what_a_problem_shows_in_html_is_escaped():
    assert "<script>" not in toy.Decay(2.0, word="<script>alert(1)</script>")._repr_html_()
