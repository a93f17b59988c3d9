"""From the numbers to the section of docs/performance.md, and its figure of error against time."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import os
import platform
from pathlib import Path
from typing import Any

BEGIN, END = (
    "<!-- many problems: written by python -m validation.benchmarks.peers --page -->",
    "<!-- end of many problems -->",
)
PACKAGES = ("flowlimits", "numpy", "scipy", "numba", "numbalsoda", "CyRK", "jax", "diffrax", "torch", "torchdiffeq")
#: What the package set itself, as ratios of others to `solve_many`, and to the integration alone: equal tolerance, equal error.
GOALS = {
    "numbalsoda lsoda": ("matched", 6.0), "numbalsoda dop853": ("equal", 3.0), "diffrax": ("matched", 25.0),
    "SciPy DOP853": ("matched", 800.0), "SciPy LSODA": ("matched", 800.0),
}  # fmt: skip
#: The gain of a second thread that is wanted, and the processors that two threads must have got for it to be judged.
GAIN, FREE = 1.6, 1.8
FIGURE = "performance_precision"
MANY, OURS = "flowlimits solve_many", "flowlimits integrate_batch dop853"


def conditions(quick: bool) -> dict[str, Any]:
    """Return date, machine and versions of a measurement."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": datetime.date.today().isoformat(), "python": platform.python_version(), "machine": platform.machine(),
        "processor": processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan,
        "versions": versions, "quick": quick,
    }  # fmt: skip


def processor() -> str:
    """Return the model of the processor, as far as the system tells."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def number(value: float) -> str:
    """Return two or three digits, thousands separated."""
    if not math.isfinite(value):
        return "–"
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def told(found: dict[str, Any]) -> list[str]:
    """Return one line that says what was left out and why, and one on how the numbers came about."""
    lines = []
    if found["skipped"]:
        lines += [
            "Left out: "
            + "; ".join(f"{name} ({reason.rstrip('.')})" for name, reason in found["skipped"].items())
            + ".",
            "",
        ]
    about = found["conditions"]
    hint = " **Quick run: few problems and repeats.**" if about["quick"] else ""
    versions = ", ".join(
        f"{name} {version}" for name, version in about["versions"].items() if version != "not installed"
    )
    lines += [
        f"*{about['date']}, {about['processor']} ({about['machine']}, {about['cores']} cores, load {about['load']:.1f}), Python {about['python']}, {versions}.*{hint}",
        "",
    ]
    return lines


def contest(found: dict[str, Any]) -> list[str]:
    """Return the table of both comparisons on many problems."""
    equal, matched = found["equal"], found["matched"]
    rows = []
    for name in equal:
        cells = [name]
        for rows_of in (equal, matched):
            one = rows_of.get(name)
            if one is None:
                cells += ["does not reach it", "", ""]
                continue
            ratio = one["processor"] / rows_of[MANY]["processor"] if MANY in rows_of else math.nan
            cells += [f"{number(one['processor'])} µs", f"{ratio:.2g}" if ratio < 10 else number(ratio)]
            cells.append(f"{one['median']:.0e} ({one['worst']:.0e})" if rows_of is equal else f"{one['rtol']:.0e}")
        rows.append((*cells, f"{equal[name]['problems']:,}"))
    header = ("integrator", "rtol 1e-8", "ratio", "error (worst)", "error 2e-9", "ratio", "its rtol", "problems")
    return table(header, rows)


def goals(found: dict[str, Any]) -> list[str]:
    """Return the goals, with what was measured: the fastest of a package's methods counts."""
    rows = []
    for name, (kind, goal) in GOALS.items():
        peers = {one: row["processor"] for one, row in found[kind].items() if one.startswith(name)}
        ours = [found[kind][one]["processor"] for one in (MANY, OURS) if one in found[kind]]
        if not peers or len(ours) < 2:
            rows.append((name, kind, "not measured", "not measured", f"{goal:g}"))
            continue
        best = min(peers, key=peers.__getitem__)
        ratios = [peers[best] / one for one in ours]
        told = [f"{number(ratio)} times{'' if ratio >= goal else ', missed'}" for ratio in ratios]
        rows.append((best, {"equal": "equal tolerance", "matched": "equal error"}[kind], *told, f"{goal:g} times"))
    return table(("against", "at", MANY, OURS, "goal"), rows)


