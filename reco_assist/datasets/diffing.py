"""What changed between two versions of a data set: images and masks, concept by concept."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reco_assist.errors import InputError
from reco_assist.formats import Dataset, is_crowd, name_key
from reco_assist.formats.matching import pair_images, pair_masks
from reco_assist.formats.photographs import open_photograph
from reco_assist.formats.plain import Id, Record
from reco_assist.masks import Rle, rle
from reco_assist.masks.sheet import Tile, write_sheet

Kind = Literal["same", "changed", "added", "removed"]
KINDS: tuple[Kind, ...] = ("same", "changed", "added", "removed")
_LEGEND = ("removed", "unchanged", "added")


@dataclass(frozen=True, slots=True)
class MaskChange:
    """What became of one mask.

    Attributes:
        concept: Its concept.
        kind: same; changed: of one object, with another outline; added; removed.
        old: Before; None where it was added.
        new: After; None where it was removed.
        iou: Overlap of the two; 0 where there is one alone.
    """

    concept: str
    kind: Kind
    old: Rle | None
    new: Rle | None
    iou: float


@dataclass(frozen=True, slots=True)
class ImageChange:
    """What became of one image.

    Attributes:
        file_name: As the new data set says, or the old one where it is gone; relative to the data set.
        image: Its record there.
        of: The data set that it is of.
        kind: changed where any of its masks, its name or its size did.
        masks: Of both versions.
        renamed: The former name; empty where it is the same.
    """

    file_name: str
    image: Record
    of: Dataset
    kind: Kind
    masks: tuple[MaskChange, ...]
    renamed: str = ""


@dataclass(frozen=True, slots=True)
class Diff:
    """All images of both versions, those of the new one first."""

    images: tuple[ImageChange, ...]

    def counts(self) -> Counter[Kind]:
        """Images by what became of them."""
        return Counter(image.kind for image in self.images)

    def concepts(self) -> dict[str, Counter[Kind]]:
        """Masks by what became of them, for each concept."""
        found: dict[str, Counter[Kind]] = {}
        for image in self.images:
            for mask in image.masks:
                found.setdefault(mask.concept, Counter())[mask.kind] += 1
        return dict(sorted(found.items()))

    def to_json(self) -> dict[str, Any]:
        """For programs: counts, and the images that are not the same."""
        return {
            "images": {kind: self.counts()[kind] for kind in KINDS},
            "concepts": {
                name: {kind: counts[kind] for kind in KINDS} for name, counts in self.concepts().items()
            },
            "changes": [
                {
                    "image": image.file_name,
                    "kind": image.kind,
                    "renamed": image.renamed or None,
                    "masks": [
                        {"concept": mask.concept, "kind": mask.kind, "iou": round(mask.iou, 4)}
                        for mask in image.masks
                        if mask.kind != "same"
                    ],
                }
                for image in self.images
                if image.kind != "same"
            ],
        }


def diff(old: Dataset, new: Dataset) -> Diff:
    """Compare two versions of a data set. Images are the same by name or content, concepts by name.

    Crowds are compared with crowds only. Ids, scores and masks without a pixel do not count.

    Raises:
        FormatError: A mask is damaged.
    """
    old, new = old.drawn, new.drawn
    pairs = pair_images(old, new)
    gone = set(old.images) - set(pairs.values())
    images = [
        _image(old, old.images.get(pairs.get(number, "")), new, image) for number, image in new.images.items()
    ]
    images += [_image(old, old.images[number], new, None) for number in old.images if number in gone]
    return Diff(tuple(images))


def write_diff_picture(
    path: Path, changes: Diff, folder: Path, *, most: int = 24, on_skip: Callable[[str], object] = str
) -> None:
    """Draw the images that changed most: what was removed, what was added, what stayed.

    Args:
        path: The PNG file.
        changes: What to draw.
        folder: Of the photographs.
        most: Images that are drawn.
        on_skip: Called with a sentence for a photograph that is not what the data set says.

    Raises:
        StorageError: The file cannot be written.
    """
    changed = [image for image in changes.images if image.kind != "same" and image.masks]
    changed.sort(key=lambda image: (-_moved(image), image.file_name))
    tiles = []
    for image in changed[:most]:
        try:
            pixels = open_photograph(image.of, image.image, folder).picture.pixels
        except InputError as error:
            on_skip(str(error))
            continue
        tiles.append(Tile(pixels, _labels(image, (pixels.shape[0], pixels.shape[1])), _caption(image)))
    counts = changes.counts()
    title = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS) + " images"
    if len(changed) > len(tiles):
        title += f"; the {len(tiles)} that changed most"
    if not tiles:
        blank = np.full((3, 4, 3), 245, np.uint8)
        tiles = [Tile(blank, np.zeros((3, 4), np.uint8), "no mask differs")]
    write_sheet(path, tiles, _LEGEND, title=title, columns=4)


def _image(old: Dataset, before: Record | None, new: Dataset, after: Record | None) -> ImageChange:
    olds = [] if before is None else _masks(old, before["id"])
    news = [] if after is None else _masks(new, after["id"])
    resized = before is not None and after is not None and _size(before) != _size(after)
    masks: list[MaskChange] = []
    for key in sorted({key for key, _ in (*olds, *news)}):
        first = [mask for other, mask in olds if other == key]
        second = [mask for other, mask in news if other == key]
        places = [] if resized else pair_masks(first, second)
        masks += [
            MaskChange(key[0], "same" if iou == 1 else "changed", first[i], second[j], iou)
            for i, j, iou in places
        ]
        left = set(range(len(first))) - {i for i, *_ in places}
        masks += [MaskChange(key[0], "removed", first[i], None, 0.0) for i in sorted(left)]
        fresh = set(range(len(second))) - {j for _, j, _ in places}
        masks += [MaskChange(key[0], "added", None, second[j], 0.0) for j in sorted(fresh)]
    if after is None:
        gone = before or {}
        return ImageChange(old.name(gone), gone, old, "removed", tuple(masks))
    name = new.name(after)
    if before is None:
        return ImageChange(name, after, new, "added", tuple(masks))
    same = name_key(old.name(before)) == name_key(new.name(after))
    renamed = "" if same else old.name(before)
    touched = resized or renamed or any(mask.kind != "same" for mask in masks)
    return ImageChange(name, after, new, "changed" if touched else "same", tuple(masks), renamed)


def _masks(dataset: Dataset, number: Id) -> list[tuple[tuple[str, bool], Rle]]:
    records = dataset.annotations[number]
    keys = [(dataset.concept(one), is_crowd(one)) for one in records]
    return list(zip(keys, dataset.masks(records), strict=True))


def _size(image: Record) -> tuple[int, int]:
    return image["height"], image["width"]


def _moved(image: ImageChange) -> float:
    """How much of an image changed: the pixels that are in one version alone, as a share."""
    moved, size = 0.0, 1
    for mask in image.masks:
        areas = [rle.area(one) for one in (mask.old, mask.new) if one is not None]
        known = mask.new or mask.old
        size = known.height * known.width if known is not None else size
        moved += sum(areas) * (1 - mask.iou)
    return moved / size


def _labels(image: ImageChange, shape: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    before, after = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)  # (H, W)
    for mask in image.masks:
        if mask.old is not None and (mask.old.height, mask.old.width) == shape:
            before |= rle.decode(mask.old)
        if mask.new is not None and (mask.new.height, mask.new.width) == shape:
            after |= rle.decode(mask.new)
    labels = np.select([before & after, after, before], [2, 3, 1])
    return labels.astype(np.uint8)


def _caption(image: ImageChange) -> str:
    marks = {"changed": "~", "added": "+", "removed": "-"}
    counts = Counter((mask.kind, mask.concept) for mask in image.masks if mask.kind != "same")
    said = ", ".join(f"{marks[kind]}{count} {concept}" for (kind, concept), count in counts.items())
    return f"{said or image.kind}: {image.file_name}"
