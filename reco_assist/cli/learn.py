"""`reco-assist learn`."""

from pathlib import Path
from typing import Annotated, cast

import typer

from reco_assist.cli.options import (
    Device,
    EncoderName,
    Exemplars,
    Json,
    Quiet,
    Verbose,
    print_json,
    say,
    set_up,
    words,
)

_K = 20
_UNFAMILIAR = 0.5


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
    context: Annotated[
        str | None, typer.Option(help="Words that compete with the concept, separated by commas.")
    ] = None,
    method: Annotated[str, typer.Option(help="assist, or the paper's.")] = "assist",
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
    from reco_assist.concepts import Lesson, Method
    from reco_assist.encoders import load_encoder, preset_of
    from reco_assist.errors import InputError
    from reco_assist.retrieval import read_exemplar

    if method not in ("assist", "paper"):
        raise InputError(f"there is no method {method!r}: choose assist or paper")
    opened = Archive.open(archive)
    shown = [read_exemplar(one) for one in exemplar or ()]
    opened = Archive.open(archive, encoder=load_encoder(encoder or opened.encoder_name, device=device))
    preset = preset_of(opened.encoder_name)
    k = k or (preset.k if preset else _K)
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
