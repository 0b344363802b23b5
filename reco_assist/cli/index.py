"""`reco-assist index`."""

from pathlib import Path
from typing import Annotated

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


def index(
    archive: Annotated[Path, typer.Argument(help="The archive's folder, by convention NAME.reco.")],
    images: Annotated[list[Path], typer.Argument(help="Folders and image files.")],
    encoder: Annotated[
        str, typer.Option(help="Language-image and dense encoder of a new archive.")
    ] = "offline",
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
    from reco_assist.encoders import load_encoder

    cluster = choose_cluster(engine, ray_address, device)
    model = load_encoder(encoder, device=device)
    opened = (
        Archive.open(archive, encoder=model) if archive.exists() else Archive.create(archive, encoder=model)
    )
    report = opened.add(images, progress=not quiet, cluster=cluster)
    for path, reason in report.rejected:
        say(f"skipped {path}: {reason}", quiet=quiet)
    if json:
        print_json(
            {
                "images": len(opened),
                "added": report.added,
                "known": report.known,
                "moved": report.moved,
                "duplicates": report.duplicates,
                "rejected": [{"path": str(path), "reason": reason} for path, reason in report.rejected],
            }
        )
        return
    counts = (
        f"{report.added} added, {report.known} known, {report.moved} moved, {report.duplicates} duplicates"
    )
    say(f"{archive}: {len(opened)} images ({counts}, {len(report.rejected)} skipped)", quiet=quiet)
