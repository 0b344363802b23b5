"""A data set on one self-contained HTML page: counts, sizes, positions, scores, doubtful and typical masks.

Names come from anywhere. Jinja escapes every one of them, and the page forbids itself scripts and loading
anything (Content-Security-Policy), so a hostile name can at worst look odd.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import jinja2
import numpy as np
from numpy.typing import NDArray

from reco_assist.datasets.instances import InstanceCount
from reco_assist.errors import InputError
from reco_assist.files import write_bytes
from reco_assist.formats import Dataset, by_concept, is_crowd, score
from reco_assist.formats.photographs import open_photograph
from reco_assist.formats.plain import Record
from reco_assist.masks import rle
from reco_assist.masks.colours import colours_of, css
from reco_assist.masks.counts import measure
from reco_assist.masks.sheet import overlay
from reco_assist.version import __version__

_SIZES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # shares of the image that part the histogram of sizes
_SIZE_NAMES = ("<0.1%", "0.1%", "0.3%", "1%", "3%", "10%", "≥30%")
_GRID = 12  # cells of the map of positions along each side
_EXAMPLES = 6  # of each kind
_ROOM = (300, 220)  # pixels of an example
_TINY = 0.0005  # share of the image


@dataclass(frozen=True, slots=True)
class _Mask:
    """One mask and what is measured of it."""

    annotation: Record
    share: float  # of the image
    x: float  # of the centre of its box, 0 to 1
    y: float
    counts: str  # its run lengths
    score: float | None
    edge: bool  # whether it touches the border


@dataclass(frozen=True, slots=True)
class Chart:
    """A histogram: its title, the names of its bars, and how many each counts."""

    title: str
    names: tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def highest(self) -> int:
        """The largest count, at least 1."""
        return max((*self.counts, 1))


@dataclass(frozen=True, slots=True)
class Figure:
    """A mask to look at: a JPEG as text, and what is said below it."""

    jpeg: str
    file_name: str
    caption: str


@dataclass(frozen=True, slots=True)
class Section:
    """What the page says about one concept.

    Attributes:
        name: The concept's.
        colour: Of its masks, `#rrggbb`.
        instances: By image, crowds left out.
        crowds: Regions to ignore.
        absent: Images that were judged not to show it.
        size: Median share of the image, in words; empty without a mask.
        score: Median score; None where there is none.
        charts: Sizes, instances an image, and scores where there are any.
        positions: (rows, columns) share of the fullest cell, 0 to 1.
        typical: Masks near the middle.
        doubtful: Masks to check first.
        doubt: Why those.
    """

    name: str
    colour: str
    instances: InstanceCount
    crowds: int
    absent: int
    size: str
    score: float | None
    charts: tuple[Chart, ...]
    positions: tuple[tuple[float, ...], ...]
    typical: tuple[Figure, ...]
    doubtful: tuple[Figure, ...]
    doubt: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a page says in figures.

    Attributes:
        instances: Of each concept, by its name.
        not_shown: A sentence for each image that could not be shown.
    """

    instances: Mapping[str, InstanceCount]
    not_shown: tuple[str, ...]