def throughput(found: dict[str, Any]) -> list[str]:
    checks = ", ".join(f"{value:.0e} from {name}" for name, value in found["reference"].items())
    compiled = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found["first_call"].items() if seconds > 0.5)
    return [
        "### Throughput",
        "",
        f"{found['problems']:,} gradient flows of square committees, p = k = 4 ({found['components']} equations), random weights at d = 100, to t = 100, "
        "11 outputs, one thread. Time of the processor per problem; ratios are to `fl.solve_many`, whose checks and labelled result count. "
        "Left: everybody at rtol = 1e-8, atol = 1e-10, with the error that results. Right: everybody at the tolerance that gives an error of 2e-9. "
        "The error of a problem is the largest absolute one over times and components; the median over problems counts, the worst is in brackets. "
        "With these weights of the second layers, all equal to one, the trace of everybody has a seventh fewer operations than in general.",
        "",
        *contest(found),
        "Others integrate compiled straight-line code too, the one that is generated here (numbalsoda, CyRK, torch.compile), or matrices where "
        "those are faster (diffrax in blocks of 128, torchdiffeq). Where fewer problems are named, "
        "more would have taken too long. torchdiffeq controls one error for its whole block: its median is small and its worst is not.",
        "",
        f"Reference: the implicit method at rtol = 1e-13, {found['sample']:,} problems; largest differences {checks}. "
        f"First calls, compilation included, not counted above: {compiled or 'below 0.5 s'}.",
        "",
        *goals(found),
        f"![Error against time per problem](figures/{FIGURE}.svg)",
        "",
        *told(found),
    ]  # fmt: skip


def threads(found: dict[str, Any]) -> list[str]:
    rows = []
    for name, row in found["rows"].items():
        verdict = (
            ""
            if row["median"] >= GAIN
            else ", missed"
            if row["processors"] >= FREE
            else ", not decided: the processors were not free"
        )
        bits = "the same bits" if row["same_bits"] else "OTHER BITS"
        rows.append(
            (name, f"{row['median']:.2f} times{verdict}", f"{row['best']:.2f}", f"{row['processors']:.2f}", f"{row['work']:.2f}", bits, f"{GAIN} times")
        )  # fmt: skip
    header = (
        "two threads",
        "gain on the wall",
        "best round",
        "processors got",
        "work against one thread",
        "results",
        "goal",
    )
    return ["### Threads", "", *table(header, rows), *told(found)]


def single(found: dict[str, Any]) -> list[str]:
    rows = [(name, f"{number(row['processor'])} µs") for name, row in found["rows"].items()]
    return [
        "### One problem in one call",
        "",
        "One of the same problems at rtol = 1e-8, everything warm, time of the processor.",
        "",
        *table(("integrator", "one call"), rows),
        *told(found),
    ]


def matrix(found: dict[str, Any]) -> list[str]:
    rows = []
    for row in found["rows"]:
        ours, theirs = row["processor"]
        rows.append(
            (f"d = {row['d']}, p = {row['p']}, rank {row['rank']}, t = {row['end']:g}", f"{number(1e3 * ours)} ms", f"{number(1e3 * theirs)} ms",
             f"{number(theirs / ours)}", f"{row['errors'][0]:.0e}, {row['errors'][1]:.0e}")
        )  # fmt: skip
    return [
        "### Matrix flow", "", "`QuadraticFlow` against SciPy's RK45 on the weights with NumPy, both at rtol = 1e-6; relative errors of the last risk.", "",
        *table(("case", "flowlimits", "SciPy", "ratio", "errors"), rows), *told(found),
    ]  # fmt: skip


