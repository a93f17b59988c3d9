"""List and run the validation cases and write one self-contained HTML page.

The exit status is the number of failed claims, at most 99; a case that raises, or claims nothing, counts as one failure.
"""

from __future__ import annotations

import ast
import base64
import html
import importlib
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from threadpoolctl import threadpool_limits

from . import CASES
from .record import Claim, Record, write_atomically

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100%; margin: .6em 0 } td, th { border-bottom: 1px solid #ddd; padding: .3em .5em; text-align: left; vertical-align: top }
.pass { color: #00664d; font-weight: 600 } .fail { color: #b03000; font-weight: 700 } .wrong { color: #555; font-style: italic } .right { text-align: right } img { max-width: 100% } pre { background: #f6f6f6; padding: .6em; overflow: auto }
"""


def title(name: str) -> str:
    """Return the first line of a case's docstring, without importing it."""
    path = Path(__file__).with_name(f"{name}.py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else None
    return (text or name).strip().split("\n")[0]


def run_case(name: str, folder: Path, full: bool) -> dict[str, Any]:
    """Run one case in this process and return its plain outcome."""
    record = Record(name, folder)
    started = time.perf_counter()
    error = ""
    try:
        # Threads of BLAS wait for each other by spinning: beside other processes a wide committee took 400 times as long.
        with threadpool_limits(limits=1, user_api="blas"):
            importlib.import_module(f"{__package__}.{name}").run(record, full)
        if not record.claims:
            error = "The case made no claim."
    except Exception:
        error = traceback.format_exc()
    return _outcome(
        name,
        [asdict(claim) for claim in record.claims],
        [str(path) for path in record.figures],
        time.perf_counter() - started,
        error,
    )


def _outcome(name: str, claims: list[dict[str, Any]], figures: list[str], seconds: float, error: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": title(name),
        "claims": claims,
        "figures": figures,
        "seconds": seconds,
        "error": error,
    }


def failures(outcome: dict[str, Any]) -> int:
    """Return how many claims of a case failed; an exception is one more."""
    return sum(not claim["passed"] for claim in outcome["claims"]) + bool(outcome["error"])


def page(outcomes: list[dict[str, Any]], versions: dict[str, str], *, full: bool = False) -> str:
    """Return the report; everything shown is escaped."""
    claims = [claim for outcome in outcomes for claim in outcome["claims"]]
    failed, wrong = sum(map(failures, outcomes)), sum(claim["wrong"] for claim in claims)
    skipped = sum(claim["skipped"] for claim in claims)
    seconds = sum(outcome["seconds"] for outcome in outcomes)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, {time.strftime('%Y-%m-%d')}"
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>flowlimits: validation</title><style>{STYLE}</style><h1>Validation</h1>",
        f"<p><b>{len(claims) - skipped} claims, {failed} failed{f', {skipped} skipped' if skipped else ''}.</b> {wrong} of the claims are theories that are wrong on purpose: they count as passed if they "
        f"fail. {'Full' if full else 'Quick'} sizes, {seconds:.0f} s of cases.</p>",
        f"<p>{html.escape(', '.join(f'{name} {version}' for name, version in versions.items()))}. {html.escape(machine)}.</p>",
        "<table><tr><th>Case<th class='right'>Claims<th class='right'>Failed<th class='right'>Wrong on purpose<th class='right'>Seconds</tr>",
    ]
    for outcome in outcomes:
        bad = failures(outcome)
        name = html.escape(outcome["name"])
        parts.append(
            f"<tr><td><a href='#{name}'>{name}</a><br>{html.escape(outcome['title'])}<td class='right'>{len(outcome['claims'])}"
            f"<td class='right {'fail' if bad else 'pass'}'>{bad}<td class='right'>{sum(claim['wrong'] for claim in outcome['claims'])}"
            f"<td class='right'>{outcome['seconds']:.1f}</tr>"
        )
    parts.append("</table>")
    for outcome in outcomes:
        parts += _section(outcome)
    return "\n".join(parts)


def _section(outcome: dict[str, Any]) -> list[str]:
    """Return the claims and figures of one case."""
    parts = [
        f"<h2 id='{html.escape(outcome['name'])}'>{html.escape(outcome['title'])}</h2><p>{html.escape(outcome['name'])}, {outcome['seconds']:.1f} s</p>"
    ]
    parts.append("<table><tr><th>Source<th>Computed<th>Expected<th>Seen<th>Outcome</tr>")
    for plain in outcome["claims"]:
        claim = Claim(**plain)
        cells = "".join(f"<td>{html.escape(text)}" for text in (claim.source, claim.text, claim.expected, claim.seen))
        if claim.skipped:
            kind, word = "wrong", "skipped"
        elif claim.passed:
            kind, word = ("wrong", "fails, as it must") if claim.wrong else ("pass", "pass")
        else:
            kind, word = "fail", "NOT DETECTED" if claim.wrong else "FAIL"
        parts.append(f"<tr>{cells}<td class='{kind}'>{word}</tr>")
    parts.append("</table>")
    if outcome["error"]:
        parts.append(f"<p class='fail'>The case did not end well:</p><pre>{html.escape(outcome['error'])}</pre>")
    for path in outcome["figures"]:
        data = base64.b64encode(Path(path).read_bytes()).decode()
        parts.append(f"<p><img alt='{html.escape(Path(path).stem)}' src='data:image/svg+xml;base64,{data}'></p>")
    return parts


def _run_in_process(name: str, folder: Path, full: bool) -> dict[str, Any]:
    """Run one case in a process of its own, so that cases side by side share nothing."""
    code = (
        "import json, sys; from pathlib import Path; from validation.__main__ import run_case; "
        "json.dump(run_case(sys.argv[1], Path(sys.argv[2]), sys.argv[3] == 'full'), open(sys.argv[4], 'w'))"
    )
    target = folder / f".{name}.json"
    started = time.perf_counter()
    command = [sys.executable, "-c", code, name, str(folder), "full" if full else "", str(target)]
    status = subprocess.run(command, check=False, cwd=Path(__file__).parents[1]).returncode
    if status or not target.is_file():
        return _outcome(
            name, [], [], time.perf_counter() - started, f"The process of the case ended with status {status}."
        )
    outcome = json.loads(target.read_text(encoding="utf-8"))
    target.unlink()
    return outcome


@click.command()
@click.option("--list", "list_only", is_flag=True, help="List the cases with their titles and stop.")
@click.option("--only", multiple=True, type=click.Choice(CASES), help="Run this case only (may be repeated).")
@click.option("--full", is_flag=True, help="Paper sizes instead of the quick ones.")
@click.option("--jobs", default=1, type=click.IntRange(min=1), help="Cases to run side by side.")
@click.option(
    "--folder",
    default="validation/results",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where figures and the page go.",
)
def main(list_only: bool, only: tuple[str, ...], full: bool, jobs: int, folder: Path) -> None:
    """Run the validation cases and write FOLDER/report.html."""
    names = only or CASES
    if list_only:
        width = max(map(len, names))
        click.echo("\n".join(f"{name:<{width}}  {title(name)}" for name in names))
        return
    from flowlimits.core.results import versions

    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with ThreadPoolExecutor(jobs) as pool:
        if jobs > 1:
            runs = pool.map(lambda name: _run_in_process(name, folder, full), names)
        else:
            runs = (run_case(name, folder, full) for name in names)
        for outcome in runs:
            outcomes.append(outcome)
            computed = [claim for claim in outcome["claims"] if not claim["skipped"]]
            passed = sum(claim["passed"] for claim in computed)
            click.echo(f"{outcome['name']}: {passed} of {len(computed)} claims passed in {outcome['seconds']:.1f} s")
            for claim in outcome["claims"]:
                if claim["skipped"]:
                    click.echo(f"  SKIPPED {claim['source']}: {claim['text']}: {claim['seen']}")
                if not claim["passed"]:
                    click.echo(
                        f"  {'NOT DETECTED' if claim['wrong'] else 'FAILED'} {claim['source']}: {claim['text']}: expected {claim['expected']}, seen {claim['seen']}"
                    )
            if outcome["error"]:
                click.echo(outcome["error"])
    write_atomically(folder / "report.html", page(outcomes, versions(), full=full))
    click.echo(f"Wrote {folder / 'report.html'}")
    sys.exit(min(sum(map(failures, outcomes)), 99))


if __name__ == "__main__":
    main()
