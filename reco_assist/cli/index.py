"""`reco-assist index`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reco_assist.cli.options import (
    Device,
    Engine,
    Json,
    Quiet,
    RayAddress,
    Verbose,
    choose_cluster,
    print_json,
    say,
    set_up,
)

if TYPE_CHECKING:
    from reco_assist.encoders import Encoder


def index(
    archive: Annotated[Path, typer.Argument(help="The archive's folder, by convention NAME.reco.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Folders and image files; shards (WebDataset .tar, .parquet); URIs of a store, such as "
            "s3://bucket/folder or 's3://bucket/*.tar'."
        ),
    ],
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Encoder of a new archive: offline, clip, paper or clip:MODEL...; see 'reco-assist models'. "
            "By default clip where its weights are on this machine, or else offline.",
        ),
    ] = None,
    dense: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Another dense encoder: offline, dinov2 or vit:MODEL..."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="IMAGES is a folder of embeddings (clip-retrieval, or .npy with .parquet); index the images "
            "that it finds nearest to WORD.",
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="With --like: how many images.")] = 5000,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    device: Device = "auto",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Index images into an archive. What is known already is skipped; a stopped run goes on where it was.

    Example: reco-assist index photos.reco ~/Pictures
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.archive import Archive
    from reco_assist.encoders import default_encoder, load_encoder
    from reco_assist.images import address, say_unread

    cluster = choose_cluster(engine, ray_address, device)
    known = archive.exists()
    if encoder is None:
        encoder = Archive.open(archive).encoder_name if known else default_encoder()
    model = load_encoder(encoder, dense=dense, device=device)
    opened = Archive.open(archive, encoder=model) if known else Archive.create(archive, encoder=model)
    if not known:
        say(f"{archive}: a new archive of the encoder {model.name}", quiet=quiet)
    if like is not None:
        images = _shortlist(images, like, model, k, quiet=quiet)
    report = opened.add(images, progress=not quiet, cluster=cluster)
    for path, reason in report.rejected:
        say(f"skipped {address(path)}: {reason}", quiet=quiet)
    if left := say_unread(report.unread):
        say(left, quiet=quiet)
    if json:
        print_json(
            {
                "images": len(opened),
                "added": report.added,
                "known": report.known,
                "moved": report.moved,
                "duplicates": report.duplicates,
                "rejected": [{"path": address(path), "reason": reason} for path, reason in report.rejected],
                "unread": dict(report.unread),
            }
        )
        return
    counts = (
        f"{report.added} added, {report.known} known, {report.moved} moved, {report.duplicates} duplicates"
    )
    say(f"{archive}: {len(opened)} images ({counts}, {len(report.rejected)} skipped)", quiet=quiet)


def _shortlist(given: list[Path], word: str, model: "Encoder", k: int, *, quiet: bool) -> list[Path]:
    """The files that embeddings put nearest to a word, as far as they are still there."""
    from reco_assist.archive import EmbeddingFolder
    from reco_assist.errors import InputError

    if len(given) != 1:
        raise InputError(f"--like takes one folder of embeddings, not {len(given)}: index them one by one")
    folder = EmbeddingFolder.open(given[0])
    folder.check(model)
    text = model.encode_text(word)
    found = folder.nearest(text.vector if text.whole is None else text.whole, k)
    there = [path for path in found if path.is_file()]
    say(f"{given[0]}: {len(folder)} embeddings, {len(found)} nearest to {word}", quiet=quiet)
    if len(there) < len(found):
        say(f"{len(found) - len(there)} of them are not where the folder says", quiet=quiet)
    if not there:
        raise InputError(f"none of the images nearest to {word} is where {given[0]} says")
    return there
