"""Recovery phase diagram of extensive quadratic networks: who finds the teacher, and how fast (arXiv 2311.03794)."""

import importlib.util
import tempfile

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from .record import Record
from .study_functions import recovery

PAPER = "Martin, Bach & Biroli 2311.03794"
SIDES = "risk stays above 0.01 exactly where alpha* - alpha > 0.01 alpha alpha*: points on the wrong side"
NEAR = "share of the points within 0.05 of the boundary, which holds a tenth of the square"


def run(record: Record, full: bool) -> None:
    """Compute the diagram as a study, its boundary as a refinement in the same folder, and the claims."""
    count = 40 if full else 20
    ratios = np.linspace(1 / count, 1 - 0.5 / count, count)
    parameters = {"late": 1000.0, "near": 1.0}
    line = None
    with tempfile.TemporaryDirectory() as folder:
        table = fl.study(
            recovery,
            {"student_ratio": ratios, "teacher_ratio": ratios},
            parameters=parameters,
            folder=folder,
            progress=False,
        )
        if importlib.util.find_spec("adaptive"):
            line = fl.refine(
                recovery, {"student_ratio": (0.05, 0.95), "teacher_ratio": (0.05, 0.95)}, points=400 if full else 160,
                boundary=0.01, variable="risk", parameters=parameters, folder=folder, progress=False,
            )  # fmt: skip
    unfinished = sum(int((one["status"] != 1).sum()) for one in (table, line) if one is not None)
    record.claim(
        "fl.study, fl.refine",
        "points of the diagram and of its boundary that did not finish",
        expected=0,
        seen=unfinished,
        passed=unfinished == 0,
    )
    reached(record, table)
    rates(record, table)
    if line is not None:
        boundary(record, line)
    else:
        reason = 'needs pip install "flowlimits[adaptive]"'
        record.skip(PAPER, SIDES, reason)
        record.skip("fl.refine", NEAR, reason)
    figure(record, table)


def reached(record: Record, table) -> None:
    expected = np.minimum(1, np.sqrt(table["student_ratio"] / table["teacher_ratio"]))
    worst = float(np.abs(table["overlap"] - expected).max())
    record.below(
        PAPER,
        f"overlap at tau = 1000 against min(1, sqrt(alpha/alpha*)), worst of {table['overlap'].size} points",
        worst,
        1e-6,
    )


def rates(record: Record, table) -> None:
    student, teacher = (table[name].values for name in ("student_ratio", "teacher_ratio"))
    alpha, alpha_star = np.meshgrid(student, teacher, indexing="ij")
    above, below = alpha > alpha_star + 1e-9, alpha < alpha_star - 1e-9
    constant = alpha_star * (alpha - alpha_star) / (64 * alpha)
    ratio = (table["constant"].values / np.where(above, constant, 1))[above]
    record.below(
        PAPER,
        "alpha > alpha*: tau^2 d risk at tau = 1000 against alpha*(alpha - alpha*)/(64 alpha), worst relative error",
        float(np.abs(ratio - 1).max()),
        0.01,
    )
    record.close(
        PAPER,
        "alpha > alpha*: exponent of the risk between tau = 500 and 1000, the farthest from 2",
        _farthest(table["late_exponent"].values[above], 2.0),
        2.0,
        atol=0.01,
    )
    early = table["early_rate"].values[below] * alpha_star[below]
    # Nearly degenerate widths relax on a slow scale of their own before the exponential shows.
    clear = (alpha_star - alpha)[below] > 0.2
    record.close(
        PAPER,
        "alpha < alpha*: rate of the excess risk around tau = 1 in units of 1/alpha*, median",
        float(np.median(early[clear & np.isfinite(early)])),
        8.0,
        rtol=0.1,
    )
    diagonal = np.isclose(alpha, alpha_star)
    critical = table["early_rate"].values[diagonal] * alpha_star[diagonal]
    chosen = (alpha_star[diagonal] > 0.3) & np.isfinite(critical)
    # The square root in front of the exponential takes 1/(2 tau) off the rate.
    corrected = critical[chosen] + alpha_star[diagonal][chosen] * np.log(1.5) / 2 / 0.5
    record.close(
        PAPER,
        "alpha = alpha*: rate of the risk around tau = 1 in units of 1/alpha*, median",
        float(np.median(corrected)),
        4.0,
        rtol=0.1,
    )


def _farthest(values: np.ndarray, target: float) -> float:
    return float(values[np.argmax(np.abs(values - target))])


def boundary(record: Record, line) -> None:
    student, teacher, risk = (line[name].values for name in ("student_ratio", "teacher_ratio", "risk"))
    lost = risk > 0.01
    # The plateau (alpha* - alpha)/(alpha alpha*) passes 0.01 this little below the line of minimal overparameterisation.
    distance = teacher - student - 0.01 * student * teacher
    record.claim(
        PAPER, SIDES, expected=0, seen=int((lost != (distance > 0)).sum()), passed=bool((lost == (distance > 0)).all())
    )
    near = float((np.abs(teacher - student) < 0.05).mean())
    record.above("fl.refine", NEAR, near, 0.4)


def figure(record: Record, table) -> None:
    axes = fl.plot.study(table, x="student_ratio", y="teacher_ratio", variable="overlap", levels=[0.5, 0.7, 0.9])
    axes.plot([0, 1], [0, 1], color="white", linestyle="--", linewidth=1.2)
    axes.set_xlabel(r"student ratio  $\alpha$", fontsize=style.TEXT)
    axes.set_ylabel(r"teacher ratio  $\alpha_*$", fontsize=style.TEXT)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    record.figure(axes.figure, "overlap")
    above = table["constant"].where(table["student_ratio"] > table["teacher_ratio"])
    above = above.assign_attrs(long_name="late constant", symbol=r"\tau^2 d\,\mathcal{R}")
    axes = fl.plot.study(above.to_dataset(name="constant"), x="student_ratio", y="teacher_ratio")
    axes.set_xlabel(r"student ratio  $\alpha$", fontsize=style.TEXT)
    axes.set_ylabel(r"teacher ratio  $\alpha_*$", fontsize=style.TEXT)
    record.figure(axes.figure, "constant")
