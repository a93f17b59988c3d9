"""The table lists the fields of networks of fixed width."""

from ..core.fields import Draw, Field, Table, array, boolean, integer, number
from ..core.registry import SEED

TABLES = {
    "Committee": Table(
        (
            array("Q", "Overlaps of the student.", ("p", "p")),
            array("R", "Overlaps of student and teacher.", ("p", "k")),
            array("T", "Overlaps of the teacher.", ("k", "k")),
            Field(
                "activation", "activation", "A name, such as erf, relu or hermite3, or a polynomial such as x**3-3*x.", "square"
            ),
            Field("teacher_activation", "activation", "The same for the teacher.  [default: the student's]", None),
            Field("learning_rate", "rate", "Learning rate of one-pass SGD; 0 is gradient flow.", 0.0),
            number("noise", "Variance of the label noise.", 0.0, nonnegative=True),
            array("second_layer", "Second layer of the student; ones if not given.", ("p",), None),
            array("teacher_second_layer", "Second layer of the teacher; ones if not given.", ("k",), None),
            number("second_layer_rate", "Rate of the second layer relative to the first.", 0.0, nonnegative=True),
            number("weight_decay", "Rate of - weight_decay W, on the problem's clock.", 0.0, nonnegative=True),
            boolean("spherical", "Keep the norm of every student neuron."),
            array("covariance", "Covariance of the inputs, as eigenvalues of equal shares.", None, None),
            array("unexplained", "Covariance of what the inputs leave unexplained of the teacher's fields.", ("k", "k"), None),
        ),
        SEED
        | {
            "bias": "hidden units have no biases.",
            "samples": "the inputs are fresh in every step; networks that see a finite sample are fl.SampleFlow.",
            "momentum": "plain one-pass SGD and gradient flow only.",
            "optimizer": "plain one-pass SGD and gradient flow only.",
            "loss": "the loss is the square, 1/2 (f - y)^2.",
            "lr": "the learning rate is `learning_rate`.",
            "eta": "the learning rate is `learning_rate`.",
            "sigma": "give the variance of the label noise as `noise`.",
            "noise_std": "give the variance of the label noise as `noise`.",
            "student_width": "widths follow from the overlaps; Committee.random(student_width, teacher_width, dimension=...) draws a start.",
            "teacher_width": "widths follow from the overlaps; Committee.random(student_width, teacher_width, dimension=...) draws a start.",
            "W": "the problem is stated by its overlaps; Committee.from_weights(W, W_star) takes weights.",
            "batch_size": "one fresh input per step; a batch of n has the noise of learning_rate/n.",
        },
        Draw(
            (
                integer("student_width", "Number of student neurons.", minimum=1),
                integer("teacher_width", "Number of teacher neurons.", minimum=1),
                integer(
                    "dimension", "Dimension at which Gaussian weights are drawn; their overlaps are the start.",
                    minimum=1, flag="start-dimension",
                ),
                integer("rng", "Random stream of these weights.", 0, flag="weights-rng"),
                number("scale", "Standard deviation of the student's weights.", 1.0, positive=True),
            ),
            ("Q", "R", "T"),
            "random",
            "give the overlaps or widths and a dimension.",
        ),
        simulate=("times", "start", "runs", "rng", "threads", "method", "step", "observables"),
        outside=("coordinates",),
        shows=("student_width", "teacher_width"),
        size="dimension",
        size_help="Dimension d of the inputs.",
    )
}  # fmt: skip
