"""What every integrator is given: gradient flows of square committees, p = k = 4, from random weights.

This file imports the package only to make the problems, so that a fresh process of another integrator does not pay for it.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WIDTH = 4
DIMENSION = 100
TIMES = np.linspace(0.0, 100.0, 11)
UPPER = np.triu_indices(WIDTH)
COMPONENTS = WIDTH * (WIDTH + 1) // 2 + WIDTH**2

#: Where the state keeps Q[i, j].
PLACES = np.zeros((WIDTH, WIDTH), dtype=np.int64)
PLACES[UPPER] = np.arange(len(UPPER[0]))
PLACES = np.maximum(PLACES, PLACES.T)
#: Weights of the squares in the error, f - f_star.
WEIGHTS = np.concatenate([np.full(WIDTH, 1 / WIDTH), np.full(WIDTH, -1 / WIDTH)])


@dataclass(frozen=True)
class Subject:
    """Problems in two forms: overlaps, and the numbers that the traced right-hand side reads.

    Attributes
    ----------
    Q, R, T : ndarray, shape (problems, 4, 4)
        Overlaps at the start.
    y0s : ndarray, shape (problems, 26)
        The upper triangle of Q, then R.
    inputs : ndarray, shape (problems, m)
        What traces read besides the state.
    lines : str
        The right-hand side as assignments, one operation each: reads ``y`` and ``p``, writes ``dy``.
    """

    Q: np.ndarray
    R: np.ndarray
    T: np.ndarray
    y0s: np.ndarray
    inputs: np.ndarray
    lines: str

    def __len__(self) -> int:
        return len(self.y0s)

    def first(self, count: int) -> Subject:
        """Return the first problems."""
        parts = (np.ascontiguousarray(array[:count]) for array in (self.Q, self.R, self.T, self.y0s, self.inputs))
        return Subject(*parts, lines=self.lines)

    def save(self, path: Path) -> None:
        """Write the problems to a file, for other processes."""
        np.savez(path, Q=self.Q, R=self.R, T=self.T, y0s=self.y0s, inputs=self.inputs, lines=np.array(self.lines))

    def function(self, header: str, ending: str = "", **names: object):
        """Return traces as a Python function."""
        text = "\n    ".join([header, *self.lines.splitlines(), *ending.splitlines()])
        space = {"np": np, **names}
        exec(text, space)  # our own text
        return space[header.split("(")[0].split()[-1]]


def load(path: Path) -> Subject:
    """Read what `Subject.save` wrote."""
    with np.load(path) as stored:
        parts = {name: stored[name] for name in stored.files}
    return Subject(**{**parts, "lines": str(parts["lines"])})


def overlaps(problems: int, rng: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Q, R and T of random weights at d = 100."""
    generator = np.random.default_rng(rng)
    W, W_star = generator.normal(size=(2, problems, WIDTH, DIMENSION))
    Q, R, T = (
        first @ second.transpose(0, 2, 1) / DIMENSION for first, second in ((W, W), (W, W_star), (W_star, W_star))
    )
    return 0.5 * (Q + Q.transpose(0, 2, 1)), R, 0.5 * (T + T.transpose(0, 2, 1))


@functools.cache
def make(problems: int) -> Subject:
    """Return the problems, with traces of the package's own equations."""
    import flowlimits as fl
    from flowlimits.committee.equations import layout, system
    from flowlimits.committee.equations import square as equations_square
    from flowlimits.ode.batch import generate, trace

    Q, R, T = overlaps(problems)
    committees = [fl.Committee(*one) for one in zip(Q, R, T)]
    params = np.array([system.parameters(one, 0.0) for one in committees])
    header = [
        at for at in range(layout.HEADER) if at not in (layout.TEACHER_CONSTANT, layout.NOISE, layout.LEARNING_RATE)
    ]
    program = trace.trace(
        equations_square.rhs.__wrapped__, COMPONENTS, params, equations_square.work_size(WIDTH, WIDTH), equations=header
    )
    # The text for all lanes, without its header, reads for one problem as well.
    text = "\n".join(line.strip() for line in generate.text_of(program).splitlines()[1:])
    text = re.sub(r"\binputs\[", "p[", text)
    y0s = np.array([system.start(one) for one in committees])
    return Subject(Q, R, T, y0s, np.ascontiguousarray(program.inputs), text)


def velocity(y: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Return the velocities of one problem in matrix form, the way they are written in NumPy."""
    R = y[len(UPPER[0]) :].reshape(WIDTH, WIDTH)
    rows = np.concatenate([y[PLACES], R], axis=1)
    C = np.concatenate([rows, np.concatenate([R.T, T], axis=1)])
    D = -2 * (WEIGHTS @ C.diagonal() * rows + 2 * (rows * WEIGHTS) @ C)
    return np.concatenate([2 * D[:, :WIDTH][UPPER], D[:, WIDTH:].ravel()])
