"""XOR and Gaussian mixtures: the flow of a ReLU network on four clusters with alternating labels.

The table lists the fields of XOR mixtures.
"""

from ..core.fields import Table, array, choice, integer, number
from ..core.registry import SEED

#: In the order of their numbers in the compiled equations.
LOSSES = ("squared", "logistic", "exponential")

TABLES = {
    "XorMixture": Table(
        (
            integer("width", "Number of hidden units of a drawn start.", None, minimum=1),
            array("Q", "Overlaps of the hidden units.", ("K", "K"), None),
            array("R", "Fields at the centres.", ("K", 2), None),
            array("second_layer", "Second layer of the start.", ("K",), None),
            number("separation", "Distance of the centres from the origin.", 1.0, positive=True),
            number("noise_scale", "Standard deviation of each coordinate within a cluster.", 0.0, nonnegative=True),
            number("label_noise", "Probability of a flipped label.", 0.0),
            choice("loss", "Loss of one sample.", LOSSES, "squared"),
            number("learning_rate", "Learning rate of one-pass SGD; 0 is gradient flow.", 0.0, nonnegative=True),
            number("second_layer_rate", "Rate of the second layer relative to the first.", 0.0, nonnegative=True),
            number("scale", "Standard deviation of the hidden weights of a drawn start.", None, positive=True),
            integer("dimension", "Dimension at which the start is drawn.", None, minimum=2, flag="start-dimension"),
            integer("rng", "Random stream of the drawn start.", None, flag="weights-rng"),
        ),
        SEED
        | {
            "covariance": "the noise within a cluster is isotropic here.",
            "bias": "hidden units without biases only.",
            "activation": "ReLU units only.",
            "samples": "the flow is that of the population; a finite sample is simulated by `simulate(..., samples=n)`.",
            "weight_decay": "these equations have no decay of the weights; fl.Committee, fl.QuadraticFlow and fl.ExtensiveQuadratic have.",
            "centres": "the centres are two orthogonal pairs at the distance `separation`, for which alone the overlaps Q and R close here.",
        },
        solve=("times", "rtol", "atol", "method", "points", "error_points", "observables"),
        simulate=("times", "runs", "rng", "threads", "method", "step", "samples"),
        size="dimension",
        size_help="Dimension d of the inputs.",
    )
}
