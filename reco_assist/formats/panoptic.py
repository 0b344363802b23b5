"""COCO's panoptic format: one PNG an image whose colours are segment ids, and a JSON file about the segments.

Source: the COCO panoptic format, https://cocodataset.org/#format-data (id = R + 256 G + 65536 B).
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.files import make_folder, make_output_folder, write_bytes
from reco_assist.formats.dataset import Dataset, is_crowd, score
from reco_assist.formats.file_paths import paths_for
from reco_assist.formats.plain import Record
from reco_assist.formats.stream import write_document
from reco_assist.masks import rle


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
