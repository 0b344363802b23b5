"""`reco-assist segment`."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from reco_assist.cli.explain import CONCEPTS
from reco_assist.cli.options import (
    Device,
    EncoderName,
    Engine,
    Json,
    Quiet,
    RayAddress,
    Verbose,
    choose_cluster,
    existing_folder,
    print_json,
    say,
    set_up,
)
from reco_assist.errors import InputError
from reco_assist.version import __version__

if TYPE_CHECKING:
    from reco_assist.cluster import Cluster
    from reco_assist.segmenter import Journal, Target

FORMATS = ("coco", "label-studio", "png")
REFINEMENTS = ("auto", "objects", "crf", "guided", "none")
_BATCH = 16  # fixed: a resumed run must make the same batches
_JOURNAL = "journal.jsonl"


def segment(
    concepts: Annotated[list[Path], typer.Argument(help="Concept files, or one student.")],
    images: Annotated[
        Path, typer.Option(help="A folder of images, an archive, a shard, or a URI; see index.")
    ],
    out: Annotated[Path, typer.Option(help="Where the results go.")],
    formats: Annotated[str, typer.Option("--format", help="Any of coco,label-studio,png.")] = ",".join(
        FORMATS
    ),
    refine: Annotated[
        str, typer.Option(help="auto; objects: edges and what stands out; crf or guided: edges alone; none.")
    ] = "auto",
    threshold: Annotated[str, typer.Option(help="auto, or a probability from 0 to 1.")] = "auto",
    presence: Annotated[str, typer.Option(help="auto: no mask where a concept is absent; or off.")] = "auto",
    instances: Annotated[
        str, typer.Option(help="components; split: part those that touch; none: one region for each concept.")
    ] = "components",
    overlap: Annotated[bool, typer.Option("--overlap", help="Let concepts share pixels.")] = False,
    encoder: EncoderName = None,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Segment images with one or many concepts and export the masks. A stopped run goes on where it was.

    Example: reco-assist segment mug.concept --images ~/Pictures --out masks
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.files import make_output_folder, only_writer
    from reco_assist.label_studio.outputs import note_images
    from reco_assist.student import load_predictor

    chosen = _formats(formats)
    cluster = choose_cluster(engine, ray_address, device)
    targets = list_targets(images, out)
    segmenter = load_predictor(
        concepts,
        encoder=encoder,
        device=device,
        refine=None if refine == "auto" else _choice("--refine", refine, REFINEMENTS),
        threshold=_threshold(threshold),
        presence=_choice("--presence", presence, ("auto", "off")),
        instances=_choice("--instances", instances, ("components", "split", "none")),
        overlap=overlap,
    )
    options = {
        "refine": refine,
        "threshold": threshold,
        "presence": presence,
        "instances": instances,
        "overlap": overlap,
    }
    with only_writer(make_output_folder(out)):
        journal = run_job(segmenter, targets, out, options, progress=not quiet, cluster=cluster)
        note_images(out, root_of(images))
        counts = export(journal, segmenter.about(), out, chosen, options)
    _report(journal, counts, out, json=json, quiet=quiet)


def list_targets(images: Path, out: Path) -> "list[Target]":
    """The images of a folder, a shard, a store or an archive, in a fixed order.

    Raises:
        InputError: There is no such place, it is where the results go, or it holds no image.
    """
    from reco_assist.archive import Archive
    from reco_assist.images import absolute, allow_stores, is_remote, is_shard, list_images
    from reco_assist.segmenter import Target

    place = absolute(images)
    allow_stores(place)
    if is_remote(place) or is_shard(place):
        root = root_of(place)
        found = [Target(path, path.relative_to(root).as_posix()) for path in list_images([place])]
        return _some(found, images)
    root = existing_folder(place)
    if (root / "archive.json").is_file():
        found = [Target(entry.path, entry.file_name) for entry in Archive.open(root).images()]
        return sorted(found, key=lambda target: target.file_name)
    if root == out.absolute():
        raise InputError(f"--images and --out are both {images}: send the results to another folder")
    files = list_images([root], skip=[out.absolute()])
    return _some([Target(path, path.relative_to(root).as_posix()) for path in files], images)


def _some(targets: "list[Target]", images: Path) -> "list[Target]":
    if not targets:
        raise InputError(f"{images} holds no images (JPEG, PNG, WebP, TIFF, BMP or GIF): name another folder")
    return targets


def root_of(images: Path) -> Path:
    """The folder that the targets' names are relative to."""
    from reco_assist.archive import Archive
    from reco_assist.images import folder_of

    if (images / "archive.json").is_file():
        return Archive.open(images).root or images
    return folder_of(images)


