"""The integrators, each in the fastest form that its documentation offers and that we found.

An integrator is a function ``build(subject)`` that imports its package, and raises ImportError where it is missing.  What it
returns prepares a run: ``prepare(problems, rtol)`` returns a function without arguments that integrates the first problems and
returns their states, (problems, times, components).  The absolute tolerance is a hundredth of the relative one, everywhere.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .subject import COMPONENTS, PLACES, TIMES, UPPER, WEIGHTS, WIDTH, Subject, velocity

Prepare = Callable[..., Callable[[], Any]]
#: Problems that one call of a vectorised integrator takes; the fastest of 16, 128 and 1024.
BLOCK = {"diffrax": 128, "torchdiffeq": 1024}


@dataclass(frozen=True)
class Integrator:
    """Its name, the package it needs, and how it is built; `threaded` if it takes a number of threads."""

    name: str
    package: str
    build: Callable[[Subject], Prepare]
    threaded: bool = False


@dataclass(frozen=True)
class Labelled:
    """A dataset, and as an array the states as the others return them, made only where they are compared."""

    result: Any

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        Q, R = self.result["Q"].values[..., UPPER[0], UPPER[1]], self.result["R"].values
        return np.concatenate([Q, R.reshape(*Q.shape[:2], -1)], axis=-1)


def ours_many(subject: Subject) -> Prepare:
    """The public call on many problems, its checks and its labelled result included."""
    import flowlimits as fl

    def prepare(problems: int, rtol: float, threads: int = 1) -> Callable[[], Labelled]:
        fields = {"Q": subject.Q[:problems], "R": subject.R[:problems], "T": subject.T[:problems]}

        def run() -> Labelled:
            return Labelled(
                fl.solve_many(fl.Committee, fields, TIMES, rtol=rtol, atol=rtol / 100, threads=threads, progress=False)
            )

        return run

    return prepare


def ours_batch(method: str) -> Callable[[Subject], Prepare]:
    """The integrator alone."""

    def build(subject: Subject) -> Prepare:
        import flowlimits as fl
        from flowlimits.committee.equations import square as equations_square
        from flowlimits.committee.equations import system

        rhs, work = fl.ode.right_hand_side(equations_square.rhs), equations_square.work_size(WIDTH, WIDTH)
        params = np.array([system.parameters(fl.Committee(*one), 0.0) for one in zip(subject.Q, subject.R, subject.T)])

        def prepare(problems: int, rtol: float, threads: int = 1) -> Callable[[], np.ndarray]:
            y0s, own = subject.y0s[:problems], params[:problems]

            def run() -> np.ndarray:
                return fl.ode.integrate_batch(
                    rhs, y0s, TIMES, own, rtol=rtol, atol=rtol / 100, method=method, work_size=work, threads=threads
                )[1]  # fmt: skip

            return run

        return prepare

    return build


def numbalsoda(solver: str) -> Callable[[Subject], Prepare]:
    """A compiled loop over the problems; the right-hand side is the trace, with fused multiply and add."""

    def build(subject: Subject) -> Prepare:
        import numba

        package = importlib.import_module("numbalsoda")
        integrate = getattr(package, solver)
        compiled = numba.cfunc(package.lsoda_sig, error_model="numpy", fastmath=True)(
            subject.function("def f(t, y, dy, p):")
        )
        address = compiled.address

        @numba.njit(nogil=True)
        def loop(y0s, inputs, times, rtol, atol, states):
            for i in range(len(y0s)):
                states[i], _ = integrate(address, y0s[i], times, inputs[i], rtol, atol, 1_000_000)

        def prepare(problems: int, rtol: float) -> Callable[[], np.ndarray]:
            def run(keep: Any = compiled) -> np.ndarray:
                states = np.empty((problems, len(TIMES), COMPONENTS))
                loop(subject.y0s[:problems], subject.inputs[:problems], TIMES, rtol, rtol / 100, states)
                return states

            return run

        return prepare

    return build


def cyrk(method: str) -> Callable[[Subject], Prepare]:
    """`nbsolve2_ivp`, the C++ solver called from a compiled loop, with the trace as a C callback."""

    def build(subject: Subject) -> Prepare:
        import numba

        package = importlib.import_module("CyRK")
        signature = importlib.import_module("CyRK.nb.numba_solver").cyjit_sig
        solve = package.nbsolve2_ivp
        compiled = numba.cfunc(signature, error_model="numpy", fastmath=True)(subject.function("def f(dy, t, y, p):"))
        address = compiled.address

        @numba.njit
        def loop(y0s, inputs, times, rtol, atol, states):
            for i in range(len(y0s)):
                found = solve(address, (times[0], times[-1]), y0s[i], method, times, False, inputs[i], rtol, atol)
                if found.success:
                    states[i] = found.y.T
                found.free()

        def prepare(problems: int, rtol: float) -> Callable[[], np.ndarray]:
            def run(keep: Any = compiled) -> np.ndarray:
                states = np.full((problems, len(TIMES), COMPONENTS), np.nan)
                loop(subject.y0s[:problems], subject.inputs[:problems], TIMES, rtol, rtol / 100, states)
                return states

            return run

        return prepare

    return build


def diffrax(solver: str) -> Callable[[Subject], Prepare]:
    """``jit(vmap(diffeqsolve))`` in double precision on blocks of problems; the matrix form is faster there than traces."""

    def build(subject: Subject) -> Prepare:
        jax = importlib.import_module("jax")
        package = importlib.import_module("diffrax")
        jax.config.update("jax_enable_x64", True)
        jnp = jax.numpy

        def rhs(t: Any, y: Any, T: Any) -> Any:
            R = y[len(UPPER[0]) :].reshape(WIDTH, WIDTH)
            rows = jnp.concatenate([y[PLACES], R], axis=1)
            C = jnp.concatenate([rows, jnp.concatenate([R.T, T], axis=1)])
            D = -2 * (jnp.dot(WEIGHTS, jnp.diagonal(C)) * rows + 2 * (rows * WEIGHTS) @ C)
            return jnp.concatenate([2 * D[:, :WIDTH][UPPER], D[:, WIDTH:].ravel()])

        term, times = package.ODETerm(rhs), jnp.asarray(TIMES)

        def one(y0: Any, T: Any, rtol: Any) -> Any:
            return package.diffeqsolve(
                term, getattr(package, solver)(), TIMES[0], TIMES[-1], None, y0, args=T, saveat=package.SaveAt(ts=times),
                stepsize_controller=package.PIDController(rtol=rtol, atol=rtol / 100), max_steps=1_000_000, throw=False,
            ).ys  # fmt: skip

        solve = jax.jit(jax.vmap(one, in_axes=(0, 0, None)))

        def prepare(problems: int, rtol: float) -> Callable[[], np.ndarray]:
            def run() -> np.ndarray:
                parts = []
                for begin in range(0, problems, BLOCK["diffrax"]):
                    part = slice(begin, min(begin + BLOCK["diffrax"], problems))
                    parts.append(np.asarray(solve(subject.y0s[part], subject.T[part], rtol)))
                return np.concatenate(parts)

            return run

        return prepare

    return build


def torchdiffeq(method: str, compiled: bool) -> Callable[[Subject], Prepare]:
    """`odeint` on blocks of problems, which share their steps: batched matrices, or traces through `torch.compile`."""

    def build(subject: Subject) -> Prepare:
        torch = importlib.import_module("torch")
        odeint = importlib.import_module("torchdiffeq").odeint
        torch.set_num_threads(1)
        times, weights = torch.tensor(TIMES), torch.tensor(WEIGHTS)
        places, upper = torch.tensor(PLACES), tuple(map(torch.tensor, UPPER))
        size = len(UPPER[0])

        def matrices(y: Any, T: Any) -> Any:
            R = y[:, size:].reshape(-1, WIDTH, WIDTH)
            rows = torch.cat([y[:, places], R], 2)
            C = torch.cat([rows, torch.cat([R.transpose(1, 2), T], 2)], 1)
            mean = (torch.diagonal(C, dim1=1, dim2=2) * weights).sum(1)[:, None, None]
            D = -2 * (mean * rows + 2 * torch.bmm(rows * weights, C))
            return torch.cat([2 * D[:, upper[0], upper[1]], D[:, :, WIDTH:].reshape(-1, WIDTH**2)], 1)

        if compiled:
            plain = subject.function(
                f"def f(y, p):\n    dy = [None] * {COMPONENTS}", "return torch.stack(dy)", torch=torch
            )  # fmt: skip
            lines = torch.compile(plain, dynamic=False)

        def prepare(problems: int, rtol: float) -> Callable[[], np.ndarray]:
            def block(part: slice) -> np.ndarray:
                if compiled:
                    p, y0 = (
                        torch.tensor(np.ascontiguousarray(array[part].T)) for array in (subject.inputs, subject.y0s)
                    )
                    states = odeint(lambda t, y: lines(y, p), y0, times, rtol=rtol, atol=rtol / 100, method=method)
                    return states.permute(2, 0, 1).numpy()
                T, y0 = torch.tensor(subject.T[part]), torch.tensor(subject.y0s[part])
                states = odeint(lambda t, y: matrices(y, T), y0, times, rtol=rtol, atol=rtol / 100, method=method)
                return states.permute(1, 0, 2).numpy()

            def run() -> np.ndarray:
                step = BLOCK["torchdiffeq"]
                with torch.no_grad():
                    return np.concatenate(
                        [block(slice(at, min(at + step, problems))) for at in range(0, problems, step)]
                    )

            return run

        return prepare

    return build


def scipy(method: str) -> Callable[[Subject], Prepare]:
    """`solve_ivp` with the right-hand side in NumPy, one problem after the other."""

    def build(subject: Subject) -> Prepare:
        from scipy.integrate import solve_ivp

        def prepare(problems: int, rtol: float) -> Callable[[], np.ndarray]:
            def run() -> np.ndarray:
                parts = []
                for y0, T in zip(subject.y0s[:problems], subject.T[:problems]):
                    found = solve_ivp(
                        lambda t, y, T=T: velocity(y, T),
                        (TIMES[0], TIMES[-1]),
                        y0,
                        method,
                        TIMES,
                        rtol=rtol,
                        atol=rtol / 100,
                    )
                    parts.append(found.y.T)
                return np.array(parts)

            return run

        return prepare

    return build


MANY, OURS = "flowlimits solve_many", "flowlimits integrate_batch dop853"
INTEGRATORS = (
    Integrator(MANY, "flowlimits", ours_many, threaded=True),
    Integrator(OURS, "flowlimits", ours_batch("dop853"), threaded=True),
    Integrator("numbalsoda lsoda", "numbalsoda", numbalsoda("lsoda")),
    Integrator("numbalsoda dop853", "numbalsoda", numbalsoda("dop853")),
    Integrator("CyRK DOP853", "CyRK", cyrk("DOP853")),
    Integrator("CyRK VERN7", "CyRK", cyrk("VERN7")),
    Integrator("CyRK TSIT5", "CyRK", cyrk("TSIT5")),
    Integrator("CyRK LSODA", "CyRK", cyrk("LSODA")),
    Integrator("diffrax Tsit5", "diffrax", diffrax("Tsit5")),
    Integrator("diffrax Dopri8", "diffrax", diffrax("Dopri8")),
    Integrator("torchdiffeq dopri5", "torchdiffeq", torchdiffeq("dopri5", False)),
    Integrator("torchdiffeq dopri5, torch.compile", "torchdiffeq", torchdiffeq("dopri5", True)),
    Integrator("SciPy DOP853, NumPy", "scipy", scipy("DOP853")),
    Integrator("SciPy LSODA, NumPy", "scipy", scipy("LSODA")),
)


def build_all(subject: Subject, names: tuple[str, ...] | None = None) -> tuple[dict[str, Prepare], dict[str, str]]:
    """Return what can be built here, and the reason of everything that cannot."""
    built, skipped = {}, {}
    for one in INTEGRATORS:
        if names is not None and one.name not in names:
            continue
        try:
            built[one.name] = one.build(subject)
        except Exception as error:  # a broken installation raises whatever it likes
            skipped[one.name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return built, skipped
