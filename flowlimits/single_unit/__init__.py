"""One unit with any loss and link, structured inputs.

The table lists the fields of a single unit.
"""

from ..core.fields import Field, Table, array, number
from ..core.registry import SEED

TABLES = {
    "SingleUnit": Table(
        (
            Field("link", "text", "The label's function of the teacher's field, such as linear, logistic or tanh.", "linear"),
            Field("loss", "text", "Loss of one sample; that of the link if not given.", None),
            Field("Q", "number_or_array", "Squared norm of the student at the start, by group of the covariance."),
            Field("R", "number_or_array", "Overlap of student and teacher at the start.", 0.0),
            Field("T", "number_or_array", "Squared norm of the teacher.", 1.0),
            array("covariance", "Covariance of the inputs.", None, None),
            number("learning_rate", "Learning rate of one-pass SGD; 0 is gradient flow.", 0.0, nonnegative=True),
            number("noise", "Variance of the label noise.", 0.0, nonnegative=True),
            number("weight_decay", "Rate of - weight_decay w, on the problem's clock.", 0.0, nonnegative=True),
        ),
        SEED
        | {
            "activation": "the label's function of the teacher's field is `link`, that of the student stands in `loss`.",
            "bias": "the unit has no bias.",
            "second_layer": "one unit has none; fl.Committee has.",
            "momentum": "plain one-pass SGD and gradient flow only.",
            "lr": "the learning rate is `learning_rate`.",
            "eta": "the learning rate is `learning_rate`.",
            "sigma": "give the variance of the label noise as `noise`.",
            "W": "the problem is stated by its overlaps; SingleUnit.from_weights(w, w_star) takes weights.",
            "w": "the problem is stated by its overlaps; SingleUnit.from_weights(w, w_star) takes weights.",
            "batch_size": "one fresh input per step; a batch of n has the noise of learning_rate/n.",
        },
        size="dimension",
        size_help="Dimension d of the inputs.",
    )
}  # fmt: skip
