"""Functions that the studies of the validation map over their axes; worker processes import them from here."""

import math
import time

import flowlimits as fl


def recovery(student_ratio, teacher_ratio, late, near):
    """Return what an extensive student reaches by the rescaled time `late`, and how fast it went there."""
    problem = fl.ExtensiveQuadratic(student_ratio, fl.Spectrum.orthonormal(teacher_ratio))
    result = problem.solve([near, 1.5 * near, late / 2, late])
    risk = result["risk"].values
    floor = max(0.0, (teacher_ratio - student_ratio) / (student_ratio * teacher_ratio))
    excess = [float(value) - floor for value in risk]
    return {
        "overlap": float(result["overlap"][-1]),
        "risk": float(risk[-1]),
        "late_exponent": math.log2(excess[2] / excess[3]) if min(excess[2:]) > 0 else math.inf,
        "constant": float(risk[-1]) * late**2,
        "early_rate": math.log(excess[0] / excess[1]) / (0.5 * near) if min(excess[:2]) > 0 else math.inf,
    }


def escape_time(learning_rate, noise, overlap, target, horizon):
    """Return when one spherical neuron under one-pass SGD reaches the overlap `target`; infinity if never."""
    problem = fl.Committee(
        Q=[[1.0]], R=[[overlap]], T=[[1.0]], learning_rate=learning_rate, noise=noise, spherical=True
    )
    risk = 2 * (1 - target**2)
    reached = float(problem.solve([0.0, horizon], events=[fl.Event("risk", risk)])["event_time"].values[0])
    return math.inf if math.isnan(reached) else reached


def wait(point, seconds):
    time.sleep(seconds)
    return point


def work(point, seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return point


def spin(point, seconds, log):
    """Work for that long and leave a line, so that what is computed twice can be counted."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    with open(log, "a") as file:
        file.write(f"{point}\n")
    return math.sin(point)


def tiny(a, b):
    return a * b
