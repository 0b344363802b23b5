"""Run the tutorial notebooks and keep their outputs, with static pictures where widgets would be.

Widgets do not show on hosting sites, and without a kernel they show an error. A cell whose metadata name a
picture gets that one from test-artifacts/, which the browser tests leave there; another widget is drawn as it
was in the end. The one on Label Studio runs
on a server of its own, with a script for a curator; it is left out where Label Studio is not installed.

    python scripts/run_notebooks.py [NAME ...]
"""

import base64
import io
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from browser import visited  # noqa: E402
from conftest import Truth  # noqa: E402
from curator import run_with_server  # noqa: E402
from label_studio_server import Server, missing  # noqa: E402

PICTURES = ROOT / "test-artifacts"
WIDTH = 1000  # pixels of a picture
PORT = 8080  # Label Studio's own


def main() -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if sys.argv[1:] and path.stem not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            notebook = (with_server if "label_studio" in path.stem else alone)(path, Path(folder))
        if notebook is None:
            continue
        states = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
        for cell in notebook.cells:
            clean(cell, states.get("state", {}))
        notebook.metadata.pop("widgets", None)
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def alone(path: Path, folder: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
    return notebook


def with_server(path: Path, folder: Path) -> nbformat.NotebookNode | None:
    if reason := missing():
        print(f"{path.name}: {reason}")
        return None
    work = folder / "work"
    work.mkdir()
    with Server(folder / "server", port=PORT) as server:
        os.environ.update(LABEL_STUDIO_URL=server.url, LABEL_STUDIO_API_KEY=server.token)
        return run_with_server(path, work, server, Truth())


def clean(cell: nbformat.NotebookNode, states: dict[str, nbformat.NotebookNode]) -> None:
    """Leave out what differs from run to run, and what cannot be shown without a kernel.

    `states` are the widgets' in the end, by their models' ids.
    """
    cell.metadata.pop("execution", None)
    if cell.cell_type != "code":
        return
    cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    for output in cell.outputs:
        data = output.get("data", {})
        if view := data.pop("application/vnd.jupyter.widget-view+json", None):
            if name := cell.metadata.get("picture"):
                data["text/plain"] = "The Annotator: run this cell to work in it."
                data["image/jpeg"] = picture(PICTURES / f"{name}.png")
            else:
                data["text/plain"] = "Run this cell to see it grow."
                data["image/jpeg"] = small(drawn(states[view["model_id"]]["state"]["value"]))
        elif png := data.pop("image/png", None):
            data["image/jpeg"] = small(base64.b64decode(png))


def drawn(html: str) -> bytes:
    """A PNG of what an HTML widget shows."""
    styled = f"<style>* {{ font-family: sans-serif; font-size: 13px }}</style>{html}"
    with visited(f"data:text/html;charset=utf-8,{quote(styled)}", width=680, height=210, scale=1.5) as page:
        png: bytes = page.screenshot()
    return png


def picture(path: Path) -> str:
    if not path.is_file():
        raise SystemExit(f"{path} is missing: run pytest tests/test_browser.py first")
    return small(path.read_bytes())


def small(data: bytes) -> str:
    """A JPEG of at most `WIDTH` pixels, base64; a PNG as small would lose the rarer colours."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.thumbnail((WIDTH, 10_000), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85, subsampling=0, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    main()
