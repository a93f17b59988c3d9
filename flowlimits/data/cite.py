"""`cite` returns the BibTeX entries of the package and of the papers behind each problem."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

from .. import __version__
from ..core.checks import show
from ..core.problem import Problem, load_problem

SOFTWARE = f"""\
@software{{flowlimits,
  author  = {{{{The flowlimits developers}}}},
  title   = {{flowlimits: training dynamics of two-layer networks}},
  version = {{{__version__}}},
  year    = {{2026}},
}}"""


@cache
def references() -> dict[str, str]:
    """Return the entries of `references.bib` by key; a new paper is entered there."""
    text = resources.files(__package__).joinpath("references.bib").read_text(encoding="utf-8")
    entries = [entry.strip() for entry in re.split(r"\n(?=@)", text) if entry.strip()]
    return {re.match(r"@\w+\{([^,]+),", entry)[1]: entry for entry in entries}  # type: ignore[index]


def cite(problem: Any = None) -> str:
    """Return BibTeX entries: the package, and the papers that derive what it computed.

    Parameters
    ----------
    problem : Problem, class of problems or xarray.Dataset, optional
        What to cite the papers of; a Dataset stands for its problem.  None is the package alone.

    Returns
    -------
    str
        One entry per work, the package first.

    Raises
    ------
    TypeError
        If `problem` is none of these.
    ValueError
        If a Dataset holds no problem.
    """
    return "\n\n".join([SOFTWARE, *(references()[key] for key in _papers(problem))])


def _papers(problem: Any) -> tuple[str, ...]:
    if problem is None:
        return ()
    if isinstance(problem, Problem) or (isinstance(problem, type) and issubclass(problem, Problem)):
        return problem.papers
    import xarray as xr

    if not isinstance(problem, xr.Dataset):
        raise TypeError(
            f"Argument `problem` must be a problem, a class of problems or a result, but is {show(problem)}."
        )
    return load_problem(problem).papers
