"""The table lists the fields of margin flows."""

from ..core.fields import Field, Table, array, choice, integer, number

TABLES = {
    "MarginFlow": Table(
        (
            Field(
                "model", "model", "Model that is trained.",
                choices=("LinearModel", "QuadraticModel", "ReLUModel", "SoftplusModel", "SkipReLUModel", "NormOnlyModel"),
            ),
            array("X", "Inputs, one per row.", ("n", "d")),
            array("y", "Labels, 1 and -1.", ("n",)),
            Field("weights", "arrays", "Own start: one file, or one per layer with commas.", None),
            choice("loss", "Loss of one sample.", ("exponential", "logistic"), "exponential"),
            choice("geometry", "Norm of steepest descent.", ("l2", "linf", "l1"), "l2"),
            integer("rng", "Random stream of a drawn start.", None, flag="weights-rng"),
            number("scale", "Scale of a drawn start.", 1.0, positive=True),
        ),
        {},
        solve=("log_losses", "rtol", "atol", "method", "max_steps"),
        simulate=("log_losses", "learning_rate", "batch", "runs", "rng", "threads"),
        required=("learning_rate",),
    )
}  # fmt: skip
