"""The documentation knows every public name, every class and every equation, and the metadata agree with each other."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

import flowlimits as fl
from flowlimits.core.problem import Problem, description_class
from flowlimits.core.registry import DESCRIPTIONS, MODULES
from flowlimits.data.cite import references

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROBLEMS = [name for name in DESCRIPTIONS if issubclass(description_class(name), Problem)]
DIRECTIVE = re.compile(
    r"^\.\. auto(?:class|function|exception):: (\S+)$|^\.\. (?:currentmodule|automodule):: (\S+)$", re.MULTILINE
)
TAG = re.compile(r"\\tag\{([A-Z]\d+)\}")

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the tests run without the repository")


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def referenced():
    """Return the full names that stand in the API reference."""
    names = set()
    for page in (DOCS / "api").glob("*.rst"):
        module = ""
        for name, current in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            module = current or module
            if name:
                names.add(name if name.startswith("flowlimits.") else f"{module}.{name}")
    return names


def public_names():
    modules = [name for name in fl.__all__ if name in MODULES]
    yield from (f"flowlimits.{name}" for name in fl.__all__ if name not in modules and name != "__version__")
    for module in modules:
        for name in getattr(getattr(fl, module), "__all__", ()):
            if getattr(getattr(fl, module), name) is not getattr(fl, name, None):
                yield f"flowlimits.{module}.{name}"


def rows(page, first=0):
    """Return the cells of the tables of a page by the names in the cell `first`."""
    found = {}
    for line in text_of(page).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) > first:
            for name in re.findall(r"[`~.](\w+)`", cells[first]):
                found.setdefault(name, cells)
    return found


def test_every_public_name_is_in_the_reference():
    assert sorted(set(public_names()) - referenced()) == []


def test_the_reference_would_miss_a_name():
    assert "flowlimits.compare" in referenced()
    assert "flowlimits.margin.certify" in set(public_names())
    assert "flowlimits.verdict.comparison" not in referenced()


@pytest.mark.parametrize("page", ["README.md", "docs/exact.md", "docs/conventions.md"])
def test_every_problem_has_its_row(page):
    assert sorted(set(PROBLEMS) - set(rows(page))) == []


def test_every_problem_is_offered_on_the_first_page():
    assert sorted(set(PROBLEMS) - set(rows("docs/start.md", first=2))) == []


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_called_exact_is_exact(name):
    kind, corrections = getattr(fl, name).kind, rows("README.md")[name][3]
    if isinstance(kind, str):
        assert (kind == "exact") == (corrections.startswith("none") or "exact at every dimension" in corrections)
    else:  # exact or a limit, by the learning rate
        assert "exact at every dimension; SGD d → ∞" in corrections


def test_every_equation_has_one_place():
    tags = [tag for page in DOCS.glob("*.md") for tag in TAG.findall(page.read_text(encoding="utf-8"))]
    assert sorted({tag for tag in tags if tags.count(tag) > 1}) == []
    for letter in {tag[0] for tag in tags}:
        numbers = sorted(int(tag[1:]) for tag in tags if tag[0] == letter)
        assert numbers == list(range(1, len(numbers) + 1)), letter


def test_every_equation_that_is_cited_exists():
    tags = {tag for page in DOCS.glob("*.md") for tag in TAG.findall(page.read_text(encoding="utf-8"))}
    letters = "".join({tag[0] for tag in tags})
    sources = [*(ROOT / "flowlimits").rglob("*.py"), *DOCS.glob("*.md")]
    cited = {tag for path in sources for tag in re.findall(rf"\(([{letters}]\d+)\)", path.read_text(encoding="utf-8"))}
    assert len(cited) > 30
    assert sorted(cited - tags) == []


def test_every_page_that_a_docstring_names_exists():
    named = {
        page
        for path in (ROOT / "flowlimits").rglob("*.py")
        for page in re.findall(r"docs/[a-z_]+\.md", path.read_text(encoding="utf-8"))
    }
    assert "docs/theory.md" in named
    assert sorted(page for page in named if not (ROOT / page).is_file()) == []
    # A user of an installation has no clone: the pages are part of it.
    installed = tomllib.loads(text_of("pyproject.toml"))["tool"]["setuptools"]["data-files"]
    files = {str(path.relative_to(ROOT)) for globs in installed.values() for one in globs for path in ROOT.glob(one)}
    assert named <= files


def test_every_validation_case_is_on_the_page():
    cases = runpy.run_path(str(ROOT / "validation" / "__init__.py"))["CASES"]
    assert sorted(set(cases) - set(re.findall(r"`(\w+)`", text_of("docs/validation.md")))) == []


def test_what_the_page_on_contributing_names_exists():
    page = text_of("docs/contributing.md")
    named = re.findall(r"`((?:flowlimits|tests|docs|validation|\.ci)/[\w./]+)`", page)
    room = ROOT / "flowlimits" / "random_networks"
    table = page[page.index("| file | what it does") : page.index("### 1.")]
    files = re.findall(
        r"`(\w+\.py)`", "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))
    )
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert sorted(files) == sorted(path.name for path in room.glob("*.py"))


def test_the_example_of_the_page_on_contributing_is_the_smallest_room():
    homes = {module.split(".")[1] for module in (DESCRIPTIONS[name] for name in PROBLEMS)}
    lines = {
        home: sum(len(path.read_text().splitlines()) for path in (ROOT / "flowlimits" / home).rglob("*.py"))
        for home in homes
    }
    assert min(lines, key=lines.get) == "random_networks"


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_cites_its_papers(name):
    entries = fl.cite(getattr(fl, name)).split("\n\n")
    assert entries[0] == fl.cite()
    assert len(entries) == 1 + len(getattr(fl, name).papers) > 1


def test_every_entry_is_bibtex_and_cited_by_a_problem():
    for key, entry in references().items():
        assert re.fullmatch(rf"@\w+\{{{key},\n(  \w+ *= \{{.+\}},\n)+\}}", entry), key
        assert entry.count("{") == entry.count("}"), key
    used = {paper for name in PROBLEMS for paper in getattr(fl, name).papers}
    assert used == set(references()) - {"flowlimits"}


def test_the_citation_file_agrees_with_the_package():
    fields = dict(re.findall(r'^(?:  - )?(\w[\w-]*): "?([^"\n]+)"?$', text_of("CITATION.cff"), re.MULTILINE))
    assert fields["version"] == fl.__version__
    entry = dict(re.findall(r"(\w+) += \{+([^}]+)\}+,", fl.cite()))
    assert (entry["title"], entry["version"], entry["author"]) == (fields["title"], fields["version"], fields["name"])
    assert fields["license"] == re.search(r'^license = "(.+)"$', text_of("pyproject.toml"), re.MULTILINE).group(1)


def test_the_changelog_starts_with_this_version():
    assert re.search(r"^## \[([\d.]+)\]", text_of("CHANGELOG.md"), re.MULTILINE).group(1) == fl.__version__
