"""BibTeX entries of the package and of the papers behind each problem."""

from __future__ import annotations

from typing import Any

from .. import __version__
from ..core.checks import show

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
    "arnaboldi2023": """\
@inproceedings{arnaboldi2023,
  author        = {Arnaboldi, Luca and Stephan, Ludovic and Krzakala, Florent and Loureiro, Bruno},
  title         = {From High-Dimensional \\& Mean-Field Dynamics to Dimensionless {ODEs}: A Unifying Approach to {SGD} in Two-Layers Networks},
  booktitle     = {Proceedings of Thirty Sixth Conference on Learning Theory},
  year          = {2023},
  eprint        = {2302.05882},
  archiveprefix = {arXiv},
}""",
    "cai2025": """\
@misc{cai2025,
  author        = {Cai, Yuhang and Zhou, Kangjie and Wu, Jingfeng and Mei, Song and Lindsey, Michael and Bartlett, Peter L.},
  title         = {Implicit Bias of Gradient Descent for Non-Homogeneous Deep Networks},
  year          = {2025},
  eprint        = {2502.16075},
  archiveprefix = {arXiv},
}""",
    "goldt2019": """\
@inproceedings{goldt2019,
  author        = {Goldt, Sebastian and Advani, Madhu S. and Saxe, Andrew M. and Krzakala, Florent and Zdeborov{\\'a}, Lenka},
  title         = {Dynamics of Stochastic Gradient Descent for Two-Layer Neural Networks in the Teacher-Student Setup},
  booktitle     = {Advances in Neural Information Processing Systems},
  volume        = {32},
  year          = {2019},
  eprint        = {1906.08632},
  archiveprefix = {arXiv},
}""",
    "ji2020": """\
@inproceedings{ji2020,
  author        = {Ji, Ziwei and Telgarsky, Matus},
  title         = {Directional Convergence and Alignment in Deep Learning},
  booktitle     = {Advances in Neural Information Processing Systems},
  volume        = {33},
  year          = {2020},
  eprint        = {2006.06657},
  archiveprefix = {arXiv},
}""",
    "lyu2020": """\
@inproceedings{lyu2020,
  author        = {Lyu, Kaifeng and Li, Jian},
  title         = {Gradient Descent Maximizes the Margin of Homogeneous Neural Networks},
  booktitle     = {International Conference on Learning Representations},
  year          = {2020},
  eprint        = {1906.05890},
  archiveprefix = {arXiv},
}""",
    "peleg2024": """\
@inproceedings{peleg2024,
  author        = {Peleg, Amit and Hein, Matthias},
  title         = {Bias of Stochastic Gradient Descent or the Architecture: Disentangling the Effects of Overparameterization of Neural Networks},
  booktitle     = {Proceedings of the 41st International Conference on Machine Learning},
  year          = {2024},
  eprint        = {2407.03848},
  archiveprefix = {arXiv},
}""",
    "saad1995": """\
@article{saad1995,
  author        = {Saad, David and Solla, Sara A.},
  title         = {On-Line Learning in Soft Committee Machines},
  journal       = {Physical Review E},
  volume        = {52},
  number        = {4},
  pages         = {4225--4243},
  year          = {1995},
}""",
    "schechtman2025": """\
@misc{schechtman2025,
  author        = {Schechtman, Sholom and Schreuder, Nicolas},
  title         = {The Late-Stage Training Dynamics of (Stochastic) Subgradient Descent on Homogeneous Neural Networks},
  year          = {2025},
  eprint        = {2502.05668},
  archiveprefix = {arXiv},
}""",
    "telgarsky2022": """\
@misc{telgarsky2022,
  author        = {Telgarsky, Matus},
  title         = {Feature Selection and Low Test Error in Shallow Low-Rotation {ReLU} Networks},
  year          = {2022},
  eprint        = {2208.02789},
  archiveprefix = {arXiv},
}""",
    "tsilivis2024": """\
@misc{tsilivis2024,
  author        = {Tsilivis, Nikolaos and Gronich, Eitan and Vardi, Gal and Kempe, Julia},
  title         = {Flavors of Margin: Implicit Bias of Steepest Descent in Homogeneous Neural Networks},
  year          = {2024},
  eprint        = {2410.22069},
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
        from ..core.rebuild import load_problem

        problem = load_problem(problem)
    papers = getattr(problem, "papers", None)
    if papers is None:
        raise TypeError(
            f"Argument `problem` must be a problem, a class of problems or a result, but is {show(problem)}."
        )
    return tuple(papers)
