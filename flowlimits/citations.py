"""BibTeX entries of the package and of the papers behind each problem."""

from __future__ import annotations

from typing import Any

from . import __version__
from .checks import show

ENTRIES = {
    "flowlimits": f"""\
@software{{flowlimits,
  author  = {{{{The flowlimits developers}}}},
  title   = {{flowlimits: training dynamics of two-layer networks}},
  version = {{{__version__}}},
}}""",
    "boursier2024": """\
@misc{boursier2024,
  author        = {Boursier, Etienne and Flammarion, Nicolas},
  title         = {Early Alignment in Two-Layer Networks Training is a Two-Edged Sword},
  year          = {2024},
  eprint        = {2401.10791},
  archiveprefix = {arXiv},
}""",
    "boursier2025": """\
@inproceedings{boursier2025,
  author        = {Boursier, Etienne and Flammarion, Nicolas},
  title         = {Simplicity Bias and Optimization Threshold in Two-Layer {ReLU} Networks},
  booktitle     = {Proceedings of the 42nd International Conference on Machine Learning},
  year          = {2025},
  eprint        = {2410.02348},
  archiveprefix = {arXiv},
}""",
    "chizat2018": """\
@inproceedings{chizat2018,
  author        = {Chizat, L{\\'e}na{\\"\\i}c and Bach, Francis},
  title         = {On the Global Convergence of Gradient Descent for Over-parameterized Models using Optimal Transport},
  booktitle     = {Advances in Neural Information Processing Systems},
  volume        = {31},
  year          = {2018},
  eprint        = {1805.09545},
  archiveprefix = {arXiv},
}""",
    "frei2022": """\
@misc{frei2022,
  author        = {Frei, Spencer and Chatterji, Niladri S. and Bartlett, Peter L.},
  title         = {Random Feature Amplification: Feature Learning and Generalization in Neural Networks},
  year          = {2022},
  eprint        = {2202.07626},
  archiveprefix = {arXiv},
}""",
    "gamarnik2019": """\
@misc{gamarnik2019,
  author        = {Gamarnik, David and K{\\i}z{\\i}lda{\\u{g}}, Eren C. and Zadik, Ilias},
  title         = {Stationary Points of Shallow Neural Networks with Quadratic Activation Function},
  year          = {2019},
  eprint        = {1912.01599},
  archiveprefix = {arXiv},
}""",
    "martin2024": """\
@inproceedings{martin2024,
  author        = {Martin, Simon and Bach, Francis and Biroli, Giulio},
  title         = {On the Impact of Overparameterization on the Training of a Shallow Neural Network in High Dimensions},
  booktitle     = {Proceedings of The 27th International Conference on Artificial Intelligence and Statistics},
  series        = {Proceedings of Machine Learning Research},
  volume        = {238},
  pages         = {3655--3663},
  year          = {2024},
  eprint        = {2311.03794},
  archiveprefix = {arXiv},
}""",
    "martin2026": """\
@article{martin2026,
  author        = {Martin, Simon and Biroli, Giulio and Bach, Francis},
  title         = {High-Dimensional Analysis of Gradient Flow for Extensive-Width Quadratic Neural Networks},
  journal       = {Journal of Machine Learning Research},
  volume        = {27},
  number        = {136},
  year          = {2026},
  eprint        = {2601.10483},
  archiveprefix = {arXiv},
}""",
    "mei2018": """\
@article{mei2018,
  author        = {Mei, Song and Montanari, Andrea and Nguyen, Phan-Minh},
  title         = {A Mean Field View of the Landscape of Two-Layer Neural Networks},
  journal       = {Proceedings of the National Academy of Sciences},
  volume        = {115},
  number        = {33},
  pages         = {E7665--E7671},
  year          = {2018},
  eprint        = {1804.06561},
  archiveprefix = {arXiv},
}""",
    "refinetti2021": """\
@inproceedings{refinetti2021,
  author        = {Refinetti, Maria and Goldt, Sebastian and Krzakala, Florent and Zdeborov{\\'a}, Lenka},
  title         = {Classifying High-Dimensional {Gaussian} Mixtures: Where Kernel Methods Fail and Neural Networks Succeed},
  booktitle     = {Proceedings of the 38th International Conference on Machine Learning},
  series        = {Proceedings of Machine Learning Research},
  volume        = {139},
  year          = {2021},
  eprint        = {2102.11742},
  archiveprefix = {arXiv},
}""",
    "sarao2020": """\
@inproceedings{sarao2020,
  author        = {Sarao Mannelli, Stefano and Vanden-Eijnden, Eric and Zdeborov{\\'a}, Lenka},
  title         = {Optimization and Generalization of Shallow Neural Networks with Quadratic Activation Functions},
  booktitle     = {Advances in Neural Information Processing Systems},
  volume        = {33},
  year          = {2020},
  eprint        = {2006.15459},
  archiveprefix = {arXiv},
}""",
}


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
    return "\n\n".join(ENTRIES[key] for key in ("flowlimits", *_papers(problem)))


def _papers(problem: Any) -> tuple[str, ...]:
    if problem is None:
        return ()
    if hasattr(problem, "attrs"):
        from .load import load_problem

        problem = load_problem(problem)
    papers = getattr(problem, "papers", None)
    if papers is None:
        raise TypeError(f"Argument `problem` must be a problem, a class of problems or a result, but is {show(problem)}.")
    return tuple(papers)
