"""`reco-assist import`."""

from pathlib import Path
from typing import Annotated

import typer
from tqdm.auto import tqdm

from reco_assist.cli.options import Json, Quiet, Verbose, print_json, read_drawn, say, say_skipped, set_up


def import_(
    source: Annotated[
        Path, typer.Argument(help="A COCO file, a folder with coco.json or label maps, or what merge reads.")
    ],
    images: Annotated[Path, typer.Option(help="The folder of the images.")],
    session: Annotated[
        Path, typer.Option(help="The session: photos.session is the notebook's for photos.reco.")
    ],
    accepted: Annotated[
        bool, typer.Option("--accepted", help="Take the masks for reviewed already.")
    ] = False,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Bring masks that exist already into a session, to review and correct them in the notebook.

    Then export them there and bring the corrections home by 'reco-assist merge ORIGINAL EXPORT --correct'.

    Example: reco-assist import theirs.json --images photos --session photos.session
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.session import Session
    from reco_assist.session.importing import import_dataset

    dataset = read_drawn(source, images=images, quiet=quiet)
    opened = Session.open(session)
    try:
        count = len(dataset.images)
        with tqdm(total=count, unit="image", desc="import", disable=True if quiet else None) as bar:
            done = import_dataset(opened, dataset, images, accepted=accepted, on_image=bar.update)
    finally:
        opened.close()
    say_skipped(done.skipped, quiet=quiet)
    if json:
        skipped = [list(one) for one in (*dataset.skipped, *done.skipped)]
        print_json({"session": str(session), "images": done.images, "masks": done.masks, "skipped": skipped})
        return
    say(f"{session}: {done}", quiet=quiet)
