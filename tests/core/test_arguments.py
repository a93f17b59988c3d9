"""Arguments that are missing or that a verb does not take: a sentence, the same in every room."""

import inspect
import warnings

import numpy as np
import pytest
from public_arguments import calls

import flowlimits as fl
from flowlimits.core import checks
from flowlimits.core.problem import Problem, description_class
from flowlimits.core.registry import DESCRIPTIONS

VERBS = {
    name: call
    for name, call in calls().items()
    if name.partition(", ")[0].endswith((".solve", ".simulate", ".random", ".descend")) or name == "convergence"
}


def test_every_room_is_here():
    rooms = {name.partition(".")[0] for name in VERBS} - {"convergence"}
    assert rooms == {name for name in DESCRIPTIONS if issubclass(description_class(name), Problem)}


@pytest.mark.parametrize("name", VERBS)
def test_an_argument_that_is_missing_is_named(name):
    function, valid, _ = VERBS[name]
    for argument in inspect.signature(function).parameters.values():
        if argument.default is inspect.Parameter.empty and argument.kind is not argument.VAR_KEYWORD:
            rest = {key: value for key, value in valid.items() if key != argument.name}
            with pytest.raises(TypeError) as caught:
                function(**rest)
            assert str(caught.value) == f"Argument `{argument.name}` is missing: {function.__qualname__} needs it."


@pytest.mark.parametrize("name", VERBS)
def test_an_argument_that_is_not_taken_is_answered_with_the_nearest_one(name):
    function, valid, _ = VERBS[name]
    parameters = inspect.signature(function).parameters
    known = [one for one in parameters if one in valid]
    passed_on = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    for wrong in ("seed", f"{known[-1]}_", "covariance_matrix_of_inputs"):
        with pytest.raises(TypeError) as caught:
            function(**valid, **{wrong: 1})
        told = str(caught.value)
        assert f"has no argument `{wrong}`" in told
        assert "seed as `rng`" in told or wrong != "seed" or "rng" not in parameters
        if wrong.startswith(known[-1]) and not passed_on:
            assert told.endswith(f"; did you mean `{known[-1]}`?")


def test_what_is_not_here_is_explained_by_the_verb():
    problem = fl.QuadraticFlow(np.ones((1, 2)), np.eye(2))
    with pytest.raises(TypeError, match="has no argument `runs`: the flow is that of the given weights"):
        problem.simulate([1.0], step=0.1, runs=3)
    with pytest.raises(TypeError, match="has no argument `dimension`: it is the number of teacher_eigenvalues"):
        fl.MeanFieldQuadratic([1.0], 1.0).simulate([1.0], student_width=3, dimension=4)
    with pytest.raises(TypeError, match=r"^GuessAndCheck\.simulate has no argument `width`; did you mean `widths`\?$"):
        fl.GuessAndCheck(np.eye(2), [1, -1], np.eye(2), [1, -1]).simulate(width=[3])


def test_help_shows_the_arguments_of_a_verb():
    signature = inspect.signature(fl.Committee.simulate)
    assert list(signature.parameters)[:3] == ["self", "times", "dimension"]
    assert fl.Committee.simulate.__doc__.startswith("Return a simulation at finite dimension")


def test_a_warning_points_at_the_line_of_the_user():
    start = fl.Spectrum.from_eigenvalues([2.0, 2.0])
    problem = fl.ExtensiveQuadratic(1.0, fl.Spectrum.orthonormal(0.5), start=start)
    with pytest.warns(UserWarning, match="The start has the trace 2") as told:
        problem.solve([0.1])
    assert told[0].filename == __file__
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        checks.warn("here", RuntimeWarning)
    assert (seen[0].category, seen[0].filename) == (RuntimeWarning, __file__)
