"""Networks of infinite width with any activation: the law of one unit moves along characteristics.

The table lists the fields of networks of infinite width.
"""

from ..core.fields import Field, Table, array, boolean, number
from ..core.registry import SEED

TABLES = {
    "MeanField": Table(
        (
            array("teacher", "Overlaps of the teacher, or its rows.", ("k", None)),
            Field("start", "ensemble", "Law of the units at the start."),
            Field("activation", "activation", "A name, such as erf or relu, or a polynomial such as x**3-3*x.", "erf"),
            Field("teacher_activation", "activation", "The same for the teacher.  [default: the student's]", None),
            array("teacher_second_layer", "Second layer of the teacher; ones if not given.", ("k",), None),
            number("second_layer_rate", "Rate of the second layer relative to the first.", 0.0, nonnegative=True),
            number("weight_decay", "Rate of - weight_decay W, on the problem's clock.", 0.0, nonnegative=True),
            number("temperature", "Temperature of the noise; infinite dimension only.", 0.0, nonnegative=True),
            boolean("spherical", "Keep the norm of every unit."),
            array("covariance", "Covariance of the inputs, as eigenvalues; infinite dimension only.", None, None),
        ),
        SEED
        | {
            "learning_rate": (
                "the limit holds for a learning rate that vanishes against the width. At a fixed ratio of the two the noise correlates "
                "the remainders of different units, and the law of single units does not close; Committee has one-pass SGD at finite "
                "width."
            ),
            "noise": "label noise does not enter the population gradient flow.",
            "dimension": "it belongs to the start: Ensemble.gaussian(dimension), or Ensemble(..., dimension=).",
            "student_width": "the width is infinite here; it is an argument of `simulate`.",
            "second_layer": "it belongs to the start: Ensemble(weights, second_layer, projections, norms).",
            "bias": "hidden units have no biases.",
            "samples": "the inputs are fresh in every step; networks that see a finite sample are fl.SampleFlow.",
            "loss": "the square loss only.",
            "Q": "the problem is stated by the teacher and the law of the start; overlaps are for fl.Committee.",
        },
        solve=("times", "particles", "accuracy", "form", "rtol", "atol", "method", "observables"),
        simulate=("times", "runs", "rng", "threads", "step", "observables"),
        size="student_width",
        size_help="Number of student neurons.",
        outside=("target",),
    )
}  # fmt: skip
