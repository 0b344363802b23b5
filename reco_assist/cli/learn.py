"""`reco-assist learn`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from reco_assist.cli.options import Device, Exemplars, Json, Quiet, Verbose, print_json, say, set_up, words

if TYPE_CHECKING:
    from reco_assist.retrieval import Exemplar

_UNFAMILIAR = 0.5


def learn(
    archive: Annotated[Path, typer.Argument(help="An archive made by 'reco-assist index'.")],
    text: Annotated[
        str, typer.Argument(help="The concept's name; without exemplars also what is looked for.")
    ],
    out: Annotated[Path, typer.Option(help="The concept's file, by convention NAME.concept.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many images to retrieve.")] = 20,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE", help="A retrieved image to leave out: its path or hash. May be repeated."
        ),
    ] = None,
    exemplar: Exemplars = None,
    dataset: Annotated[
        Path | None,
        typer.Option(help="A COCO file or folder of label maps: its masks of TEXT are exemplars, at most 5."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="The folder of the data set's images.")] = None,
    context: Annotated[
        str | None, typer.Option(help="Words that compete with the concept, separated by commas.")
    ] = None,
    method: Annotated[str, typer.Option(help="assist, or the paper's.")] = "assist",
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
    from reco_assist.concepts import Lesson, Method
    from reco_assist.encoders import load_encoder
    from reco_assist.errors import InputError
    from reco_assist.retrieval import read_exemplar

    if method not in ("assist", "paper"):
        raise InputError(f"there is no method {method!r}: choose assist or paper")
    opened = Archive.open(archive)
    shown = [read_exemplar(one) for one in exemplar or ()]
    if dataset is not None:
        shown += _examples(dataset, text, images)
    opened = Archive.open(archive, encoder=load_encoder(opened.encoder_name, device=device))
    lesson = Lesson.begin(
        opened, text, k=k, exemplars=shown, contexts=words(context), method=cast("Method", method)
    )
    by_path = {str(image.path): image.content_hash for image in lesson.draft.images}
    dropped = [by_path.get(str(Path(one).absolute()), one) for one in drop or ()]
    lesson = lesson.drop(dropped)
    concept = lesson.concept()
    concept.save(out)
    kept = len(lesson.draft.images)
    if k > len(opened):
        say(f"the archive holds {len(opened)} images, fewer than the {k} asked for", quiet=quiet)
    word = lesson.word
    if word is not None and word.familiarity is not None and word.familiarity < _UNFAMILIAR:
        say(
            f"the encoder hardly knows {text.strip()!r} (it thinks of {', '.join(word.nearest)}): "
            "look at what was found, and better give 2 or 3 exemplars",
            quiet=quiet,
        )
    if json:
        print_json({"concept": str(out), "name": concept.name, "kept": list(concept.provenance.kept)})
        return
    say(f"{out}: learnt {concept.name!r} from {kept} of {len(opened)} images", quiet=quiet)


def _examples(source: Path, name: str, images: Path | None) -> "list[Exemplar]":
    """Exemplars from the masks of a data set."""
    from reco_assist.datasets import example_masks, read_dataset
    from reco_assist.errors import InputError
    from reco_assist.masks import rle
    from reco_assist.retrieval.exemplars import mask_exemplar

    if images is None:
        raise InputError("the exemplars of a data set need its photographs: name their folder by --images")
    dataset = read_dataset(source, images=images)
    return [
        mask_exemplar(
            images / dataset.images[one["image_id"]]["file_name"],
            rle.decode(dataset.mask(one)),
            source=f"{source.name}:{one['id']}",
        )
        for one in example_masks(dataset, name)
    ]
