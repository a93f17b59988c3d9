"""Martin, Bach & Biroli, quadratic networks of extensive width: figures 1 to 6 (arXiv 2311.03794).

Figure 4 has a Gaussian start and a Gaussian teacher, which the paper lays over the orthonormal curve; here it stands beside its own limit.
"""

import math

import numpy as np

import flowlimits as fl
from flowlimits.plot import style

from .record import Record

PAPER = "Martin, Bach & Biroli 2311.03794"
RATIOS = ((0.5, 0.25), (0.5, 0.5), (0.25, 0.5))
# gamma = 2 tau: multiplier, overlap and d L of the limit at (0.5, 0.25), orthonormal, from the paper's implicit equation.
TABLE = {
    0.01: ("-0.018817", "0.396263", "1.880249"),
    0.1: ("-0.102018", "0.721447", "0.962820"),
    0.5: ("0.095078", "0.995715", "0.0270839"),
    1: ("0.279260", "0.999311", "0.00512619"),
    2: ("0.462015", "0.999852", "0.00114264"),
    5: ("0.698851", "0.999979", "0.000168230"),
    10: ("0.875402", "0.99999488", "0.0000407029"),
}


def run(record: Record, full: bool) -> None:
    """Redraw the figures and compute their claims."""
    figure_1(record, full)
    reference_table(record)
    figures_2_3(record, full)
    figure_4(record, full)
    figure_5(record)
    figure_6(record)
    wrong_theory(record)


def angle_density(x: np.ndarray, alpha: float, alpha_star: float) -> np.ndarray:
    """Return the continuous density of the eigenvalues of U U*^T U* U^T, per eigenvalue of the p x p matrix."""
    low, high = ((math.sqrt(alpha * (1 - alpha_star)) + s * math.sqrt(alpha_star * (1 - alpha))) ** 2 for s in (-1, 1))
    inside = np.clip((high - x) * (x - low), 0, None)
    return np.sqrt(inside) / (2 * math.pi * alpha * x * (1 - x))


def figure_1(record: Record, full: bool) -> None:
    alpha, alpha_star, d = 0.3, 0.5, 2000 if full else 1000
    p, k = round(alpha * d), round(alpha_star * d)
    rng = np.random.default_rng(0)
    frame = np.linalg.qr(rng.normal(size=(d, p)))[0]
    values = np.linalg.svd(frame[:k], compute_uv=False) ** 2  # the teacher spans the first k axes
    grid = np.linspace(1e-4, 1 - 1e-4, 4000)
    density = angle_density(grid, alpha, alpha_star)
    first, second = (float(np.trapezoid(density * grid**n, grid)) for n in (1, 2))
    record.close(f"{PAPER}, Fig. 1", f"mean eigenvalue at d = {d}", float(values.mean()), first, atol=0.01)
    record.close(f"{PAPER}, Fig. 1", "second moment", float((values**2).mean()), second, atol=0.01)
    axes = style.new_axes()
    axes.hist(values, bins=25, density=True, color=style.COLOURS[5], label=f"$d = {d}$")
    axes.plot(grid, density, color=style.THEORY, label="limit")
    axes.set_xlabel(r"eigenvalue of $UU_*^\top U_*U^\top$")
    axes.set_ylabel("density")
    style.add_legend(axes)
    record.figure(axes.figure, "figure_1")


def reference_table(record: Record) -> None:
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    gammas = np.array(list(TABLE))
    limit = problem.solve(gammas / 2)
    seen = np.column_stack([limit.multiplier, limit.overlap, limit.risk / 2])
    units = [[10.0 ** -len(text.split(".")[1]) for text in row] for row in TABLE.values()]
    worst = float((np.abs(seen - np.array([[float(text) for text in row] for row in TABLE.values()])) / units).max())
    record.below(
        f"{PAPER}, implicit equation",
        "multiplier, overlap and d L at seven times, in units of the last printed digit",
        worst,
        0.51,
    )
    record.table(
        "reference",
        ["gamma", "multiplier", "overlap", "d_L"],
        [[float(g), *map(float, row)] for g, row in zip(gammas, seen)],
    )


