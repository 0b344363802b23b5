"""Label Studio's JSON export, read as a file without its server: brushes, polygons, boxes and ellipses."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from reco_assist.annotations import ImageRef
from reco_assist.errors import FormatError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.document import Document, named
from reco_assist.formats.fields import cut
from reco_assist.formats.label_studio import LOCAL_FILES
from reco_assist.formats.label_studio_regions import KINDS, read_regions

_UPLOADS = "/data/upload/"
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what the server puts before the name of a file that is uploaded


def is_export(document: object) -> bool:
    """Whether a JSON document is an export of tasks."""
    return (
        isinstance(document, Sequence)
        and len(document) > 0
        and all(isinstance(one, Mapping) and isinstance(one.get("data"), Mapping) for one in document)
    )


def read_export(tasks: Sequence[Mapping[str, Any]], source: str, *, images: Path | None = None) -> Dataset:
    """Read tasks: of each the annotation that was changed last, skipped ones left out.

    Args:
        tasks: As `JSON` of the server's export page has them.
        source: The file, as messages name it.
        images: Folder of the photographs.

    Raises:
        FormatError: A task is damaged, or two images cannot be told from the tasks.
    """
    made = Document(source)
    for task in tasks:
        with named(f"task {cut(task.get('id'))} of {source}"):
            _read(made, task)
    return made.dataset(images)


def image_name(task: Mapping[str, Any]) -> tuple[str, str]:
    """The name of a task's image, which is what we gave it or the end of its address, and that address.

    Raises:
        FormatError: No text of the task is an address.
    """
    data = task["data"]
    if isinstance(data.get("file_name"), str):
        return str(data["file_name"]), str(data["file_name"])
    found = [data.get("image"), *data.values()]
    address = next(
        (one for one in found if isinstance(one, str) and re.search(r"\.\w{2,5}(\?|$)", one)), None
    )
    if address is None:
        raise FormatError("none of its data is the address of an image")
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")
    if local and parts.path == LOCAL_FILES and not parts.netloc:
        return local[0], address
    name = unquote(parts.path).rsplit("/", 1)[-1]
    return _UPLOADED.sub("", name) if _UPLOADS in parts.path else name, address


def _read(made: Document, task: Mapping[str, Any]) -> None:
    kept = [one for one in task["annotations"] if not one.get("was_cancelled")]
    if len(kept) < len(task["annotations"]):
        made.left_out["annotations that were skipped"] += 1
    if not kept:
        return
    latest = max(kept, key=lambda one: str(one.get("updated_at") or ""))
    regions = [one for one in latest["result"] if one.get("type") in KINDS]
    sized = next((one for one in regions if "original_width" in one), task["data"])
    size = (
        sized.get("original_width", sized.get("width")),
        sized.get("original_height", sized.get("height")),
    )
    if size[0] is None:
        made.left_out["images without regions, whose size nothing tells"] += 1
        return
    (name, address), (width, height) = image_name(task), size
    image = made.image(name, width, height, origin=address)
    for drawn in read_regions(latest["result"], ImageRef(name, "", width, height), made.left_out):
        for concept in drawn.concepts:
            made.add(image, concept, drawn.mask)
