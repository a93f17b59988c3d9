"""Quadratic networks of extensive width on finitely many samples.

The table lists the fields of quadratic networks on finitely many samples.
"""

from ..core.fields import Field, Table, choice, number

STARTS = ("gaussian", "orthonormal")
ACTIVATIONS = ("centred", "square")
VANISHING = "vanishing"
_ISOTROPIC = "the theory is known here for isotropic Gaussian inputs only."

TABLES = {
    "EmpiricalQuadratic": Table(
        (
            number("student_ratio", "Student width over dimension.", positive=True),
            Field("teacher", "spectrum", "Spectral law of the teacher."),
            number("sample_ratio", "Number of samples over the square of the dimension.", positive=True),
            number("noise", "Dimension times the variance of a label.", 0.0, nonnegative=True),
            Field(
                "weight_decay", "number_or_word", "Rate of the decay of the weights, or vanishing.", 0.0, choices=(VANISHING,)
            ),
            choice("activation", "Square, or square minus its mean.", ACTIVATIONS, "centred"),
            Field("start", "law", "Starting weights.", "gaussian", choices=STARTS),
        ),
        {
            "covariance": _ISOTROPIC,
            "input_covariance": _ISOTROPIC,
            "samples": "the number of samples is sample_ratio times the square of the dimension.",
            "learning_rate": "a flow has no learning rate.",
            "bias": "quadratic networks have no biases here.",
            "second_layer": "the second layer is fixed to 1/p here.",
            "teacher_ratio": "the teacher is a spectrum: teacher=Spectrum.orthonormal(ratio), or Spectrum.marchenko_pastur(ratio).",
            "dimension": "it is the limit of infinite dimension; simulate(times, dimension=...) takes one.",
        },
        solve=("times", "sample_ratios", "weight_decays", "spectrum"),
        simulate=("times", "runs", "rng"),
        size="dimension",
        size_help="Dimension d of the inputs.",
    )
}  # fmt: skip
