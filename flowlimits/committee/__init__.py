"""Networks of fixed width in high dimension: order parameters of gradient flow and one-pass SGD."""

from .committee import Committee
from .observables import invariants, plateau, specialisation, weak_recovery
from .schedule import Schedule

__all__ = ["Committee", "Schedule", "invariants", "plateau", "specialisation", "weak_recovery"]