def figures_2_3(record: Record, full: bool) -> None:
    gammas = np.geomspace(0.02, 10, 40)
    sizes = (20, 40, 80, 200)
    figure = style.new_figure(2 * style.COLUMN, 4.6)
    panels = figure.subplots(2, 3, sharex=True)
    rows = []
    for column, (alpha, alpha_star) in enumerate(RATIOS):
        problem = fl.ExtensiveQuadratic(alpha, fl.Spectrum.orthonormal(alpha_star))
        limit = problem.solve(gammas / 2)
        deviations = {}
        for index, d in enumerate(sizes):
            runs = problem.simulate(
                gammas / 2, dimension=d, runs=40 if full else 16, rng=10 * column + index, progress=False
            )
            for row, name in enumerate(("multiplier", "overlap")):
                mean = runs[name].mean("run")
                error = runs[name].std("run", ddof=1) / math.sqrt(runs.sizes["run"])
                panels[row, column].errorbar(
                    gammas[::3],
                    mean[::3],
                    error[::3],
                    fmt=style.MARKERS[index],
                    ms=2.5,
                    lw=0.7,
                    color=style.COLOURS[index],
                    label=f"$d = {d}$",
                )
                deviations[name, d] = float(np.abs(mean - limit[name]).max())
                rows += [
                    [alpha, alpha_star, d, name, float(g), float(m), float(e), float(t)]
                    for g, m, e, t in zip(gammas, mean, error, limit[name])
                ]
        for row, name in enumerate(("multiplier", "overlap")):
            panels[row, column].plot(gammas, limit[name], color=style.THEORY, lw=1.2, label="limit", zorder=0)
            style.dress(panels[row, column])
            panels[row, column].set_xscale("log")
            ratio = deviations[name, 20] / deviations[name, 200]
            record.above(
                f"{PAPER}, Figs. 2, 3",
                f"({alpha}, {alpha_star}): largest deviation of the {name} at d = 20 over that at d = 200 (10 for 1/d, less where runs scatter or ratios are equal)",
                ratio,
                2.0,
            )
        panels[0, column].set_title(rf"$\alpha = {alpha},\ \alpha_* = {alpha_star}$", fontsize=style.TEXT)
        panels[1, column].set_xlabel(r"$\gamma = 2\tau$")
    panels[0, 0].set_ylabel(r"$\varphi$")
    panels[1, 0].set_ylabel(r"$\chi$")
    style.add_legend(panels[1, 0], loc="lower right")
    record.figure(figure, "figures_2_3")
    record.table(
        "figures_2_3",
        ["student_ratio", "teacher_ratio", "dimension", "variable", "gamma", "mean", "standard_error", "limit"],
        rows,
    )


