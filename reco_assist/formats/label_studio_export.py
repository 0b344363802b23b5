"""Label Studio's JSON export, read as a file without its server: brushes, polygons, boxes and ellipses."""

import re
from collections import Counter
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
from reco_assist.formats.names import name_key

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
    found: list[tuple[str, str]] = []
    for task in tasks:
        with named(f"task {cut(task.get('id'))} of {source}"):
            found.append(_named(task))
    for task, name, (_, address) in zip(tasks, part_names(found), found, strict=True):
        with named(f"task {cut(task.get('id'))} of {source}"):
            _read(made, task, name, address)
    return made.dataset(images)


def image_name(data: Mapping[str, Any], address: str) -> str:
    """The name of a task's image: what we gave it, or the end of its address.

    Args:
        data: Of the task.
        address: Of the image; of an upload the server's own letters before the name do not count.
    """
    given = data.get("file_name")
    return given if given and isinstance(given, str) else _end(address)


def part_names(found: Sequence[tuple[str, str]]) -> list[str]:
    """Names of images; where several addresses have one end, as much of each as tells it from the others.

    Args:
        found: What `image_name` says of each image, and its address.
    """
    names = [name for name, _ in found]
    alike: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        alike.setdefault(name_key(name), []).append(index)
    for key, group in alike.items():
        places = {index: _steps(found[index][1]) for index in group} if len(group) > 1 else {}
        longer = _parted(key, set(places.values()))
        for index, steps in places.items():
            if len(longer) > 1 and names[index] == _end(found[index][1]):  # what we gave it stays
                names[index] = longer[steps]
    return names


def _parted(key: str, places: set[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Of each place the shortest end that no other has, and that is not the name which they share."""
    names: dict[tuple[str, ...], str] = {}
    length = 0
    while left := places - names.keys():
        length += 1
        ends = Counter(steps[-length:] for steps in places)
        for steps in left:
            name = "/".join(steps[-length:])
            if (ends[steps[-length:]] == 1 and name_key(name) != key) or length >= len(steps):
                names[steps] = name
    return names


def _end(address: str) -> str:
    steps = _steps(address)
    if steps[:1] == (LOCAL_FILES,):
        return "/".join(steps[1:])
    name = "".join(steps[-1:])
    return _UPLOADED.sub("", name) if _UPLOADS in address else name


def _steps(address: str) -> tuple[str, ...]:
    """The host, the folders and the file of an address; of a file on the server's disk its place there."""
    try:
        parts = urlsplit(address)
    except ValueError:  # no address that a browser understands
        return tuple(filter(None, address.split("/")))
    local = parse_qs(parts.query).get("d")
    if local and parts.path == LOCAL_FILES and not parts.netloc:
        return (LOCAL_FILES, *_folders(local[0]))
    return tuple(filter(None, (parts.netloc, *_folders(unquote(parts.path)))))


def _folders(path: str) -> list[str]:
    return [one for one in path.split("/") if one not in {"", ".", ".."}]


def _named(task: Mapping[str, Any]) -> tuple[str, str]:
    """The name of a task's image and its address: of `image`, or the first text that looks like one.

    Raises:
        FormatError: No text of an annotated task is an address, and it does not name its image.
    """
    data = task["data"]
    found = [data.get("image"), *data.values()]
    texts = (one for one in found if isinstance(one, str))
    address = next((one for one in texts if re.search(r"\.\w{2,5}(\?|$)", one)), "")
    name = image_name(data, address)
    if not name and any(not one.get("was_cancelled") for one in task["annotations"]):
        raise FormatError("none of its data is the address of an image")
    return name, address


def _read(made: Document, task: Mapping[str, Any], name: str, address: str) -> None:
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
    width, height = size
    image = made.image(name, width, height, origin=image_name(task["data"], "") or address)
    for drawn in read_regions(latest["result"], ImageRef(name, "", width, height), made.left_out):
        for concept in drawn.concepts:
            made.add(image, concept, drawn.mask)
