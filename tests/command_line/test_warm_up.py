"""The verb `warm-up`."""

import sys

import pytest

from flowlimits.command_line import main
from flowlimits.compiled import beside
from flowlimits.compiled.jit import INTERPRETED


def test_rooms_are_compiled_with_what_they_need(run, monkeypatch):
    compiled = []
    monkeypatch.setattr(main, "functions_of", lambda room: compiled.append(room) or [])
    status, said, _ = run("warm-up mixture")
    assert (status, compiled) == (0, ["gaussian", "spectrum", "ode", "mixture"])
    assert said.endswith(" s: mixture.\n")
    compiled.clear()
    run("warm-up")
    assert set(compiled) == {"gaussian", "spectrum", *main.ROOMS}


def test_an_unknown_room_is_refused(run):
    status, _, error = run("warm-up kitchen")
    assert status == 2
    assert "There is no room `kitchen`; the rooms are ode, quadratic, empirical, committee," in error


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
def test_a_second_process_finds_every_function_under_its_name():
    """By module and name, as `compiled.beside` passes them on."""
    functions = [one for room in (*main.SHARED, *main.ROOMS) for one in main.functions_of(room)]
    assert len(functions) > 100
    places = [beside._place(one).split(":") for one in functions]
    assert [
        one.__name__ for one, (where, name) in zip(functions, places) if vars(sys.modules[where])[name] is not one
    ] == []


def test_all_modules_of_a_room_are_found():
    import flowlimits.ode

    assert {"flowlimits.ode.explicit_loop", "flowlimits.ode.implicit.loop", "flowlimits.ode.batch.loop"} <= set(
        main.modules(flowlimits.ode)
    )