def simulation(found: dict[str, Any]) -> list[str]:
    rows = [(name, number(row["processor"])) for name, row in found["rows"].items()]
    return [
        "### One-pass SGD",
        "",
        "Square activations, p = k = 4, one thread.",
        "",
        *table(("simulation", "steps per second"), rows),
        *told(found),
    ]


def start(found: dict[str, Any]) -> list[str]:
    rows = []
    for name, row in found["rows"].items():
        rows.append(
            (
                f"{name}, {row['problems']} problem{'s' * (row['problems'] > 1)}" if row["problems"] else f"`{name}`",
                "" if row["cold"] is None else f"{number(row['cold'])} s",
                f"{number(row['warm'])} s",
            )
        )
    return [
        "### Fresh processes", "",
        "From the start of Python to the end of the process, on the wall, with empty caches of compiled code and with filled ones. The right-hand sides "
        "of numbalsoda and CyRK, made from text here, and the loops around them are compiled in every process.", "",
        *table(("process", "cold", "warm"), rows), *told(found),
    ]  # fmt: skip


def large(found: dict[str, Any]) -> list[str]:
    rows = []
    for row in found["rows"]:
        rows.append(
            (f"{row['problems']:,}", f"{row['wall']:.1f} s", f"{number(1e6 * row['processor'] / row['problems'])} µs", f"{row['returned'] / 1e6:.0f} MB",
             f"{row['peak'] / 1e6:.0f} MB", f"{row['peak'] / row['returned']:.1f}", f"{row['finished']:,}")
        )  # fmt: skip
    header = ("problems", "one call", "each", "returned", "peak above start", "ratio", "finished")
    return [
        "### Very many problems",
        "",
        "One call of `fl.solve_many`, one thread, in a fresh process.",
        "",
        *table(header, rows),
        *told(found),
    ]


PARTS = {
    "throughput": throughput,
    "threads": threads,
    "single": single,
    "matrix": matrix,
    "simulation": simulation,
    "start": start,
    "large": large,
}


def render(results: dict[str, Any]) -> str:
    """Return the section: one part per subject that has been measured."""
    lines = ["## Many problems, and other integrators", ""]
    for name, part in PARTS.items():
        if name in results:
            lines += part(results[name])
    return "\n".join(lines).rstrip() + "\n"


def replace(text: str, section: str) -> str:
    """Return a page with the section between its markers replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page must hold the lines {BEGIN!r} and {END!r}, in this order.")
    return f"{before}{BEGIN}\n\n{section}\n{END}{after}"


def write(docs: Path, results: dict[str, Any]) -> None:
    """Write the section into docs/performance.md, and the figure."""
    path = docs / "performance.md"
    path.write_text(replace(path.read_text(encoding="utf-8"), render(results)), encoding="utf-8")
    if "throughput" in results:
        figure = draw(results["throughput"])
        figure.savefig(docs / "figures" / f"{FIGURE}.svg", metadata={"Date": None})
        figure.savefig(docs / "figures" / f"{FIGURE}.png", dpi=180)


def draw(found: dict[str, Any]) -> Any:
    """Draw error against time per problem: one colour per package, one marker per method."""
    from flowlimits.plot.style import COLOURS, MARKERS, SMALL, dress, new_figure

    figure = new_figure(6.8, 4.0)
    axes = figure.subplots()
    dress(axes)
    packages: dict[str, int] = {}
    for name, points in found["points"].items():
        if not points:
            continue
        package = name.split()[0]
        place = packages.setdefault(package, len(packages))
        order = sum(one.split()[0] == package for one in list(found["points"])[: list(found["points"]).index(name)])
        axes.loglog(
            [point["median"] for point in points], [point["processor"] for point in points], color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[order % len(MARKERS)], markersize=3.5, linewidth=1.0, label=name,
        )  # fmt: skip
    axes.invert_xaxis()
    axes.set_xlabel("error: largest over times and components, median over problems")
    axes.set_ylabel("processor time per problem [µs]")
    figure.legend(*axes.get_legend_handles_labels(), fontsize=SMALL - 1.5, frameon=False, loc="outside right center")
    return figure
