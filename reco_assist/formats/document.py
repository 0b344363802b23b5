"""A COCO document in the making: what readers of other formats fill, so that all meet the same checks."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reco_assist.errors import FormatError, reason
from reco_assist.formats.dataset import Dataset
from reco_assist.formats.fields import cut
from reco_assist.formats.names import name_key
from reco_assist.formats.regions import annotation, region
from reco_assist.masks import Rle, rle

_LOG = logging.getLogger(__name__)

_BLANK = "regions without a pixel"
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
        self._origins: dict[str, str] = {}
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._concepts: dict[str, int] = {}

    def image(self, file_name: str, width: object, height: object, *, origin: str | None = None) -> int:
        """Add an image and return its id.

        Args:
            file_name: What the data set calls it; two images of one name are one image.
            width: Pixels.
            height: Pixels.
            origin: Its whole address, where the name is a part of it; two of one name are refused.

        Raises:
            FormatError: Its size cannot be, or its name is that of another image.
        """
        rle.check_size(height, width)
        whole = file_name if origin is None else origin
        if (other := self._origins.setdefault(name_key(file_name), whole)) != whole:
            raise FormatError(
                f"{cut(other, 60)} and {cut(whole, 60)} would both be called {cut(file_name, 60)}: rename one"
            )
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": file_name, "width": width, "height": height})
        return number

    def add(self, image: int, concept: object, mask: Rle, **more: object) -> None:
        """Add a mask; one without a pixel is left out and counted."""
        if not rle.area(mask):
            self.left_out[_BLANK] += 1
            return
        self._annotations.append(annotation(*self._next(image, concept), mask) | more)

    def add_box(self, image: int, concept: object, box: Sequence[float], **more: object) -> None:
        """Add a box (x, y, width, height) in pixels; one without a pixel is left out and counted."""
        size = self._images[image - 1]
        mask = region({"bbox": box}, size["height"], size["width"])
        x, y, width, height = box
        drawn: dict[str, Any] = {"segmentation": [], "area": width * height, "bbox": [x, y, width, height]}
        self.add(image, concept, mask, **drawn, **more)

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

    def _next(self, image: int, concept: object) -> tuple[int, int, int]:
        """The ids of an annotation that comes next, of its image and of its category."""
        if not isinstance(concept, str) or not concept.strip():
            raise FormatError(f"a region has the label {cut(concept)}: give each a name, or leave it out")
        return len(self._annotations) + 1, image, self._concepts.setdefault(concept, len(self._concepts) + 1)


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
        raise FormatError(f"{what}: {reason(error, 160)}") from None
    except KeyError as error:
        raise FormatError(f"{what} has no {cut(error.args[0])}: export it anew") from None
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        said = reason(error, 80)
        raise FormatError(f"{what} is not as its tool writes it ({said}): export it anew") from None
