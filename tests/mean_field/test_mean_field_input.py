"""What `MeanField` and `Ensemble` refuse, word by word."""

import math

import numpy as np
import pytest

import flowlimits as fl
from tests.support.naive_mean_field import FIVE, TWO

ATOMS = fl.Ensemble(**FIVE)
HIGH = fl.Ensemble(None, 1.0, np.full((2, 4), 0.1), 1.0)


def make(teacher=TWO, start=ATOMS, **physics):
    return fl.MeanField(teacher, start, **physics)


@pytest.mark.parametrize(("physics", "sentence"), [
    ({"learning_rate": 0.1}, "MeanField has no argument `learning_rate`: the limit holds for a learning rate that vanishes against the width. At a fixed ratio of the two "
     "the noise correlates the remainders of different units, and the law of single units does not close; Committee has one-pass SGD at finite width."),
    ({"dimension": 10}, "MeanField has no argument `dimension`: it belongs to the start: Ensemble.gaussian(dimension), or Ensemble(..., dimension=)."),
    ({"second_layer_rat": 0.1}, "MeanField has no argument `second_layer_rat`; did you mean `second_layer_rate`?"),
    ({"start": 3}, "Argument `start` must be an Ensemble, but is 3; Ensemble.gaussian(dimension) is one."),
    ({"start": fl.Ensemble(None, 1.0, [[0.1]], 1.0)}, "Argument `start` must have projections on the 2 directions of the teacher, shape (P, 2), but their shape is (1, 1)."),
    ({"start": fl.Ensemble.gaussian(1)}, "Argument `start` must have a dimension of at least 2, the directions of the teacher, but has 1."),
    ({"start": fl.Ensemble(None, 1.0, np.zeros((2, 2)), 0.0), "activation": "relu"},
     "Argument `start` must hold no unit of length zero, but atom 0 is one: ReLU has no derivative at 0."),
    ({"start": fl.Ensemble(None, 1.0, np.zeros((2, 2)), 0.0), "spherical": True},
     "Argument `start` must hold no unit of length zero, but atom 0 is one: a unit of length zero has no direction."),
    ({"temperature": 0.1, "start": fl.Ensemble.gaussian(5)},
     "Argument `temperature` needs infinite dimension, where the noise only lengthens the remainders, but `start` has the dimension 5: at a finite one the particles diffuse."),
    ({"temperature": 0.1, "start": fl.Ensemble(None, 1.0, np.ones((2, 2)), 0.0)}, "Argument `start` must have positive norms at a positive temperature, but norms[0] is 0."),
    ({"weight_decay": -1}, "Argument `weight_decay` must not be negative, but is -1.0."),
    ({"teacher": None}, "Argument `teacher` is missing: give overlaps T (k, k) or rows U (k, m), or a `target`."),
    ({"teacher": [[0.0, 1.0], [1.0, 0.0]]},
     "Argument `teacher` is symmetric, hence taken for overlaps T = W* W*^T/d, and must be positive semidefinite, but has the eigenvalue -1."),
    ({"teacher": [[1.0, 0.0], [0.0, 0.0]]}, "Argument `teacher` must not hold a unit of norm zero, but unit 1 is one: leave it out."),
    ({"teacher_activation": "relu"}, 'Arguments `activation` and `teacher_activation` are "erf" and "relu": a grid over the span loses its digits at the kink of a ReLU teacher, '
     "and the moments of the two have no closed form. Give the function as `target` to take the grid as it is."),
    ({"teacher_activation": "square", "start": fl.Ensemble.gaussian(5)},
     'Arguments `activation` and `teacher_activation` are "erf" and "square", whose moments are here at infinite dimension only, but `start` has the dimension 5.'),
    ({"target": len, "teacher": None, "start": fl.Ensemble.gaussian(5)},
     "Argument `teacher` must be the number of directions that the target depends on, since the start does not tell it, but is None."),
    ({"target": lambda x: x[:, 0], "teacher": None, "start": fl.Ensemble(**FIVE, dimension=9)},
     "Argument `target` needs infinite dimension, where the student is a function of the span alone, but `start` has the dimension 9."),
    ({"target": lambda x: x[:, 0]}, "Arguments `teacher` and `target` exclude each other: with a target, `teacher` is None or the number of directions."),
    ({"target": lambda x: x, "teacher": None}, "Argument `target` must return one number for each point, shape (3,), but returns the shape (3, 2)."),
    ({"target": 3, "teacher": None}, "Argument `target` must be a function of an array of points, shape (n, directions), but is 3."),
    ({"target": lambda x: x[:, 0], "teacher": None, "teacher_activation": "erf"}, "Arguments `target` and `teacher_activation` exclude each other: the target is the whole function."),
    ({"target": lambda x: x[:, 0], "teacher": None, "start": HIGH},
     "A grid over the span holds at most 3 directions, but there are 4: use a teacher of the student's own activation, or a polynomial activation, which need none, "
     "or Committee at finite width."),
    ({"teacher": np.eye(4), "teacher_activation": "square", "start": HIGH},
     "A grid over the span holds at most 3 directions, but there are 4: use a teacher of the student's own activation, or a polynomial activation, which need none, "
     "or Committee at finite width."),
])  # fmt: skip
def test_each_fault_of_a_problem_has_its_sentence(physics, sentence):
    with pytest.raises((ValueError, TypeError)) as caught:
        make(**physics)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(("make_one", "sentence"), [
    (lambda: fl.Ensemble([0.5, 0.4], 1.0, [[0.1], [0.2]], 1.0), "Argument `weights` must sum to one, but sums to 0.9. Divide by the sum."),
    (lambda: fl.Ensemble([1.5, -0.5], 1.0, [[0.1], [0.2]], 1.0), "Argument `weights` must be positive, but is -0.5 at index [1]. Weights are shares of the units."),
    (lambda: fl.Ensemble([1.0], 1.0, [[0.1], [0.2]], 1.0), "Argument `weights` must have shape (2,), but has shape (1,)."),
    (lambda: fl.Ensemble(None, [1.0, 2.0, 3.0], [[0.1], [0.2]], 1.0), "Argument `second_layer` must have shape (2,), but has shape (3,)."),
    (lambda: fl.Ensemble(None, 1.0, [0.1, 0.2], 1.0), "Argument `projections` must have shape (P, m), but has shape (2,)."),
    (lambda: fl.Ensemble(None, 1.0, [[0.1], [0.2]], [1.0, -1.0]), "Argument `norms` must not be negative, but is -1 at index [1]."),
    (lambda: fl.Ensemble(None, 1.0, [[0.1, 0.2]], 1.0, dimension=1), "Argument `dimension` must be at least the number of directions, 2, but is 1."),
    (lambda: fl.Ensemble(None, 1.0, [[0.1]], 1.0, dimension=1), "Argument `norms` must be zero at dimension 1: the 1 directions of the projections are all there are."),
    (lambda: fl.Ensemble.gaussian(0), "Argument `dimension` must be at least 1, but is 0."),
    (lambda: fl.Ensemble.gaussian("large"), "Argument `dimension` must be a whole number or \"infinity\", but is 'large'."),
    (lambda: fl.Ensemble.gaussian(5, scale=0.0), "Argument `scale` must be positive, but is 0.0."),
    (lambda: fl.Ensemble.gaussian(5, second_layer=([1.0, 2.0], [0.5, 0.4])), "Argument `second_layer[1]` must sum to one, but sums to 0.9. Divide by the sum."),
    (lambda: fl.Ensemble.gaussian(5, second_layer=[1.0, 2.0, 3.0]), "Argument `second_layer` must be a number, or a pair (values, probabilities), but is [1.0, 2.0, 3.0]."),
    (lambda: fl.Ensemble.uniform_sphere(5, second_laye=1.0), "Ensemble.uniform_sphere has no argument `second_laye`; did you mean `second_layer`?"),
])  # fmt: skip
def test_each_fault_of_a_start_has_its_sentence(make_one, sentence):
    with pytest.raises((ValueError, TypeError)) as caught:
        make_one()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(("verb", "options", "sentence"), [
    ("solve", {"particles": 0}, "Argument `particles` must be at least 1, but is 0."),
    ("solve", {"particles": "all"}, "Argument `particles` must be one of \"auto\", but is 'all'."),
    ("solve", {"accuracy": 0.0}, "Argument `accuracy` must be positive, but is 0.0."),
    ("solve", {"form": "low rank"}, 'Argument `form` must suit the problem, but is "low rank": it needs a polynomial activation.'),
    ("solve", {"form": "pair"}, "Argument `form` must be one of \"auto\", \"pairs\", \"function\", \"low rank\", but is 'pair'; did you mean `pairs`?"),
    ("solve", {"observables": ["norm"]},
     "Argument `observables` must be one of \"second_layer\", \"projections\", \"norms\", \"group_norms\", \"function\", \"components\", but is 'norm'; did you mean `norms`?"),
    ("solve", {"points": [[1.0]]}, "Argument `points` must have shape (n, 2), but has shape (1, 1)."),
    ("solve", {"events": fl.Event("trace", 0.5)}, "Argument `variable` must be one of \"risk\", but is 'trace'."),
    ("simulate", {"student_width": 5}, "Argument `dimension` is missing: the start has infinite dimension, and runs need a finite one."),
    ("simulate", {"student_width": 5, "dimension": 1}, "Argument `dimension` must be at least 2, the directions of the teacher, but is 1."),
    ("simulate", {"student_width": 5, "dimension": 2},
     "Argument `dimension` must exceed the 2 directions of the teacher, since the units have lengths outside them, but is 2."),
    ("simulate", {"student_width": 5, "dimension": 9, "weights": np.ones((5, 8))}, "Argument `weights` must have shape (5, 9) or (1, 5, 9), but has shape (5, 8)."),
    ("simulate", {"student_width": 5, "dimension": 9, "step": 0.1}, "Argument `step` belongs to a positive temperature: without noise the flow of the weights is exact."),
])  # fmt: skip
def test_each_fault_of_a_verb_has_its_sentence(verb, options, sentence):
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(make(), verb)([1.0], **options)
    assert str(caught.value) == sentence


def test_runs_are_at_the_dimension_of_the_start():
    with pytest.raises(ValueError, match=r"^Argument `dimension` must be that of the start, 6, but is 7\.$"):
        make(start=fl.Ensemble.gaussian(6)).simulate([1.0], student_width=3, dimension=7)


def test_forms_that_do_not_serve_are_refused():
    with pytest.raises(ValueError, match=r'is "function": it needs infinite dimension'):
        make(start=fl.Ensemble.gaussian(6)).solve([1.0], form="function")
    with pytest.raises(ValueError, match=r'is "function": its grid holds at most 3 directions'):
        make(np.eye(4), HIGH).solve([1.0], form="function")
    with pytest.raises(ValueError, match=r'is "pairs": it needs a teacher whose moments'):
        fl.MeanField(None, ATOMS, target=lambda x: x[:, 0]).solve([1.0], form="pairs")


def test_infinite_dimension_has_several_names():
    laws = [fl.Ensemble.gaussian(name) for name in ("infinity", "inf", math.inf)]
    assert laws[0] == laws[1] == laws[2]
    assert laws[0].dimension is None
