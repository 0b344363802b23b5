"""COCO's panoptic format: one PNG an image whose colours are segment ids, and a JSON file about the segments.

A pixel of id 0 is of no segment. Source: the COCO panoptic format, https://cocodataset.org/#format-data
(id = R + 256 G + 65536 B).
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.errors import FormatError, ImageError, InputError
from reco_assist.files import write_bytes
from reco_assist.folders import make_folder, make_output_folder
from reco_assist.formats.dataset import Dataset, is_crowd, score
from reco_assist.formats.document import named
from reco_assist.formats.fields import cut
from reco_assist.formats.file_paths import paths_for
from reco_assist.formats.plain import Record
from reco_assist.formats.regions import annotation
from reco_assist.formats.stream import write_document
from reco_assist.image_files import load_image
from reco_assist.masks import Rle, encode_labels, rle
from reco_assist.safe_paths import inside


def is_panoptic(document: object) -> bool:
    """Whether a JSON value is a panoptic data set: its annotations have `segments_info`."""
    found = document.get("annotations") if isinstance(document, dict) else None
    return isinstance(found, list) and any(isinstance(one, dict) and "segments_info" in one for one in found)


def read_panoptic(document: dict[str, Any], path: Path, *, images: Path | None = None) -> Dataset:
    """Read a panoptic data set: each segment is an annotation, with its pixels in the map.

    Args:
        document: The JSON value of its file.
        path: The file; its maps lie beside it, in a folder of its name.
        images: Folder of the photographs, where it is known.

    Raises:
        InputError: The maps are not there.
        FormatError: A map or a record is damaged, in a sentence that names it.
    """
    maps = path.parent / path.name.removesuffix(".gz").removesuffix(".json")
    if not maps.is_dir():
        raise InputError(f"{path} is a panoptic data set without its maps: put them into {maps}")
    annotations: list[dict[str, Any]] = []
    for one in document["annotations"]:
        file = one.get("file_name") if isinstance(one, dict) else None
        with named(f"the record of {cut(file)} in {path}"):
            for segment, mask in _masks(inside(maps, str(file), links=True), one["segments_info"]):
                record = annotation(len(annotations) + 1, one["image_id"], segment["category_id"], mask)
                annotations.append({**record, "iscrowd": segment.get("iscrowd", 0)})
    return Dataset({**document, "annotations": annotations}, str(path), images)


def _masks(path: Path, segments: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Rle]]:
    """The segments of a map and their pixels; of one that the map does not have, none."""
    try:
        colours = np.asarray(load_image(path, "RGB", formats=("PNG",)), np.int32)  # (H, W, 3)
    except ImageError as error:
        raise FormatError(str(error)) from error
    ids = colours @ np.array([1, 256, 65536], np.int32)  # (H, W)
    found, dense = np.unique(np.append(0, ids), return_inverse=True)  # 0 stays 0
    labels = dense[1:].reshape(ids.shape).astype(np.int32)
    masks = dict(zip(found[1:].tolist(), encode_labels(labels), strict=True))
    for segment in segments:
        yield segment, masks.pop(segment["id"], None) or rle.blank(*ids.shape)
    if masks:
        raise FormatError(f"its map has the segment {min(masks)}, which segments_info does not list: add it")


def write_panoptic(folder: Path, dataset: Dataset, *, name: str = "panoptic") -> None:
    """Write `NAME.json` and PNG files below `NAME/`, named after the images; see `file_paths`.

    A pixel belongs to one segment: the mask of the higher score wins, single objects before crowds, and among
    equals the smaller mask. Masks that nothing is left of have no segment. Every category is a thing.

    Args:
        folder: Where they go.
        dataset: The masks.
        name: Of the file and the folder.

    Raises:
        InputError: The name of an image leads out of the folder.
        FormatError: A mask is damaged.
        StorageError: The files cannot be written.
    """
    maps = make_output_folder(folder / name)
    places = paths_for([dataset.name(image) for image in dataset.images.values()], maps)
    annotations = []
    for number, image in dataset.images.items():
        ids, segments = _segments(dataset, image, dataset.annotations[number])
        place = places[dataset.name(image)]
        make_folder(place.parent)
        buffer = BytesIO()
        Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16], 2).astype(np.uint8)).save(
            buffer, "PNG"
        )
        write_bytes(place, buffer.getvalue())
        file = place.relative_to(maps).as_posix()
        annotations.append({"image_id": number, "file_name": file, "segments_info": segments})
    categories = [{"supercategory": "", **one, "isthing": 1} for one in dataset.document["categories"]]
    images = list(dataset.images.values())
    document = {**dataset.document, "images": images, "annotations": annotations, "categories": categories}
    write_document(folder / f"{name}.json", document)


def _segments(
    dataset: Dataset, image: Record, annotations: list[Record]
) -> tuple[NDArray[np.int32], list[dict[str, Any]]]:
    """The map of segment ids (H, W), and what `panoptic.json` says about them."""
    masks = [dataset.mask(one) for one in annotations]
    sure = [1.0 if (given := score(one)) is None else given for one in annotations]
    order = sorted(
        range(len(masks)),
        key=lambda i: (not is_crowd(annotations[i]), sure[i], -rle.area(masks[i])),
    )
    ids = np.zeros((image["height"], image["width"]), np.int32)  # (H, W), the last one painted wins
    for i in order:
        ids[rle.decode(masks[i])] = i + 1
    segments = []
    for i, one in enumerate(annotations):
        left = ids == i + 1
        if left.any():
            mask = rle.encode(left)
            segments.append(
                {
                    "id": i + 1,
                    "category_id": one["category_id"],
                    "area": rle.area(mask),
                    "bbox": list(rle.bbox(mask)),
                    "iscrowd": int(is_crowd(one)),
                }
            )
    return ids, segments
