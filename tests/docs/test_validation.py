"""The validation programme itself: what counts as passed, what the page shows, and when the exit status is not zero."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]


@pytest.fixture
def programme(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("validation.__main__")


@pytest.fixture
def record(programme, tmp_path):
    return programme.Record("toy", tmp_path)


def outcomes(record):
    return [claim.passed for claim in record.claims]


def run_toy(programme, monkeypatch, folder, run, *arguments):
    """Run the command with one case, `toy`, whose function is `run`."""
    case = types.ModuleType("validation.toy")
    case.run = run
    monkeypatch.setitem(sys.modules, "validation.toy", case)
    monkeypatch.setattr(programme, "CASES", ("toy",))
    result = CliRunner().invoke(programme.main, ["--folder", str(folder), *arguments])
    return result, (folder / "report.html").read_text(encoding="utf-8")


def test_every_case_exists_with_a_title_and_takes_a_record_and_a_size(programme):
    import inspect

    assert len(set(programme.CASES)) == len(programme.CASES)
    for name in programme.CASES:
        assert len(programme.title(name)) > 20
        module = importlib.import_module(f"validation.{name}")
        assert list(inspect.signature(module.run).parameters) == ["record", "full"]


def test_no_case_is_left_out_of_the_list(programme):
    files = {
        path.stem for path in (ROOT / "validation").glob("*.py") if "def run(record" in path.read_text(encoding="utf-8")
    }
    assert files == set(programme.CASES)


def test_list_names_every_case_and_runs_none(programme, tmp_path):
    result = CliRunner().invoke(programme.main, ["--list", "--folder", str(tmp_path / "none")])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == list(programme.CASES)
    assert not (tmp_path / "none").exists()


def test_only_an_existing_case_can_be_asked_for(programme):
    result = CliRunner().invoke(programme.main, ["--only", "martin2023"])
    assert result.exit_code == 2
    assert "martin2023" in result.output


def test_numbers_that_are_not_finite_never_pass(record):
    record.close("s", "t", float("nan"), 1.0, rtol=1.0)
    record.below("s", "t", float("nan"), 1.0)
    record.above("s", "t", float("inf"), 1.0)
    record.estimate("s", "t", float("nan"), 0.1, 1.0, largest=1.0)
    record.estimate("s", "t", 1.0, float("nan"), 1.0, largest=1.0)
    assert outcomes(record) == [False] * 5


def test_an_estimate_passes_within_its_errors_unless_they_are_too_large_to_mean_anything(record):
    record.estimate("s", "t", 1.03, 0.01, 1.0, largest=0.1)
    record.estimate("s", "t", 1.05, 0.01, 1.0, largest=0.1)
    record.estimate("s", "t", 1.05, 0.01, 1.0, atol=0.02, largest=0.1)
    record.estimate("s", "t", 5.0, 2.0, 1.0, largest=0.1)
    assert outcomes(record) == [True, False, True, False]
    assert record.claims[0].seen == "1.03 ± 0.01"
    assert "standard error at most 0.1" in record.claims[0].expected


def test_outcomes_are_plain_booleans_that_json_can_carry(record):
    record.claim("s", "t", expected=1, seen=1, passed=np.bool_(True))
    record.close("s", "t", np.float64(1.0), np.float64(1.0), rtol=0.1)
    record.below("s", "t", np.float64(1.0), np.float64(2.0))
    record.above("s", "t", np.float64(3.0), np.float64(2.0))
    record.estimate("s", "t", np.float64(1.0), np.float64(0.1), 1.0, largest=1.0)
    record.wrong_theory("s", "t", seen=np.float64(1.0), failed=np.bool_(True))
    assert all(type(claim.passed) is bool and claim.passed for claim in record.claims)


def test_a_failed_claim_and_an_exception_are_counted_in_the_exit_status(programme, monkeypatch, tmp_path):
    def run(record, full):
        record.below("paper", "small", 0.5, 1.0)
        record.below("paper", "large", 2.0, 1.0)
        raise RuntimeError("broken <halfway>")

    result, page = run_toy(programme, monkeypatch, tmp_path, run)
    assert result.exit_code == 2
    assert "FAILED paper: large: expected < 1, seen 2" in result.output
    assert "2 claims, 2 failed" in page
    assert "broken &lt;halfway&gt;" in page


def test_a_case_without_claims_does_not_pass(programme, monkeypatch, tmp_path):
    result, page = run_toy(programme, monkeypatch, tmp_path, lambda record, full: None)
    assert result.exit_code == 1
    assert "The case made no claim." in page


def test_the_exit_status_is_at_most_99(programme, monkeypatch, tmp_path):
    def run(record, full):
        for _ in range(256):
            record.below("s", "t", 2.0, 1.0)

    assert run_toy(programme, monkeypatch, tmp_path, run)[0].exit_code == 99


def test_a_theory_that_is_wrong_on_purpose_must_fail_and_the_page_says_so(programme, monkeypatch, tmp_path):
    def run(record, full):
        record.wrong_theory("paper", "seen through", seen=12.0, failed=True)
        if full:
            record.wrong_theory("paper", "believed", seen=0.1, failed=False)

    result, page = run_toy(programme, monkeypatch, tmp_path, run)
    assert result.exit_code == 0
    assert "fails, as it must" in page
    assert "NOT DETECTED" not in page
    result, page = run_toy(programme, monkeypatch, tmp_path, run, "--full")
    assert result.exit_code == 1
    assert "NOT DETECTED" in page
    assert "NOT DETECTED paper: believed" in result.output
    assert "2 of the claims are theories that are wrong on purpose" in page


def test_the_page_escapes_what_it_shows_and_holds_its_figures(programme, monkeypatch, tmp_path):
    from flowlimits.plot import style

    def run(record, full):
        record.claim("<b>&source", "<script>alert(1)</script>", expected="a<b", seen='"quoted"', passed=True)
        record.figure(style.new_axes().figure, "empty")

    result, page = run_toy(programme, monkeypatch, tmp_path, run)
    assert result.exit_code == 0
    assert "<script>" not in page
    assert "<b>&source" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "data:image/svg+xml;base64," in page
    assert {"http://", "https://"}.isdisjoint(page.split("base64,")[0])
    assert (tmp_path / "toy_empty.pdf").is_file()
    import flowlimits

    assert f"flowlimits {flowlimits.__version__}" in page


def test_cases_side_by_side_give_the_same_claims_and_one_that_dies_is_a_failure(programme, monkeypatch, tmp_path):
    monkeypatch.setattr(programme, "CASES", ("study_escape", "no_such_case"))
    result = CliRunner().invoke(programme.main, ["--jobs", "2", "--folder", str(tmp_path)])
    assert "study_escape: 3 of 3 claims passed" in result.output
    assert "No module named 'validation.no_such_case'" in result.output
    assert result.exit_code == 1
    assert not list(tmp_path.glob(".*.json"))


def test_a_process_that_ends_early_is_reported_and_not_raised(programme, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    outcome = programme._run_in_process("study_escape", tmp_path, False)
    assert programme.failures(outcome) == 1
    assert "ended with status 1" in outcome["error"]


@pytest.fixture
def cross(programme):
    return importlib.import_module("validation.cross_common")


def test_exponents_are_recovered_with_honest_errors(cross):
    rng = np.random.default_rng(0)
    small = np.array([1 / 50, 1 / 100, 1 / 200, 1 / 400])
    truth, error = 3 * small * (1 + 4 * small), 0.02 * small
    z = []
    for _ in range(400):
        found = cross.exponent(small, list(zip(truth + error * rng.standard_normal(4), error)))
        z.append((found[0] - 1) / found[1])
    # One degree of freedom is left, so the errors are inflated in a third of the draws: at most one in standard deviation.
    assert 0.6 < np.std(z) < 1.2
    assert abs(np.mean(z)) < 0.2


def test_an_intercept_is_zero_for_corrections_and_not_for_an_offset(cross):
    small = [1 / 50, 1 / 100, 1 / 200, 1 / 400]
    right = [(3 * h + 5 * h**2, 1e-4) for h in small]
    wrong = [(value + 0.01, error) for value, error in right]
    assert cross.standard_errors(cross.intercept(small, right)) < 1e-3
    assert cross.intercept(small, wrong)[0] == pytest.approx(0.01, rel=1e-6)
    assert cross.standard_errors(cross.intercept(small, wrong)) > 5


def test_local_exponents_and_spreads(cross):
    small = [0.1, 0.01, 0.001]
    assert cross.local_exponent(small, [2 * h**1.5 for h in small]) == pytest.approx((1.5, 0.0), abs=1e-12)
    samples = np.random.default_rng(1).normal(0, 3, 40_000)
    found = cross.spread(samples)
    assert found[0] == pytest.approx(3, rel=0.02)
    assert found[1] == pytest.approx(3 / np.sqrt(2 * 40_000), rel=0.05)


def test_overlaps_of_haar_frames_have_the_law_of_a_corner_of_a_haar_matrix(programme):
    """At d = p + k + 1 against the QR factor of a Gaussian matrix: the largest squared cosine and the trace, in mean."""
    narrow = importlib.import_module("validation.cross_narrow")
    rng = np.random.default_rng(2)
    p, k, d, count = 3, 2, 6, 4000
    seen = [np.linalg.svd(narrow.frame_overlaps(p, k, d, rng), compute_uv=False) ** 2 for _ in range(count)]
    corner = [
        np.linalg.svd(np.linalg.qr(rng.standard_normal((d, k)))[0][:p], compute_uv=False) ** 2 for _ in range(count)
    ]
    for one, other in zip(np.array(seen).T, np.array(corner).T):
        assert abs(one.mean() - other.mean()) < 4 * np.hypot(one.std(), other.std()) / np.sqrt(count)
    assert np.mean(np.sum(seen, axis=1)) == pytest.approx(p * k / d, rel=0.02)


def test_the_energy_test_sees_a_shift_and_accepts_the_same_law(programme):
    chain = importlib.import_module("validation.cross_chain")
    rng = np.random.default_rng(3)
    first, second = rng.standard_normal((2, 200, 4))
    assert chain.energy_test(first, second, rng, 199) > 0.01
    assert chain.energy_test(first, second + 0.3, rng, 199) == pytest.approx(1 / 200)


def test_the_chain_case_integrates_its_own_steps(programme):
    """Sampling by hand at a small rate follows gradient flow; the risk is that of the overlaps."""
    chain = importlib.import_module("validation.cross_chain")
    columns = chain.by_hand(3, np.random.default_rng(4)).reshape(3, chain.TIMES.size, -1)
    problem = chain.problem()
    Q, R = columns[0, -1, 1:7], columns[0, -1, 7:].reshape(chain.P, chain.K)
    square = np.zeros((chain.P, chain.P))
    square[chain.UPPER] = Q
    square = square + square.T - np.diag(np.diag(square))
    again = type(problem)(square, R, np.eye(chain.K)).solve([0.0])["risk"]
    assert float(again[0]) == pytest.approx(columns[0, -1, 0], rel=1e-9)


def test_what_is_skipped_is_named_and_neither_passes_nor_fails(programme, monkeypatch, tmp_path):
    def run(record, full):
        record.below("paper", "small", 0.5, 1.0)
        record.skip("paper", "boundary", "needs another package")

    result, page = run_toy(programme, monkeypatch, tmp_path, run)
    assert result.exit_code == 0
    assert "toy: 1 of 1 claims passed" in result.output
    assert "SKIPPED paper: boundary: needs another package" in result.output
    assert "1 claims, 0 failed, 1 skipped" in page


def test_the_phase_diagram_does_without_adaptive(programme, record, monkeypatch):
    case = importlib.import_module("validation.study_recovery")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    case.run(record, False)
    assert [claim.text for claim in record.claims if claim.skipped] == [case.SIDES, case.NEAR]
    assert all(outcomes(record))
    assert len(record.claims) == 8
