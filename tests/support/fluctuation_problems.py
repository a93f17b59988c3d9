"""Committees whose deviations at finite dimension are predicted."""

import numpy as np
from covariance_values import GROUPS, Q, R, T

import flowlimits as fl
from flowlimits.committee import limit
from flowlimits.committee.fluctuations.track import Track
from flowlimits.core.solve import Options

PLAIN = {"Q": [[0.6, 0.1], [0.1, 0.5]], "R": [[0.13, 0.05], [0.03, 0.19]], "T": [[1.0, 0.2], [0.2, 1.0]]}
BY_GROUP = {"Q": Q, "R": R, "T": T, "covariance": GROUPS}


def problem(start=PLAIN, **physics):
    return fl.Committee(**start, **{"activation": "erf", "learning_rate": 1.0, "noise": 0.05} | physics)


def track(one, last=1.0, **tolerances):
    given = {"rtol": 1e-8, "atol": 1e-10} | tolerances
    options = Options(given["rtol"], given["atol"], "auto", (), (), 1_000_000, False, False, {})
    return Track(limit.path(one, options, last), last)


def ratios(theory, runs):
    """Return measured over predicted standard deviations, and the mean minus its prediction in standard errors, with and without the bias."""
    d, count = runs.attrs["dimension"], runs.sizes["run"]
    for name in [str(one)[4:] for one in theory.data_vars if str(one).startswith("std_")]:
        if name not in runs:
            continue
        spread, bias = theory["std_" + name].values, theory["bias_" + name].values
        deviation = runs[name].values - theory[name].values
        moving = spread > 1e-9
        measured, error = deviation.std(0, ddof=1), spread / np.sqrt(d * count)
        shift = deviation.mean(0) - bias / d
        yield (
            name,
            (measured * np.sqrt(d))[moving] / spread[moving],
            shift[moving] / error[moving],
            deviation.mean(0)[moving] / error[moving],
        )
