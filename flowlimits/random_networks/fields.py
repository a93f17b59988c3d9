"""The table lists the fields of guess and check."""

from ..core.fields import Table, array, choice, integer

TABLES = {
    "GuessAndCheck": Table(
        (
            array("X", "Training inputs, one per row.", ("n", "d")),
            array("y", "Training labels, 1 and -1.", ("n",)),
            array("X_test", "Test inputs.", ("n", "d")),
            array("y_test", "Test labels.", ("n",)),
            integer("depth", "Number of hidden layers.", 1, minimum=1),
            choice("law", "Law of the weights at finite width.", ("gaussian", "uniform"), "gaussian"),
        ),
        {},
        solve=("accuracy", "max_points", "rng", "threads"),
        simulate=(
            "widths", "runs", "method", "rng", "threads", "max_networks", "learning_rate", "steps", "loss", "tolerance",
        ),
        required=("widths",),
    )
}  # fmt: skip
