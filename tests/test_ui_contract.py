"""The browser modules and the Python classes agree on what is synchronised, and ship together."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reco_assist.ui import ExemplarGallery, MaskCanvas
from reco_assist.ui._assets import asset
from reco_assist.ui.rail import StepRail

WIDGETS = [
    pytest.param(ExemplarGallery, "exemplar_gallery", id="gallery"),
    pytest.param(MaskCanvas, "mask_canvas", id="canvas"),
    pytest.param(StepRail, "step_rail", id="rail"),
]


def _documented_traits(module: str) -> set[str]:
    block = re.search(r"@typedef \{object\} Traits\n(.*?)\*/", module, re.DOTALL)
    assert block, "the module documents no Traits"
    return set(re.findall(r"@property \{.+?\} (\w+) ", block[1]))


def _own_traits(widget: type) -> set[str]:
    base = set(widget.__mro__[1].class_trait_names(sync=True))
    return {name for name in widget.class_trait_names(sync=True) if name not in base}


@pytest.mark.parametrize(("widget", "name"), WIDGETS)
def test_documented_traits_are_the_synchronised_ones(widget, name):
    documented = _documented_traits(asset(f"{name}.js").read_text())
    assert documented
    assert documented == _own_traits(widget)


@pytest.mark.parametrize(("widget", "name"), WIDGETS)
def test_every_trait_is_listened_to(widget, name):
    module = asset(f"{name}.js").read_text()
    listened = re.search(r"keyof Traits\)\[\]\} \*/ \(\[(.*?)\]\)", module)
    assert listened
    assert set(json.loads(f"[{listened[1]}]")) == _own_traits(widget)


@pytest.mark.parametrize(("widget", "name"), WIDGETS)
def test_every_message_has_a_receiver(widget, name):
    module = asset(f"{name}.js").read_text()
    python = Path(__import__(widget.__module__, fromlist=["_"]).__file__).read_text()
    from_browser = set(re.findall(r'model\.send\(\{ type: "(\w+)"', module))
    from_kernel = set(re.findall(r'"type": "(\w+)"', python))
    assert from_browser
    assert from_kernel or widget is StepRail  # whose state is all in its traits
    for message in from_browser:
        assert re.search(rf'case "{message}":|"{message}": self\.', python), f"the kernel ignores {message}"
    for message in from_kernel:
        assert f'message.type === "{message}"' in module, f"the browser ignores {message}"


@pytest.mark.parametrize("path", sorted(asset("mask_canvas.js").parent.iterdir()), ids=lambda path: path.name)
def test_modules_stand_alone(path):
    text = path.read_text()
    assert path.suffix in {".js", ".css"}, "only what the browser loads is shipped"
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
    folder = asset("mask_canvas.js").parents[1]
    run = subprocess.run([node, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
