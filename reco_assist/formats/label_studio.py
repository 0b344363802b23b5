"""Predictions as Label Studio tasks with pre-annotations, and the labelling configuration they fit."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from reco_assist.annotations import ImageRef, Prediction
from reco_assist.errors import InputError
from reco_assist.files import atomic_write
from reco_assist.formats.checks import Concepts, check_prediction, number_concepts, round_score
from reco_assist.formats.stream import Numbers, write_array
from reco_assist.masks import Rle, brush, polygons, rle
from reco_assist.masks.colours import colours_of, css

Shape = Literal["brush", "polygon"]
Tool = Literal["brush", "polygon", "box"]

_TAGS = {"brush": "BrushLabels", "polygon": "PolygonLabels", "box": "RectangleLabels"}


LOCAL_FILES = "/data/local-files/"
"""Where a server serves the files below its document root."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a labelling configuration calls the things that tasks refer to.

    Attributes:
        labels: The labelling tag: the regions' `from_name`.
        image: The image tag: the regions' `to_name`.
        data: Where a task's data has the image's address.
    """

    labels: str = "label"
    image: str = "image"
    data: str = "image"


def local_files_url(image: ImageRef) -> str:
    """The address of an image below the document root of Label Studio's local file serving."""
    return f"{LOCAL_FILES}?d=" + quote(os.fsencode(image.file_name), safe="/")


def label_config(concepts: Concepts, *, shape: Shape = "brush", also: Sequence[Tool] = ()) -> str:
    """The labelling configuration (XML) for a project that imports the tasks of `to_label_studio`.

    Args:
        concepts: Names of the labels.
        shape: The tool of the pre-annotations; its tag is called as `Names` says.
        also: More tools for the annotators; their tags are called like the tools.

    Raises:
        InputError: There is no concept, one is no name, or the shape is unknown.
    """
    numbers = number_concepts(concepts)
    _tag(shape)
    labels = "".join(
        f"    <Label value={quoteattr(concept)} background={quoteattr(css(colour))}/>\n"
        for concept, colour in zip(numbers, colours_of(numbers.values()), strict=True)
    )
    image = Names().image
    tools: list[tuple[str, str]] = [(_TAGS[shape], Names().labels)]
    tools += [(_TAGS[tool], tool) for tool in also if tool != shape]
    return (
        "<View>\n"
        f'  <Image name="{image}" value="${Names().data}" zoom="true" zoomControl="true"/>\n'
        + "".join(f'  <{tag} name="{name}" toName="{image}">\n{labels}  </{tag}>\n' for tag, name in tools)
        + "</View>\n"
    )


def to_label_studio(
    predictions: Iterable[Prediction],
    concepts: Concepts,
    *,
    model_version: str,
    image_url: Callable[[ImageRef], str] = local_files_url,
    shape: Shape = "brush",
) -> list[dict[str, Any]]:
    """Make a task list that Label Studio imports, each task with one prediction.

    A task's data is that of `task_data`. A prediction has
    the score of its least certain region, so that sorting by it brings the doubtful images up; without
    regions it has the certainty that nothing is there, and 0 where that was not asked.

    Args:
        predictions: One per image.
        concepts: Names of the labels.
        model_version: What made the predictions, as the server shall show it.
        image_url: Where the annotator's browser finds an image.
        shape: `brush` masks, which are exact, or `polygon`, which keep the editor quick on large images: one
            for each part, cut where it has holes, simplified by at most `polygons.TOLERANCE` pixels.

    Returns:
        The tasks, ready for JSON.

    Raises:
        InputError: A concept, mask, score or the model version does not fit; see `checks`.
    """
    return list(_tasks(predictions, concepts, model_version=model_version, image_url=image_url, shape=shape))


