"""The verb `warm-up`."""

from flowlimits.command_line import main


def test_rooms_are_compiled_with_what_they_need(run, monkeypatch):
    compiled = []
    monkeypatch.setattr(main, "compile_room", compiled.append)
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


def test_all_modules_of_a_room_are_found():
    import flowlimits.ode

    assert {"flowlimits.ode.explicit_loop", "flowlimits.ode.implicit.loop", "flowlimits.ode.batch.loop"} <= set(
        main.modules(flowlimits.ode)
    )
