"""Quadratic networks: exact flow at finite dimension, extensive widths, infinite width.

The tables list the fields of quadratic networks: at finite dimension, of infinite width, of extensive width.
"""

from ..core.fields import Draw, Field, Table, array, choice, integer, number

STARTS = ("orthonormal", "gaussian")
ACTIVATIONS = ("square", "centred")
ABSENT = {
    "input_covariance": "the covariance of the inputs is `covariance`.",
    "noise": "label noise does not change the flow on the population risk.",
    "samples": "this is the flow on the population risk; a finite number of samples is not here.",
    "learning_rate": 'a flow has no learning rate; simulate(method="gd", step=...) takes finite steps.',
    "bias": "quadratic networks have no biases here.",
    "second_layer": "the second layer is fixed to 1/p here.",
}
ACTIVATION = choice("activation", "Square, or square minus its mean.", ACTIVATIONS, "square")
WEIGHT_DECAY = number("weight_decay", "Rate of - weight_decay W, on the problem's clock.", 0.0, nonnegative=True)

_DRAWN = "the class takes weights W and W_star; QuadraticFlow.orthonormal(dimension, student_width, teacher_width, rng=...) draws them."

TABLES = {
    "QuadraticFlow": Table(
        (
            array("W", "Weights of the student at the start.", ("p", "d")),
            array("W_star", "Weights of the teacher.", ("k", "d")),
            ACTIVATION,
            WEIGHT_DECAY,
            array("covariance", "Covariance of the inputs.", None, None),
        ),
        ABSENT
        | dict.fromkeys(("dimension", "student_width", "teacher_width", "rng"), _DRAWN),
        Draw(
            (
                choice("ensemble", "Law of the weights of student and teacher.", STARTS, "orthonormal"),
                integer("dimension", "Dimension d of the inputs.", minimum=1),
                integer("student_width", "Number of student neurons.", minimum=1),
                integer("teacher_width", "Number of teacher neurons.", minimum=1),
                integer("rng", "Random stream of the weights.", 0, flag="weights-rng"),
            ),
            ("W", "W_star"),
            "ensemble",
            "give the weights or an ensemble.",
        ),
        simulate=("times", "method", "step", "observables"),
        required=("step",),
    ),
    "MeanFieldQuadratic": Table(
        (
            array("teacher_eigenvalues", "Eigenvalues of Z* = W*^T W* / (k d), such as 1,1,0,0.", ("d",)),
            Field("start", "number_or_array", "E[w w^T]/d at the start, as a multiple of the identity."),
            ACTIVATION,
            WEIGHT_DECAY,
            array("covariance", "Covariance of the inputs in the teacher's eigenbasis.", None, None),
        ),
        ABSENT,
        size="student_width",
        size_help="Number of student neurons.",
    ),
    "ExtensiveQuadratic": Table(
        (
            number("student_ratio", "Student width over dimension.", positive=True),
            Field("teacher", "spectrum", "Spectral law of the teacher."),
            Field("start", "law", "Starting weights.", "orthonormal", choices=STARTS),
            ACTIVATION,
            WEIGHT_DECAY,
            array("covariance", "Eigenvalue of the inputs' covariance on each of the teacher's nodes, in their order.", None, None),
        ),
        ABSENT
        | {
            "sample_ratio": ABSENT["samples"],
            "teacher_ratio": "the teacher is a spectrum: teacher=Spectrum.orthonormal(ratio), or Spectrum.marchenko_pastur(ratio).",
            "dimension": "it is the limit of infinite dimension; simulate(times, dimension=...) takes one.",
        },
        solve=("times", "rtol", "atol", "method", "observables", "spectrum"),
        size="dimension",
        size_help="Dimension d of the inputs.",
    ),
}  # fmt: skip
