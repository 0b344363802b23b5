"""`reco-assist evaluate`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reco_assist.cli.options import (
    Json,
    Quiet,
    Verbose,
    existing_folder,
    print_json,
    read_drawn,
    say,
    set_up,
    words,
)
from reco_assist.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reco_assist.evaluation import ConceptScore, Report, Truth
    from reco_assist.formats import Dataset
    from reco_assist.masks.sheet import Tile

_COLUMNS = {
    "iou": "IoU",
    "interval": "95 % interval",
    "pixel_iou": "pixel IoU",
    "boundary_f": "boundary",
    "false_rate": "false",
    "mask_ece": "ECE",
}
_OUTCOMES = ("found", "wrong", "missed")


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="A COCO file, such as that of 'reco-assist segment'.")],
    truth: Annotated[
        Path, typer.Option(help="A COCO file, a folder of label maps, or a group folder with concepts.json.")
    ],
    concepts: Annotated[
        str | None, typer.Option(help="Only these, separated by commas; all that were predicted otherwise.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out images without the concept that were not segmented.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw best, median, worst and falsely masked images, as a PNG.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="The folder of the images, for the sheet; a group knows its own.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw how far scores mean what they say (reliability), as a PNG.")
    ] = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Score masks against ground truth: overlap, boundaries, false masks, and whether scores can be trusted.

    Both may be of any kind that 'convert' reads; boxes without masks count as their pixels, and crowds are
    ignored where the truth has them, as by COCO's own evaluation. Label map a/b.png belongs to image a/b with
    any suffix: 0 is background, 255 not known; a file beside the maps names the numbers (legend.json,
    labelmap.txt or class_names.txt), or else the prediction's categories do.

    Example: reco-assist evaluate masks/coco.json --truth truth.json --sheet worst.png
    """
    set_up(verbose=verbose, quiet=quiet)
    from tqdm.auto import tqdm

    from reco_assist.evaluation import evaluate as score
    from reco_assist.evaluation import plot_reliability, truth_of

    found = read_drawn(predictions, images=images, quiet=quiet)
    files = [found.name(one) for one in found.images.values()]
    names = {number: name for number, name in found.categories.items() if isinstance(number, int)}
    exact = truth_of(read_drawn(truth, images=images, files=files, names=names, quiet=quiet))
    if concepts is not None:
        exact = exact.only(words(concepts) or ())
    folder = images or exact.dataset.folder
    if sheet is not None and folder is None:
        raise InputError("the sheet needs the photographs: name their folder by --images")
    with tqdm(unit="image", desc="evaluate", disable=True if quiet else None) as bar:
        report = score(found, exact, partial=partial, on_image=bar.update)
    if sheet is not None and folder is not None:
        _draw(sheet, report, found, exact, existing_folder(folder), quiet=quiet)
    if plot is not None:
        curves = {"masks": report.masks, "presence": report.presence}
        plot_reliability(plot, curves, title="What scores are worth")
    if json:
        print_json(report.to_json())
        return
    typer.echo(_table(report))


def _table(report: "Report") -> str:
    from reco_assist.evaluation import UNTOUCHED

    rows = [["concept", "images", *_COLUMNS.values()]]
    data = report.to_json()
    for name, one in data["concepts"].items():
        rows.append([name, f"{one['positives']} + {one['negatives']}", *_cells(one)])
    if len(report.concepts) > 1:
        rows.append(["MEAN", "", *_cells(data["mean"])])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    mean = report.figures()
    notes = [
        "",
        "images: with the concept + without it; false: share of the latter that have a mask",
        f"to correct by hand: {mean['changed']:.1%} of the pixels of images with a concept",
        f"masks good enough to stay as they are (IoU of {UNTOUCHED} or more): {mean['untouched']:.0%}",
    ]
    return "\n".join(line.rstrip() for line in [*lines, *notes])


def _cells(figures: dict[str, object]) -> list[str]:
    cells = []
    for key in _COLUMNS:
        match figures[key]:
            case [float(low), float(high)]:
                cells.append(f"{low:.3f} to {high:.3f}")
            case float(value):
                cells.append(f"{value:.3f}")
            case _:
                cells.append("-")
    return cells


def _draw(
    path: Path, report: "Report", found: "Dataset", exact: "Truth", folder: Path, *, quiet: bool
) -> None:
    from reco_assist.masks.sheet import write_sheet

    problems: list[str] = []
    tiles = [tile for one in report.concepts for tile in _tiles(one, found, exact, folder, problems)]
    for problem in dict.fromkeys(problems):
        say(f"not shown: {problem}", quiet=quiet)
    title = f"best, median and worst images, and false masks: mean IoU {report.figures()['iou']:.3f}"
    write_sheet(path, tiles, _OUTCOMES, title=title, columns=4)


def _tiles(
    score: "ConceptScore", found: "Dataset", exact: "Truth", folder: Path, problems: list[str]
) -> "list[Tile]":
    """Best, median and worst image of a concept and its largest false mask; blank where there is none."""
    import numpy as np

    shown = next(one for one in exact.concepts if one.name == score.name)
    ranked = sorted(score.images, key=lambda one: (-one.overlap.iou, one.file_name))
    tiles = []
    for name, place in (("best", 0), ("median", len(ranked) // 2), ("worst", len(ranked) - 1)):
        if not ranked:
            tiles.append(_blank(f"{score.name}: no image with it"))
            continue
        one = ranked[place]
        truth = shown.positives[one.file_name]()
        height, width = truth.mask.shape
        predicted = found.union(one.image, score.category, shape=(height, width)) & truth.valid
        labels = np.select([predicted & truth.mask, predicted, truth.mask & truth.valid], [1, 2, 3])
        caption = f"{score.name}, {name}: {one.overlap.iou:.2f}"
        tiles.append(_tile(exact.dataset, one.file_name, labels, caption, folder, problems))
    if not score.false:
        rate = "no false mask" if not math.isnan(score.false_rate) else "no image without it"
        return [*tiles, _blank(f"{score.name}: {rate}")]
    false = score.false[0]
    labels = np.where(found.union(false.image, score.category), 2, 0)
    caption = f"{score.name}, false: {false.share:.0%} of the image"
    return [*tiles, _tile(exact.dataset, false.file_name, labels, caption, folder, problems)]


def _tile(
    dataset: "Dataset",
    file_name: str,
    labels: "NDArray[Any]",
    caption: str,
    folder: Path,
    problems: list[str],
) -> "Tile":
    import numpy as np

    from reco_assist.formats.photographs import open_photograph
    from reco_assist.masks.sheet import Tile

    image = next(one for one in dataset.images.values() if one["file_name"] == file_name)
    try:
        pixels = open_photograph(dataset, image, folder).picture.pixels
    except InputError as error:
        problems.append(str(error))
        return _blank(caption)
    return Tile(pixels, labels.astype(np.uint8), caption)


def _blank(caption: str) -> "Tile":
    import numpy as np

    from reco_assist.masks.sheet import Tile

    return Tile(np.full((3, 4, 3), 245, np.uint8), np.zeros((3, 4), np.uint8), caption)
