"""Many networks of fixed width at once: checks on arrays, and the lanes of `flowlimits.ode`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ode
from ..core import checks
from ..core.one_by_one import INTERRUPTED, SUCCESS, General, Options, Solutions, common_length, differing, together
from ..gaussian import hermite
from ..ode import inputs as ode_inputs
from ..ode.batch.integrate_batch import solve_batch
from .equations import evaluate, layout, system
from .equations.system import advice, diverged
from .fields import TABLES
from .limit import infeasible
from .many_checks import AXES, SHARED, array, by_group, check_overlaps, listed, one_of
from .observables import RESOLVED, SCALARS, check_names
from .problem import Committee
from .schedule import Schedule

#: Problems integrated before their states become overlaps, so that no second copy of all states is needed.
BLOCK = 8192
#: Failures of a block whose reasons are worded.
MESSAGES = 1000


def solve_fields(owner: type, fields: dict[str, Any], options: Options) -> Solutions:
    """Solve problems given as arrays; see `flowlimits.solve_many`."""
    table = TABLES["Committee"]
    if fields.get("covariance") is not None or fields.get("unexplained") is not None:
        return General.solve_list(by_group(fields), options)
    known = tuple(name for name in table.names if name not in ("covariance", "unexplained"))
    checks.unknown_arguments("Committee", [name for name in fields if name not in known], known, dict(table.absent))
    if isinstance(fields.get("learning_rate"), Schedule) or any(
        isinstance(one, Schedule) for one in listed(fields.get("learning_rate"))
    ):
        raise TypeError(
            "Argument `learning_rate` must hold numbers here; problems with a fl.Schedule are given as a list of problems."
        )
    for name in SHARED:
        value = fields.get(name)
        if isinstance(value, list | tuple | np.ndarray) and any(
            isinstance(one, str | bool | np.bool_) for one in value
        ):
            raise TypeError(
                f"Argument `{name}` must be the same for all problems; give a list of problems where it differs."
            )
    arrays = {name: array(name, fields[name]) for name in AXES if fields.get(name) is not None}
    for name in ("Q", "R", "T"):
        if name not in arrays:
            raise TypeError(
                f"Argument `{name}` is missing: the overlaps Q, R and T of the start, with one axis more where they differ."
            )
    for name, value in arrays.items():
        if value.ndim not in (AXES[name], AXES[name] + 1):
            raise ValueError(
                f"Argument `{name}` must have {AXES[name]} axes, or one more for the problems, but has shape {value.shape}."
            )
    lengths = {name: len(value) for name, value in arrays.items() if value.ndim == AXES[name] + 1}
    if not lengths:
        raise ValueError(
            "Argument `fields` must hold at least one array with one value for each problem; for a single problem use `solve`."
        )
    number = common_length(lengths)
    Q, R, T = check_overlaps(arrays["Q"], arrays["R"], arrays["T"])
    first_problem = one_of(fields, arrays, 0)
    many = Many(first_problem, number, Q, R, T, {name: arrays[name] for name in arrays if name not in ("Q", "R", "T")})
    many.check(fields, arrays)
    return many.solve(options)


def solve_list(problems: list[Committee], options: Options) -> Solutions:
    """Solve a list of problems, those with the same widths and equations side by side."""
    for index, problem in enumerate(problems):
        if problem.R.shape != problems[0].R.shape:
            raise ValueError(
                f"Problems must have the same widths, but problem 0 has (p, k) = {problems[0].R.shape} and problem {index} {problem.R.shape}."
            )
    if any(_alone(problem) for problem in problems):
        return General.solve_list(problems, options)
    groups: dict[Any, list[int]] = {}
    for index, problem in enumerate(problems):
        key = (problem.activation, problem.teacher_activation, problem.spherical, problem.second_layer_rate > 0)
        groups.setdefault(key, []).append(index)
    parts = []
    for indices in groups.values():
        own = [problems[index] for index in indices]
        arrays = {name: np.array([getattr(problem, name) for problem in own], dtype=float) for name in AXES}
        rest = {name: arrays[name] for name in arrays if name not in ("Q", "R", "T")}
        parts.append(
            (np.array(indices), Many(own[0], len(own), arrays["Q"], arrays["R"], arrays["T"], rest).solve(options))
        )
    solutions = parts[0][1] if len(parts) == 1 else together(len(problems), parts)
    solutions.coordinates = differing(problems)
    return solutions


def _alone(problem: Committee) -> bool:
    """Whether a problem has equations that no batch knows."""
    rate = problem.learning_rate
    return isinstance(rate, Schedule) or problem.coordinates is not None or problem.covariance is not None


class Many:
    """Problems with the same widths, activations and constraints; arrays with one axis more where they differ."""

    def __init__(
        self, example: Committee, number: int, Q: np.ndarray, R: np.ndarray, T: np.ndarray, rest: dict[str, np.ndarray]
    ):
        self.example, self.number, self.Q, self.R, self.T, self.rest = example, number, Q, R, T, rest
        self.family = system.choose(example)
        self.trained = example.second_layer_rate > 0

    def check(self, fields: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Check what a `Committee` checks of its numbers, for all problems; the class itself words the refusal."""
        wrong = np.zeros(self.number, dtype=bool)
        for name in ("learning_rate", "noise", "second_layer_rate", "weight_decay"):
            if name in arrays:
                wrong |= np.broadcast_to(arrays[name] < 0, self.number)
        norms = np.diagonal(self.Q, axis1=-2, axis2=-1)
        if self.example.spherical or self.family.name == "relu":
            wrong |= np.broadcast_to((norms <= 0).any(axis=-1), self.number)
        if self.family.name == "relu":
            wrong |= np.broadcast_to((np.diagonal(self.T, axis1=-2, axis2=-1) <= 0).any(axis=-1), self.number)
        rates = np.broadcast_to(arrays.get("learning_rate", np.zeros(())), self.number)
        for index in [*np.flatnonzero(wrong)[:1], int(np.argmax(rates))]:
            one_of(fields, arrays, int(index))
        if (
            "second_layer_rate" in arrays
            and (np.broadcast_to(arrays["second_layer_rate"] > 0, self.number) != self.trained).any()
        ):
            raise ValueError(
                "Argument `second_layer_rate` must be zero for all problems or positive for all; give a list of problems where it differs."
            )

    def field(self, name: str, rows: slice) -> np.ndarray:
        """Return a field of some problems, with the axis of problems."""
        value = {"Q": self.Q, "R": self.R, "T": self.T}.get(name, self.rest.get(name))
        if value is None:
            value = np.asarray(getattr(self.example, name), dtype=float)
        if value.ndim == AXES[name]:
            return np.broadcast_to(value, (len(range(*rows.indices(self.number))), *value.shape))
        return value[rows]

    def parameters(self, rows: slice) -> np.ndarray:
        """Return the parameters of the compiled equations, one row per problem; see `system.parameters`."""
        k, p = self.example.teacher_width, self.example.student_width
        rate = float(np.max(self.field("learning_rate", slice(None))))
        row = system.parameters(self.example, rate)
        T, b = self.field("T", rows), self.field("teacher_second_layer", rows)
        params = np.repeat(row[None], len(T), axis=0)
        for name, column in layout.PLACES.items():
            params[:, column] = self.field(name, rows)
        at = layout.HEADER
        params[:, at : at + k] = b
        params[:, at + k : at + k + p] = self.field("second_layer", rows)
        params[:, at + k + p : at + k + p + k * k] = T.reshape(len(T), -1)
        if self.family.name == "square":
            params[:, layout.TEACHER_CONSTANT] = system.teacher_constant(T, b)
        return params

    def starts(self, rows: slice) -> np.ndarray:
        """Return the state vectors; see `system.pack`."""
        Q, R = self.field("Q", rows), self.field("R", rows)
        upper = system.upper(self.example.student_width)
        parts = [Q[:, upper[0], upper[1]], R.reshape(len(R), -1)]
        if self.trained:
            parts.append(self.field("second_layer", rows))
        return np.concatenate(parts, axis=1)

    def equations(self, params: np.ndarray) -> list[int]:
        """Return the places of parameters that belong to the equations: flags, and the tables of the activations."""
        flags = [place for place in range(layout.HEADER) if place not in NUMBERS]
        k, p = self.example.teacher_width, self.example.student_width
        return [*flags, *range(layout.HEADER + k + p + k * k, params.shape[1])]

    def solve(self, options: Options) -> Solutions:
        """Solve block by block."""
        number, times = self.number, options.times
        names = check_names(options.observables)
        p, k = self.example.R.shape
        shapes = (
            {"risk": (), "Q": (p, p), "R": (p, k)}
            | ({"second_layer": (p,)} if self.trained else {})
            | dict.fromkeys(names, ())
        )
        variables = {name: np.empty((number, times.size, *shape)) for name, shape in shapes.items()}
        statuses, reached = np.full(number, INTERRUPTED, dtype="<U24"), np.zeros(number)
        messages: dict[int, str] = {}
        rhs = ode.right_hand_side(self.family.rhs)
        rtol, atol = checks.tolerances(
            1e-8 if options.rtol is None else options.rtol, 1e-10 if options.atol is None else options.atol
        )
        size = self.starts(slice(0, 1)).shape[1]
        method = ode_inputs.check_method(options.method or "auto")
        keywords: dict[str, Any] = {
            "start": 0.0, "rtol": rtol, "atol": np.full(size, atol), "method": method, "max_steps": options.max_steps or 1_000_000,
            "work_size": self.family.work_size, "first_step": 0.0, "max_step": np.inf, "threads": options.threads,
            "instead": {hermite.vanishes: _vanishes},
        }  # fmt: skip
        counts = dict.fromkeys(("steps", "rejected", "evaluations"), 0)
        operations, methods, described = 0, set(), 0
        from ..core.progress import Progress

        bar = Progress(number, "problems", options.progress)
        room = np.empty((min(BLOCK, number), times.size, size))
        try:
            for begin in range(0, number, BLOCK):
                rows = slice(begin, min(begin + BLOCK, number))
                params, starts = self.parameters(rows), self.starts(rows)
                states = room[: len(starts)]
                report = solve_batch(
                    rhs,
                    starts,
                    times,
                    params,
                    states,
                    equations=self.equations(params),
                    progress=False,
                    bar=bar,
                    **keywords,
                )
                lost = infeasible(states, params, rtol, atol)
                for index in np.flatnonzero(lost < times.size):
                    states[index, lost[index] :] = np.nan
                self.describe(rows, states, params, variables, names, RESOLVED * atol)
                described = rows.stop
                failed = report.failed
                statuses[rows], reached[rows] = SUCCESS, report.reached
                statuses[begin + failed] = [report.statuses[index].value for index in failed]
                for index in failed[:MESSAGES]:
                    messages[begin + int(index)] = self.message(
                        begin + int(index), report.statuses[index], float(report.reached[index])
                    )
                for index in np.flatnonzero(lost < times.size):
                    end = float(times[lost[index]])
                    statuses[begin + index], reached[begin + index] = ode.Status.INFEASIBLE.value, end
                    messages[begin + int(index)] = ode.report.message_of(
                        ode.Status.INFEASIBLE, end, diverged(self.example)
                    )
                for name in counts:
                    counts[name] += int(getattr(report, name).sum())
                operations = max(operations, report.operations)
                methods |= set(report.methods)
                if ode.Status.INTERRUPTED in report.statuses:
                    break
        except KeyboardInterrupt:
            # Between two blocks; what is finished is returned with its status.
            pass
        finally:
            bar.close()
        for values in variables.values():
            values[described:] = np.nan
        coordinates = {
            name: value for name, value in self.rest.items() if value.ndim == 1 and AXES[name] == 0 and np.ptp(value) > 0
        }  # fmt: skip
        route = f"lanes, straight line of {operations} operations" if operations else "lanes"
        details = {
            "route": route,
            "rtol": rtol,
            "atol": atol,
            "method": ", ".join(sorted(methods)),
            **counts,
            "family": self.family.name,
        }
        kind = "limit" if (self.field("learning_rate", slice(None)) > 0).any() else "exact"
        return Solutions(variables, statuses, reached, messages, self.example, coordinates, details, kind)

    def message(self, index: int, status: ode.Status, reached: float) -> str:
        """Return why a problem failed, with what is known of its learning rate."""
        problem = self.problem(index)
        return f"{ode.report.message_of(status, reached, diverged(problem))} {advice(problem, self.family, float(problem.learning_rate))}".rstrip()  # type: ignore[arg-type]

    def describe(
        self,
        rows: slice,
        states: np.ndarray,
        params: np.ndarray,
        variables: dict[str, np.ndarray],
        names: Any,
        floor: float,
    ) -> None:
        """Write the variables of a block."""
        Q, R, risk = (variables[name][rows] for name in ("Q", "R", "risk"))
        a = variables["second_layer"][rows] if self.trained else np.zeros((*risk.shape, 0))
        evaluate.describe(self.family.risk.address, states, params, np.zeros(self.family.work_size), Q, R, a, risk)
        for name in names:
            for offset, index in enumerate(range(*rows.indices(self.number))):
                one = self.problem(index)
                layer = a[offset] if self.trained else one.second_layer
                variables[name][index] = SCALARS[name](one, Q[offset], R[offset], layer, floor)

    def problem(self, index: int) -> Committee:
        """Return one of the problems, without checks."""
        made = object.__new__(Committee)
        for name, value in self.example._fields().items():
            object.__setattr__(made, name, value)
        for name in AXES:
            value = self.field(name, slice(index, index + 1))[0]
            object.__setattr__(made, name, float(value) if value.ndim == 0 else np.array(value))
        return made


#: Places of the header that hold numbers; the others say which equations hold.
NUMBERS = (
    layout.LEARNING_RATE, layout.LEARNING_RATE_SLOPE, layout.SCHEDULE_START, layout.NOISE, layout.WEIGHT_DECAY, layout.SECOND_LAYER_RATE,
    layout.TEACHER_CONSTANT, layout.EVENT_VALUE,
)  # fmt: skip


def _vanishes(value):
    """Return what `hermite.vanishes` does for the zeros of the equations, which are numbers where a function is followed."""
    return isinstance(value, float) and value == 0.0
