"""How much people corrected: predictions against annotations, concept by concept, and as a picture."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations import Region
from reco_assist.errors import ImageError, InputError
from reco_assist.evaluation.overlap import overlap
from reco_assist.formats.label_studio_regions import Drawn
from reco_assist.images import content_hash, decode, read_bytes
from reco_assist.label_studio.pulled import Pulled
from reco_assist.label_studio.tasks import LSTask
from reco_assist.masks import rle
from reco_assist.masks.sheet import Tile, write_sheet
from reco_assist.safe_paths import inside

_OUTCOMES = ("kept", "removed", "added")
_TILES = 12
_TRIES = 4 * _TILES  # images that are asked for; where so many are not to be had, the others are not either
_PAUSE = 30 * 60  # seconds; a longer lead time is a tab that was left open


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a concept's predictions.

    Attributes:
        concept: Its name.
        images: Annotated images in which it was predicted or marked.
        iou: Mean over them of the overlap of what was predicted with what was left.
        predicted: Regions that were predicted.
        untouched: Of these, accepted as they were, to the pixel.
        changed: Of these, corrected.
        removed: Of these, taken away.
        added: Regions that people drew themselves.
        pixels: Pixels that were added or taken away.
        share: Of the pixels of those images.
    """

    concept: str
    images: int
    iou: float | None
    predicted: int
    untouched: int
    changed: int
    removed: int
    added: int
    pixels: int
    share: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Predictions and annotations of a project.

    Attributes:
        project: Its title.
        tasks: All of them.
        annotated: Those that somebody annotated.
        skipped: Those that were only skipped.
        predicted: Annotated images that had predicted masks.
        untouched: Of these, those on which every mask was accepted as it was and none was added.
        empty: Annotated images that had been predicted to show nothing.
        left_empty: Of these, those on which nothing was marked.
        seconds: Median time for an image; None where the editor does not tell.
        concepts: By concept.
    """

    project: str
    tasks: int
    annotated: int
    skipped: int
    predicted: int
    untouched: int
    empty: int
    left_empty: int
    seconds: float | None
    concepts: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "concepts": [asdict(one) for one in self.concepts]}

    def rows(self) -> list[list[str]]:
        """A table, its head first."""
        head = ["concept", "images", "IoU", "predicted", "untouched", "changed", "removed", "added", "pixels"]
        rows = [head]
        for one in self.concepts:
            counts = (one.predicted, one.untouched, one.changed, one.removed, one.added)
            iou = "-" if one.iou is None else f"{one.iou:.3f}"
            cells = [one.concept, f"{one.images:,}", iou, *(f"{count:,}" for count in counts)]
            rows.append([*cells, f"{one.pixels:,} ({one.share:.1%})"])
        return rows

    def summary(self) -> str:
        """What holds for all concepts, in a line."""
        time = "" if self.seconds is None else f"; {self.seconds:.0f} s an image (median)"
        parts = [f"{self.annotated:,} of {self.tasks:,} images annotated, {self.skipped:,} skipped"]
        if self.predicted:
            share = f"{self.untouched / self.predicted:.0%}"
            parts.append(f"accepted untouched: {self.untouched:,} of {self.predicted:,} with masks ({share})")
        if self.empty:
            parts.append(f"left empty: {self.left_empty:,} of {self.empty:,} predicted to show nothing")
        return "; ".join(parts) + time

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, self.summary()])


def compare(pulled: Pulled) -> Comparison:
    """Compare what was pushed with what came back, image by image.

    Which region came from which is known by its id, and whether it was touched by its pixels.
    """
    answered = pulled.answered
    changes = tuple(_change(pulled, concept) for concept in pulled.concepts)
    predicted = [(one, shown) for one in answered if (shown := one.prediction()) is not None]
    # An empty image that stays empty took no mask to accept: it is counted for itself.
    masked = [one for one, shown in predicted if shown.regions]
    empty = [one for one, shown in predicted if not shown.regions]
    times = [each.seconds for one in answered for each in one.answered if 0 < each.seconds <= _PAUSE]
    return Comparison(
        pulled.project,
        len(pulled.labelled),
        len(answered),
        pulled.skipped,
        len(masked),
        sum(map(_untouched, masked)),
        len(empty),
        sum(map(_untouched, empty)),
        round(median(times), 1) if times else None,
        changes,
    )


def _change(pulled: Pulled, concept: str) -> Change:
    ious: list[float] = []
    counts = {"predicted": 0, "untouched": 0, "changed": 0, "removed": 0, "added": 0}
    pixels = everything = 0
    for one in pulled.answered:
        shown, corrected = one.prediction(), pulled.corrected(one)
        before = [] if shown is None else [region for region in shown.regions if concept in region.concepts]
        predicted = _mask(one, before)
        left = corrected.mask(concept)
        if not predicted.any() and not left.any():
            continue
        ious.append(overlap(predicted, left).iou)
        pixels += int((predicted ^ left).sum())
        everything += predicted.size
        _count(counts, before, [one for one in _after(one) if concept in one.concepts])
    return Change(
        concept,
        len(ious),
        round(float(np.mean(ious)), 4) if ious else None,
        pixels=pixels,
        share=round(pixels / everything, 6) if everything else 0.0,
        **counts,
    )


def _after(one: LSTask) -> tuple[Drawn, ...]:
    """The regions of the annotation that was changed last."""
    return one.answered[-1].regions


def _count(counts: dict[str, int], before: Sequence[Drawn], after: Sequence[Drawn]) -> None:
    kept = {region.id: region for region in after}
    counts["predicted"] += len(before)
    for region in before:
        now = kept.pop(region.id, None)
        counts["removed" if now is None else "untouched" if now.mask == region.mask else "changed"] += 1
    counts["added"] += len(kept)


def _untouched(one: LSTask) -> bool:
    shown = one.prediction()
    before = () if shown is None else shown.regions
    return {(region.id, region.concepts, region.mask) for region in before} == {
        (region.id, region.concepts, region.mask) for region in _after(one)
    }


def _mask(one: LSTask, regions: Sequence[Drawn] | Sequence[Region]) -> NDArray[np.bool_]:
    """The pixels (H, W) of regions of a task's image."""
    return rle.decode_all([region.mask for region in regions], one.image.height, one.image.width)


