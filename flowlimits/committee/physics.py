"""What is learnt, by which network, from which overlaps: fields, their checks, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import checks
from ..core.problem import Problem
from ..core.results import Variable
from ..spectrum.covariance import groups_of
from ..spectrum.groups import CovarianceGroups, in_dimension
from . import activations
from .fields import TABLES
from .schedule import Schedule

#: Overlaps may miss symmetry and positivity by this share of their largest entry.
SLACK = 1e-9
#: Units nearer than this, as a share of their norm, differ in overlaps by nothing but round-off.
COPIES = 1e-7
#: Down to this the overlaps hold differences of units to the precision of a solution.
NEAR = 1e-4


def check(Q: Any, R: Any, T: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the overlaps as symmetric float arrays of fitting shapes, positive semidefinite together."""
    for name, value in (("Q", Q), ("T", T)):
        shape = checks.array(name, value).shape
        if len(shape) == 2 and shape[0] < shape[1]:
            letter = "p" if name == "Q" else "k"
            raise ValueError(
                f"Argument `{name}` must have shape ({letter}, {letter}), but has shape {shape}; Committee.from_weights(W, W_star) takes weights."
            )
    Q, T = checks.array("Q", Q, ("p", "p")), checks.array("T", T, ("k", "k"))
    R = checks.array("R", R, (Q.shape[0], T.shape[0]))
    Q, T = _symmetric("Q", Q), _symmetric("T", T)
    C = np.block([[Q, R], [R.T, T]])
    scale = max(float(np.diag(C).max()), 0.0)
    try:
        np.linalg.cholesky(C + (SLACK * scale + 1e-300) * np.eye(len(C)))
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(C)[0])
        raise ValueError(
            f"Overlaps are not feasible: [[Q, R], [R.T, T]] has the eigenvalue {smallest:.3g}. "
            "Overlaps of weight matrices are positive semidefinite."
        ) from None
    return Q, R, T


def check_groups(
    Q: Any, R: Any, T: Any, covariance: Any, grouped: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, CovarianceGroups | None]:
    """Return checked overlaps, by group if the inputs have a covariance, and the groups.

    Standard normal inputs have none, but one if they are to be `grouped`.
    """
    if covariance is None and not grouped:
        return (*check(Q, R, T), None)
    groups = groups_of(covariance)
    Q, R, T = groups.check_overlaps(Q, R, T)
    return (Q[0], R[0], T[0], None) if groups.is_isotropic and not grouped else (Q, R, T, groups)


def check_unexplained(value: Any, k: int) -> np.ndarray:
    """Return a covariance of teacher fields, shape (k, k)."""
    checked = _symmetric("unexplained", checks.array("unexplained", value, (k, k)))
    lowest, highest = np.linalg.eigvalsh(checked)[[0, -1]]
    if lowest < -SLACK * abs(highest):
        raise ValueError(
            f"Argument `unexplained` must be positive semidefinite, a covariance, but has the eigenvalue {lowest:.3g}."
        )
    return checked


def nearly_singular(Q: np.ndarray) -> bool:
    """Whether overlaps hold some combination of the units to less than eight digits, as those of nearly equal units."""
    norms = np.sqrt(np.diag(Q))
    if not (norms > 0).all():
        return False
    return bool(np.linalg.eigvalsh(Q / np.outer(norms, norms))[0] < NEAR**2)


def coordinates_of(W: np.ndarray, W_star: np.ndarray) -> np.ndarray:
    """Return rows of at most p + k coordinates with the products of the rows of [W; W_star], shapes (p, d), (k, d), over d."""
    rows = np.vstack([W, W_star]) / np.sqrt(W.shape[1])
    return rows if rows.shape[1] <= len(rows) else np.ascontiguousarray(np.linalg.qr(rows.T)[1].T)