def figure_4(record: Record, full: bool) -> None:
    gammas = np.geomspace(0.02, 10, 40)
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.marchenko_pastur(0.25), start="gaussian")
    limit = problem.solve(gammas / 2)
    shadow = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25)).solve(gammas / 2)
    d, runs = (400, 16) if full else (200, 8)
    seen = problem.simulate(gammas / 2, dimension=d, runs=runs, rng=1, progress=False).overlap
    own = float(np.abs(seen.mean("run") - limit.overlap).max())
    other = float(np.abs(seen.mean("run") - shadow.overlap).max())
    record.below(
        f"{PAPER}, Fig. 4, with its own limit",
        f"Gaussian weights at d = {d}: largest deviation of the overlap",
        own,
        8.0 / d,
    )
    record.above(f"{PAPER}, Fig. 4, as drawn", "the same from the orthonormal limit", other, 3 * own)
    axes = style.new_axes()
    axes.plot(gammas, limit.overlap, color=style.THEORY, label="limit, Gaussian")
    axes.plot(gammas, shadow.overlap, "--", color=style.GUIDE, label="limit, orthonormal")
    axes.errorbar(
        gammas[::2],
        seen.mean("run")[::2],
        seen.std("run", ddof=1)[::2] / math.sqrt(runs),
        fmt="o",
        ms=3,
        color=style.COLOURS[0],
        label=f"Gaussian, $d = {d}$",
    )
    axes.set_xscale("log")
    axes.set_xlabel(r"$\gamma = 2\tau$")
    axes.set_ylabel(r"$\chi$")
    style.add_legend(axes, loc="lower right")
    record.figure(axes.figure, "figure_4")
    record.table(
        "figure_4",
        ["gamma", "limit_gaussian", "limit_orthonormal", "mean", "standard_deviation"],
        [
            [
                float(g),
                float(limit.overlap[i]),
                float(shadow.overlap[i]),
                float(seen[:, i].mean()),
                float(seen[:, i].std(ddof=1)),
            ]
            for i, g in enumerate(gammas)
        ],
    )


def figure_5(record: Record) -> None:
    d, teacher = 20, 3
    s = np.geomspace(0.1, 1e4, 120)
    figure = style.new_figure(2 * style.COLUMN, 2.5)
    left, right = figure.subplots(1, 2)
    for index, m in enumerate((4, 6, 10)):
        flow = fl.QuadraticFlow.gaussian(d, m, teacher, rng=index)
        result = flow.solve(s / 2)
        n = m - teacher
        constant = n * (teacher + 2) / (16 * (teacher + 2 + n))
        record.close(
            f"{PAPER}, Fig. 5; docs/theory.md (Q11)",
            f"s^2 risk at s = 1e4, m = {m}, m* = {teacher}, d = {d}",
            float(result.risk[-1]) * s[-1] ** 2,
            constant,
            rtol=2e-2,
        )
        left.plot(s, result.risk * s**2, color=style.COLOURS[index], label=f"$m = {m}$")
        left.axhline(constant, ls=":", color=style.COLOURS[index])
    rng = np.random.default_rng(3)
    W_star = math.sqrt(d) * np.linalg.qr(rng.normal(size=(d, teacher)))[0].T * np.sqrt([[1.0], [1.3], [1.7]])
    equal = fl.QuadraticFlow(rng.normal(size=(teacher, d)), W_star)
    smallest = 1.0 / teacher
    late = np.linspace(8, 16, 40)
    result = equal.solve(late / 2)
    slope = float(np.polyfit(late[20:], np.log(result.risk.values[20:]), 1)[0])
    record.close(
        f"{PAPER}, Fig. 5",
        "m = m* = 3 < d: rate of the exponential decay over 4 times the smallest teacher eigenvalue",
        -slope / (4 * smallest),
        1.0,
        rtol=2e-2,
    )
    right.semilogy(late, result.risk, color=style.COLOURS[0], label="$m = m_* = 3$")
    right.semilogy(
        late,
        result.risk.values[-1] * np.exp(-4 * smallest * (late - late[-1])),
        ":",
        color=style.GUIDE,
        label=r"$e^{-4\ell_{\min}s}$",
    )
    for axes, label in ((left, r"$s^2\times$ risk"), (right, "risk")):
        style.dress(axes)
        axes.set_xlabel("$s = 2t$")
        axes.set_ylabel(label)
        style.add_legend(axes)
    left.set_xscale("log")
    left.set_yscale("log")
    record.figure(figure, "figure_5")


