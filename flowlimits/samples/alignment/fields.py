"""The table lists the fields of early alignment."""

from ...core.fields import Field, Table, array, integer
from ...core.words import SEED

TABLES = {
    "EarlyAlignment": Table(
        (
            array("X", "Inputs, one per row.", ("n", "d")),
            array("y", "Labels.", ("n",)),
            array("directions", "Start of the units.", (None, "d"), None),
            integer("width", "Number of units with random directions.", None, minimum=1),
            Field("balance", "number_or_array", "Second layer over norm at the start, in [-1, 1].", None),
            array("drift", "Part of D that does not depend on the unit.", ("d",), None),
            integer("rng", "Random stream of the directions.", None, flag="weights-rng"),
        ),
        SEED
        | {
            "bias": "append a column of ones to `X`.",
            "activation": "the alignment flow is that of ReLU units.",
            "scale": "the flow is the limit of a vanishing scale; `simulate(times, scale=...)` takes a finite one.",
        },
        solve=("times", "max_kinks", "threads"),
        simulate=("times", "scale", "rtol", "kink_step"),
        required=("scale",),
    ),
}
