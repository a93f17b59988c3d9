"""Assignments of arrays (compiled part).

Written as loops: an assignment of a whole array takes as long to compile as some twenty lines of arithmetic.
"""

from ..compiled.jit import jit


@jit
def copy(source, target):
    """Copy the numbers of one array to another of its length."""
    for i in range(target.size):
        target[i] = source[i]


@jit
def fill(target, number):
    """Write one number everywhere."""
    for i in range(target.size):
        target[i] = number


@jit
def clear(matrix):
    """Write zeros everywhere."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            matrix[i, j] = 0.0
