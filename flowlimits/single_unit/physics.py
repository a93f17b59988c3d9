"""Fields, checks and derived numbers of a `SingleUnit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import checks
from ..core.problem import Problem
from ..core.results import Variable
from ..spectrum.covariance import groups_of
from ..spectrum.groups import CovarianceGroups, in_dimension
from . import TABLES, expressions


@dataclass(frozen=True, eq=False, repr=False, init=False)
class SingleUnitPhysics(Problem):
    """One unit, its teacher, its loss, and the inputs; see `SingleUnit`."""

    link: str
    loss: str
    Q: np.ndarray
    R: np.ndarray
    T: np.ndarray
    covariance: CovarianceGroups
    learning_rate: float
    noise: float
    weight_decay: float

    clock: ClassVar[str] = "t (steps times learning_rate / d)"
    papers: ClassVar[tuple[str, ...]] = ("collinswoodfin2024",)
    variables: ClassVar[dict[str, Any]] = {
        "risk": Variable("mean loss, noise added to the label excluded", r"$\mathcal{R}$"),
        "Q": Variable("variance of the student's field", "$Q$"),
        "R": Variable("covariance of the fields", "$R$"),
        "overlap": Variable("correlation of the fields", r"$\chi$"),
        "Q_groups": Variable("squared norm of the student by group", "$Q_l$", ("group",)),
        "R_groups": Variable("student-teacher overlap by group", "$R_l$", ("group",)),
    }

    def __init__(
        self,
        link: Any = "linear",
        loss: Any = None,
        *,
        Q: Any = None,
        R: Any = 0.0,
        T: Any = 1.0,
        covariance: Any = None,
        learning_rate: float = 0.0,
        noise: float = 0.0,
        weight_decay: float = 0.0,
        **other: Any,
    ) -> None:
        put = object.__setattr__
        table = TABLES["SingleUnit"]
        given = table.check("SingleUnit", other, learning_rate=learning_rate, noise=noise, weight_decay=weight_decay)
        if Q is None:
            raise TypeError("Argument `Q` is missing: SingleUnit needs the squared norm of its start.")
        put(self, "link", expressions.check_link(link))
        put(self, "loss", expressions.check_loss(self._natural(loss)))
        groups = groups_of(covariance)
        put(self, "covariance", groups)
        for letter, overlaps in zip("QRT", check_overlaps(groups, Q, R, T)):
            self._freeze(letter, overlaps)
        for name, value in given.items():
            put(self, name, value)
        self._check()

    def _natural(self, loss: Any) -> Any:
        if loss is not None:
            return loss
        if self.link not in expressions.NATURAL:
            raise TypeError(f"Argument `loss` is missing: the link {self.link!r} has none of its own.")
        return expressions.NATURAL[self.link]

    def _check(self) -> None:
        if self.teacher_variance <= 0:
            raise ValueError(
                "Argument `T` must give the teacher's field a positive variance, but its sum over the groups is 0."
            )
        if self.loss in expressions.BINARY and not expressions.is_binary(self.link):
            raise ValueError(
                f'Argument `loss` "{self.loss}" needs labels 1 and -1, and the link {self.link!r} has others: '
                'take the link "logistic", "probit" or "sign".'
            )
        if self.noise > 0 and expressions.is_binary(self.link):
            raise ValueError(f"Argument `noise` must be 0 where labels are 1 and -1, but is {self.noise:g}.")
        self.check_rate(None)

    def check_rate(self, dimension: int | None) -> None:
        """Refuse a learning rate at which SGD diverges, in the limit or in a dimension."""
        bound = self.largest_rate if dimension is None else self._largest_rate(dimension)
        if self.learning_rate >= bound:
            raise ValueError(
                f"Argument `learning_rate` must be below {bound:.6g}, where the noise of the steps outruns the descent "
                f"for this covariance and loss{in_dimension(dimension)}, but is {self.learning_rate:g}."
            )

    @property
    def kind(self) -> str:  # type: ignore[override]
        """ "exact" for gradient flow, "limit" for SGD."""
        return "limit" if self.learning_rate > 0 else "exact"

    @property
    def teacher_variance(self) -> float:
        """The variance of the teacher's field, the sum of c_l T_l."""
        return float(self.covariance.eigenvalues @ self.T)

    @property
    def largest_rate(self) -> float:
        """The learning rate from which on SGD with the squared loss diverges, (U7); infinity for other losses."""
        return self._largest_rate(None)

    def _largest_rate(self, dimension: int | None) -> float:
        return self.covariance.largest_rate(self.weight_decay, dimension) if self.loss == "squared" else np.inf


def check_overlaps(groups: CovarianceGroups, Q: Any, R: Any, T: Any) -> tuple[np.ndarray, ...]:
    """Return the overlaps of one unit by group, shapes (L,); numbers mean isotropic weights."""
    given = []
    for name, value in (("Q", Q), ("R", R), ("T", T)):
        array = checks.array(name, value)
        if array.ndim == 0:
            array = array * groups.weights
        elif array.shape != (groups.count,):
            raise ValueError(
                f"Argument `{name}` must be a number, or one for each of the {groups.count} groups of the covariance, but has "
                f"shape {array.shape}."
            )
        given.append(array[:, None, None])
    return tuple(value[:, 0, 0] for value in groups.check_overlaps(*given))
