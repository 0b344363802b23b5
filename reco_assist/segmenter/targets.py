"""What goes into a predictor and what comes out of it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.annotations.regions import Levels
from reco_assist.errors import ImageError
from reco_assist.image_files import MAX_PIXELS
from reco_assist.images import content_hash, decode, digest_of, is_remote, read_bytes, size_of, squash


@dataclass(frozen=True, slots=True)
class Target:
    """An image to segment: where it is, and what a data set calls it."""

    path: Path
    file_name: str


@dataclass(frozen=True, slots=True, eq=False)
class ProbabilityMaps:
    """What the concepts say about one image, before any threshold.

    Attributes:
        image: The image.
        verdicts: Whether it contains each concept, in the order of the concepts.
        levels: (K, H, W) uint8 refined probability of each concept, zero where a concept is absent; those of
            an image in tiles are made where they are looked at.
        embedding: (d,) float32 what the image as a whole looks like, to part images by; empty if unknown.
    """

    image: ImageRef
    verdicts: tuple[Verdict, ...]
    levels: Levels
    embedding: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def maps(self) -> NDArray[np.uint8]:
        """(K, H, W) uint8, as an array."""
        return self.levels[:, :, :]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A target that could not be read, and why in one sentence."""

    target: Target
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A target that was read.

    Attributes:
        target: The target.
        reference: How a data set names it.
        squares: (S, S, 3) uint8 RGB at each side S that was asked for.
    """

    target: Target
    reference: ImageRef
    squares: tuple[NDArray[np.uint8], ...]


@dataclass(frozen=True, slots=True)
class Large:
    """A target that is read in parts: only its size and its bytes' hash are known."""

    target: Target
    reference: ImageRef


def large(target: Target, shortest: int | None) -> Large | None:
    """A target that is to be read in parts, as it is too large to be decoded whole or to be seen at once.

    None for others, and where it cannot be said: whoever reads it says why.

    Args:
        target: The target. From an object store it would be fetched twice: it is looked at if all are wanted.
        shortest: Images with more pixels than this on the shorter side are wanted; None for none of them.
    """
    if is_remote(target.path) and shortest != 0:
        return None
    try:
        width, height = size_of(target.path)
        wanted = shortest is not None and min(width, height) > shortest
        if not wanted and width * height <= MAX_PIXELS:
            return None
        return Large(target, ImageRef(target.file_name, digest_of(target.path), width, height))
    except ImageError:
        return None


def pixels_again(image: Loaded, reduce_to: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an image that was loaded; `reduce_to` as of `decode`.

    It is read again, not kept: a batch of photographs of full size would fill the memory.

    Raises:
        ImageError: It cannot be read any more, or has changed since.
    """
    data = read_bytes(image.target.path)
    if content_hash(data) != image.reference.content_hash:
        raise ImageError("it changed while it was segmented: run the command again")
    return decode(data, reduce_to=reduce_to).pixels


def load(targets: Sequence[Target], *sides: int) -> list[Loaded | Skipped]:
    """Read a batch of targets at the same time, each resized to squares of some sides in pixels."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(partial(_load, sides=sides), targets))


def _load(target: Target, sides: Sequence[int]) -> Loaded | Skipped:
    try:
        data = read_bytes(target.path)
        decoded = decode(data, reduce_to=max(sides))
    except ImageError as error:
        return Skipped(target, f"{target.file_name}: {error}")
    reference = ImageRef(target.file_name, content_hash(data), decoded.width, decoded.height)
    return Loaded(target, reference, tuple(squash(decoded.pixels, side) for side in sides))
