"""A curator, for tests and tutorials: knows the samples' exact masks, corrects by Label Studio's API."""

import nbformat
import numpy as np
from label_studio_sdk.converter import brush
from nbclient import NotebookClient

ALIKE = 0.9  # IoU from which a mask is left as it is
WAITS = "curator"  # tag of the cell before which a notebook waits for corrections
_MUG = 1  # in the samples' label maps


def run_with_server(path, folder, server, truth):
    """Execute a notebook on a server, correcting what it pushed before the cell that waits for it."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, store_widget_state=False, resources={"metadata": {"path": str(folder)}}
    )

    def correct(cell, cell_index):
        if WAITS in cell.metadata.get("tags", []):
            correct_mugs(server.client(), notebook.metadata["reco_assist"]["project"], truth)

    client.on_cell_start = correct
    client.execute()
    return notebook


def correct_mugs(client, title, truth):
    """Submit every task of a project: good masks as they are, the others redrawn or taken away.

    Returns:
        The exact masks, (H, W) bool, by the name of the image's file.
    """
    (project,) = [one for one in client.projects.list() if one.title == title]
    exact = {}
    for task in client.tasks.list(project=project.id, fields="all"):
        name = task.data["file_name"]
        mask = truth.labels(f"targets/{name}") == _MUG
        (guess,) = [one if isinstance(one, dict) else one.model_dump(mode="json") for one in task.predictions]
        client.annotations.create(
            id=task.id, result=_corrected(guess["result"], mask), parent_prediction=guess["id"]
        )
        exact[name] = mask
    return exact


def _corrected(regions, mask):
    if not mask.any():
        return []
    height, width = mask.shape
    predicted = np.zeros_like(mask)
    for region in regions:
        predicted |= brush.decode_rle(region["value"]["rle"]).reshape(height, width, 4)[..., 3] >= 128
    if (predicted & mask).sum() >= ALIKE * (predicted | mask).sum():
        return regions
    first = regions[0] if regions else {"id": "drawn", "from_name": "label", "to_name": "image"}
    drawn = {
        **first,
        "type": "brushlabels",
        "origin": "prediction-changed" if regions else "manual",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "format": "rle",
            "rle": brush.mask2rle(mask.astype(np.uint8) * 255),
            "brushlabels": ["mug"],
        },
    }
    return [drawn]
