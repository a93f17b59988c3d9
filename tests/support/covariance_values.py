"""Overlaps in three eigenvalue groups, of a reference problem."""

import numpy as np

from flowlimits.spectrum.groups import CovarianceGroups

SHARES = np.array([0.5, 0.3, 0.2])
Q = SHARES[:, None, None] * np.array([[0.6, 0.1], [0.1, 0.5]])
T = SHARES[:, None, None] * np.array([[1.0, 0.2], [0.2, 1.0]])
R = np.array([[[0.1, 0.05], [0.02, 0.12]], [[0.03, -0.02], [0.01, 0.05]], [[0.0, 0.02], [0.02, 0.01]]])
GROUPS = CovarianceGroups([1.6, 0.5, 0.25], SHARES)