def figure_6(record: Record) -> None:
    gammas = np.geomspace(0.1, 2e6, 150)
    figure = style.new_figure(2 * style.COLUMN, 2.5)
    left, right = figure.subplots(1, 2)
    for index, (alpha, alpha_star) in enumerate(((0.5, 0.25), (0.8, 0.4), (0.3, 0.25))):
        result = fl.ExtensiveQuadratic(alpha, fl.Spectrum.orthonormal(alpha_star)).solve(gammas / 2)
        misalignment = (alpha - alpha_star) * alpha_star**3 / (32 * alpha**2)
        risk = alpha_star * (alpha - alpha_star) / (16 * alpha)
        record.close(
            f"{PAPER}, Fig. 6",
            f"gamma^2 (1 - chi) at gamma = 2e6, ({alpha}, {alpha_star})",
            float(result.misalignment[-1]) * gammas[-1] ** 2,
            misalignment,
            rtol=1e-4,
        )
        record.close(
            f"{PAPER}, Fig. 6",
            f"gamma^2 d risk at gamma = 2e6, ({alpha}, {alpha_star})",
            float(result.risk[-1]) * gammas[-1] ** 2,
            risk,
            rtol=1e-4,
        )
        left.loglog(
            gammas, result.misalignment, color=style.COLOURS[index], label=rf"$\alpha={alpha},\ \alpha_*={alpha_star}$"
        )
        left.loglog(gammas, misalignment / gammas**2, ":", color=style.COLOURS[index])
    equal = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.5)).solve(gammas / 2)
    expected = (0.5 * math.log(0.5) + 0.5 * math.log(0.5)) / (2 * 0.5)
    record.close(
        f"{PAPER}, Sec. 4",
        "multiplier at equal ratios 0.5, gamma = 2e6",
        float(equal.multiplier[-1]),
        expected,
        atol=1e-7,
    )
    below = fl.ExtensiveQuadratic(0.25, fl.Spectrum.orthonormal(0.5)).solve([50.0, 1e6])
    record.close(
        f"{PAPER}, Sec. 4",
        "overlap below the teacher's width at tau = 1e6",
        float(below.overlap[-1]),
        math.sqrt(0.5),
        atol=1e-10,
    )
    slope = float(below.multiplier[1] - below.multiplier[0]) / (2 * (1e6 - 50))
    record.close(f"{PAPER}, Sec. 4", "slope of the multiplier there", slope, -2 * (1 / 0.25 - 1 / 0.5), rtol=1e-8)
    grid = np.linspace(0.05, 1, 60)
    for index, alpha_star in enumerate((0.25, 0.5, 0.75)):
        final = [
            float(fl.ExtensiveQuadratic(a, fl.Spectrum.orthonormal(alpha_star)).solve([1e4]).overlap[0]) for a in grid
        ]
        right.plot(grid, final, "o", ms=2.5, color=style.COLOURS[index], label=rf"$\alpha_* = {alpha_star}$")
        right.plot(grid, np.minimum(1, np.sqrt(grid / alpha_star)), color=style.COLOURS[index], lw=0.8)
    for axes, x, y in ((left, r"$\gamma = 2\tau$", r"$1-\chi$"), (right, r"student ratio $\alpha$", r"$\chi_\infty$")):
        style.dress(axes)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        style.add_legend(axes)
    record.figure(figure, "figure_6")


def wrong_theory(record: Record) -> None:
    """Compare the runs of one problem with the limit of another: the programme must see it."""
    times = np.geomspace(0.05, 5, 30)
    problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))
    wrong = fl.ExtensiveQuadratic(0.525, fl.Spectrum.orthonormal(0.25)).solve(times)
    runs = [problem.simulate(times, dimension=d, runs=24, rng=i, progress=False) for i, d in enumerate((60, 120, 240))]
    right = fl.compare(problem.solve(times), *runs)
    record.claim(
        "flowlimits",
        "the right limit against d = 60, 120, 240, 24 runs each",
        expected="agrees",
        seen=right.verdict,
        passed=right.passed is True,
    )
    verdict = fl.compare(wrong, *runs)
    record.wrong_theory(
        "flowlimits",
        "a limit whose student ratio is 5 % off, against the same runs",
        seen=verdict.verdict,
        failed=verdict.passed is False,
    )
