"""Gradient flow of two-layer networks on a finite sample: early alignment, optimisation threshold.

The tables list the fields of flows on a finite sample.
"""

from ..core.fields import Field, Table, array, boolean, choice, integer, number
from ..core.registry import SEED

ACTIVATIONS = ("relu", "square", "tanh", "softplus")
LOSSES = ("squared", "logistic", "exponential")
STARTS = ("balanced", "unbalanced", "dominated")
_FLOW = "this is gradient flow; its time t is steps times step."

TABLES = {
    "SampleFlow": Table(
        (
            array("X", "Inputs, one per row.", ("n", "d")),
            array("y", "Labels.", ("n",)),
            integer("width", "Number of hidden units of a drawn start.", None, minimum=1),
            Field("weights", "arrays", "Own start: the file of W and that of a, with a comma.", None),
            number("scale", "Of the drawn start.", 1e-3, positive=True),
            choice("start", "Law of the drawn start.", STARTS, "balanced"),
            choice("activation", "Activation of the hidden units.", ACTIVATIONS, "relu"),
            boolean("bias", "Append the coordinate 1 to every input."),
            choice("loss", "Loss of one sample.", LOSSES, "squared"),
            array("X_test", "Test inputs.", ("n", "d"), None),
            array("y_test", "Test labels.", ("n",), None),
            integer("rng", "Random stream of the drawn start.", None, flag="weights-rng"),
        ),
        SEED
        | {
            "learning_rate": _FLOW,
            "lr": _FLOW,
            "batch": "the whole sample is used at each time.",
            "weight_decay": "the flow is that of the loss alone; fl.Committee, fl.QuadraticFlow and fl.EmpiricalQuadratic take a decay of the weights.",
            "depth": "networks of one hidden layer only; fl.GuessAndCheck has deeper ones.",
        },
        solve=("times", "rtol", "atol", "method", "kink_step", "observables"),
        simulate=("times", "step", "observables"),
    ),
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
