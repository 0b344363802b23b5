"""COCO files: the one reader, and the one writer, which holds no more than one record at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.errors import FormatError, InputError
from reco_assist.formats.checks import Concepts, check_prediction, number_concepts, round_score
from reco_assist.formats.dataset import Dataset, score
from reco_assist.formats.fields import cut
from reco_assist.formats.regions import annotation
from reco_assist.formats.stream import Numbers, write_document
from reco_assist.json_files import parse_json
from reco_assist.masks import Rle, polygons, rle
from reco_assist.text_files import read_plain


def read_coco(path: Path, *, images: Path | None = None, concepts: bool = True) -> Dataset:
    """Read a COCO file: JSON in UTF-8, UTF-16 or UTF-32, with or without a mark, packed by gzip or not.

    Args:
        path: The file.
        images: Folder of the photographs, where it is known.
        concepts: Whether it matters what the masks are of; otherwise it may have no categories.

    Raises:
        InputError: There is no such file, or it cannot be read.
        FormatError: It is not a COCO data set; see `fields` for what is accepted.
    """
    document = read_document(path)
    return Dataset(document if concepts else _unnamed(document), str(path), images)


def read_document(path: Path) -> Any:  # noqa: ANN401  (any JSON value)
    """The JSON value of a data set's file, which may be packed by gzip.

    Raises:
        InputError: There is no such file, or it cannot be read.
        FormatError: It is no JSON.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}: name a COCO file, such as that of 'reco-assist segment'")
    return parse_json(read_plain(path), path)


def _unnamed(document: Any) -> Any:  # noqa: ANN401  (whatever a file holds)
    """A document whose masks are all of one nameless concept; what is none stays as it is."""
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        return document
    annotations = [
        {**one, "category_id": 1} if isinstance(one, dict) else one for one in document["annotations"]
    ]
    return {**document, "annotations": annotations, "categories": [{"id": 1, "name": "anything"}]}


def write_dataset(path: Path, dataset: Dataset) -> None:
    """Write a data set as one COCO file, whole or not at all.

    Raises:
        StorageError: The file cannot be written.
    """
    write_document(path, dataset.document)


def to_coco(
    predictions: Iterable[Prediction],
    concepts: Concepts,
    *,
    info: Mapping[str, Any] | None = None,
    polygons: bool = False,
) -> dict[str, Any]:
    """Make a complete COCO data set.

    Every image is listed, also those without a mask; `reco_hash` is its content hash and `reco_verdicts` says
    per concept whether it was judged present, with what probability, and which further looks at parts of the
    image decided its masks. Ids are derived from content.

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
    write_document(
        path,
        {
            **_head(numbers, info),
            "images": _images(predictions(), numbers),
            "annotations": _annotations(predictions(), numbers, as_polygons=polygons),
        },
    )


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
            "reco_verdicts": {verdict.concept: _verdict(verdict) for verdict in prediction.verdicts},
        }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    """What is said of a concept, under its name."""
    said = replace(verdict, probability=round_score(verdict.probability)).to_json()
    del said["concept"]
    return said


def _annotations(
    predictions: Iterable[Prediction], numbers: dict[str, int], *, as_polygons: bool
) -> Iterator[dict[str, Any]]:
    image_ids, ids = Numbers(), Numbers()
    for prediction in predictions:
        check_prediction(prediction, numbers)
        image_id = image_ids.take(prediction.image.content_hash)
        for region in prediction.regions:
            segmentation, mask = _segmentation(region, as_polygons=as_polygons)
            number = ids.take(prediction.image.content_hash, region.concept, region.mask.counts)
            yield {
                **annotation(number, image_id, numbers[region.concept], mask),
                "segmentation": segmentation,
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


def to_predictions(dataset: Dataset) -> tuple[Prediction, ...]:
    """The predictions that `to_coco` made a data set of.

    Raises:
        FormatError: An image lacks its `reco_hash` or verdicts, a mask its score, or a mask is damaged.
    """
    found = []
    for number, image in dataset.images.items():
        records = dataset.annotations[number]
        scores = [score(one) for one in records]
        if not image.get("reco_hash") or "reco_verdicts" not in image or None in scores:
            raise FormatError(
                f"{dataset.source} was not written by reco-assist: {cut(image['file_name'])} lacks its "
                "reco_hash, its reco_verdicts or the score of a mask; segment the images again"
            )
        found.append(
            Prediction(
                ImageRef(image["file_name"], image["reco_hash"], image["width"], image["height"]),
                tuple(
                    Region(dataset.concept(one), dataset.mask(one), sure)
                    for one, sure in zip(records, scores, strict=True)
                    if sure is not None
                ),
                tuple(
                    Verdict.from_json({**verdict, "concept": name})
                    for name, verdict in image["reco_verdicts"].items()
                ),
            )
        )
    return tuple(found)
