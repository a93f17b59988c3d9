"""Which studies are the same: changed functions, comments, identities."""

import sys
import types

import numpy as np
import pytest
import study_functions as functions
from quiet import study

AXES = {"a": np.linspace(0, 1, 12), "b": np.arange(6.0)}


def module(text, name="own_code"):
    """Return a module with that text, whose source can be read."""
    import linecache

    made = types.ModuleType(name)
    made.__file__ = f"<{name} {hash(text)}>"
    linecache.cache[made.__file__] = (len(text), None, text.splitlines(keepends=True), made.__file__)
    exec(compile(text, made.__file__, "exec"), made.__dict__)
    sys.modules[name] = made
    return made


CODE = "FACTOR = 2.0\n\ndef helper(a):\n    return FACTOR * a\n\ndef law(a):\n    return helper(a) + 1\n"


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("return helper(a) + 1", "return helper(a) + 2", "the code of `law` changed"),
        ("return FACTOR * a", "return FACTOR + a", "the code of `helper` changed"),
        ("FACTOR = 2.0", "FACTOR = 3.0", "the global value `FACTOR` was 2.0 and is 3.0"),
        (
            "return helper(a) + 1",
            "return a + 1",
            "`FACTOR` is no longer used; `helper` is no longer used; the code of `law` changed",
        ),
    ],
)
def test_a_changed_function_is_refused_with_what_changed_and_how_to_start_anew(tmp_path, before, after, change):
    axes = {"a": [1.0, 2.0]}
    study(module(CODE).law, axes, folder=tmp_path)
    changed = module(CODE.replace(before, after)).law
    with pytest.raises(ValueError) as caught:
        study(changed, axes, folder=tmp_path)
    assert str(caught.value) == (
        f'Folder {tmp_path} holds a study of another definition: {change}. Pass changed="keep" if that does not change the numbers, or '
        'changed="anew" to set its points aside and start anew, or name another folder.'
    )
    kept = study(changed, axes, folder=tmp_path, changed="keep")
    assert kept["law"].values.tolist() == [3.0, 5.0]
    assert study(changed, axes, folder=tmp_path)["law"].values.tolist() == [3.0, 5.0]


def test_what_a_function_carries_with_it_is_part_of_its_code(tmp_path):
    class Law:
        def __init__(self, factor):
            self.factor = factor

        def at(self, a):
            return self.factor * a

        __call__ = at

    def make(shift):
        def law(a, power=shift):
            return a**power + shift

        return law

    for number, (one, other, change) in enumerate(
        [
            (Law(1.0).at, Law(2.0).at, "`self.factor`"),
            (Law(1.0), Law(2.0), "`self.factor`"),
            (make(1.0), make(2.0), "`power=` was 1.0 and is 2.0; the global value `shift`"),
        ]
    ):
        study(one, {"a": [1.0]}, folder=tmp_path / str(number))
        with pytest.raises(ValueError, match=f"the value {change} was 1.0 and is 2.0"):
            study(other, {"a": [1.0]}, folder=tmp_path / str(number))


def test_starting_anew_sets_the_old_points_aside(tmp_path):
    axes = {"a": [1.0, 2.0]}
    study(module(CODE).law, axes, folder=tmp_path)
    new = study(module(CODE.replace("+ 1", "+ 2")).law, axes, folder=tmp_path, changed="anew")
    assert new["law"].values.tolist() == [4.0, 6.0]
    assert len(list((tmp_path / "aside" / "study-1" / "points").glob("*.npz"))) == 1


def test_comments_layout_and_docstrings_are_no_change(tmp_path):
    axes = {"a": [1.0, 2.0]}
    study(module(CODE).law, axes, folder=tmp_path)
    same = CODE.replace("def law(a):\n", 'def law(a):\n    """The law."""\n    # as measured\n')
    assert study(module(same).law, axes, folder=tmp_path)["law"].values.tolist() == [3.0, 5.0]


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({"parameters": {"seconds": 0.0}}, "the parameter `seconds` was 0.0001 and is 0.0"),
        ({"version": "2"}, "the version was '' and is '2'"),
        ({"rng": 2}, "the root of the random streams (`rng`) was 1 and is 2"),
    ],
)
def test_another_identity_is_refused(tmp_path, options, change):
    base = {"rng": 1, "parameters": {"seconds": 1e-4}}
    study(functions.slow, AXES, folder=tmp_path, **base)
    with pytest.raises(ValueError) as caught:
        study(functions.slow, AXES, folder=tmp_path, **(base | options))
    assert str(caught.value) == (
        f"Folder {tmp_path} holds a study of another definition: {change}. Pass "
        'changed="anew" to set its points aside and start anew, or name another folder.'
    )
    with pytest.raises(ValueError, match="holds a study of another definition"):
        study(functions.slow, AXES, folder=tmp_path, changed="keep", **(base | options))
