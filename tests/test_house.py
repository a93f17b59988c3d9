"""Invariants of the layout: layers, no circle, one importer of Numba's insides, doors, sizes, one registry."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import flowlimits
from flowlimits.core import registry

PACKAGE = Path(flowlimits.__file__).parent
FILES = {
    path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", "."): path
    for path in PACKAGE.rglob("*.py")
}
MODULES = {name.removesuffix(".__init__"): path for name, path in FILES.items()}

#: The rooms: one setting each, which know no other room.
ROOMS = (
    "quadratic",
    "committee",
    "mixture",
    "samples",
    "margin",
    "random_networks",
    "empirical",
    "mean_field",
    "single_unit",
)
#: From the ground up: a folder imports what stands before it, or beside it in the same set where that is said.
LAYERS = [
    {"compiled"}, {"core"}, {"gaussian"}, {"spectrum"}, {"ode"}, set(ROOMS), {"many", "verdict", "data", "plot", "conventions"},
    {"toml"}, {"studies"}, {"command_line"},
]  # fmt: skip
FLOOR = {name: floor for floor, names in enumerate(LAYERS) for name in names}
#: Rooms that build on another room.
BESIDE = {("empirical", "quadratic"), ("mean_field", "committee")}


def imports(name: str) -> set[str]:
    """Return the modules of the package that a module imports, wherever in it, and the names of foreign ones."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(
                [
                    *package[: len(package) - node.level + 1 if node.level else 0],
                    *([node.module] if node.module else []),
                ]
            )
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= {one if one in MODULES else base for one in inner}
    return found - {name}


GRAPH = {name: {one for one in imports(name) if one in MODULES} for name in MODULES}


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_every_import_names_a_module_that_is_there():
    """Also those inside functions, which fail only when they are called."""
    wanted = {(name, one) for name in MODULES for one in imports(name)}
    assert [pair for pair in sorted(wanted) if pair[1].startswith("flowlimits.") and pair[1] not in MODULES] == []
    depths = [
        (name, node.level)
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level >= len(path.relative_to(PACKAGE.parent).parts)
    ]
    assert depths == []


def test_no_circle():
    try:
        tuple(TopologicalSorter(GRAPH).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_every_folder_stands_on_the_layers_below_it():
    breaches = [
        f"{name} -> {one}"
        for name, wanted in GRAPH.items()
        for one in wanted
        if room(name) in FLOOR and room(one) in FLOOR and room(name) != room(one)
        if FLOOR[room(one)] > FLOOR[room(name)]
        or (FLOOR[room(one)] == FLOOR[room(name)] == FLOOR["committee"] and (room(name), room(one)) not in BESIDE)
    ]
    assert breaches == []
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders <= FLOOR.keys()


def test_only_compiled_knows_the_insides_of_numba():
    inside = ("numba.core", "numba.np", "llvmlite")
    breaches = [
        name for name in MODULES if room(name) != "compiled" and any(one.startswith(inside) for one in imports(name))
    ]
    assert breaches == []


@pytest.mark.parametrize(
    "name", sorted({module for module in registry.DESCRIPTIONS.values() if module.endswith(".problem")})
)
def test_every_room_has_the_same_doors(name):
    home = name.removesuffix(".problem")
    assert {f"{home}.physics", f"{home}.problem", f"{home}.limit", f"{home}.simulation"} <= MODULES.keys()
    below = [one for one in GRAPH if one.startswith(f"{home}.") and one not in (name, home) and name in GRAPH[one]]
    assert [
        one for one in below if one.split(".")[-1] in ("physics", "limit") or "equations" in one or "simulation" in one
    ] == []


def test_folders_and_files_are_small():
    folders = {path.parent for path in FILES.values()}
    assert [
        folder.name for folder in folders if len([*folder.glob("*.py")]) - (folder / "__init__.py").exists() > 18
    ] == []
    assert [name for name, path in FILES.items() if len(path.read_text(encoding="utf-8").splitlines()) > 330] == []


def test_arrows_between_rooms():
    pairs = {(room(name), room(one)) for name, wanted in GRAPH.items() for one in wanted}
    assert len({(a, b) for a, b in pairs if a != b and {a, b} <= FLOOR.keys()}) <= 70


def test_every_public_name_is_in_the_registry_once():
    assert sorted([*registry.MODULES, *registry.NAMES, "__version__"]) == list(flowlimits.__all__)
    assert all(module in MODULES for module in (*registry.NAMES.values(), *registry.DESCRIPTIONS.values()))
    assert not set(registry.MODULES) & set(registry.NAMES)


def test_editors_and_type_checkers_know_every_public_name():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    known = {
        alias.asname: f"flowlimits{'.' + node.module if node.module else ''}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert known == dict.fromkeys(registry.MODULES, "flowlimits") | registry.NAMES
    assert (PACKAGE / "py.typed").exists()
