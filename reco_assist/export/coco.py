"""Predictions as a COCO data set, in memory or streamed to a file."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reco_assist.annotations import Prediction, Region
from reco_assist.export.checks import Concepts, check_prediction, number_concepts, round_score
from reco_assist.export.stream import Numbers, dumps, write_array
from reco_assist.files import atomic_write
from reco_assist.masks import Rle, polygons, rle


def to_coco(
    predictions: Iterable[Prediction],
    concepts: Concepts,
    *,
    info: Mapping[str, Any] | None = None,
    polygons: bool = False,
) -> dict[str, Any]:
    """Make a complete COCO data set.

    Every image is listed, also those without a mask; `reco_hash` is its content hash and `reco_verdicts` says
    per concept whether it was judged present, and with what probability. Ids are derived from content.

    Args:
        predictions: One per image.
        concepts: Names of the categories, numbered from 1 in this order, or with the ids they must keep.
        info: Provenance for the data set's `info`, ready for JSON.
        polygons: Write polygons instead of compressed RLE, simplified by at most `polygons.TOLERANCE` pixels.
            `area` and `bbox` are the polygon's. Regions with holes stay RLE: COCO's polygons have none.

    Returns:
        The data set, ready for JSON.

    Raises:
        InputError: A concept, mask or score does not fit; see `checks`.
    """
    listed = list(predictions)
    numbers = number_concepts(concepts)
    return {
        **_head(numbers, info),
        "images": list(_images(listed, numbers)),
        "annotations": list(_annotations(listed, numbers, as_polygons=polygons)),
    }


def write_coco(
    path: Path,
    predictions: Callable[[], Iterable[Prediction]],
    concepts: Concepts,
    *,
    info: Mapping[str, Any] | None = None,
    polygons: bool = False,
) -> None:
    """Write the data set of `to_coco` without ever holding more than one image's masks.

    Args:
        path: The file, which appears whole or not at all.
        predictions: Starts over each time it is called, which is twice; the order must be the same.
        concepts: See `to_coco`.
        info: See `to_coco`.
        polygons: See `to_coco`.

    Raises:
        InputError: A concept, mask or score does not fit; see `checks`.
        StorageError: The file cannot be written.
    """
    numbers = number_concepts(concepts)
    with atomic_write(path) as file:
        file.write(dumps(_head(numbers, info))[:-1].encode())
        file.write(b',"images":')
        write_array(file, _images(predictions(), numbers))
        file.write(b',"annotations":')
        write_array(file, _annotations(predictions(), numbers, as_polygons=polygons))
        file.write(b"}")


def _head(numbers: dict[str, int], info: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "info": dict(info or {}),
        "licenses": [],
        "categories": [{"id": number, "name": concept} for concept, number in numbers.items()],
    }


def _images(predictions: Iterable[Prediction], numbers: dict[str, int]) -> Iterator[dict[str, Any]]:
    ids = Numbers()
    for prediction in predictions:
        check_prediction(prediction, numbers)
        image = prediction.image
        yield {
            "id": ids.take(image.content_hash),
            "width": image.width,
            "height": image.height,
            "file_name": image.file_name,
            "reco_hash": image.content_hash,
            "reco_verdicts": {
                verdict.concept: {"present": verdict.present, "probability": round_score(verdict.probability)}
                for verdict in prediction.verdicts
            },
        }


def _annotations(
    predictions: Iterable[Prediction], numbers: dict[str, int], *, as_polygons: bool
) -> Iterator[dict[str, Any]]:
    image_ids, ids = Numbers(), Numbers()
    for prediction in predictions:
        check_prediction(prediction, numbers)
        image_id = image_ids.take(prediction.image.content_hash)
        for region in prediction.regions:
            segmentation, mask = _segmentation(region, as_polygons=as_polygons)
            yield {
                "id": ids.take(prediction.image.content_hash, region.concept, region.mask.counts),
                "image_id": image_id,
                "category_id": numbers[region.concept],
                "segmentation": segmentation,
                "area": rle.area(mask),
                "bbox": list(rle.bbox(mask)),
                "iscrowd": 0,
                "score": round_score(region.score),
            }


def _segmentation(region: Region, *, as_polygons: bool) -> tuple[object, Rle]:
    """A region's `segmentation`, and the mask that COCO's tools will make of it."""
    mask = region.mask
    if as_polygons:
        x, y, width, height = rle.bbox(mask)
        outline = polygons.trace(rle.decode(mask)[y : y + height, x : x + width])
        if not outline.holes:
            rings = [polygons.simplify(ring) + np.array([x, y]) for ring in outline.outer]
            # Corners of pixels are whole numbers.
            points = [ring.astype(int).ravel().tolist() for ring in rings]
            return points, polygons.fill(rings, mask.height, mask.width)
    return rle.to_coco(mask), mask
