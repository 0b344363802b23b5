"""Retrieve: the archive's images nearest to a word, to exemplars, or to both, near-duplicates folded."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reco_assist.archive import Archive, ImageFilter, Query
from reco_assist.errors import InputError
from reco_assist.image_files import THUMBNAIL_PIXELS, load_image
from reco_assist.images import NEAR_DUPLICATE, perceptual_hash

_SPARE = 2  # how many times k is searched, so that folding leaves k


@dataclass(frozen=True, slots=True)
class Retrieved:
    """An image that was found.

    Attributes:
        content_hash: SHA-256 of the file's bytes, hexadecimal.
        path: Absolute.
        score: The higher the better; comparable within one query only.
        folded: Content hashes of near-duplicates that rank below it and are not listed themselves.
    """

    content_hash: str
    path: Path
    score: float
    folded: tuple[str, ...] = ()


def retrieve(
    archive: Archive, query: Query, *, k: int = 50, fold: bool = True, where: ImageFilter | None = None
) -> list[Retrieved]:
    """The k images that fit a query best, best first; fewer where the archive holds fewer.

    Args:
        archive: What is searched.
        query: A word's vector, exemplars' direction, or both.
        k: At least 1.
        fold: Leave out near-duplicates (other sizes or compressions) of an image that ranks higher.
        where: Which images are looked at; all if None.

    Raises:
        InputError: k is below 1, or the query is empty, or impossible conditions.
    """
    if k < 1:
        raise InputError(f"k is {k}: retrieve at least 1 image")
    hits = archive.search_many([query], k=_SPARE * k if fold else k, where=where)[0]
    found = [Retrieved(hit.content_hash, hit.path, hit.score) for hit in hits]
    if fold:
        found = _fold(found, archive.thumbnails([hit.content_hash for hit in hits]))
    return found[:k]


def _fold(found: list[Retrieved], thumbnails: list[bytes]) -> list[Retrieved]:
    kept: list[Retrieved] = []
    marks: list[int] = []
    for image, thumbnail in zip(found, thumbnails, strict=True):
        mark = _fingerprint(thumbnail)
        twin = next(
            (i for i, other in enumerate(marks) if (mark ^ other).bit_count() <= NEAR_DUPLICATE), None
        )
        if twin is None:
            kept.append(image)
            marks.append(mark)
        else:
            kept[twin] = replace(kept[twin], folded=(*kept[twin].folded, image.content_hash))
    return kept


def _fingerprint(thumbnail: bytes) -> int:
    return perceptual_hash(np.asarray(load_image(thumbnail, "RGB", max_pixels=THUMBNAIL_PIXELS)))
