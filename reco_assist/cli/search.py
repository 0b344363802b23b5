"""`reco-assist search`."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

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
)


def search(
    archive: Annotated[Path, typer.Argument(help="An archive made by 'reco-assist index'.")],
    text: Annotated[str, typer.Argument(help="What to look for; may be '' where exemplars show it.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many images.")] = 50,
    exemplar: Exemplars = None,
    folder: Annotated[Path | None, typer.Option(help="Only images below this folder.")] = None,
    after: Annotated[datetime | None, typer.Option(help="Only files changed since then.")] = None,
    before: Annotated[datetime | None, typer.Option(help="Only files changed before then.")] = None,
    min_side: Annotated[
        int | None, typer.Option(min=1, help="Only images whose shorter side has so many pixels.")
    ] = None,
    without: Annotated[
        Path | None,
        typer.Option(
            metavar="COCO.json", help="Leave out images that have masks in this export of reco-assist."
        ),
    ] = None,
    remaining: Annotated[
        bool,
        typer.Option("--remaining", help="Also estimate how many more show it; looks at the k again."),
    ] = False,
    encoder: EncoderName = None,
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Find the images nearest to a word, to exemplars, or to both; best first.

    Example: reco-assist search photos.reco "fire extinguisher" -k 20
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.archive import Archive, ImageFilter
    from reco_assist.concepts import begin_concept, exemplar_query, unfamiliar
    from reco_assist.encoders import load_encoder
    from reco_assist.errors import InputError
    from reco_assist.images import address
    from reco_assist.retrieval import Query, read_exemplar, retrieve

    opened = Archive.open(archive)
    if not text.strip() and not exemplar:
        raise InputError("there is nothing to look for: type a word, or show it by --exemplar FILE#x,y,w,h")
    shown = [read_exemplar(one) for one in exemplar or ()]
    opened = Archive.open(archive, encoder=load_encoder(encoder or opened.encoder_name, device=device))
    word = opened.encoder.encode_text(text) if text.strip() else None
    dense = exemplar_query(opened, shown)[0].dense if shown else None
    where = ImageFilter(
        folder=folder,
        after=after,
        before=before,
        min_side=min_side,
        without=frozenset() if without is None else _labelled(without),
    )
    query = Query(dense=dense) if word is None else replace(Query.of(word), dense=dense)
    found = retrieve(opened, query, k=k, where=None if where == ImageFilter() else where)
    if not found and len(opened):
        say("no image of the archive meets these conditions", quiet=quiet)
    elif k > len(opened):
        say(f"the archive holds {len(opened)} images, fewer than the {k} asked for", quiet=quiet)
    hint = "" if shown else unfamiliar(text.strip(), word)
    say(hint, quiet=quiet or not hint)
    quality = None
    if remaining:
        quality = begin_concept(opened, text.strip() or "it", k=k, exemplars=shown).build().quality
    if json:
        results = [
            {"image": address(one.path), "hash": one.content_hash, "score": one.score} for one in found
        ]
        hints = {"hints": [hint] if hint else []}
        print_json({"results": results, **({"remaining": quality.remaining} if quality else {}), **hints})
        return
    for one in found:
        typer.echo(f"{one.score:8.4f}  {address(one.path)}")
    if quality is not None:
        say(f"about {quality.remaining} more of the archive's images are likely to show it", quiet=quiet)


def _labelled(path: Path) -> frozenset[str]:
    """Content hashes of the images that have a mask in a COCO file of ours."""
    from reco_assist.errors import FormatError, InputError
    from reco_assist.formats import read_coco

    wanted = "--without wants a coco.json that reco-assist wrote, whose images carry reco_hash"
    try:
        dataset = read_coco(path, concepts=False)
    except FormatError as error:
        raise InputError(f"{wanted}: {path} is none") from error
    masked = [image for number, image in dataset.images.items() if dataset.annotations[number]]
    if not all(image.get("reco_hash") for image in masked):
        raise InputError(f"{wanted}: {path} is none")
    return frozenset(image["reco_hash"] for image in masked)
