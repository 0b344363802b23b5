"""`reco-assist embeddings`."""

from pathlib import Path
from typing import Annotated

import typer

from reco_assist.cli.options import Json, Quiet, Verbose, print_json, say, set_up


def embeddings(
    archive: Annotated[Path, typer.Argument(help="The archive's folder.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Export the images' embeddings as clip-retrieval keeps them: .npy files, and .parquet files with paths.

    Example: reco-assist embeddings photos.reco --out embeddings
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.archive import Archive, export_embeddings

    count = export_embeddings(Archive.open(archive), out)
    if json:
        print_json({"images": count})
        return
    say(f"{out}: embeddings of {count} images", quiet=quiet)
