"""Laws of margin flows, evaluated on results: the sharp rate of the loss, and optimality of the last direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core import checks
from ..core.problem import load_problem
from .certificates import Certificate, candidates
from .models import LinearModel, NormOnlyModel, QuadraticModel, ReLUModel
from .physics import MarginFlowPhysics

if TYPE_CHECKING:
    import xarray as xr


def _problem_of(flow: xr.Dataset) -> MarginFlowPhysics:
    if not hasattr(flow, "attrs"):
        raise TypeError(f"Argument `flow` must be a result of a MarginFlow, but is {checks.show(flow)}.")
    problem = load_problem(flow)
    if not isinstance(problem, MarginFlowPhysics):
        raise TypeError(f"Argument `flow` must be a result of a MarginFlow, but is one of {type(problem).__name__}.")
    return problem


def rate_constant(flow: xr.Dataset) -> xr.DataArray:
    r"""Return :math:`L\,t\,(\log t)^{2-2/H}\,H^2\gamma^{2/H}` along a flow in the l2 geometry; it tends to one.

    Derived from :math:`-dL/dt = |\nabla L|^2 = L^2\rho^{2H-2}|g|^2` with :math:`|g| \to H\gamma` and
    :math:`\gamma\rho^H/\log t \to 1`; Lyu & Li (1906.05890), theorem 4.3, state the rate without the constant.

    Parameters
    ----------
    flow : xarray.Dataset
        Result of `MarginFlow.solve`.

    Returns
    -------
    xarray.DataArray, dims (time)
        NaN while t <= 1.
    """
    problem = _problem_of(flow)
    if problem.geometry != "l2":
        raise ValueError(f'The rate is known for geometry="l2", but the flow has geometry="{problem.geometry}".')
    order = problem.model.order
    log_time = flow["log_time"].where(flow["log_time"] > 0)
    margin = flow["margin"].isel(time=-1)
    logarithm = (
        log_time - flow["time"] + (2 - 2 / order) * np.log(log_time) + 2 * np.log(order) + 2 / order * np.log(margin)
    )
    return (
        np.exp(logarithm)
        .rename("rate_constant")
        .assign_attrs(long_name="rate constant", symbol=r"L t (\log t)^{2-2/H} H^2 \gamma^{2/H}")
    )


def certify(flow: xr.Dataset) -> Certificate:
    """Return how near the last direction of a flow is to the global optimum of its margin problem.

    The lower bound is the margin of the flow, the upper one the dual value of its softmax probabilities (see
    `certificates`).  A flow that ends at a KKT point which is no global optimum keeps a gap.

    Parameters
    ----------
    flow : xarray.Dataset
        Result of `MarginFlow.solve` for a linear, quadratic (fixed signs), norm-only or, in the plane, ReLU model.

    Raises
    ------
    ValueError
        For models whose dual is not known here, and for several runs.
    """
    problem = _problem_of(flow)
    if "run" in flow.dims:
        raise ValueError(
            "Argument `flow` must be a single flow, but has the dimension `run`: take one run with .isel(run=0)."
        )
    last = flow.isel(time=-1)
    theta = last["direction"].values * np.exp(float(last["log_norm"]))
    state = problem.state
    p = state.evaluate(theta)[3]
    weighted = p * state.y
    model = problem.model
    if isinstance(model, LinearModel):
        upper = state.norm(weighted @ state.X, dual=True)
    elif problem.geometry != "l2":
        raise ValueError(
            f'The dual of {type(model).__name__} is known for geometry="l2", but the flow has geometry="{problem.geometry}".'
        )
    elif isinstance(model, NormOnlyModel):
        upper = float((weighted @ state.X).max())
    elif isinstance(model, QuadraticModel) and model.second_layer == "fixed":
        values = np.linalg.eigvalsh((state.X.T * weighted) @ state.X)
        # A sign that no unit has cannot use its half of the spectrum.
        upper = float(max((sign * values).max() for sign in np.unique(state.extra)))
    elif isinstance(model, ReLUModel) and state.X.shape[1] == 2:
        units = candidates(state.X, state.y, p)
        upper = 0.5 * float(np.abs(np.maximum(units[:, :2] @ state.X.T, 0.0) @ weighted).max())
    else:
        raise ValueError(
            f"The dual of {type(model).__name__} is not known here for inputs of dimension {state.X.shape[1]}."
        )
    return Certificate(float(last["margin"]), upper, last["direction"].values, p)
