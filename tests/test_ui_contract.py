"""The browser modules and the Python classes agree on what is synchronised, and ship together."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reco_assist.ui import ExemplarGallery, MaskCanvas
from reco_assist.ui._assets import asset
from reco_assist.ui.stepper import Stepper

SOURCE = asset("mask_canvas.js").parents[1] / "src"

WIDGETS = [
    pytest.param(ExemplarGallery, "gallery", id="gallery"),
    pytest.param(MaskCanvas, "canvas", id="canvas"),
    pytest.param(Stepper, "stepper", id="stepper"),
]


def _typedef(folder: str, name: str) -> str:
    """The documentation of a type that a widget's modules share."""
    text = (SOURCE / folder / "types.js").read_text()
    blocks = [block for block in re.findall(r"/\*\*(.*?)\*/", text, re.DOTALL) if f"}} {name}" in block]
    assert len(blocks) <= 1
    return blocks[0] if blocks else ""


def _handlers(folder: str, function: str) -> set[str]:
    """What the widget gives handlers for, in a call of `watch` or `receive`."""
    text = (SOURCE / folder / "widget.js").read_text()
    call = re.search(rf"\({function}\)\(.*?\{{\n(.*?)\n    \}}\);", text, re.DOTALL)
    return set(re.findall(r"^      (\w+): ", call[1], re.MULTILINE)) if call else set()


def _own_traits(widget: type) -> set[str]:
    base = set(widget.__mro__[1].class_trait_names(sync=True))
    return {name for name in widget.class_trait_names(sync=True) if name not in base}


@pytest.mark.parametrize(("widget", "folder"), WIDGETS)
def test_documented_traits_are_the_synchronised_ones(widget, folder):
    text = (SOURCE / folder / "types.js").read_text()
    block = re.search(r"@typedef \{object\} Traits\n(.*?)\*/", text, re.DOTALL)
    assert set(re.findall(r"@property \{.+?\} (\w+) ", block[1])) == _own_traits(widget)


@pytest.mark.parametrize(("widget", "folder"), WIDGETS)
def test_every_trait_is_listened_to(widget, folder):
    assert _handlers(folder, "watch") == _own_traits(widget)


@pytest.mark.parametrize(("widget", "folder"), WIDGETS)
def test_every_message_has_a_receiver(widget, folder):
    python = Path(__import__(widget.__module__, fromlist=["_"]).__file__).read_text()
    from_browser = set(re.findall(r'type: "(\w+)"', _typedef(folder, "ToKernel")))
    from_kernel = set(re.findall(r'type: "(\w+)"', _typedef(folder, "FromKernel")))
    assert from_browser
    assert from_kernel or widget is Stepper  # whose state is all in its traits
    assert from_kernel == set(re.findall(r'"type": "(\w+)"', python)) == _handlers(folder, "receive")
    for message in from_browser:
        assert re.search(rf'case "{message}":|"{message}": self\.', python), f"the kernel ignores {message}"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.js")), ids=lambda path: path.name)
def test_modules_of_the_widgets_are_small(path):
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", sorted(asset("mask_canvas.js").parent.iterdir()), ids=lambda path: path.name)
def test_what_ships_stands_alone(path):
    text = path.read_text()
    assert path.suffix in {".js", ".css"}, "only what the browser loads is shipped"
    assert len(max(text.splitlines(), key=len)) < 400, "what is shipped can be read"
    # anywidget serves the text from a blob: URL, where a relative import leaves a blank cell.
    assert not re.search(r"^\s*(import|export)\b[^;]*\bfrom\b|@import|url\(", text, re.MULTILINE)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


@pytest.mark.parametrize("arguments", [["--test", "tests/"]], ids=["node --test"])
def test_pure_functions_of_the_modules(arguments):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; it runs the tests of the browser modules")
    run = subprocess.run([node, *arguments], cwd=SOURCE.parent, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
