"""`reco-assist concepts`: a library of Concept files."""

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm.auto import tqdm

from reco_assist.cli.options import Device, Json, Quiet, Verbose, print_json, say, set_up

if TYPE_CHECKING:
    from reco_assist.annotations import Prediction
    from reco_assist.archive import Archive
    from reco_assist.library import Item
    from reco_assist.masks import Rle
    from reco_assist.masks.sheet import Tile

app = typer.Typer(
    help="A library of concepts: list, rename, merge and compare Concept files.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_SHOWN = 12  # images on the sheet of a comparison


@app.command("list")
def list_(
    folder: Annotated[Path, typer.Argument(help="The folder of the concept files.")] = Path(),
    archive: Annotated[
        Path | None, typer.Option(help="Draw the thumbnails that are missing, from this archive.")
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="Put all thumbnails on one picture, as a PNG.")] = None,
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """List the concepts of a folder: how each was learnt, and what it has learnt.

    Example: reco-assist concepts list concepts --archive photos.reco --sheet concepts.png
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.library import Library, summary

    library = Library(folder)
    if archive is not None:
        opened = _open(archive, device)
        missing = [item for item in library.items() if item.concept is not None and item.thumbnail is None]
        for item in tqdm(missing, unit="concept", desc="draw", disable=True if quiet else None):
            if item.concept is not None and library.draw(item.concept, opened) is None:
                say(f"{item.path.name}: {archive.name} has none of its images", quiet=quiet)
    items = library.items()
    if sheet is not None:
        _draw(sheet, items, folder)
    if json:
        print_json({"concepts": [_record(item) for item in items]})
        return
    if not items:
        say(f"{folder} holds no concept file: make one with 'reco-assist learn'", quiet=quiet)
    width = max((len(item.path.name) for item in items), default=0)
    for item in items:
        said = f"NOT READABLE: {item.problem}"
        if item.concept is not None:
            said = f"{item.concept.name!r}: {summary(item.concept)}"
        typer.echo(f"{item.path.name.ljust(width)}  {said}")


@app.command()
def rename(
    concept: Annotated[Path, typer.Argument(help="A concept file.")],
    name: Annotated[str, typer.Argument(help="The new name.")],
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Give a concept another name, and its file too.

    Example: reco-assist concepts rename concepts/mug.concept "coffee mug"
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.library import Library

    path = Library(concept.parent).rename(concept, name)
    if json:
        print_json({"concept": str(path), "name": name.strip()})
        return
    say(f"{path}: {name.strip()!r}", quiet=quiet)


@app.command()
def merge(
    first: Annotated[Path, typer.Argument(help="A concept file.")],
    second: Annotated[Path, typer.Argument(help="Another one, of the same thing.")],
    archive: Annotated[Path, typer.Option(help="An archive with images of their sets.")],
    out: Annotated[Path, typer.Option(help="The merged concept's file.")],
    name: Annotated[str | None, typer.Option(help="Its name; that of the first otherwise.")] = None,
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Make one concept of two that mean the same thing, as two curators or two archives taught it.

    Example: reco-assist concepts merge anna.concept ben.concept --archive photos.reco --out mug.concept
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.concepts import Concept, ambiguous, merge_concepts
    from reco_assist.library import Library, summary

    ours = Concept.load(first), Concept.load(second)
    opened = _open(archive, device)
    merged = merge_concepts(*ours, name=name or ours[0].name, archive=opened)
    merged.save(out)
    Library(out.parent).draw(merged, opened)
    if hint := ambiguous(merged.name, merged.quality):
        say(hint, quiet=quiet)
    if json:
        print_json({"concept": str(out), "name": merged.name, "kept": list(merged.provenance.kept)})
        return
    say(f"{out}: {merged.name!r}, {summary(merged)}", quiet=quiet)


@app.command()
def compare(
    concepts: Annotated[list[Path], typer.Argument(help="Two or more concept files.")],
    images: Annotated[Path, typer.Option(help="A folder of images, or an archive.")],
    sheet: Annotated[
        Path | None, typer.Option(help="Draw the images on which they differ most, as a PNG.")
    ] = None,
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Let concepts segment the same images, each for itself, and say where they differ.

    Example: reco-assist concepts compare anna.concept ben.concept --images photos --sheet differences.png
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.concepts import Concept, rename_concept
    from reco_assist.encoders import load_encoder
    from reco_assist.errors import InputError
    from reco_assist.masks import rle
    from reco_assist.runs import list_targets
    from reco_assist.segmenter import Segmenter

    if len(concepts) < 2:
        raise InputError("name two or more concept files to compare")
    # Two versions of one concept have one name; their files tell them apart.
    names = [path.stem for path in concepts]
    if len(set(names)) < len(names):
        names = [str(path) for path in concepts]
    loaded = [rename_concept(Concept.load(path), name) for path, name in zip(concepts, names, strict=True)]
    targets = list_targets(images)
    encoder = load_encoder(loaded[0].provenance.encoder, device=device)
    segmenter = Segmenter(loaded, encoder=encoder, overlap=True, instances="none")
    found: list[tuple[float, Prediction]] = []
    for prediction in tqdm(
        segmenter.predict(targets),
        total=len(targets),
        unit="image",
        desc="compare",
        disable=True if quiet else None,
    ):
        masks = [_mask(prediction, name) for name in names]
        found.append((min(rle.iou(*pair) for pair in combinations(masks, 2)), prediction))
    found.sort(key=lambda one: (one[0], one[1].image.file_name))
    present = {name: sum(_shows(one, name) for _, one in found) for name in names}
    agreement = sum(overlap for overlap, _ in found) / len(found)
    if sheet is not None:
        from reco_assist.masks.sheet import write_sheet

        paths = {target.file_name: target.path for target in targets}
        shown = [one for overlap, one in found if overlap < 1][:_SHOWN] or [found[0][1]]
        tiles = [_tile(one, name, paths[one.image.file_name]) for one in shown for name in names]
        title = f"{len(found)} images, mean overlap {agreement:.2f}; those that differ most"
        write_sheet(sheet, tiles, ["mask"], title=title, columns=len(names))
    if json:
        rows = [{"image": one.image.file_name, "iou": round(overlap, 4)} for overlap, one in found]
        print_json({"present": present, "mean_iou": round(agreement, 4), "images": rows})
        return
    for name, count in present.items():
        typer.echo(f"{name}: in {count:,} of {len(found):,} images")
    typer.echo(f"mean overlap of their masks: {agreement:.3f} (1 where neither finds anything)")
    for overlap, one in found[:5]:
        typer.echo(f"  {overlap:.2f}  {one.image.file_name}")


def _open(path: Path, device: str) -> "Archive":
    from reco_assist.archive import Archive
    from reco_assist.encoders import load_encoder

    return Archive.open(path, encoder=load_encoder(Archive.open(path).encoder_name, device=device))


def _record(item: "Item") -> dict[str, object]:
    record: dict[str, object] = {"file": str(item.path), "problem": item.problem or None}
    if item.concept is not None:
        origin = item.concept.provenance
        record |= {
            "name": item.concept.name,
            "digest": item.concept.digest,
            "method": item.concept.method,
            "encoder": origin.encoder,
            "images": len(origin.kept),
            "dropped": len(origin.dropped),
            "exemplars": len(origin.exemplars),
            "contexts": list(origin.contexts),
            "thumbnail": None if item.thumbnail is None else str(item.thumbnail),
        }
    return record


def _draw(path: Path, items: "list[Item]", folder: Path) -> None:
    import numpy as np

    from reco_assist.images import decode
    from reco_assist.masks.sheet import Tile, write_sheet

    tiles = []
    for item in items:
        pixels = (
            np.full((3, 4, 3), 232, np.uint8) if item.thumbnail is None else decode(item.thumbnail).pixels
        )
        name = item.path.name if item.concept is None else item.concept.name
        tiles.append(Tile(pixels, np.zeros(pixels.shape[:2], np.uint8), name))
    write_sheet(path, tiles, [], title=f"{len(items)} concepts of {folder.resolve().name}")


def _mask(prediction: "Prediction", name: str) -> "Rle":
    import numpy as np

    from reco_assist.masks import rle

    for region in prediction.regions:
        if region.concept == name:
            return region.mask
    return rle.encode(np.zeros((prediction.image.height, prediction.image.width), np.bool_))


def _shows(prediction: "Prediction", name: str) -> bool:
    return any(region.concept == name for region in prediction.regions)


def _tile(prediction: "Prediction", name: str, path: Path) -> "Tile":
    import numpy as np

    from reco_assist.images import decode
    from reco_assist.masks import rle
    from reco_assist.masks.sheet import Tile

    labels = rle.decode(_mask(prediction, name)).astype(np.uint8)  # (H, W)
    verdict = next(one for one in prediction.verdicts if one.concept == name)
    said = f"{verdict.probability:.0%}, {labels.mean():.1%} of the image" if labels.any() else "nothing found"
    return Tile(decode(path).pixels, labels, f"{name}: {said}")
