r"""Equations with tags that pages and docstrings can cite, and MathJax without a network.

An equation with ``\tag{Q1}`` gets an anchor, and every "(Q1)" on any page becomes a link to it.  So does "docs/theory.md"
in a docstring, which becomes a link to that page.  MathJax comes from a Python package and is copied into the site.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

TAG = re.compile(r"\\tag\{([A-Z]\d+)\}")
CITED = re.compile(r"\((?P<tag>[A-Z]\d+)\)|docs/(?P<page>[a-z_]+)\.md")
MATHJAX = ("tex-chtml.js", "input/tex/extensions/textmacros.js", "output/chtml/fonts/woff-v2")

logger = logging.getLogger(__name__)


def note_equations(app: Sphinx, doctree: nodes.document) -> None:
    """Give every tagged equation its anchor, and remember where it is."""
    tags = _tags(app.env)
    for node in doctree.findall(nodes.math_block):
        found = TAG.findall(node.astext())
        for tag in found:
            if tag in tags and tags[tag] != app.env.docname:
                logger.warning("the equation (%s) stands on %s too", tag, tags[tag], location=node)
            tags[tag] = app.env.docname
            node["ids"].append(_anchor(tag))
        if found:
            # Sphinx would put lines into `split`, where TeX allows no tag.
            node["no-wrap"] = node["nowrap"] = True
            node.children[:] = [nodes.Text(rf"\[{node.astext()}\]")]


class LinkCitations(SphinxPostTransform):
    """Turn "(Q1)" in running text, and "docs/theory.md" in docstrings, into links."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(nodes.Text)):
            parent = node.parent
            if isinstance(
                parent, nodes.math | nodes.math_block | nodes.literal_block | nodes.reference | nodes.title | nodes.raw
            ):
                continue
            if isinstance(parent, nodes.literal):
                link = self._page(match[1]) if (match := re.fullmatch(r"docs/([a-z_]+)\.md", node)) else None
                if link is not None and not isinstance(parent.parent, nodes.reference):
                    parent.replace_self(link)
                continue
            pieces = self._pieces(node)
            if len(pieces) > 1:
                parent.replace(node, pieces)

    def _pieces(self, text: str) -> list[nodes.Node]:
        pieces: list[nodes.Node] = []
        end = 0
        for match in CITED.finditer(text):
            link = self._equation(match["tag"]) if match["tag"] else self._page(match["page"])
            if link is not None:
                pieces += [nodes.Text(text[end : match.start()]), link]
                end = match.end()
        return (
            [*(piece for piece in pieces if piece.astext()), nodes.Text(text[end:])] if pieces else [nodes.Text(text)]
        )

    def _equation(self, tag: str) -> nodes.Node | None:
        page = _tags(self.env).get(tag)
        if page is None:
            return None
        uri = self.app.builder.get_relative_uri(self.env.docname, page)
        return nodes.reference("", f"({tag})", refuri=f"{uri}#{_anchor(tag)}", internal=True)

    def _page(self, name: str) -> nodes.Node | None:
        if name not in self.env.found_docs or not self.env.docname.startswith("api/"):
            return None
        title = self.env.titles[name].astext()
        return nodes.reference(
            "", title, refuri=self.app.builder.get_relative_uri(self.env.docname, name), internal=True
        )


def _anchor(tag: str) -> str:
    return f"equation-{tag}"


def _tags(env: BuildEnvironment) -> dict[str, str]:
    if not hasattr(env, "equation_tags"):
        env.equation_tags = {}  # type: ignore[attr-defined]
    return env.equation_tags  # type: ignore[attr-defined,no-any-return]


def _forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    tags = _tags(env)
    for tag in [tag for tag, page in tags.items() if page == docname]:
        del tags[tag]


def _merge(app: Sphinx, env: BuildEnvironment, docnames: list[str], other: BuildEnvironment) -> None:
    _tags(env).update({tag: page for tag, page in _tags(other).items() if page in docnames})


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Copy MathJax and its fonts into the site."""
    if error is not None or app.builder.format != "html":
        return
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise RuntimeError('MathJax is missing: pip install "flowlimits[docs]" brings it with sphinx-mathjax-offline.')
    source, target = Path(spec.origin).parent / "static" / "mathjax", Path(app.outdir) / "_static" / "mathjax"
    for name in MATHJAX:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / name, target / name)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", note_equations)
    app.connect("env-purge-doc", _forget)
    app.connect("env-merge-info", _merge)
    app.connect("build-finished", copy_mathjax)
    app.connect("config-inited", lambda app, config: setattr(config, "mathjax_path", "mathjax/tex-chtml.js"))
    app.add_post_transform(LinkCitations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