def check_coordinates(value: Any, Q: np.ndarray, R: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Return coordinates of the units, students before teachers, whose products are the overlaps."""
    rows = checks.array("coordinates", value, (sum(R.shape), "m"))
    C = np.block([[Q, R], [R.T, T]])
    gap = float(np.abs(rows @ rows.T - C).max())
    if gap > SLACK * float(np.abs(C).max()):
        raise ValueError(
            f"Argument `coordinates` must be rows whose products are the overlaps [[Q, R], [R.T, T]], but they differ by {gap:.3g}."
        )
    return rows


def warn_of_copies(Q: np.ndarray, R: np.ndarray) -> None:
    """Warn of units whose difference the overlaps hold to no digit; exact copies differ by nothing."""
    norms = np.diag(Q)
    near = norms[:, None] + norms - 2 * Q < COPIES**2 * norms
    if near.sum() <= len(Q):
        return
    for i, j in np.argwhere(np.tril(near, -1)):
        if not ((Q[i] == Q[j]).all() and (R[i] == R[j]).all()):
            checks.warn(
                f"Units {j} and {i} are nearer than {COPIES:g} of their norm: overlaps do not hold what tells them apart, and it "
                "decides when they leave a saddle. Committee.from_weights(W, W_star) keeps it, in simulations and for learning_rate=0 in `solve`."
            )
            return


def _symmetric(name: str, value: np.ndarray) -> np.ndarray:
    difference = np.abs(value - value.T)
    if difference.max() > SLACK * max(np.abs(value).max(), 1e-300):
        i, j = np.unravel_index(int(difference.argmax()), value.shape)
        raise ValueError(
            f"Argument `{name}` must be symmetric, but {name}[{i}, {j}] is {value[i, j]:.6g} and {name}[{j}, {i}] is {value[j, i]:.6g}."
        )
    # Halves first: the sum of two large numbers is not finite.
    return 0.5 * value + 0.5 * value.T


#: What a moment of four fields costs, in multiplications of half a nanosecond.
FOUR_FIELDS = {"erf": 2, "relu": 2400}
#: Multiplications that one evaluation of the noise may take: about ten seconds.
LIMIT = 2e10


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Physics(Problem):
    """The fields of a `Committee`, which adds the verbs."""

    Q: np.ndarray
    R: np.ndarray
    T: np.ndarray
    activation: activations.Activation
    teacher_activation: activations.Activation
    learning_rate: float | Schedule
    noise: float
    second_layer: np.ndarray
    teacher_second_layer: np.ndarray
    second_layer_rate: float
    weight_decay: float
    spherical: bool
    coordinates: np.ndarray | None = None
    covariance: CovarianceGroups | None = None
    unexplained: np.ndarray | None = None

    clock: ClassVar[str] = "t (steps times learning_rate / (p d))"
    papers: ClassVar[tuple[str, ...]] = ("saad1995", "goldt2019", "arnaboldi2023")
    _later: ClassVar[tuple[str, ...]] = ("coordinates", "covariance", "unexplained")
    retired: ClassVar[dict[str, tuple[str, ...]]] = {"solve": ("keep_state",)}
    variables: ClassVar[dict[str, Any]] = {
        "risk": Variable("population risk, label noise excluded", r"$\mathcal{R}$"),
        "Q": Variable("student-student overlaps", "$Q$", ("student", "student_2")),
        "R": Variable("student-teacher overlaps", "$R$", ("student", "teacher")),
        "Q_groups": Variable("student-student overlaps by group", "$Q_l$", ("group", "student", "student_2")),
        "R_groups": Variable("student-teacher overlaps by group", "$R_l$", ("group", "student", "teacher")),
        "second_layer": Variable("second layer of the student", "$a$", ("student",)),
        "overlap": Variable("cosine between the quadratic forms of student and teacher", r"$\chi$"),
        "specialisation": Variable("mean cosine of teachers with the students assigned to them", r"$\sigma$"),
        "subspace_share": Variable(
            "share of the student's norm in the span of the teacher",
            r"$\rho$",
            undefined="nan where the student has vanished",
        ),
    }

    def __init__(
        self,
        Q: Any,
        R: Any,
        T: Any,
        *,
        activation: Any = "square",
        teacher_activation: Any = None,
        learning_rate: Any = 0.0,
        noise: float = 0.0,
        second_layer: Any = None,
        teacher_second_layer: Any = None,
        second_layer_rate: float = 0.0,
        weight_decay: float = 0.0,
        spherical: bool = False,
        coordinates: Any = None,
        covariance: Any = None,
        unexplained: Any = None,
        **other: Any,
    ) -> None:
        put = object.__setattr__
        TABLES["Committee"].refuse("Committee", other)
        Q, R, T, groups = check_groups(Q, R, T, covariance, unexplained is not None)
        put(self, "covariance", groups)
        if unexplained is not None:
            self._freeze("unexplained", check_unexplained(unexplained, R.shape[-1]))
        for name, value in (("Q", Q), ("R", R), ("T", T)):
            self._freeze(name, value)
        put(self, "activation", activations.check("activation", activation))
        teacher = activation if teacher_activation is None else teacher_activation
        put(self, "teacher_activation", activations.check("teacher_activation", teacher))
        if not isinstance(learning_rate, Schedule):
            learning_rate = checks.number("learning_rate", learning_rate, nonnegative=True)
        put(self, "learning_rate", learning_rate)
        given = TABLES["Committee"].check(
            "Committee",
            noise=noise,
            second_layer_rate=second_layer_rate,
            weight_decay=weight_decay,
            spherical=spherical,
        )
        for name, value in given.items():
            put(self, name, value)
        for name, value, size in (
            ("second_layer", second_layer, R.shape[-2]), ("teacher_second_layer", teacher_second_layer, R.shape[-1])
        ):  # fmt: skip
            self._freeze(name, np.ones(size) if value is None else checks.array(name, value, (size,)))
        seen = self.seen()
        check_combination(seen)
        if coordinates is not None:
            if groups is not None:
                what = "a covariance" if unexplained is None else "unexplained fields"
                raise ValueError(f"Argument `coordinates` is for standard normal inputs, and not for {what}.")
            self._freeze("coordinates", check_coordinates(coordinates, Q, R, T))
        else:
            warn_of_copies(seen.Q, seen.R)
        self.check_rate(None)

    @property
    def factored(self) -> bool:
        """Whether the flow is that of the coordinates; SGD leaves their span, and its simulations begin at them."""
        return self.coordinates is not None and self.kind == "exact"

    def check_rate(self, dimension: int | None) -> None:
        """Refuse a learning rate at which SGD of linear students diverges under a covariance, in the limit or in a dimension.

        The sum of the units is a linear unit of the rate learning_rate sum a^2/p^2.
        """
        power = float(np.sum(self.second_layer**2)) / self.student_width
        coefficients = activations.coefficients(self.activation) if activations.is_polynomial(self.activation) else []
        rate, fixed = self.learning_rate, self.second_layer_rate == 0 and not self.spherical
        if self.covariance is None or len(coefficients) != 2 or not fixed or power == 0 or isinstance(rate, Schedule):
            return
        gain = power * coefficients[1] ** 2 / self.student_width
        decay = self.weight_decay / (gain * self.student_width)
        bound = self.covariance.largest_rate(decay, dimension) / gain
        if rate >= bound:
            raise ValueError(
                f"Argument `learning_rate` must be below {bound:.6g}, where the noise of the steps outruns the descent for this covariance "
                f"and linear students{in_dimension(dimension)}, but is {rate:g}."
            )

    def seen(self) -> Physics:
        """Return the problem of standard normal inputs whose overlaps are the covariances of the fields."""
        if self.covariance is None:
            return self
        made = object.__new__(type(self))
        for name, value in self._fields().items():
            object.__setattr__(made, name, self.covariance.fields(value) if name in ("Q", "R", "T") else value)
        if self.unexplained is not None:
            object.__setattr__(made, "T", made.T + self.unexplained)
            object.__setattr__(made, "unexplained", None)
        object.__setattr__(made, "covariance", None)
        return made

    @property
    def student_width(self) -> int:
        """The number of hidden units of the student."""
        return int(self.R.shape[-2])

    @property
    def teacher_width(self) -> int:
        """The number of hidden units of the teacher."""
        return int(self.R.shape[-1])

    @property
    def kind(self) -> str:  # type: ignore[override]
        """ "exact" for gradient flow, "limit" for SGD."""
        return "limit" if isinstance(self.learning_rate, Schedule) or self.learning_rate > 0 else "exact"


def check_combination(problem: Physics) -> None:
    """Refuse activations that cannot be combined, moments that take too long, and constraints that are not defined."""
    student, teacher = problem.activation, problem.teacher_activation
    name = activations.name_of(student, teacher)
    if not name:
        raise ValueError(
            "Arguments `activation` and `teacher_activation` may differ if both are polynomials; the moments of "
            f"{_show(student)} with {_show(teacher)} are not here."
        )
    norms = np.diag(problem.Q)
    if (norms <= 0).any() and (problem.spherical or name == "relu"):
        reason = "a row of norm zero has no direction" if problem.spherical else "ReLU has no derivative at 0"
        raise ValueError(
            f"Argument `Q` must have a positive diagonal, but Q[{int(norms.argmin())}, {int(norms.argmin())}] is 0: {reason}."
        )
    if name == "relu" and (np.diag(problem.T) <= 0).any():
        raise ValueError(
            'Argument `T` must have a positive diagonal for the activation "relu": leave teachers of norm zero out.'
        )
    if name != "square" and (isinstance(problem.learning_rate, Schedule) or problem.learning_rate > 0):
        _check_cost(problem, name)


def _check_cost(problem: Physics, name: str) -> None:
    p, k = problem.student_width, problem.teacher_width
    n = p + k
    if name == "polynomial":
        degrees = activations.degree(problem.activation), activations.degree(problem.teacher_activation)
        entries = degrees[0] * (degrees[0] + 1) // 2
        work = p * (p + 1) // 2 * n * max(degrees) * entries * (entries + n)
        what, lower = f"activations of degree {max(degrees)}", "the degree or the widths"
    else:
        work = p * (p + 1) // 2 * n * (n + 1) // 2 * FOUR_FIELDS[name]
        what, lower = f"the activation {_show(problem.activation)}", "the widths"
    if work > LIMIT:
        raise ValueError(
            f"The noise of {what} with p = {p} and k = {k} takes about {work:.1g} multiplications per "
            f"evaluation, and {LIMIT:.0g} is the limit: lower {lower}, or set learning_rate=0, which needs none."
        )


def _show(activation: activations.Activation) -> str:
    return f'"{activation}"' if isinstance(activation, str) else "a polynomial"