def draw(pulled: Pulled, path: Path, *, fetch: Callable[[str], bytes | None] = lambda _: None) -> int:
    """Draw the images that were corrected most, what was kept, removed and added in colours, as a PNG.

    Args:
        pulled: What was pulled.
        path: The picture.
        fetch: Gets an image that is not in the images' folder from its address; None where it cannot.

    Returns:
        How many images are on it. There is no picture if no image could be found.

    Raises:
        StorageError: The picture cannot be written.
    """
    rated = []
    for one in pulled.answered:
        shown = one.prediction()
        before = _mask(one, () if shown is None else shown.regions)
        after = _mask(one, pulled.corrected(one).regions)
        rated.append((overlap(before, after).iou if (before | after).any() else 1.0, one, before, after))
    rated.sort(key=lambda entry: (entry[0], entry[1].image.file_name))
    tiles, missing = [], 0
    for iou, one, before, after in rated:
        pixels = _pixels(pulled, one, fetch)
        if pixels is None or pixels.shape[:2] != before.shape:
            missing += 1
            if missing == _TRIES:
                break
            continue
        labels = np.select([before & after, before, after], [1, 2, 3]).astype(np.uint8)  # (H, W)
        caption = f"{one.image.file_name}: {'untouched' if _untouched(one) else f'IoU {iou:.2f}'}"
        tiles.append(Tile(pixels, labels, caption))
        if len(tiles) == _TILES:
            break
    if tiles:
        title = f"{pulled.project}: what {len(rated):,} annotated images kept of the predictions, worst first"
        write_sheet(path, tiles, _OUTCOMES, title=title, columns=4)
    return len(tiles)


def find_image(pulled: Pulled, one: LSTask) -> Path | None:
    """The file of a task's image, if it is in the images' folder and has not changed."""
    if pulled.images is None:
        return None
    try:
        path = inside(pulled.images, one.image.file_name, links=True)
        return path if content_hash(read_bytes(path)) == one.image.content_hash else None
    except InputError:
        return None


def _pixels(pulled: Pulled, one: LSTask, fetch: Callable[[str], bytes | None]) -> NDArray[np.uint8] | None:
    path = find_image(pulled, one)
    try:
        if path is not None:
            return decode(path).pixels
        data = fetch(one.url)
        return None if data is None else decode(data).pixels
    except ImageError:
        return None
