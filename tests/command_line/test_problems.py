"""The problems of the command line: their flags, and what is refused in them."""

import re

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.data.rerun import differing


@pytest.mark.parametrize(
    ("line", "make"),
    [
        (
            "solve extensive --student-ratio 0.5 --teacher-ratio 0.25 --teacher marchenko-pastur --start gaussian --times 0.1,1",
            lambda: fl.ExtensiveQuadratic(0.5, fl.Spectrum.marchenko_pastur(0.25), "gaussian").solve([0.1, 1]),
        ),
        (
            "solve extensive --student-ratio 0.5 --teacher-nodes 0,1,3 --teacher-weights 0.5,0.25,0.25 --times 0.1 --spectrum 0.5:2:4",
            lambda: fl.ExtensiveQuadratic(0.5, fl.Spectrum([0, 1, 3], [0.5, 0.25, 0.25])).solve(
                [0.1], spectrum=np.linspace(0.5, 2, 4)
            ),
        ),
        (
            "solve quadratic --dimension 6 --student-width 4 --teacher-width 2 --weights-rng 3 --activation centred --times 1,2",
            lambda: fl.QuadraticFlow.orthonormal(6, 4, 2, rng=3, activation="centred").solve([1, 2]),
        ),
        (
            "solve mean-field --teacher-eigenvalues 0.5,0.5,0 --start 0.1 --weight-decay 0.2 --times 1,2",
            lambda: fl.MeanFieldQuadratic([0.5, 0.5, 0], 0.1, weight_decay=0.2).solve([1, 2]),
        ),
        (
            "simulate mean-field --teacher-eigenvalues 0.5,0.5,0 --start 0.1 --times 1,2 --student-width 5 --runs 2 --rng 1",
            lambda: fl.MeanFieldQuadratic([0.5, 0.5, 0], 0.1).simulate([1, 2], student_width=5, runs=2, rng=1),
        ),
        (
            "simulate quadratic --dimension 6 --student-width 4 --teacher-width 2 --times 1,2 --step 0.1",
            lambda: fl.QuadraticFlow.orthonormal(6, 4, 2, rng=0).simulate([1, 2], step=0.1),
        ),
        (
            "solve committee --student-width 2 --teacher-width 1 --start-dimension 50 --weights-rng 3 --scale 0.5 --learning-rate 0.02 "
            "--noise 0.1 --activation x**3-x --teacher-activation hermite2 --second-layer-rate 0.2 --times 0.1,0.2 --observables overlap",
            lambda: fl.Committee.random(
                2,
                1,
                dimension=50,
                rng=3,
                scale=0.5,
                activation="x**3 - x",
                teacher_activation="hermite2",
                learning_rate=0.02,
                noise=0.1,
                second_layer_rate=0.2,
            ).solve([0.1, 0.2], observables=["overlap"]),
        ),
        (
            "simulate committee --student-width 2 --teacher-width 1 --start-dimension 50 --spherical --learning-rate 0.02 --times 0.1,0.2 "
            "--dimension 30 --runs 2 --rng 1",
            lambda: fl.Committee.random(2, 1, dimension=50, rng=0, spherical=True, learning_rate=0.02).simulate(
                [0.1, 0.2], dimension=30, runs=2, rng=1
            ),
        ),
    ],
)
def test_flags_state_the_real_problems_and_their_files_repeat(run, line, make):
    assert run(f"{line} -o result.nc")[0] == 0
    assert differing(fl.load("result.nc"), make()) == []
    assert run("rerun result.nc")[0] == 0


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--teacher-ratio nan", "Error: Argument `ratio` must be finite, but is nan."),
        ("--teacher-nodes 0,2 --teacher-weights 0.5,0.6", "Argument `weights` must sum to one, but sums to 1.1."),
        ("--teacher-nodes 0,3 --teacher-weights 0.5,0.5", "but its mean is 1.5. Spectrum.normalised() divides by it."),
        ("--teacher-nodes 0,2", "--teacher-nodes and --teacher-weights belong together: give both."),
        ("", "The teacher is missing: give --teacher-ratio, or --teacher-nodes and --teacher-weights."),
        (
            "--teacher-ratio 0.5 --teacher-nodes 0,2 --teacher-weights 0.5,0.5",
            "--teacher-ratio and --teacher-nodes exclude each other: the weights state the ratio.",
        ),
    ],
)
def test_wrong_teachers_are_refused(run, line, sentence):
    status, out, err = run(f"solve extensive --student-ratio 0.5 --times 1 {line}")
    assert (status, out) == (2, "")
    assert sentence in re.sub(r"\s+", " ", err)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--activation __import__('os')", "whole powers ** are allowed"),
        ("--learning-rate -1", "Error: Argument `learning_rate` must not be negative, but is -1.0."),
        ("--student-width 0", "Error: Argument `student_width` must be at least 1, but is 0."),
    ],
)
def test_wrong_committees_are_refused(run, line, sentence):
    start = "" if "--student-width" in line else "--student-width 2"
    status, out, err = run(f"solve committee {start} --teacher-width 1 --start-dimension 9 --times 1 {line}")
    assert (status, out) == (2, "")
    assert sentence in re.sub(r"\s+", " ", err)
