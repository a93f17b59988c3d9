"""Problems on the command line: the flags of a class follow from the table of its fields.

Flags are turned into the same table that a TOML file has, so that what is wrong with them is said in the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from ..core import fields
from ..core.registry import PROBLEMS, did_you_mean
from .text import ARRAY, ARRAYS, MATRIX, NUMBER_OR_ARRAY, NUMBERS, NumberOrWord

Flags = dict[str, Any]
#: Classes by their names on the command line.
CLASSES = {entry.command: name for name, entry in PROBLEMS.items()}
OF_A_FILE = "A problem and its arguments from a TOML file; options given here come first."
SPECTRA = {"orthonormal": "orthonormal", "marchenko-pastur": "marchenko_pastur"}
ENSEMBLES = {"gaussian": "gaussian", "uniform-sphere": "uniform_sphere"}
TYPES: dict[str, Any] = {
    "number": float, "integer": int, "text": str, "activation": str, "rate": float, "arrays": ARRAYS, "number_or_array": NUMBER_OR_ARRAY,
}  # fmt: skip


def option_of(field: fields.Field) -> list[click.Option]:
    """Return the flags of a field; those of a spectrum are four, those of a model two."""
    flag, parameter = f"--{field.flag or field.name.replace('_', '-')}", f"field_{field.name}"
    needed = field.default is fields.REQUIRED
    settings: Flags = {"required": needed, "help": field.help}
    if not needed and field.default is not None:
        settings |= {"default": field.default, "show_default": True}
    if field.kind == "spectrum":
        kinds = click.Choice(list(SPECTRA))
        what = field.name
        return [
            click.Option([f"{flag}-ratio", f"{parameter}_ratio"], type=float, help=f"{what.capitalize()} width over dimension."),
            click.Option([flag, parameter], type=kinds, default="orthonormal", show_default=True, help=field.help),
            click.Option([f"{flag}-nodes", f"{parameter}_nodes"], type=NUMBERS, help=f"Eigenvalues of the {what}, such as 0,1,3."),
            click.Option([f"{flag}-weights", f"{parameter}_weights"], type=NUMBERS, help="Their weights, such as 0.5,0.25,0.25."),
        ]  # fmt: skip
    if field.kind == "model":
        return [
            click.Option([flag, parameter], type=click.Choice(field.choices), required=True, help=field.help),
            click.Option([f"{flag}-width", f"{parameter}_width"], type=int, help="Its number of hidden units."),
        ]
    if field.kind == "ensemble":
        return [
            click.Option([flag, parameter], type=click.Choice(list(ENSEMBLES)), required=True, help=field.help),
            click.Option([f"{flag}-dimension", f"{parameter}_dimension"], type=NumberOrWord(("infinity",), click.INT), required=True, help="Dimension d of the inputs, or infinity."),
            click.Option([f"{flag}-scale", f"{parameter}_scale"], type=float, default=1.0, show_default=True, help="Standard deviation of the weights."),
            click.Option([f"{flag}-second-layer", f"{parameter}_second_layer"], type=float, default=1.0, show_default=True, help="Second layer of all units."),
        ]  # fmt: skip
    if field.kind == "boolean":
        return [click.Option([flag, parameter], is_flag=True, help=field.help)]
    if field.kind in ("choice", "law"):
        return [click.Option([flag, parameter], type=click.Choice(field.choices), **settings)]
    if field.kind == "array":
        return [click.Option([flag, parameter], type=ARRAY if len(field.shape or ()) == 1 else MATRIX, **settings)]
    if field.kind == "number_or_word":
        return [click.Option([flag, parameter], type=NumberOrWord(field.choices), **settings)]
    return [click.Option([flag, parameter], type=TYPES.get(field.kind, str), **settings)]


def options_of(table: fields.Table) -> list[click.Option]:
    """Return the flags of a class of problems."""
    options = []
    for field in table.keys:
        made = option_of(field)
        if table.draw is not None and (field.name in table.draw.instead_of or field in table.draw.fields):
            for option in made:
                option.required = False  # the start or its draw: `from_flags` asks for one of them
        options += made
    return options


def from_flags(name: str, table: fields.Table, flags: Flags) -> Stated:
    """Return the problem that flags state."""
    from ..toml.file import problem_from_table

    stated = {field.name: _value(field, flags) for field in table.keys}
    stated = {key: value for key, value in stated.items() if value is not None}
    if table.draw is not None:
        _choose_start(table.draw, stated)
    return Stated(problem_from_table({"class": name} | stated), {}, {})


def _choose_start(draw: fields.Draw, stated: Flags) -> None:
    """Leave out the defaults of the draw where the start is given; ask for what the draw needs otherwise."""
    if set(draw.instead_of) & set(stated):
        for field in draw.fields:
            if stated.get(field.name) == field.default:
                del stated[field.name]
        return
    for field in draw.fields:
        if field.default is fields.REQUIRED and field.name not in stated:
            raise click.MissingParameter(ctx=click.get_current_context(silent=True), param=option_of(field)[0])


def _value(field: fields.Field, flags: Flags) -> Any:
    name = f"field_{field.name}"
    if field.kind == "spectrum":
        return _spectrum(field.name, flags)
    if field.kind == "model":
        width = flags[f"{name}_width"]
        return {"class": flags[name]} | ({} if width is None else {"width": width})
    if field.kind == "ensemble":
        parts = {part: flags[f"{name}_{part}"] for part in ("dimension", "scale", "second_layer")}
        return {"kind": ENSEMBLES[flags[name]]} | parts
    return flags[name]


def _spectrum(name: str, flags: Flags) -> Flags:
    kind, ratio, nodes, weights = (flags[f"field_{name}{part}"] for part in ("", "_ratio", "_nodes", "_weights"))
    if nodes or weights:
        if not (nodes and weights):
            raise click.UsageError(f"--{name}-nodes and --{name}-weights belong together: give both.")
        if ratio is not None:
            raise click.UsageError(
                f"--{name}-ratio and --{name}-nodes exclude each other: the weights state the ratio."
            )
        return {"nodes": nodes, "weights": weights}
    if ratio is None:
        raise click.UsageError(f"The {name} is missing: give --{name}-ratio, or --{name}-nodes and --{name}-weights.")
    return {"kind": SPECTRA[kind], "ratio": ratio}


@dataclass(frozen=True)
class Stated:
    """A problem, and the arguments of `solve` and `simulate` that its file states."""

    problem: Any
    solve: Flags
    simulate: Flags


def from_file(path: str) -> Stated:
    """Return what a TOML file states."""
    from ..toml.file import read_config

    config = read_config(path)
    return Stated(config.problem, config.solve, config.simulate)


class ProblemGroup(click.Group):
    """A command whose second word is a problem with flags of its own, or a TOML file.

    Parameters
    ----------
    act : callable
        Receives the problem with what its file states, and the values of `options`.
    options : callable
        Returns the options of the command, given the table of the problem, None for a file.
    """

    def __init__(
        self,
        name: str,
        act: Callable[[Stated, Flags], int],
        options: Callable[[fields.Table | None], list[click.Option]],
        **settings: Any,
    ):
        super().__init__(
            name, subcommand_metavar="PROBLEM|FILE.toml [OPTIONS]", options_metavar="", no_args_is_help=True, **settings
        )
        self.act, self.options = act, options

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*CLASSES, "FILE.toml"]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the problems without their flags, for which their rooms would be loaded."""
        rows = [(entry.command, entry.help) for entry in PROBLEMS.values()] + [("FILE.toml", OF_A_FILE)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in CLASSES:
            name = CLASSES[cmd_name]
            table = fields.table_of(name)
            own = options_of(table)
            names = {str(parameter.name) for parameter in own}
            return self._command(
                cmd_name, PROBLEMS[name].help, own, table,
                lambda flags: from_flags(name, table, {n: flags.pop(n) for n in names}),
            )  # fmt: skip
        if cmd_name.endswith(".toml") or "/" in cmd_name:
            return self._command(cmd_name, OF_A_FILE, [], None, lambda flags: from_file(cmd_name))
        return None

    def _command(
        self,
        name: str,
        text: str,
        own: list[click.Option],
        table: fields.Table | None,
        state: Callable[[Flags], Stated],
    ) -> click.Command:
        def callback(**flags: Any) -> int:
            return self.act(state(flags), flags)

        return click.Command(name, params=[*own, *self.options(table)], callback=callback, help=text, short_help=text)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(
                f"There is no problem '{args[0]}'{near(args[0], list(CLASSES))} Known are {', '.join(CLASSES)}, and TOML files.",
                ctx,
            )
        return super().resolve_command(ctx, args)


def near(word: str, known: list[str]) -> str:
    """Return the end of a sentence about an unknown word: the nearest known one, if there is one."""
    return did_you_mean(word, known, "'") or "."
