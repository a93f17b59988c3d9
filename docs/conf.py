"""Configuration of the documentation: ``sphinx-build -W --keep-going -b html docs docs/_build/html``."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import flowlimits

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))
os.environ.pop("MPLBACKEND", None)  # notebooks show figures with the backend of their kernel only
os.environ["TQDM_DISABLE"] = "1"  # whether a bar appears depends on how busy the machine is
logging.getLogger("matplotlib").setLevel(logging.WARNING)  # which fonts it takes symbols from

project = "flowlimits"
author = "The flowlimits developers"
copyright = "The flowlimits developers"
release = version = flowlimits.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "mathematics",
]
# What sphinx-gallery makes of gallery/ stands in auto_gallery/: pages there are .rst, and notebooks are for readers to download.
exclude_patterns = ["_build", "gallery", "auto_gallery/*.ipynb"]

html_theme = "furo"
html_title = f"flowlimits {release}"
html_static_path = ["_static"]
html_css_files = ["flowlimits.css"]
html_show_sphinx = False

# Docstrings: numpydoc sections; `name` in single backticks is a name of Python where there is one, and code elsewhere.
default_role = "py:obj"
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}

# Pages and notebooks are MyST Markdown.  A notebook that fails fails the build.
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
mathjax3_config = {  # names of arguments, such as weight_decay, inside \\text
    "loader": {"load": ["[tex]/textmacros"]},
    "tex": {"packages": {"[+]": ["textmacros"]}},
}
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_merge_streams = True

# A script of the gallery that fails, or warns in Sphinx, fails the build.
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"plot_",
    "capture_repr": (),  # text is what a script prints, not what its last line returns
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "show_signature": False,
    "show_memory": False,
    "matplotlib_animations": False,
}
