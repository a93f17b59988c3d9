"""TOML files: what they state, and every fault told at once, word for word."""

import numpy as np
import pytest

import flowlimits as fl
from flowlimits.toml.file import ConfigError, read_config

MINIMAL = """
[problem]
class = "ExtensiveQuadratic"
student_ratio = 0.5
[problem.teacher]
kind = "orthonormal"
ratio = 0.25
"""


@pytest.fixture
def faults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(text):
        (tmp_path / "problem.toml").write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_config("problem.toml")
        return str(caught.value).splitlines()

    return read


@pytest.fixture
def config(tmp_path):
    def read(text):
        path = tmp_path / "problem.toml"
        path.write_text(text)
        return read_config(path)

    return read


def test_a_misspelt_key_gets_a_hint(faults):
    text = MINIMAL.replace("student_ratio", "student_ration")
    assert faults(text) == [
        "problem.toml: student_ratio: missing key.",
        "problem.toml: student_ration: unknown key; did you mean `student_ratio`?",
    ]


def test_all_faults_are_told_at_once(faults):
    text = """
        [problem]
        class = "ExtensiveQuadratic"
        student_ratio = "half"
        start = "ortho"
        colour = "red"
        [problem.teacher]
        kind = "marchenko_pastur"
        ration = 0.25
        [solve]
        times = "0.1:10:x"
        rtoll = 1e-6
        [simulate]
        runs = 4.5
        sizes = [60, 120.5]
        threads = true
        [plots]
    """
    assert faults(text) == [
        "problem.toml: [plots]: unknown section.",
        "problem.toml: student_ratio: must be a number, but is 'half'.",
        "problem.toml: teacher.ratio: missing key.",
        "problem.toml: teacher.ration: unknown key; did you mean `ratio`?",
        "problem.toml: start: must be 'orthonormal' or 'gaussian', but is 'ortho'.",
        "problem.toml: colour: unknown key.",
        "problem.toml: solve.times: '0.1:10:x' must be START:STOP:COUNT[:linear|:log] or a list such as 0.1,1,10, "
        "but the count 'x' is no whole number.",
        "problem.toml: solve.rtoll: unknown key; did you mean `rtol`?",
        "problem.toml: simulate.sizes[1]: must be a whole number, but is 120.5.",
        "problem.toml: simulate.runs: must be a whole number, but is 4.5.",
        "problem.toml: simulate.threads: must be a whole number, but is True.",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ["[problem]: missing section."]),
        ("[solve]\ntimes = [1]", ["[problem]: missing section."]),
        ("problem = 3", ["[problem]: must be a section, but is 3."]),
        (MINIMAL + "[solv]", ["[solv]: unknown section; did you mean `solve`?"]),
        ("solve = 1\n" + MINIMAL, ["[solve]: must be a section, but is 1."]),
        (
            "[problem]",
            [
                "class: missing key; it is one of ExtensiveQuadratic, QuadraticFlow, MeanFieldQuadratic, EmpiricalQuadratic, Committee, XorMixture, SampleFlow, EarlyAlignment, MarginFlow, SingleUnit, MeanField, GuessAndCheck."
            ],
        ),
        (
            "[problem]\nclass = 'ExtensivQuadratic'",
            ["class: there is no problem class 'ExtensivQuadratic'; did you mean `ExtensiveQuadratic`?"],
        ),
        ("[problem]\nclass = ['x']", ["class: there is no problem class ['x']."]),
        (
            "[problem]\nclass = 'ExtensiveQuadratic'",
            ["student_ratio: missing key.", "teacher: missing key."],
        ),
        (
            "[problem]\nclass = 'ExtensiveQuadratic'\nstudent_ratio = true\nteacher = 3",
            ["student_ratio: must be a number, but is True.", "teacher: must be a table, but is 3."],
        ),
        (
            MINIMAL.replace("orthonormal", "ortonormal"),
            [
                "teacher.kind: must be one of 'orthonormal', 'marchenko_pastur', 'nodes', 'eigenvalues', 'symmetric', but is 'ortonormal'."
            ],
        ),
        (
            MINIMAL.replace("orthonormal", "nodes").replace("ratio = 0.25", 'nodes = [0, "a"]\nweights = 3'),
            [
                "teacher.nodes: must be a list of numbers or of rows of equal length, but is [0, 'a'].",
                "teacher.weights: must be a list of numbers or the name of a .npy file, but is 3.",
            ],
        ),
        (MINIMAL.replace("0.5", "-0.5"), ["Argument `student_ratio` must be positive, but is -0.5."]),
        (MINIMAL.replace("0.25", "nan"), ["Argument `ratio` must be finite, but is nan."]),
        (
            MINIMAL + "[solve]\ntimes = {start = 1, stop = 2}",
            ["solve.times: must have the keys start, stop, count and perhaps spacing, but has start, stop."],
        ),
        (
            MINIMAL + "[solve]\ntimes = {start = 1, stop = 2, count = 'x'}",
            ["solve.times: Argument `count` must be a whole number, but is 'x'."],
        ),
        (
            MINIMAL + "[solve]\ntimes = true",
            ['solve.times: must be a list of numbers, a string such as "0.01:10:200:log" or a table, but is True.'],
        ),
        (
            MINIMAL + "[solve]\ntimes = '0:1:5:log'",
            ["solve.times: A logarithmic grid must start and stop above 0, but goes from 0 to 1."],
        ),
    ],
)
def test_faults_are_sentences(faults, text, lines):
    assert faults(text) == [f"problem.toml: {line}" for line in lines]