def write_report(
    path: Path,
    dataset: Dataset,
    *,
    title: str,
    images: Path | None = None,
    on_concept: Callable[[str], object] | None = None,
) -> Written:
    """Write the page.

    Args:
        path: The HTML file.
        dataset: What it is about.
        title: Its heading.
        images: Folder of the images; without it no mask is shown.
        on_concept: Called with the name of each concept that is done.

    Returns:
        Its counts, and what could not be shown.

    Raises:
        InputError: The folder of the images is none.
        FormatError: A mask is damaged.
        StorageError: The file cannot be written.
    """
    if images is not None and not images.is_dir():
        raise InputError(f"{images} is no folder: name the folder of the images")
    problems: list[str] = []
    sections = []
    measured: list[_Mask] = []
    for number, (name, annotations) in enumerate(by_concept(dataset).items(), start=1):
        masks = _measure(dataset, [one for one in annotations if not is_crowd(one)])
        crowds = sum(map(is_crowd, annotations))
        sections.append(_section(dataset, name, masks, crowds, colours_of([number])[0], images, problems))
        measured += masks
        if on_concept is not None:
            on_concept(name)
    loader = jinja2.PackageLoader("reco_assist.datasets", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html").render(
        title=title,
        source=dataset.source,
        version=__version__,
        images=len(dataset.images),
        masks=sum(section.instances.total for section in sections),
        empty=sum(not any(not is_crowd(one) for one in found) for found in dataset.annotations.values()),
        sections=sections,
        remarks=_remarks(measured, sections, problems),
        shows={
            "absent": any(section.absent for section in sections),
            "crowds": any(section.crowds for section in sections),
            "score": any(section.score is not None for section in sections),
        },
        pictures=images is not None,
    )
    write_bytes(path, page.encode("utf-8", "xmlcharrefreplace"))
    return Written({section.name: section.instances for section in sections}, tuple(problems))


def _section(
    dataset: Dataset,
    name: str,
    masks: Sequence[_Mask],
    crowds: int,
    colour: NDArray[np.uint8],
    folder: Path | None,
    problems: list[str],
) -> Section:
    scores = [one.score for one in masks if one.score is not None]
    instances = InstanceCount.of(dataset.image(one.annotation)["id"] for one in masks)
    charts = [
        Chart("Size: share of the image", _SIZE_NAMES, _binned([one.share for one in masks], _SIZES)),
        Chart("Instances an image", *zip(*instances.histogram.items(), strict=True)),
    ]
    if scores:
        tenths = tuple(f"{tenth / 10:.1f}" for tenth in range(10))
        charts.append(Chart("Score", tenths, _binned(scores, [tenth / 10 for tenth in range(1, 10)])))
    typical, doubtful, doubt = _choose(masks)

    def examples(chosen: Sequence[_Mask]) -> tuple[Figure, ...]:
        if folder is None:
            return ()
        drawn = (_example(dataset, one, colour, folder, problems) for one in chosen)
        return tuple(one for one in drawn if one is not None)

    return Section(
        name=name,
        colour=css(colour),
        instances=instances,
        crowds=crowds,
        absent=sum(dataset.absent(image, name) for image in dataset.images),
        size=_percent(float(np.median([one.share for one in masks]))) if masks else "",
        score=float(np.median(scores)) if scores else None,
        charts=tuple(charts),
        positions=_positions(masks),
        typical=examples(typical),
        doubtful=examples(doubtful),
        doubt=doubt,
    )


def _measure(dataset: Dataset, annotations: Sequence[Record]) -> list[_Mask]:
    """Those that have a pixel."""
    masks = dataset.masks(annotations)
    if not masks:
        return []
    sizes = np.array([(mask.width, mask.height) for mask in masks])  # (n, 2)
    pixels, box = measure(masks)  # (n,), (n, 4)
    start, end = box[:, :2], box[:, :2] + box[:, 2:]  # (n, 2)
    shares = pixels / sizes.prod(axis=1)  # (n,)
    centres = (start + box[:, 2:] / 2) / sizes  # (n, 2)
    edges = ((start == 0) | (end == sizes)).any(axis=1)  # (n,)
    rows = zip(annotations, masks, shares.tolist(), centres.tolist(), edges.tolist(), strict=True)
    return [
        _Mask(one, share, x, y, mask.counts, _clipped(score(one)), edge)
        for one, mask, share, (x, y), edge in rows
        if share > 0
    ]


def _clipped(sure: float | None) -> float | None:
    return None if sure is None else min(1.0, max(0.0, sure))


