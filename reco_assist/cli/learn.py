"""`reco-assist learn`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from reco_assist.cli.options import (
    Device,
    EncoderName,
    Exemplars,
    Json,
    Quiet,
    Verbose,
    print_json,
    read_drawn,
    say,
    say_skipped,
    set_up,
    words,
)

if TYPE_CHECKING:
    from reco_assist.archive import Archive
    from reco_assist.concepts import Concept, CoSegmentation
    from reco_assist.retrieval import Exemplar
    from reco_assist.session.corrections import Gain

_K = 20
_EXAMPLES = 5  # of a data set


def learn(
    archive: Annotated[Path, typer.Argument(help="An archive made by 'reco-assist index'.")],
    text: Annotated[
        str, typer.Argument(help="The concept's name; without exemplars also what is looked for.")
    ],
    out: Annotated[Path, typer.Option(help="The concept's file, by convention NAME.concept.")],
    k: Annotated[
        int | None,
        typer.Option("-k", min=1, help="How many images to retrieve; 20, or 50 with the encoder paper."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE", help="A retrieved image to leave out: its path or hash. May be repeated."
        ),
    ] = None,
    exemplar: Exemplars = None,
    corrections: Annotated[
        Path | None,
        typer.Option(help="What 'reco-assist pull' fetched: corrected masks become exemplars."),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(help="A COCO file or folder of label maps: its masks of TEXT are exemplars, at most 5."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="The folder of the data set's images.")] = None,
    context: Annotated[
        str | None, typer.Option(help="Words that compete with the concept, separated by commas.")
    ] = None,
    method: Annotated[str, typer.Option(help="assist, or the paper's.")] = "assist",
    swap: Annotated[
        bool, typer.Option("--swap", help="Exchange foreground and background, where they came out inverted.")
    ] = False,
    encoder: EncoderName = None,
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Learn a concept by a word, or by exemplars where the word fails, and write it to a small file.

    Example: reco-assist learn photos.reco mug --out mug.concept
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.archive import Archive
    from reco_assist.concepts import Method, ambiguous, begin_concept, unfamiliar
    from reco_assist.encoders import load_encoder, preset_of
    from reco_assist.errors import InputError
    from reco_assist.images import absolute, address
    from reco_assist.retrieval import read_exemplar

    if method not in ("assist", "paper"):
        raise InputError(f"there is no method {method!r}: choose assist or paper")
    opened = Archive.open(archive)
    shown = [read_exemplar(one) for one in exemplar or ()]
    if dataset is not None:
        shown += _examples(dataset, text, images, quiet=quiet)
    opened = Archive.open(archive, encoder=load_encoder(encoder or opened.encoder_name, device=device))
    preset = preset_of(opened.encoder_name)
    k = k or (preset.k if preset else _K)
    gain = None
    if corrections is not None:
        taught, gain = _corrected(opened, corrections, text.strip(), k, words(context), quiet=quiet)
        shown += taught
    builder = begin_concept(
        opened, text, k=k, exemplars=shown, contexts=words(context), method=cast("Method", method)
    )
    by_path = {address(image.path): image.content_hash for image in builder.kept.images}
    dropped = [by_path.get(address(absolute(one)), one) for one in drop or ()]
    builder = builder.drop(dropped)
    concept = (builder.swap() if swap else builder).build()
    concept.save(out)
    kept = len(builder.kept.images)
    if k > len(opened):
        say(f"the archive holds {len(opened)} images, fewer than the {k} asked for", quiet=quiet)
    quality = concept.quality
    doubts = (
        unfamiliar(concept.name, builder.found.word),
        "" if swap or shown else ambiguous(concept.name, quality),
    )
    hints = [doubt for doubt in doubts if doubt]
    for hint in hints:
        say(hint, quiet=quiet)
    if json:
        result = {"concept": str(out), **_described(concept, builder.kept), "hints": hints}
        if corrections is not None:
            result["gain"] = None if gain is None else gain.to_json()
        print_json(result)
        return
    more = "" if quality is None else f"; about {quality.remaining} more are likely to show it"
    say(f"{out}: learnt {concept.name!r} from {kept} of {len(opened)} images{more}", quiet=quiet)


def _described(concept: "Concept", made: "CoSegmentation") -> dict[str, Any]:
    """What programs may want to know of a concept and its set."""
    from reco_assist.images import address

    columns = (made.images, made.support.tolist(), made.outlyingness.tolist())
    images = [
        {
            "image": address(image.path),
            "hash": image.content_hash,
            "score": image.score,
            "support": support,
            "outlyingness": outlyingness,
        }
        for image, support, outlyingness in zip(*columns, strict=True)
    ]
    quality = None if concept.quality is None else asdict(concept.quality)
    return {"name": concept.name, "kept": list(concept.provenance.kept), "set": images, "quality": quality}


def _corrected(
    archive: "Archive", folder: Path, name: str, k: int, contexts: list[str] | None, *, quiet: bool
) -> "tuple[list[Exemplar], Gain | None]":
    """Exemplars from corrections, and what they are worth, which is said."""
    from reco_assist.label_studio import read_pulled
    from reco_assist.session.corrections import correction_exemplars, measure_gain

    inside = folder / "corrections"
    pulled = read_pulled(inside if inside.is_dir() else folder)
    exemplars, missing = correction_exemplars(pulled, name)
    if missing:
        say(f"{missing} corrected images are not in {pulled.images}: they teach nothing", quiet=quiet)
    negatives = sum(exemplar.negative for exemplar in exemplars)
    say(f"learning from {len(exemplars) - negatives} corrected masks, {negatives} rejected", quiet=quiet)
    gain = measure_gain(archive, pulled, name, k=k, contexts=contexts)
    few = "too few corrections to keep some aside and measure the gain"
    say(few if gain is None else f"{gain}; the concept now learns from all of them", quiet=quiet)
    return exemplars, gain


def _examples(source: Path, name: str, images: Path | None, *, quiet: bool) -> "list[Exemplar]":
    """Exemplars from the masks of a data set."""
    from reco_assist.datasets import example_masks
    from reco_assist.errors import InputError
    from reco_assist.formats.photographs import open_photograph
    from reco_assist.masks import rle
    from reco_assist.retrieval import Exemplar

    if images is None:
        raise InputError("the exemplars of a data set need its photographs: name their folder by --images")
    dataset = read_drawn(source, images=images, quiet=quiet)
    found: list[Exemplar] = []
    skipped: list[tuple[str, str]] = []
    for one in example_masks(dataset, name):
        image = dataset.image(one)
        try:
            photo = open_photograph(dataset, image, images, reduce_to=1)
        except InputError as error:
            skipped.append((dataset.name(image), str(error)))
            continue
        mask = rle.decode(dataset.mask(one))
        found.append(Exemplar(photo.path, photo.content_hash, mask, f"{source.name}:{one['id']}"))
        if len(found) == _EXAMPLES:
            break
    if not found:
        raise InputError(f"no photograph of {source} can be used; the first: {skipped[0][1]}")
    say_skipped(skipped, quiet=quiet)
    return found
