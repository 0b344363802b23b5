"""`reco-assist merge`, `diff`, `convert` and `report`: the care of data sets that exist already."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tqdm.auto import tqdm

from reco_assist.cli.options import (
    Json,
    Quiet,
    Verbose,
    existing_folder,
    print_json,
    read_drawn,
    say,
    say_skipped,
    set_up,
    words,
)

if TYPE_CHECKING:
    from reco_assist.formats import Dataset
    from reco_assist.formats.photographs import Photographed

_SOURCE = (
    "COCO, panoptic, YOLO, label maps, labelme, CVAT for images, Pascal VOC or Label Studio's JSON export."
)
Source = Annotated[Path, typer.Argument(help=_SOURCE)]
Images = Annotated[Path | None, typer.Option(help="The folder of the images.")]
FORMATS = ("coco", "panoptic", "yolo")


def merge(
    base: Annotated[Path, typer.Argument(help="The data set that keeps its ids: " + _SOURCE)],
    new: Annotated[Path, typer.Argument(help="What is merged into it, of the same kinds.")],
    out: Annotated[Path, typer.Option(help="The merged COCO file; it may be BASE itself.")],
    correct: Annotated[
        bool, typer.Option("--correct", help="Let the masks of NEW take the place of those in BASE.")
    ] = False,
    prefix: Annotated[str, typer.Option(help="Put before the file names of NEW, such as val/.")] = "",
    images: Images = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Merge a data set into another one, whose ids and records stay as they are.

    Categories are the same by name, images by file name or content. A mask that BASE has already is not added
    again. With --correct, what NEW says of an image and concept replaces what BASE says; crowds stay.

    Example: reco-assist merge theirs.json masks/coco.json --out merged.json
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.datasets import merge as merged
    from reco_assist.formats import read_dataset, write_dataset

    ours = read_dataset(base, images=images)  # whose records stay as they are
    say_skipped(ours.skipped, quiet=quiet)
    theirs = read_drawn(new, images=images, quiet=quiet)
    done = merged(ours, theirs, mode="correct" if correct else "add", prefix=prefix)
    write_dataset(out, done.dataset)
    counts = {
        "added": +done.added,
        "known": +done.known,
        "changed": +done.changed,
        "removed": +done.removed,
    }
    if json:
        print_json({"out": str(out), "images_added": done.images, "images_matched": done.matched, **counts})
        return
    masks = ", ".join(f"{count.total():,} {kind}" for kind, count in counts.items() if count) or "none"
    say(f"{out}: {done.images:,} images added, {done.matched:,} were there; masks: {masks}", quiet=quiet)


def diff(
    old: Source,
    new: Annotated[Path, typer.Argument(help="The later version, of the same kinds.")],
    images: Images = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the images that changed most, as a PNG.")] = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Say what changed between two versions of a data set: images and masks, concept by concept.

    A mask is changed where old and new overlap by half or more; otherwise one was removed and one added.

    Example: reco-assist diff old.json new.json --images photos --picture changes.png
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.datasets import diff as compare
    from reco_assist.datasets import write_diff_picture
    from reco_assist.errors import InputError

    if picture is not None and images is None:
        raise InputError("the picture needs the photographs: name their folder by --images")
    found = compare(read_drawn(old, images=images, quiet=quiet), read_drawn(new, images=images, quiet=quiet))
    if picture is not None and images is not None:
        write_diff_picture(picture, found, existing_folder(images), on_skip=lambda why: say(why, quiet=quiet))
    if json:
        print_json(found.to_json())
        return
    typer.echo(_table({"images": found.counts(), **found.concepts()}))


def convert(
    source: Source,
    out: Annotated[Path, typer.Option(help="The folder for the results.")],
    to: Annotated[str, typer.Option(help="Any of coco,panoptic,yolo.")] = "coco",
    val: Annotated[float, typer.Option(help="Share of the images for validation, 0 to 0.5.")] = 0.0,
    images: Images = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Write a data set in other formats, and part it into a training and a validation set.

    Near-duplicates stay on one side of the split, and rare concepts are on both where they can be. Crowds
    and regions to ignore are kept, but for YOLO, which has none. A split and YOLO look at the photographs,
    and leave out what is missing, damaged or of another size.

    Example: reco-assist convert masks --images photos --to coco,yolo --val 0.2 --out training
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.errors import InputError
    from reco_assist.folders import make_output_folder
    from reco_assist.formats import write_dataset

    chosen = words(to) or []
    if not chosen or set(chosen) - set(FORMATS):
        raise InputError(f"--to is {to!r}: choose one or more of {','.join(FORMATS)}")
    if images is None and (val or "yolo" in chosen):
        raise InputError("a split and YOLO need the photographs: name their folder by --images")
    dataset = read_drawn(source, images=images, quiet=quiet)
    skipped = dataset.skipped
    parts = {"all": dataset}
    if images is not None and (val or "yolo" in chosen):
        shown = _looked_at(dataset, existing_folder(images), quiet=quiet)
        skipped += shown.skipped
        photos = _split(shown, val) if val else {"all": shown}
        parts = {name: part.dataset for name, part in photos.items()}
    make_output_folder(out)
    for name, part in parts.items():
        ending = "" if name == "all" else f"-{name}"
        if "coco" in chosen:
            write_dataset(out / f"coco{ending}.json", part)
        if "panoptic" in chosen:
            from reco_assist.formats.panoptic import write_panoptic

            write_panoptic(out, part, name=f"panoptic{ending}")
    if "yolo" in chosen:
        from reco_assist.formats.yolo import write_yolo

        crowds = write_yolo(out / "yolo", photos)
        if crowds:
            say(f"YOLO has no regions to ignore: {crowds:,} were left out of it", quiet=quiet)
    counts = {name: len(part.images) for name, part in parts.items()}
    if json:
        print_json({"out": str(out), "images": counts, "skipped": [list(one) for one in skipped]})
        return
    said = ", ".join(f"{count:,} {'images' if name == 'all' else name}" for name, count in counts.items())
    say(f"{out}: {said}", quiet=quiet)


def report(
    source: Source,
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    images: Images = None,
    title: Annotated[str | None, typer.Option(help="The heading; the data set's name otherwise.")] = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page about a data set: counts, sizes, positions, scores, and the masks to check first.

    The page loads nothing and runs no script: it can be mailed, and opened anywhere.

    Example: reco-assist report masks --images photos --out report.html
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.datasets.report import write_report

    dataset = read_drawn(source, images=images, quiet=quiet)
    names = dataset.concepts
    with tqdm(total=len(names), unit="concept", desc="report", disable=True if quiet else None) as bar:
        written = write_report(
            out,
            dataset,
            title=title or (source.resolve().name if source.is_dir() else source.stem),
            images=images,
            on_concept=lambda _: bar.update(),
        )
    for problem in written.not_shown:
        say(f"not shown: {problem}", quiet=quiet)
    if json:
        concepts = {name: count.to_json() for name, count in written.instances.items()}
        print_json({"out": str(out), "not_shown": list(written.not_shown), "concepts": concepts})
        return
    for name, count in written.instances.items():
        say(f"{name}: {count}", quiet=quiet)
    say(f"{out}: {len(dataset.images):,} images, {len(names):,} concepts", quiet=quiet)


def _looked_at(dataset: "Dataset", folder: Path, *, quiet: bool) -> "Photographed":
    """The images whose photographs are what their records say; the others are named."""
    from reco_assist.formats.photographs import photographed

    count = len(dataset.images)
    with tqdm(total=count, unit="image", desc="look", disable=True if quiet else None) as bar:
        shown = photographed(dataset, folder, on_image=bar.update)
    say_skipped(shown.skipped, quiet=quiet)
    return shown


def _split(photos: "Photographed", share: float) -> "dict[str, Photographed]":
    """`train` and `val`, by what the image files themselves look like."""
    from reco_assist.datasets import hold_out
    from reco_assist.formats import is_crowd

    dataset, shown = photos.dataset, dict[str, set[str]]()
    for number, digest in photos.hashes.items():
        single = (one for one in dataset.annotations[number] if not is_crowd(one))
        shown.setdefault(digest, set()).update(dataset.concept(one) for one in single)
    marks = {digest: photos.fingerprints[number] for number, digest in photos.hashes.items()}
    held = hold_out(marks, shown, share)
    return {
        "train": photos.only(number for number, digest in photos.hashes.items() if digest not in held),
        "val": photos.only(number for number, digest in photos.hashes.items() if digest in held),
    }


def _table(rows: "dict[str, Counter[Any]]") -> str:
    from reco_assist.datasets.diffing import KINDS

    cells = [
        ["", *KINDS],
        *([name, *(f"{counts[kind]:,}" for kind in KINDS)] for name, counts in rows.items()),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())
    return "\n".join(lines)
