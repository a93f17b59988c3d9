"""Problems from flags: one entry per class of problems, turned into the same table that a TOML file has.

A class of problems is added to the command line by one `ProblemFlags` in `FLAGS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from ..core.words import did_you_mean
from .types import NUMBERS

Flags = dict[str, Any]


@dataclass(frozen=True)
class ProblemFlags:
    """How a class of problems is written on the command line."""

    class_name: str
    help: str
    options: tuple[Callable[[], click.Option], ...]
    table: Callable[[Flags], Flags]
    size_flag: str = ""
    size_help: str = ""
    has_spectrum: bool = False


def option(*names: str, **settings: Any) -> Callable[[], click.Option]:
    """Return a maker of an option: click ties an option to one command."""
    return lambda: click.Option(list(names), **({"show_default": True} | settings))


ACTIVATION = option(
    "--activation", type=click.Choice(["square", "centred"]), default="square", help="Square, or square minus its mean."
)
WEIGHT_DECAY = option(
    "--weight-decay", type=float, default=0.0, help="Rate of - weight_decay W, on the problem's clock."
)

SPECTRA = {"orthonormal": "orthonormal", "marchenko-pastur": "marchenko_pastur", "gaussian": "gaussian"}


def _extensive(flags: Flags) -> Flags:
    nodes, weights, ratio = flags["teacher_nodes"], flags["teacher_weights"], flags["teacher_ratio"]
    if nodes or weights:
        if not (nodes and weights):
            raise click.UsageError("--teacher-nodes and --teacher-weights belong together: give both.")
        if ratio is not None:
            raise click.UsageError(
                "--teacher-ratio and --teacher-nodes exclude each other: the weights state the ratio."
            )
        teacher: Flags = {"nodes": nodes, "weights": weights}
    elif ratio is None:
        raise click.UsageError(
            "The teacher is missing: give --teacher-ratio, or --teacher-nodes and --teacher-weights."
        )
    else:
        teacher = {"kind": SPECTRA[flags["teacher"]], "ratio": ratio}
    return {"teacher": teacher} | {
        name: flags[name] for name in ("student_ratio", "start", "activation", "weight_decay")
    }


def _quadratic(flags: Flags) -> Flags:
    names = ("ensemble", "dimension", "student_width", "teacher_width", "activation", "weight_decay")
    return {name: flags[name] for name in names} | {"rng": flags["problem_rng"]}


def _mean_field(flags: Flags) -> Flags:
    return {name: flags[name] for name in ("teacher_eigenvalues", "start", "activation", "weight_decay")}


def _committee(flags: Flags) -> Flags:
    given = {name: value for name, value in flags.items() if value is not None}
    return given | {"dimension": given.pop("start_dimension"), "rng": given.pop("problem_rng")}


FLAGS: dict[str, ProblemFlags] = {
    "extensive": ProblemFlags(
        "ExtensiveQuadratic",
        "Quadratic network of extensive width: widths proportional to the dimension, d -> infinity.",
        (
            option("--student-ratio", type=float, required=True, help="Student width over dimension."),
            option("--teacher-ratio", type=float, help="Teacher width over dimension."),
            option(
                "--teacher", type=click.Choice(["orthonormal", "marchenko-pastur"]), default="orthonormal",
                help="Spectral law of the teacher.",
            ),
            option("--teacher-nodes", type=NUMBERS, help="Eigenvalues of the teacher, such as 0,1,3."),
            option("--teacher-weights", type=NUMBERS, help="Their weights, such as 0.5,0.25,0.25."),
            option("--start", type=click.Choice(["orthonormal", "gaussian"]), default="orthonormal", help="Starting weights."),
            ACTIVATION,
            WEIGHT_DECAY,
        ),
        _extensive,
        "--dimension",
        "Dimension d of the inputs.",
        has_spectrum=True,
    ),
    "quadratic": ProblemFlags(
        "QuadraticFlow",
        "Quadratic network of given weights: the exact flow at finite dimension.",
        (
            option("--dimension", type=int, required=True, help="Dimension d of the inputs."),
            option("--student-width", type=int, required=True, help="Number of student neurons."),
            option("--teacher-width", type=int, required=True, help="Number of teacher neurons."),
            option(
                "--ensemble", type=click.Choice(["orthonormal", "gaussian"]), default="orthonormal",
                help="Law of the weights of student and teacher.",
            ),
            option("--weights-rng", "problem_rng", type=int, default=0, help="Random stream of the weights."),
            ACTIVATION,
            WEIGHT_DECAY,
        ),
        _quadratic,
    ),
    "mean-field": ProblemFlags(
        "MeanFieldQuadratic",
        "Quadratic network of infinite width at finite dimension.",
        (
            option(
                "--teacher-eigenvalues", type=NUMBERS, required=True, help="Eigenvalues of Z* = W*^T W* / (k d), such as 1,1,0,0."
            ),
            option("--start", type=float, required=True, help="E[w w^T]/d at the start, as a multiple of the identity."),
            ACTIVATION,
            WEIGHT_DECAY,
        ),
        _mean_field,
        "--student-width",
        "Number of student neurons.",
    ),
    "committee": ProblemFlags(
        "Committee",
        "Network of fixed width and any activation: gradient flow, or one-pass SGD as d -> infinity.",
        (
            option("--student-width", type=int, required=True, help="Number of student neurons."),
            option("--teacher-width", type=int, required=True, help="Number of teacher neurons."),
            option(
                "--start-dimension", type=int, required=True,
                help="Dimension at which Gaussian weights are drawn; their overlaps are the start.",
            ),
            option("--weights-rng", "problem_rng", type=int, default=0, help="Random stream of these weights."),
            option("--scale", type=float, default=1.0, help="Standard deviation of the student's weights."),
            option("--activation", default="square", help="A name, such as erf, relu or hermite3, or a polynomial such as x**3-3*x."),
            option("--teacher-activation", help="The same for the teacher.  [default: the student's]"),
            option("--learning-rate", type=float, default=0.0, help="Learning rate of one-pass SGD; 0 is gradient flow."),
            option("--noise", type=float, default=0.0, help="Variance of the label noise."),
            option("--second-layer-rate", type=float, default=0.0, help="Rate of the second layer relative to the first."),
            option("--spherical", is_flag=True, help="Keep the norm of every student neuron."),
            WEIGHT_DECAY,
        ),
        _committee,
        "--dimension",
        "Dimension d of the inputs.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Stated:
    """A problem, and the arguments of `solve` and `simulate` that its file states."""

    problem: Any
    solve: Flags
    simulate: Flags


def from_flags(name: str, flags: Flags) -> Stated:
    """Return the problem that flags state."""
    table = FLAGS[name].table(flags)
    from ..toml.file import problem_from_table

    return Stated(problem_from_table({"class": FLAGS[name].class_name} | table), {}, {})


def from_file(path: str) -> Stated:
    """Return the problem and the arguments that a TOML file states."""
    from ..toml.file import read_config

    config = read_config(path)
    return Stated(config.problem, config.solve, config.simulate)


class ProblemGroup(click.Group):
    """A verb: its sub-commands are the problems, and any TOML file."""

    def __init__(
        self,
        name: str,
        act: Callable[[Stated, Flags], int],
        options: Callable[[str], list[click.Option]],
        **settings: Any,
    ):
        super().__init__(
            name, subcommand_metavar="PROBLEM|FILE.toml [OPTIONS]", options_metavar="", no_args_is_help=True, **settings
        )
        self.act, self.options = act, options

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*FLAGS, "FILE.toml"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in FLAGS:
            entry = FLAGS[cmd_name]
            own = [make() for make in entry.options]
            names = {parameter.name for parameter in own}
            return self._command(
                cmd_name, entry.help, own, lambda flags: from_flags(cmd_name, {n: flags.pop(n) for n in names})
            )
        if cmd_name.endswith(".toml") or "/" in cmd_name:
            text = "A problem and its arguments from a TOML file; options given here come first."
            return self._command(cmd_name, text, [], lambda flags: from_file(cmd_name))
        return None

    def _command(
        self, name: str, text: str, own: list[click.Option], state: Callable[[Flags], Stated]
    ) -> click.Command:
        def callback(**flags: Any) -> int:
            return self.act(state(flags), flags)

        return click.Command(name, params=[*own, *self.options(name)], callback=callback, help=text, short_help=text)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(
                f"There is no problem '{args[0]}'{near(args[0], list(FLAGS))} Known are {', '.join(FLAGS)}, and TOML files.",
                ctx,
            )
        return super().resolve_command(ctx, args)


def near(word: str, known: list[str]) -> str:
    """Return the end of a sentence about an unknown word: the nearest known one, if there is one."""
    return did_you_mean(word, known, "'") or "."
