"""What may be imported where, and what must not be loaded when."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import flowlimits

PACKAGE = Path(flowlimits.__file__).parent
ALLOWED = {"__future__", "collections", "functools", "llvmlite", "math", "numba", "numpy", "operator", "typing"}

# Above the wall: they hand functions to the compiler that are made at run time, or given by a user, or compile all ahead.
ABOVE = {"command_line/main.py", "margin/models.py", "single_unit/expressions.py"}


def _equation_modules() -> list[str]:
    """Return the modules of equations, those that compile functions, and whatever they import of the package."""
    files = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    found = {
        name
        for name, path in files.items()
        if path.stem.startswith("equations")
        or name.startswith("gaussian/")
        or "flowlimits.compiled.jit" in _imports(name)
        if not name.startswith(("ode/", "compiled/")) and name not in ABOVE
    }
    waiting = list(found)
    while waiting:
        for module in _imports(waiting.pop()):
            name = module.removeprefix("flowlimits.").replace(".", "/") + ".py"
            if name in files and name not in found and not name.startswith("compiled/"):
                found.add(name)
                waiting.append(name)
    return sorted(found)


def _imports(path: str) -> set[str]:
    """Return the absolute names of all modules that a file imports, wherever in it."""
    file = PACKAGE / path
    package = ["flowlimits", *Path(path).parent.parts]
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            inner = {f"{module}.{alias.name}" for alias in node.names}
            names |= {name if _is_module(name) else module for name in inner}
    return names


def _is_module(name: str) -> bool:
    relative = Path(*name.split(".")[1:])
    return name.startswith("flowlimits") and (
        (PACKAGE / relative).with_suffix(".py").exists() or (PACKAGE / relative).is_dir()
    )


def _foreign(path: str) -> set[str]:
    """Return what a module imports beyond arrays; the modules of the package that it imports are judged themselves."""
    return {name for name in _imports(path) if name.split(".")[0] not in ALLOWED and not name.startswith("flowlimits.")}


def _loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


HEAVY = {"numba", "scipy", "xarray", "sympy", "pandas", "matplotlib", "h5netcdf", "h5py", "pydantic", "tqdm"}


@pytest.mark.parametrize("path", _equation_modules())
def test_equations_know_arrays_only(path):
    assert _foreign(path) == set()


def test_the_wall_has_bricks():
    assert "gaussian/bivariate.py" in _equation_modules()


def test_the_wall_would_catch_a_breach():
    assert "xarray" in _foreign("core/results.py")
    assert "dataclasses" in _foreign("core/problem.py")


def test_importing_the_package_loads_nothing_heavy():
    assert _loaded_after("import flowlimits; dir(flowlimits)") & (HEAVY | {"numpy", "click"}) == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["solve", "--help"], ["converge", "extensive", "--help"]]
)
def test_help_loads_nothing_heavy(arguments):
    code = f"from flowlimits.command_line.main import main\ntry:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0"
    assert _loaded_after(code) & (HEAVY | {"numpy"}) == set()


def test_every_public_name_exists():
    for name in flowlimits.__all__:
        assert getattr(flowlimits, name) is not None
    with pytest.raises(AttributeError) as caught:
        flowlimits.solv  # noqa: B018
    assert str(caught.value) == "module 'flowlimits' has no attribute 'solv'"


def test_the_first_curve_needs_no_integrator_or_optimiser_of_scipy_and_no_plotting():
    code = (
        "import numpy as np\n"
        "import flowlimits as fl\n"
        "problem = fl.ExtensiveQuadratic(0.5, fl.Spectrum.orthonormal(0.25))\n"
        "assert problem.solve(np.geomspace(0.01, 1, 5))['risk'].shape == (5,)"
    )
    unwanted = {"scipy.integrate", "scipy.optimize", "matplotlib", "matplotlib.pyplot", "sympy", "h5netcdf", "pydantic"}
    if importlib.util.find_spec("dask") is None:  # xarray loads dask where it is installed, and dask loads SciPy
        unwanted |= {"scipy.linalg", "scipy.special"}
    assert _loaded_after(code) & unwanted == set()


def test_plots_do_not_load_pyplot():
    code = "import flowlimits as fl\nfl.plot.curves\nfrom flowlimits.plot import style\nstyle.new_axes()"
    assert "matplotlib.pyplot" not in _loaded_after(code)
