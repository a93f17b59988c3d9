"""Integrators of ordinary differential equations, compiled once for all models; they know nothing of networks."""

from .batch.batch import BatchReport
from .batch.integrate_batch import integrate_batch
from .functions import Event, RightHandSide, event, right_hand_side
from .integrate import integrate
from .jacobians import Structure
from .report import IntegrationError, IntegrationInterrupted, Report, Status

__all__ = [
    "BatchReport",
    "Event",
    "IntegrationError",
    "IntegrationInterrupted",
    "Report",
    "RightHandSide",
    "Status",
    "Structure",
    "event",
    "integrate",
    "integrate_batch",
    "right_hand_side",
]
