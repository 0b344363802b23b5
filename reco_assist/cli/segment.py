"""`reco-assist segment`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from reco_assist.cli.options import (
    Device,
    EncoderName,
    Engine,
    Json,
    Quiet,
    RayAddress,
    Verbose,
    choose_cluster,
    print_json,
    say,
    say_skipped,
    set_up,
    words,
)
from reco_assist.errors import InputError, short

if TYPE_CHECKING:
    from reco_assist.runs import Run
    from reco_assist.segmenter import Refine


def segment(
    concepts: Annotated[list[Path], typer.Argument(help="Concept files, or one student.")],
    images: Annotated[
        Path, typer.Option(help="A folder of images, an archive, a shard, or a URI; see index.")
    ],
    out: Annotated[Path, typer.Option(help="Where the results go.")],
    formats: Annotated[
        str | None, typer.Option("--format", help="Any of coco,label-studio,png; all of them otherwise.")
    ] = None,
    refine: Annotated[
        str, typer.Option(help="auto; saliency: edges and what stands out; crf or guided: edges alone; none.")
    ] = "auto",
    threshold: Annotated[str, typer.Option(help="auto, or a probability from 0 to 1.")] = "auto",
    presence: Annotated[str, typer.Option(help="auto: no mask where a concept is absent; or off.")] = "auto",
    instances: Annotated[
        str,
        typer.Option(help="components; split: part objects that touch; none: one region for each concept."),
    ] = "components",
    overlap: Annotated[bool, typer.Option("--overlap", help="Let concepts share pixels.")] = False,
    looks: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Further looks for small objects, at parts of images that have or may have a concept; "
            "each costs as much as one more image. 0: whole images alone. [default: 4]",
            show_default=False,
        ),
    ] = None,
    tiles: Annotated[
        bool | None,
        typer.Option(
            "--tiles/--no-tiles",
            help="See images in overlapping parts too, at their own scale, for words' concepts as well. "
            "[default: those of more than 3,072 pixels a side, for concepts shown by exemplars]",
            show_default=False,
        ),
    ] = None,
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
    from reco_assist.formats import FORMATS, check_formats
    from reco_assist.label_studio.outputs import note_images
    from reco_assist.runs import Run, list_targets, root_of
    from reco_assist.segmenter import Segmenter
    from reco_assist.student import load_predictor

    chosen = FORMATS if formats is None else check_formats(words(formats) or ())
    cluster = choose_cluster(engine, ray_address, device)
    unread = Counter[str]()
    targets = list_targets(images, out=out, unread=unread)
    predictor = load_predictor(
        concepts,
        encoder=encoder,
        device=device,
        refine=_refinement(refine),
        threshold=_threshold(threshold),
        presence=_choice("--presence", presence, ("auto", "off")),
        instances=_choice("--instances", instances, ("components", "split", "none")),
        overlap=overlap,
        looks=looks,
        tiles=tiles,
    )
    options = {
        "refine": refine,
        "threshold": threshold,
        "presence": presence,
        "instances": instances,
        "overlap": overlap,
        "looks": predictor.options["looks"] if isinstance(predictor, Segmenter) else 0,
    }
    if tiles is not None:  # else as in every release, so that older runs go on
        options["tiles"] = tiles
    with Run.open(out, predictor, targets, options=options) as run:
        run.segment(cluster=cluster, progress=not quiet)
        note_images(out, root_of(images))
        counts = run.export(chosen)
        _report(run, counts, unread, json=json, quiet=quiet)


def _report(run: "Run", counts: dict[str, int], unread: Counter[str], *, json: bool, quiet: bool) -> None:
    from reco_assist.images import say_unread

    out, skipped = run.out, run.skipped
    images = len(run.targets) - len(skipped)
    say_skipped(skipped, quiet=quiet)
    if left := say_unread(unread):
        say(left, quiet=quiet)
    if not sum(counts.values()):
        say(
            f"NO MASK AT ALL in {images} images: try --presence off, other images, or learn the concept again"
        )
    if json:
        said = {"skipped": [list(one) for one in skipped], "unread": unread}
        print_json({"out": str(out), "images": images, "regions": counts, **said})
        return
    found = ", ".join(f"{count} of {name!r}" for name, count in counts.items())
    say(f"{out}: {images} images, regions: {found}", quiet=quiet)


def _choice(option: str, value: str, allowed: tuple[str, ...]) -> Any:  # noqa: ANN401  (one of `allowed`)
    if value not in allowed:
        raise InputError(f"{option} is {value!r}: choose one of {', '.join(allowed)}")
    return value


def _refinement(text: str) -> "Refine | None":
    from reco_assist.segmenter import REFINEMENTS, refinement

    if text == "auto":
        return None
    try:
        return refinement(text)
    except InputError:
        raise InputError(
            f"--refine is {short(text)!r}: choose one of auto, {', '.join(REFINEMENTS)}"
        ) from None


def _threshold(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--threshold is {text!r}: give a number from 0 to 1, or auto") from None
