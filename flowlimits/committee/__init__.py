"""Networks of fixed width in high dimension: order parameters of gradient flow and one-pass SGD."""

from .fields import TABLES as TABLES
from .observables import invariants, plateau, specialisation, weak_recovery
from .problem import Committee
from .schedule import Schedule

__all__ = ["Committee", "Schedule", "invariants", "plateau", "specialisation", "weak_recovery"]