def _choose(masks: Sequence[_Mask]) -> tuple[list[_Mask], list[_Mask], str]:
    """Typical masks, those to check first, and why."""
    if not masks:
        return [], [], ""
    sizes = np.log([one.share for one in masks])  # (n,)
    unusual = np.abs(sizes - np.median(sizes))  # (n,)
    scored = all(one.score is not None for one in masks) and len({one.score for one in masks}) > 1
    if scored:
        values = np.array([one.score for one in masks], np.float64)  # (n,)
        doubtful, reason = np.argsort(values, kind="stable"), "the lowest scores"
        middle = np.argsort(np.abs(values - np.median(values)) + 0.1 * unusual, kind="stable")
    else:
        doubtful, reason = (
            np.argsort(-unusual, kind="stable"),
            "the most unusual sizes, since no scores tell them apart",
        )
        middle = np.argsort(unusual, kind="stable")
    worst = doubtful[:_EXAMPLES].tolist()
    typical = [i for i in middle.tolist() if i not in set(worst)][:_EXAMPLES]
    return [masks[i] for i in typical], [masks[i] for i in worst], reason


def _example(
    dataset: Dataset, one: _Mask, colour: NDArray[np.uint8], folder: Path, problems: list[str]
) -> Figure | None:
    """A mask with its surroundings, half its size on each side."""
    image = dataset.image(one.annotation)
    try:
        pixels = open_photograph(dataset, image, folder).picture.pixels  # (H, W, 3)
    except InputError as error:
        if str(error) not in problems:
            problems.append(str(error))
        return None
    mask = dataset.mask(one.annotation)
    x, y, width, height = rle.bbox(mask)
    margin = max(24, max(width, height) // 2)
    top, left = max(0, y - margin), max(0, x - margin)
    window = np.s_[top : y + height + margin, left : x + width + margin]
    labels = rle.decode(mask)[window].astype(np.uint8)  # (h, w)
    buffer = BytesIO()
    overlay(pixels[window], labels, colour[None], _ROOM).save(buffer, "JPEG", quality=82)
    size = f"{_percent(one.share)} of the image"
    caption = size if one.score is None else f"score {one.score:.2f}, {size}"
    return Figure(b64encode(buffer.getvalue()).decode(), str(image["file_name"]), caption)


def _remarks(masks: Sequence[_Mask], sections: Sequence[Section], problems: Sequence[str]) -> list[str]:
    """What deserves a look, in whole sentences."""
    remarks = []
    if empty := [section.name for section in sections if not section.instances.total]:
        remarks.append(f"No mask at all: {', '.join(empty)}.")
    records = ((one.annotation["image_id"], one.annotation["category_id"], one.counts) for one in masks)
    twice = len(masks) - len(set(records))
    tiny = sum(one.share < _TINY for one in masks)
    edge = sum(one.edge for one in masks)
    if twice:
        remarks.append(f"{twice:,} masks are there twice: the same pixels, concept and image.")
    if tiny:
        remarks.append(f"{tiny:,} of {len(masks):,} masks are smaller than {_percent(_TINY)} of their image.")
    if edge:
        remarks.append(f"{edge:,} of {len(masks):,} masks touch the border of their image.")
    if problems:
        remarks.append(f"Photographs that could not be shown: {len(problems):,}. The first: {problems[0]}")
    return remarks


def _positions(masks: Sequence[_Mask]) -> tuple[tuple[float, ...], ...]:
    counts, _, _ = np.histogram2d(
        [one.y for one in masks], [one.x for one in masks], bins=_GRID, range=((0, 1), (0, 1))
    )  # (rows, columns)
    shares = counts / max(1.0, float(counts.max()))
    return tuple(tuple(round(float(value), 3) for value in row) for row in shares)


def _binned(values: Sequence[float], edges: Sequence[float]) -> tuple[int, ...]:
    place = np.searchsorted(edges, values, side="right")
    return tuple(np.bincount(place, minlength=len(edges) + 1).tolist())


def _percent(share: float) -> str:
    if share < 0.0001:
        return "< 0.01%"
    return f"{share:.2%}" if share < 0.01 else f"{share:.1%}" if share < 0.1 else f"{share:.0%}"
