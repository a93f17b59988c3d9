"""Exact conversions to and from the conventions of other papers and programs, and readers of their files."""

from .nn2pp import Nn2pp, read_nn2pp_log, read_nn2pp_start
from .samples import Girardin, Maillard, MartinSamples
from .training import Training
from .units import Arnaboldi, Martin, Paquette, SaraoMannelli, Veiga

__all__ = [
    "Arnaboldi",
    "Girardin",
    "Maillard",
    "Martin",
    "MartinSamples",
    "Nn2pp",
    "Paquette",
    "SaraoMannelli",
    "Training",
    "Veiga",
    "read_nn2pp_log",
    "read_nn2pp_start",
]
