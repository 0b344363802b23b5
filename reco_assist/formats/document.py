"""A COCO document in the making: what readers of other formats fill, so that all meet the same checks."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reco_assist.errors import FormatError
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.fields import cut
from reco_assist.masks import Rle, rle

_LOG = logging.getLogger(__name__)

BLANK = "regions without a pixel"
WITHOUT_AREA = "shapes without an area, such as lines, points and tags"


class Document:
    """Images, concepts and regions, numbered in the order in which they come.

    Args:
        source: What is read, as messages name it.

    Attributes:
        left_out: Counts what a data set of masks has no place for, by a noun in the plural.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.left_out: Counter[str] = Counter()
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._concepts: dict[str, int] = {}

    def image(self, file_name: object, width: object, height: object) -> int:
        """Add an image and return its id.

        Raises:
            FormatError: Its size cannot be; see `rle.check_size`.
        """
        try:
            rle.check_size(height, width)
        except FormatError as error:
            raise FormatError(f"{cut(file_name, 80)} of {self.source}: {error}") from None
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": file_name, "width": width, "height": height})
        return number

    def add(self, image: int, concept: object, mask: Rle, **more: object) -> None:
        """Add a mask; one without a pixel is left out and counted."""
        if not rle.area(mask):
            self.left_out[BLANK] += 1
            return
        box = list(rle.bbox(mask))
        self._add(image, concept, segmentation=rle.to_coco(mask), bbox=box, area=rle.area(mask), **more)

    def add_box(self, image: int, concept: object, box: Sequence[float], **more: object) -> None:
        """Add a box (x, y, width, height) in pixels; one without an extent is left out and counted."""
        if min(box[2:]) <= 0:
            self.left_out[BLANK] += 1
            return
        self._add(image, concept, segmentation=[], bbox=list(box), area=box[2] * box[3], **more)

    def dataset(self, folder: Path | None) -> Dataset:
        """What was added, as a data set; a warning counts what was left out.

        Raises:
            FormatError: A value is of no accepted form; see `fields`.
        """
        for what, count in self.left_out.items():
            _LOG.warning("%s: left out %s: %s", self.source, what, f"{count:,}")
        document: Mapping[str, Any] = {
            "images": self._images,
            "annotations": self._annotations,
            "categories": [{"id": number, "name": name} for name, number in self._concepts.items()],
        }
        return Dataset(document, self.source, folder)

    def _add(self, image: int, concept: object, **fields: object) -> None:
        if not isinstance(concept, str) or not concept.strip():
            raise FormatError(
                f"{self.source} has a region whose label is {cut(concept)}: give each a name, or leave it out"
            )
        category = self._concepts.setdefault(concept, len(self._concepts) + 1)
        number = len(self._annotations) + 1
        self._annotations.append(
            {"id": number, "image_id": image, "category_id": category, "iscrowd": 0, **fields}
        )


@contextmanager
def named(what: str) -> Iterator[None]:
    """Whatever a foreign file holds, a fault while it is read is one sentence.

    Args:
        what: The part that is read, as the sentence names it.

    Raises:
        FormatError: The part is not of its format.
    """
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{what}: {str(error)[:160]}") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise FormatError(
            f"{what} is not as its tool writes it ({type(error).__name__}: {str(error)[:80]}): export it anew"
        ) from None
