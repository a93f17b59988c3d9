"""Names of the package for type checkers and editors; at run time they load on first use."""

from . import committee as committee
from . import conventions as conventions
from . import margin as margin
from . import ode as ode
from . import plot as plot
from . import random_networks as random_networks
from .committee.problem import Committee as Committee
from .committee.schedule import Schedule as Schedule
from .core.events import Event as Event
from .core.events import crossing as crossing
from .core.problem import load_problem as load_problem
from .core.storage import load as load
from .core.storage import save as save
from .data.cite import cite as cite
from .data.export import to_dataframe as to_dataframe
from .data.export import to_table as to_table
from .data.rerun import extend as extend
from .data.rerun import rerun as rerun
from .data.wrap import wrap as wrap
from .empirical.problem import EmpiricalQuadratic as EmpiricalQuadratic
from .many import solve_many as solve_many
from .margin.problem import MarginFlow as MarginFlow
from .mean_field.ensemble import Ensemble as Ensemble
from .mean_field.problem import MeanField as MeanField
from .mixture.problem import XorMixture as XorMixture
from .quadratic.extensive.problem import ExtensiveQuadratic as ExtensiveQuadratic
from .quadratic.finite.problem import QuadraticFlow as QuadraticFlow
from .quadratic.mean_field.problem import MeanFieldQuadratic as MeanFieldQuadratic
from .random_networks.problem import GuessAndCheck as GuessAndCheck
from .samples.problem import EarlyAlignment as EarlyAlignment
from .samples.problem import SampleFlow as SampleFlow
from .single_unit.problem import SingleUnit as SingleUnit
from .spectrum.spectrum import Spectrum as Spectrum
from .studies.adaptive import refine as refine
from .studies.grid import study as study
from .studies.worker import StudyError as StudyError
from .studies.worker import StudyInterrupted as StudyInterrupted
from .verdict.compare import compare as compare
from .verdict.compare import convergence as convergence

__version__: str
__all__: list[str]
