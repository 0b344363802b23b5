"""Sphinx configuration. `make docs` builds the site into docs/_build/html; a warning is an error.

Sphinx and not mkdocs-material, which its authors only maintain any more: it checks every reference, reads the
docstrings themselves, and its formulas become MathML, so that the site loads nothing from elsewhere.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import latex2mathml.converter
import typer
from docutils import nodes

sys.path.insert(0, str(Path(__file__).parents[1]))

from reco_assist.cli.app import app as command_line
from reco_assist.version import __version__

ROOT = Path(__file__).parents[1]
MADE = ROOT / "docs" / "_made"

project = "reco-assist"
author = "the reco-assist authors"
release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
default_role = "code"
suppress_warnings = ["mystnb.unknown_mime_type"]  # widgets: the notebooks also hold their pictures

html_theme = "furo"
html_title = "reco-assist"
html_show_sphinx = False
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # `make test` executes them

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def write_pages() -> None:
    """Bring in what lives elsewhere: the README, CONTRIBUTING, the notebooks and the commands' own help."""
    shutil.rmtree(MADE, ignore_errors=True)
    MADE.mkdir()
    here = {
        "](docs/": "](../",
        "](notebooks)": "](../_made/tutorials.md)",
        "](CONTRIBUTING.md)": "](../_made/contributing.md)",
        "](SECURITY.md)": "](../_made/security.md)",
        "[NOTICE](NOTICE)": "`NOTICE`",
    }
    for name in ("README", "CONTRIBUTING", "SECURITY"):
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        for link, place in here.items():
            text = text.replace(link, place)
        (MADE / f"{name.lower()}.md").write_text(text, encoding="utf-8")
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    for notebook in notebooks:
        shutil.copy(notebook, MADE)
    listed = "\n".join(["quickstart", *(one.stem for one in notebooks if one.stem != "quickstart")])
    (MADE / "tutorials.md").write_text(f"# Tutorials\n\n```{{toctree}}\n{listed}\n```\n", encoding="utf-8")
    (MADE / "commands.md").write_text(_commands(), encoding="utf-8")


def _commands() -> str:
    root: Any = typer.main.get_command(command_line)
    pages = ["# Commands", "", "Every command has this help of its own: `reco-assist COMMAND --help`.", ""]
    for name, command in root.commands.items():
        for path, one in [
            (name, command),
            *((f"{name} {sub}", c) for sub, c in getattr(command, "commands", {}).items()),
        ]:
            context = one.make_context(f"reco-assist {path}", [], resilient_parsing=True)
            pages += [f"## {path}", "", "```text", one.get_help(context), "```", ""]
    return "\n".join(pages)


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(latex2mathml.converter.convert(node.astext()))
    raise nodes.SkipNode


def _display(self: Any, node: nodes.math_block) -> None:
    self.body.append(latex2mathml.converter.convert(node.astext(), display="block"))
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    write_pages()