def run_job(
    segmenter: Any,  # noqa: ANN401  (a Segmenter; naming it would load torch for --help)
    targets: "Sequence[Target]",
    out: Path,
    options: dict[str, Any],
    *,
    progress: bool,
    cluster: "Cluster | None" = None,
) -> "Journal":
    """Segment targets into the journal of an output folder, or what is left of them."""
    from tqdm.auto import tqdm

    from reco_assist.files import make_folder, make_output_folder
    from reco_assist.segmenter import Journal, Segmenter, run

    make_output_folder(out)
    if isinstance(segmenter, Segmenter):
        for concept in segmenter.concepts:  # so that 'reco-assist explain' needs nothing but this folder
            concept.save(make_folder(out / CONCEPTS) / f"{concept.digest}.concept")
    digests = list(segmenter.digests.values())
    journal = Journal(out / _JOURNAL, {"concepts": digests, "options": options, "version": __version__})
    with tqdm(total=len(targets), unit="image", desc="segment", disable=None if progress else True) as bar:
        for count in run(segmenter, _batches(targets), journal, cluster=cluster):
            bar.update(count)
    return journal


def export(
    journal: "Journal",
    about: "Sequence[dict[str, Any]]",
    out: Path,
    formats: Sequence[str],
    options: dict[str, Any],
) -> dict[str, int]:
    """Write the results of a run.

    Returns:
        How many regions each concept has.
    """
    from reco_assist.formats import (
        keep_numbers,
        read_coco,
        write_coco,
        write_label_maps,
        write_label_studio,
    )

    earlier = out / "coco.json"  # its categories keep their ids
    known: dict[str, int] = {}
    before: list[str] = []
    if earlier.is_file():
        last = read_coco(earlier)
        known = {name: int(number) for name, number in last.concepts.items()}
        before = [str(one["file_name"]) for one in last.images.values()]
    names = keep_numbers([one["name"] for one in about], known)
    counts = dict.fromkeys(names, 0)
    for prediction in journal.predictions():
        for region in prediction.regions:
            counts[region.concept] += 1
    info = {"description": f"reco-assist {__version__}", "concepts": about, "options": options}
    version = "reco-assist " + " ".join(f"{one['name']}@{str(one['digest'])[:8]}" for one in about)
    if "coco" in formats:
        write_coco(out / "coco.json", journal.predictions, names, info=info)
    if "label-studio" in formats:
        write_label_studio(out / "label-studio.json", journal.predictions(), names, model_version=version)
    if "png" in formats:
        write_label_maps(out / "masks", journal.predictions, names, earlier=before)
    return counts


def _report(journal: "Journal", counts: dict[str, int], out: Path, *, json: bool, quiet: bool) -> None:
    images = 0
    skipped: list[tuple[str, str]] = []
    for batch in journal.batches():
        images += len(batch.predictions)
        skipped += batch.skipped
    for name, reason in skipped:
        say(f"skipped {name}: {reason}", quiet=quiet)
    if not sum(counts.values()):
        say(
            f"NO MASK AT ALL in {images} images: try --presence off, other images, or learn the concept again"
        )
    if json:
        print_json(
            {"out": str(out), "images": images, "regions": counts, "skipped": [list(s) for s in skipped]}
        )
        return
    found = ", ".join(f"{count} of {name!r}" for name, count in counts.items())
    say(f"{out}: {images} images, regions: {found}", quiet=quiet)


def _batches(targets: "Sequence[Target]") -> "Iterator[list[Target]]":
    rest = iter(targets)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _formats(text: str) -> list[str]:
    chosen = [one.strip() for one in text.split(",") if one.strip()]
    if not chosen or set(chosen) - set(FORMATS):
        raise InputError(f"--format is {text!r}: choose one or more of {','.join(FORMATS)}")
    return chosen


def _choice(option: str, value: str, allowed: tuple[str, ...]) -> Any:  # noqa: ANN401  (one of `allowed`)
    if value not in allowed:
        raise InputError(f"{option} is {value!r}: choose one of {', '.join(allowed)}")
    return value


def _threshold(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--threshold is {text!r}: give a number from 0 to 1, or auto") from None
