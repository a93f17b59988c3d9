"""The table lists the fields of quadratic networks of extensive width."""

from ...core.fields import Field, Table, array, choice, number

STARTS = ("orthonormal", "gaussian")
ACTIVATIONS = ("square", "centred")
_POPULATION = "this is the flow on the population risk; a finite number of samples is not here."

TABLES = {
    "ExtensiveQuadratic": Table(
        (
            number("student_ratio", "Student width over dimension.", positive=True),
            Field("teacher", "spectrum", "Spectral law of the teacher."),
            Field("start", "law", "Starting weights.", "orthonormal", choices=STARTS),
            choice("activation", "Square, or square minus its mean.", ACTIVATIONS, "square"),
            number("weight_decay", "Rate of - weight_decay W, on the problem's clock.", 0.0, nonnegative=True),
            array(
                "covariance",
                "Eigenvalue of the inputs' covariance on each of the teacher's nodes, in their order.",
                None,
                None,
            ),
        ),
        {
            "input_covariance": "the covariance of the inputs is `covariance`.",
            "noise": "label noise does not change the flow on the population risk.",
            "sample_ratio": _POPULATION,
            "samples": _POPULATION,
            "learning_rate": 'a flow has no learning rate; simulate(method="gd", step=...) takes finite steps.',
            "bias": "quadratic networks have no biases here.",
            "second_layer": "the second layer is fixed to 1/p here.",
            "teacher_ratio": "the teacher is a spectrum: teacher=Spectrum.orthonormal(ratio), or Spectrum.marchenko_pastur(ratio).",
            "dimension": "it is the limit of infinite dimension; simulate(times, dimension=...) takes one.",
        },
        solve=("times", "rtol", "atol", "method", "observables", "spectrum"),
        size="dimension",
        size_help="Dimension d of the inputs.",
    )
}
