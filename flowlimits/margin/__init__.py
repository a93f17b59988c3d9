"""Margin flows of homogeneous networks: exact to losses far below the range of floats, with certificates of optimality."""

from .certificates import Certificate, frozen_units, linear_program, parity, relu_plane, support_vectors, trace_norm
from .laws import certify, rate_constant
from .models import LinearModel, NormOnlyModel, QuadraticModel, ReLUModel, SkipReLUModel, SoftplusModel, UserModel
from .physics import TABLES as TABLES
from .problem import MarginFlow
from .state import BudgetError, NoMarginError

__all__ = [
    "BudgetError",
    "Certificate",
    "LinearModel",
    "MarginFlow",
    "NoMarginError",
    "NormOnlyModel",
    "QuadraticModel",
    "ReLUModel",
    "SkipReLUModel",
    "SoftplusModel",
    "UserModel",
    "certify",
    "frozen_units",
    "linear_program",
    "parity",
    "rate_constant",
    "relu_plane",
    "support_vectors",
    "trace_norm",
]
