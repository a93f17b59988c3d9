r"""
Who recovers the teacher
========================

Overlap at :math:`\tau = 1000` of students and teachers with orthonormal weights, over both widths:
a study of 900 limits. Below the dashed diagonal, with at least as many units as the teacher, every
student recovers it; above, the overlap is :math:`\sqrt{\alpha/\alpha_*}`, which is constant on rays
from the origin.

Source: S. Martin, F. Bach, G. Biroli, arXiv 2311.03794; ``validation/study_recovery.py`` has the
claims.
"""

import numpy as np

import flowlimits as fl


def overlap(student_ratio, teacher_ratio):
    problem = fl.ExtensiveQuadratic(student_ratio, fl.Spectrum.orthonormal(teacher_ratio))
    return {"overlap": problem.solve([1000.0])["overlap"][-1]}


ratios = np.linspace(1 / 60, 1 - 1 / 60, 30)
table = fl.study(overlap, {"student_ratio": ratios, "teacher_ratio": ratios}, progress=False)
axes = fl.plot.study(table, x="student_ratio", y="teacher_ratio", levels=[0.3, 0.5, 0.7, 0.9])
axes.plot([0, 1], [0, 1], color="white", linestyle="--", linewidth=1.4)
axes.set_xlim(0, 1)
axes.set_ylim(0, 1)
axes.set_xlabel(r"student ratio  $\alpha = p/d$")
axes.set_ylabel(r"teacher ratio  $\alpha_* = k/d$")
