"""Random networks conditioned on the training set, at finite and infinite width, against trained ones."""

from .physics import TABLES as TABLES
from .problem import GuessAndCheck
from .tasks import binary_task, gaussian_task, paired_difference, read_arrays

__all__ = ["GuessAndCheck", "binary_task", "gaussian_task", "paired_difference", "read_arrays"]