def test_what_is_no_toml_says_where(faults):
    assert faults("[problem\n") == [
        "problem.toml: not a TOML file: Expected ']' at the end of a table declaration (at line 1, column 9)."
    ]


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.toml").mkdir()
    for name, words in {
        "none.toml": "there is no such file.",
        "binary.toml": "not a TOML file: it is not UTF-8 text.",
        "folder.toml": "cannot be read (Is a directory).",
    }.items():
        with pytest.raises(ConfigError) as caught:
            read_config(name)
        assert str(caught.value) == f"{name}: {words}"


def test_a_file_states_a_problem_and_its_arguments(config):
    stated = config(MINIMAL + '[solve]\ntimes = "0.01:10:5:log"\nrtol = 1e-6\n[simulate]\nruns = 3\nsizes = [40, 80]\n')
    assert stated.problem == fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    np.testing.assert_array_equal(stated.solve["times"], np.geomspace(0.01, 10, 5))
    assert stated.solve["rtol"] == 1e-6
    assert stated.simulate == {"runs": 3, "sizes": [40, 80]}


def test_whole_numbers_are_numbers(config):
    stated = config(MINIMAL.replace("0.5", "1"))
    assert stated.problem == fl.ExtensiveQuadratic(1.0, fl.Spectrum.orthonormal(0.25))


@pytest.mark.parametrize(
    ("given", "times"),
    [
        ("[0.5, 1, 2]", [0.5, 1.0, 2.0]),
        ('"0.5,1,2"', [0.5, 1.0, 2.0]),
        ('"0:1:3"', [0.0, 0.5, 1.0]),
        ("{start = 1, stop = 100, count = 3, spacing = 'log'}", [1.0, 10.0, 100.0]),
    ],
)
def test_times_are_written_in_four_ways(config, given, times):
    np.testing.assert_allclose(config(f"{MINIMAL}[solve]\ntimes = {given}").solve["times"], times, rtol=1e-15)


def test_spectra_are_tables(config):
    text = """
        [problem]
        class = "ExtensiveQuadratic"
        student_ratio = 0.5
        start = {nodes = [0, 1.5], weights = [0.5, 0.5], normalised = true}
        teacher = {kind = "marchenko_pastur", ratio = 0.25, nodes = 16}
    """
    start = fl.Spectrum([0, 1.5], [0.5, 0.5]).normalised()
    assert config(text).problem == fl.ExtensiveQuadratic(0.5, fl.Spectrum.marchenko_pastur(0.25, nodes=16), start=start)


def test_array_files_lie_beside_the_toml_file_and_hold_no_objects(config, tmp_path):
    np.save(tmp_path / "l.npy", np.array([2.0, 1.0, 0.0]))
    text = "[problem]\nclass = 'MeanFieldQuadratic'\nteacher_eigenvalues = 'l.npy'\nstart = 0.1\n"
    assert config(text).problem == fl.MeanFieldQuadratic([2.0, 1.0, 0.0], 0.1)
    np.save(tmp_path / "l.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(
        ConfigError, match=r"teacher_eigenvalues: cannot read the array file l\.npy \(Object arrays cannot be loaded"
    ):
        config(text)


def test_weights_or_an_ensemble_state_a_quadratic_flow(config, faults):
    weights = "[problem]\nclass = 'QuadraticFlow'\nW = [[1, 2], [3, 4.5]]\nW_star = [[1, 0]]\nactivation = 'centred'\n"
    assert config(weights).problem == fl.QuadraticFlow([[1, 2], [3, 4.5]], [[1, 0]], activation="centred")
    drawn = "[problem]\nclass = 'QuadraticFlow'\nensemble = 'gaussian'\ndimension = 5\nstudent_width = 3\nteacher_width = 2\nrng = 7\n"
    assert config(drawn).problem == fl.QuadraticFlow.gaussian(5, 3, 2, rng=7)
    assert faults(drawn + "W = [[1]]\n") == [
        "problem.toml: `W` and `dimension` exclude each other: give the weights or an ensemble."
    ]
    assert faults(drawn.replace("student_width = 3\n", "")) == ["problem.toml: student_width: missing key."]
    assert faults(weights.replace("W_star = [[1, 0]]\n", "")) == ["problem.toml: W_star: missing key."]


def test_a_matrix_may_start_the_mean_field(config):
    text = "[problem]\nclass = 'MeanFieldQuadratic'\nteacher_eigenvalues = [1, 0]\nstart = [[0.2, 0.1], [0.1, 0.3]]\n"
    assert config(text).problem == fl.MeanFieldQuadratic([1.0, 0.0], [[0.2, 0.1], [0.1, 0.3]])
