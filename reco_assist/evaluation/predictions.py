"""Predictions as other programs see them: a COCO data set, ours or anybody's."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.errors import FormatError, InputError
from reco_assist.masks import Rle, rle


@dataclass(frozen=True, slots=True)
class Found:
    """A predicted mask.

    Attributes:
        mask: At the size that the predictions state for the image.
        score: 0 to 1; None where the file has none.
    """

    mask: Rle
    score: float | None


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predicted masks by category and image; categories compare without regard to case.

    Attributes:
        categories: Name of each category id.
        sizes: (height, width) of each image, by file name.
        masks: By (category, file name), the category in `casefold`.
        presence: Probability that the image shows the category at all, by the same key, where it is stated.
    """

    categories: dict[int, str]
    sizes: dict[str, tuple[int, int]]
    masks: dict[tuple[str, str], tuple[Found, ...]]
    presence: dict[tuple[str, str], float]

    def found(self, category: str, file_name: str) -> tuple[Found, ...]:
        """The masks of a category in an image."""
        return self.masks.get((category.casefold(), file_name), ())

    def union(
        self, category: str, file_name: str, *, shape: tuple[int, int] | None = None
    ) -> NDArray[np.bool_]:
        """All masks of a category in an image as one, (H, W) bool, at a shape or else at the image's size.

        Raises:
            InputError: No shape was given and the image is not listed.
        """
        if shape is None and file_name not in self.sizes:
            raise InputError(f"{file_name} is not in the predictions: segment it too")
        shape = shape or self.sizes[file_name]
        united = np.zeros(shape, np.bool_)  # (H, W)
        for one in self.found(category, file_name):
            united |= at_shape(one.mask, shape)
        return united


def at_shape(mask: Rle, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask as (H, W) bool, resized to a shape where the predictions were made at another size."""
    decoded = rle.decode(mask)
    if decoded.shape == shape:
        return decoded
    height, width = shape
    resized = Image.fromarray(decoded.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(resized).astype(np.bool_)


def read_predictions(path: Path) -> Predictions:
    """Read a COCO data set of predictions.

    Raises:
        InputError: There is no such file.
        FormatError: It is not a COCO data set.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}: make one with 'reco-assist segment'")
    try:
        return _read(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            f"{path} is not a COCO data set of images, categories and annotations ({error!r}): "
            "name the coco.json of 'reco-assist segment'"
        ) from error


def _read(data: Any) -> Predictions:  # noqa: ANN401  (whatever the file holds)
    categories = {one["id"]: str(one["name"]) for one in data["categories"]}
    images = {one["id"]: one for one in data["images"]}
    for one in images.values():
        rle.check_size(one["height"], one["width"])
    masks: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for one in data["annotations"]:
        if not one["segmentation"]:  # COCO's empty polygon list: no pixel
            continue
        image = images[one["image_id"]]
        code = rle.from_coco(one["segmentation"], image["height"], image["width"])
        score = one.get("score")
        key = categories[one["category_id"]].casefold(), image["file_name"]
        masks[key].append(Found(code, None if score is None else float(score)))
    presence = {
        (name.casefold(), image["file_name"]): float(verdict["probability"])
        for image in images.values()
        for name, verdict in image.get("reco_verdicts", {}).items()
    }
    sizes = {one["file_name"]: (one["height"], one["width"]) for one in images.values()}
    return Predictions(categories, sizes, {key: tuple(found) for key, found in masks.items()}, presence)
