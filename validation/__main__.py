"""List and run the validation cases and write one self-contained HTML page.

The exit status is the number of failed claims, at most 99; a case that raises counts as one failure.
"""

from __future__ import annotations

import base64
import html
import importlib
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from . import CASES
from .record import Claim, Record, write_atomically

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100%; margin: .6em 0 } td, th { border-bottom: 1px solid #ddd; padding: .3em .5em; text-align: left; vertical-align: top }
.pass { color: #00664d; font-weight: 600 } .fail { color: #b03000; font-weight: 700 } img { max-width: 100% } pre { background: #f6f6f6; padding: .6em; overflow: auto }
"""


def run_case(name: str, folder: Path, full: bool) -> dict[str, Any]:
    """Run one case in this process and return its plain outcome."""
    record = Record(name, folder)
    started = time.perf_counter()
    error = ""
    try:
        module = importlib.import_module(f"{__package__}.{name}")
        module.run(record, full)
        title = (module.__doc__ or name).strip().split("\n")[0]
    except Exception:
        error, title = traceback.format_exc(), name
    return {
        "name": name,
        "title": title,
        "claims": [asdict(claim) for claim in record.claims],
        "figures": [str(path) for path in record.figures],
        "seconds": time.perf_counter() - started,
        "error": error,
    }


def failures(outcome: dict[str, Any]) -> int:
    """Return how many claims of a case failed; an exception is one more."""
    return sum(not claim["passed"] for claim in outcome["claims"]) + bool(outcome["error"])


def page(outcomes: list[dict[str, Any]], versions: dict[str, str]) -> str:
    """Return the report; everything shown is escaped."""
    parts = [f"<!doctype html><meta charset='utf-8'><title>flowlimits: validation</title><style>{STYLE}</style><h1>Validation</h1>"]
    total = sum(len(outcome["claims"]) for outcome in outcomes)
    failed = sum(failures(outcome) for outcome in outcomes)
    parts.append(f"<p>{total} claims, {failed} failed. " + html.escape(", ".join(f"{k} {v}" for k, v in versions.items())) + "</p>")
    for outcome in outcomes:
        parts.append(f"<h2 id='{html.escape(outcome['name'])}'>{html.escape(outcome['title'])}</h2><p>{outcome['seconds']:.1f} s</p>")
        parts.append("<table><tr><th>Source<th>Computed<th>Expected<th>Seen<th>Outcome</tr>")
        for plain in outcome["claims"]:
            claim = Claim(**plain)
            cells = "".join(f"<td>{html.escape(text)}" for text in (claim.source, claim.text, claim.expected, claim.seen))
            word = ("fails, as it must" if claim.wrong else "pass") if claim.passed else "FAIL"
            parts.append(f"<tr>{cells}<td class='{'pass' if claim.passed else 'fail'}'>{word}</tr>")
        parts.append("</table>")
        if outcome["error"]:
            parts.append(f"<p class='fail'>The case raised:</p><pre>{html.escape(outcome['error'])}</pre>")
        for path in outcome["figures"]:
            data = base64.b64encode(Path(path).read_bytes()).decode()
            parts.append(f"<p><img alt='{html.escape(Path(path).stem)}' src='data:image/svg+xml;base64,{data}'></p>")
    return "\n".join(parts)


def _run_in_process(name: str, folder: Path, full: bool) -> dict[str, Any]:
    """Run one case in a process of its own, so that cases side by side share nothing."""
    import json

    code = "import json, sys; from pathlib import Path; from validation.__main__ import run_case; " \
        "json.dump(run_case(sys.argv[1], Path(sys.argv[2]), sys.argv[3] == 'full'), open(sys.argv[4], 'w'))"
    target = folder / f".{name}.json"
    subprocess.run([sys.executable, "-c", code, name, str(folder), "full" if full else "", str(target)], check=True)
    outcome = json.loads(target.read_text(encoding="utf-8"))
    target.unlink()
    return outcome


@click.command()
@click.option("--list", "list_only", is_flag=True, help="List the cases and stop.")
@click.option("--only", multiple=True, type=click.Choice(CASES), help="Run this case only (may be repeated).")
@click.option("--full", is_flag=True, help="Paper sizes instead of the quick ones.")
@click.option("--jobs", default=1, type=click.IntRange(min=1), help="Cases to run side by side.")
@click.option("--folder", default="validation/results", type=click.Path(file_okay=False, path_type=Path), help="Where figures and the page go.")
def main(list_only: bool, only: tuple[str, ...], full: bool, jobs: int, folder: Path) -> None:
    """Run the validation cases and write FOLDER/report.html."""
    names = only or CASES
    if list_only:
        click.echo("\n".join(names))
        return
    from flowlimits.results import versions

    folder.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with ThreadPoolExecutor(jobs) as pool:
        if jobs > 1:
            runs = pool.map(lambda name: _run_in_process(name, folder, full), names)
        else:
            runs = (run_case(name, folder, full) for name in names)
        for outcome in runs:
            outcomes.append(outcome)
            passed = sum(claim["passed"] for claim in outcome["claims"])
            click.echo(f"{outcome['name']}: {passed} of {len(outcome['claims'])} claims passed in {outcome['seconds']:.1f} s")
            for claim in outcome["claims"]:
                if not claim["passed"]:
                    click.echo(f"  FAILED {claim['source']}: {claim['text']}: expected {claim['expected']}, seen {claim['seen']}")
            if outcome["error"]:
                click.echo(outcome["error"])
    write_atomically(folder / "report.html", page(outcomes, versions()))
    click.echo(f"Wrote {folder / 'report.html'}")
    sys.exit(min(sum(map(failures, outcomes)), 99))


if __name__ == "__main__":
    main()
