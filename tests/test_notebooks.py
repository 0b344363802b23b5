"""The tutorials run from top to bottom, and what is committed shows without running them."""

import ast
import base64
import importlib
import io
import json
import re
import tempfile
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from curator import run_with_server
from label_studio_server import LEGACY_TOKEN
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROSE = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ROUND_TRIP = next(path for path in NOTEBOOKS if path.stem == "label_studio_round_trip")
ALONE = [path for path in NOTEBOOKS if path != ROUND_TRIP]


def test_there_are_five():
    names = ["label_studio_round_trip", "out_of_vocabulary", "quickstart", "reco_plus", "your_own_photos"]
    assert [path.stem for path in NOTEBOOKS] == names


def test_what_the_tutorials_and_the_documentation_import_is_there():
    """A name that went may be that of a module: imported all the same, and no function any more."""
    code = [
        cell.source
        for path in NOTEBOOKS
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
    ]
    code += [block for path in PROSE for block in re.findall(r"(?ms)^```python\n(.*?)^```", path.read_text())]
    imports = {
        (node.module, one.name)
        for block in code
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("reco_assist")
        for one in node.names
    }
    assert len(imports) > 20
    for module, name in sorted(imports):
        assert not isinstance(getattr(importlib.import_module(module), name), ModuleType), (module, name)


@pytest.mark.parametrize("path", ALONE, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(path.parents[1]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    views = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    ]
    assert len(views) == 1


def test_the_round_trip_runs(label_studio, truth, tmp_path, monkeypatch):
    """What a curator corrected comes back and teaches, and the next images join the project."""
    monkeypatch.setenv("PYTHONPATH", str(ROUND_TRIP.parents[1]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    notebook = run_with_server(ROUND_TRIP, tmp_path, label_studio, truth)
    said = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert label_studio.token not in said
    assert "8 of 8 images annotated" in said
    assert re.search(r"corrected images kept aside: IoU 0\.\d+ -> 0\.\d+", said)
    assert (tmp_path / "mug.concept").is_file()
    assert "4 tasks created" in said


def test_without_a_server_the_round_trip_says_how_to_start_one(tmp_path, monkeypatch):
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    notebook = nbformat.read(ROUND_TRIP, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "LABEL_STUDIO_URL" in cell.source]
    monkeypatch.setenv("PYTHONPATH", str(ROUND_TRIP.parents[1]))
    with pytest.raises(CellExecutionError, match="pip install label-studio"):
        NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_without_running(path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    pictures = [
        (kind, base64.b64decode(data))
        for o in outputs
        for kind, data in o.get("data", {}).items()
        if kind.startswith("image/")
    ]
    assert pictures
    for kind, picture in pictures:
        image = Image.open(io.BytesIO(picture))
        image.load()
        assert image.get_format_mimetype() == kind
        assert len(picture) <= 200_000
    # A model that is not running shows as an error where a notebook is opened.
    assert not any("application/vnd.jupyter.widget-view+json" in o.get("data", {}) for o in outputs)
    texts = " ".join(o.get("text", "") + str(o.get("data", {}).get("text/plain", "")) for o in outputs)
    assert str(Path.home()) not in texts
    assert str(path.parents[1]) not in texts
    assert tempfile.gettempdir() not in texts
    assert LEGACY_TOKEN not in path.read_text()
