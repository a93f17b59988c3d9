"""Networks of finite width as a result: accepted guesses, or networks that were trained."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import checks, results, streams
from ..core.ranges import check_elements
from .physics import TRAINED, GuessAndCheckPhysics
from .sampling import FEWEST_RUNS, guess_widths, train_widths

if TYPE_CHECKING:
    import xarray as xr


def simulate(
    physics: GuessAndCheckPhysics,
    widths: Any,
    runs: int,
    method: str,
    rng: Any,
    max_networks: int,
    settings: dict[str, Any],
    threads: int | None,
    progress: bool | None,
) -> xr.Dataset:
    """Return the result of `GuessAndCheck.simulate`."""
    sizes = _widths(widths)
    count = checks.integer("runs", runs, minimum=FEWEST_RUNS)
    checks.choice("method", method, ("guess", *TRAINED))
    check_elements("runs", count, float(count) * len(sizes))
    weights = float(max(sizes)) * (physics.X.shape[1] + max(sizes) * (physics.depth - 1) + 1)
    check_elements("widths", max(sizes), weights)
    root = streams.root(rng)
    began = time.perf_counter()

    def finish(
        errors: np.ndarray, losses: np.ndarray | None, accepted: Any, tried: list[int], settings: dict[str, Any]
    ) -> xr.Dataset:
        done, reached = errors.shape
        return results.build(
            physics,
            kind="simulation",
            times=None,
            variables={},
            call={"verb": "simulate", "widths": sizes[:reached], "runs": done, "method": method} | settings,
            provenance={"method": method, "networks": tried, "wall_time": time.perf_counter() - began},
            coords={"width": ("width", sizes[:reached], {"long_name": "width of the hidden layers", "symbol": "m"})},
            extra=_variables(physics, errors, losses, np.array(accepted), np.array(tried)),
            root=root,
        )

    if method == "guess":
        limit = checks.integer("max_networks", max_networks, minimum=1)

        def guessed(errors: np.ndarray, accepted: list[int], tried: list[int]) -> xr.Dataset:
            return finish(errors, None, accepted, tried, {"max_networks": limit})

        return guess_widths(physics, sizes, count, limit, root, threads, progress, guessed)
    checked = {
        "learning_rate": checks.number("learning_rate", settings["learning_rate"], positive=True),
        "steps": checks.integer("steps", settings["steps"], minimum=1),
        "loss": checks.number("loss", settings["loss"], nonnegative=True),
        "tolerance": checks.number("tolerance", settings["tolerance"], positive=True),
    }

    def trained(errors: np.ndarray, losses: np.ndarray) -> xr.Dataset:
        return finish(errors, losses, np.isfinite(errors).sum(axis=0), [len(errors)] * len(sizes), checked)

    return train_widths(physics, sizes, count, method, checked, root, threads, progress, trained)


def _variables(
    physics: GuessAndCheckPhysics,
    errors: np.ndarray,
    losses: np.ndarray | None,
    accepted: np.ndarray,
    tried: np.ndarray,
) -> dict[str, tuple[tuple[str, ...], Any, dict[str, str]]]:
    share = accepted / tried
    samples = [column[np.isfinite(column)] for column in errors.T]
    spreads = [s.std(ddof=1) / np.sqrt(s.size) if s.size > 1 else math.nan for s in samples]
    values = {
        "acceptance": share,
        "acceptance_standard_error": np.sqrt(share * (1 - share) / tried),
        "test_error": np.array([s.mean() if s.size else math.nan for s in samples]),
        "test_error_standard_error": np.array(spreads),
    }
    described = {name: physics.variables[name].attributes() for name in physics.variables}
    found: dict[str, tuple[tuple[str, ...], Any, dict[str, str]]]
    found = {name: (("width",), value, described[name]) for name, value in values.items()}
    found["network_test_error"] = (("run", "width"), errors, described["network_test_error"])
    if losses is not None:
        found["network_loss"] = (("run", "width"), losses, described["network_loss"])
    return found


def _widths(value: Any) -> list[int]:
    sizes = checks.integers("widths", value, minimum=1)
    if not sizes:
        raise ValueError("Argument `widths` must hold at least one width, but is empty.")
    if len(set(sizes)) < len(sizes):
        twice = next(size for i, size in enumerate(sizes) if size in sizes[:i])
        raise ValueError(f"Argument `widths` must hold every width once, but holds {twice} twice.")
    return sizes