def write_label_studio(
    path: Path,
    predictions: Iterable[Prediction],
    concepts: Concepts,
    *,
    model_version: str,
    image_url: Callable[[ImageRef], str] = local_files_url,
    shape: Shape = "brush",
) -> None:
    """Write the tasks of `to_label_studio` without ever holding more than one.

    Raises:
        InputError: See `to_label_studio`.
        StorageError: The file cannot be written.
    """
    with atomic_write(path) as file:
        tasks = _tasks(predictions, concepts, model_version=model_version, image_url=image_url, shape=shape)
        write_array(file, tasks)


def _tasks(
    predictions: Iterable[Prediction],
    concepts: Concepts,
    *,
    model_version: str,
    image_url: Callable[[ImageRef], str],
    shape: Shape,
) -> Iterator[dict[str, Any]]:
    numbers = number_concepts(concepts)
    _tag(shape)
    if not model_version:
        raise InputError("The model version is empty; Label Studio hides predictions without one.")
    for prediction in predictions:
        check_prediction(prediction, numbers)
        image = prediction.image
        yield {
            "data": task_data(image, image_url(image)),
            "predictions": [pre_annotation(prediction, model_version=model_version, shape=shape)],
        }


def task_data(image: ImageRef, url: str, *, names: Names | None = None) -> dict[str, Any]:
    """The data of an image's task: its address, and what tells it from others.

    Args:
        image: The image.
        url: Where the annotator's browser finds it.
        names: What the labelling configuration calls things; as in `label_config` if None.
    """
    return {
        (names or Names()).data: url,
        "key": image.content_hash,
        "file_name": image.file_name,
        "width": image.width,
        "height": image.height,
    }


def pre_annotation(
    prediction: Prediction, *, model_version: str, shape: Shape = "brush", names: Names | None = None
) -> dict[str, Any]:
    """A prediction as Label Studio shows it to annotators.

    Args:
        prediction: Checked already.
        model_version: What made it.
        shape: See `to_label_studio`.
        names: What the labelling configuration calls things; as in `label_config` if None.
    """
    return {
        "model_version": model_version,
        "score": _score(prediction),
        "result": _result(prediction, shape, names or Names()),
    }


def _score(prediction: Prediction) -> float:
    if prediction.regions:
        return round_score(min(region.score for region in prediction.regions))
    return round_score(1 - max((verdict.probability for verdict in prediction.verdicts), default=1.0))


def _result(prediction: Prediction, shape: Shape, names: Names) -> list[dict[str, Any]]:
    image = prediction.image
    kind = _tag(shape).lower()
    values = _brush_values if shape == "brush" else _polygon_values
    ids = Numbers()
    regions: list[dict[str, Any]] = []
    for region in prediction.regions:
        whole = f"{ids.take(image.content_hash, region.concept, region.mask.counts):013x}"
        regions += [
            {
                # The parts of a mask that had to be cut share the beginning of their ids.
                "id": f"{whole}_{part}" if part else whole,
                "from_name": names.labels,
                "to_name": names.image,
                "type": kind,
                "origin": "prediction",
                "original_width": image.width,
                "original_height": image.height,
                "image_rotation": 0,
                "value": {**value, kind: [region.concept]},
                "score": round_score(region.score),
            }
            for part, value in enumerate(values(region.mask))
        ]
    return regions


def _brush_values(mask: Rle) -> list[dict[str, Any]]:
    return [{"format": "rle", "rle": list(brush.encode(rle.decode(mask)))}]


def _polygon_values(mask: Rle) -> list[dict[str, Any]]:
    """One closed polygon for each part, its points in percent of the image's width and height."""
    x, y, width, height = rle.bbox(mask)
    rings = polygons.split_holes(rle.decode(mask)[y : y + height, x : x + width])
    frame = np.array([mask.width, mask.height])
    scaled = [(polygons.simplify(ring) + np.array([x, y])) * 100 / frame for ring in rings]
    # Five decimals of a percent are a hundredth of a pixel in an image 100,000 pixels wide.
    return [{"points": points.round(5).tolist(), "closed": True} for points in scaled]


def _tag(shape: Shape) -> str:
    if shape not in ("brush", "polygon"):
        raise InputError(f"The shape is {shape!r}; give 'brush' or 'polygon'.")
    return _TAGS[shape]
