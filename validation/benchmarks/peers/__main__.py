"""Measure, and write the numbers to a JSON file; with ``--page`` also the section and the figure of docs/performance.md."""

from __future__ import annotations

import importlib
import json
import os
import time
from pathlib import Path
from typing import Any

import click

from . import SUBJECTS, page

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


#: Read when NumPy, JAX and torch are imported, which the subjects do.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


@click.command()
@click.option(
    "--only", type=click.Choice(SUBJECTS), multiple=True, help="Measure these subjects; the others keep their numbers."
)
@click.option("--quick", is_flag=True, help="Few problems and repeats, to see that everything runs.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("peers.json"),
    show_default=True,
    help="JSON file of the numbers.",
)
@click.option("--page", "write_page", is_flag=True, help="Write docs/performance.md and its figures from the numbers.")
@click.option("--no-run", is_flag=True, help="Measure nothing: only write the page from the file.")
def main(only: tuple[str, ...], quick: bool, output: Path, write_page: bool, no_run: bool) -> None:
    """Measure the speed of flowlimits against other integrators."""
    os.environ.update(ONE_THREAD)
    results: dict[str, Any] = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    for name in () if no_run else only or SUBJECTS:
        began = time.perf_counter()
        found = importlib.import_module(f"{__package__}.{name}").run(quick)
        results[name] = {"conditions": page.conditions(quick), **found}
        output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        click.echo(f"{name}: {time.perf_counter() - began:.0f} s")
        for one, reason in found["skipped"].items():
            click.echo(f"  left out: {one} ({reason})")
    click.echo(page.render(results))
    if write_page:
        page.write(ROOT / "docs", results)
        click.echo(f"Wrote {ROOT / 'docs' / 'performance.md'}")


if __name__ == "__main__":
    main()
