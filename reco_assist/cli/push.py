"""`reco-assist push` and `reco-assist pull`: to a Label Studio server, and back."""

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from tqdm.auto import tqdm

from reco_assist.cli.options import Json, Quiet, Verbose, existing_folder, print_json, say, set_up
from reco_assist.errors import InputError

if TYPE_CHECKING:
    from reco_assist.label_studio import Server, Source

_Url = Annotated[str, typer.Option(help="The server's address: http://localhost:8080.")]
Title = Annotated[str, typer.Option(metavar="NAME|ID", help="Title or number of the project.")]
Images = Annotated[
    Path | None, typer.Option(help="The folder of the images, if they are not where they were segmented.")
]


def push(
    out: Annotated[Path, typer.Argument(help="A folder made by 'reco-assist segment'.")],
    url: _Url,
    project: Title,
    shape: Annotated[
        str, typer.Option(help="brush; polygon; auto: brush, but polygons for images too large to brush.")
    ] = "auto",
    boxes: Annotated[bool, typer.Option("--boxes", help="Offer a tool for boxes in a new project.")] = False,
    images: Images = None,
    document_root: Annotated[
        Path | None,
        typer.Option(help="Do not upload: the server reads the images below this, its document root."),
    ] = None,
    image_url: Annotated[
        str | None,
        typer.Option(help="Do not upload: the images are below this https://, s3:// or gs:// address."),
    ] = None,
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Send predictions to Label Studio as pre-annotations. A stopped run goes on where it was.

    A project of that title is made if there is none. Pushing again, also with another concept, updates the
    predictions of the tasks that are there. Token: the variable LABEL_STUDIO_API_KEY, or a prompt.

    Example: reco-assist push masks --url http://localhost:8080 --project mugs
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.label_studio import push as send
    from reco_assist.label_studio.outputs import read_output

    if shape not in ("auto", "brush", "polygon"):
        raise InputError(f"--shape is {shape!r}: choose one of auto, brush, polygon")
    found = read_output(out)
    source = _source(images or found.images, document_root, image_url)
    with (
        connect(url) as server,
        tqdm(total=len(found.predictions), unit="image", desc="push", disable=True if quiet else None) as bar,
    ):
        done = send(
            server,
            project,
            found.predictions,
            found.concepts,
            model_version=found.model_version,
            images=source,
            shape=cast("Any", shape),
            boxes=boxes,
            on_images=bar.update,
        )
    for note in done.notes:
        say(note, quiet=quiet)
    if json:
        print_json(done.to_json())
        return
    say(str(done), quiet=quiet)


def pull(
    out: Annotated[Path, typer.Argument(help="Where the corrections go: into its folder 'corrections'.")],
    url: _Url,
    project: Title,
    images: Images = None,
    policy: Annotated[
        str, typer.Option(help="Of several annotators: latest, first, or majority (of each pixel).")
    ] = "latest",
    json: Json = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Fetch corrections from Label Studio as COCO, and see how much was corrected. Only news are fetched.

    OUT/corrections gets coco.json, comparison.json and comparison.png; 'reco-assist learn --corrections'
    learns from it. Token: the variable LABEL_STUDIO_API_KEY, or a prompt.

    Example: reco-assist pull masks --url http://localhost:8080 --project mugs
    """
    set_up(verbose=verbose, quiet=quiet)
    from reco_assist.files import write_bytes
    from reco_assist.label_studio import compare, draw
    from reco_assist.label_studio import pull as fetch
    from reco_assist.label_studio.outputs import images_of

    root = images or images_of(out)
    with (
        connect(url) as server,
        tqdm(unit="task", desc="pull", disable=True if quiet else None) as bar,
    ):
        folder = out / "corrections"
        got = fetch(server, project, folder, images=root, policy=cast("Any", policy), on_tasks=bar.update)
        result = compare(got)
        write_bytes(
            folder / "comparison.json", (json_module.dumps(result.to_json(), indent=1) + "\n").encode()
        )
        drawn = draw(got, folder / "comparison.png", fetch=server.fetch)
    for note in got.notes:
        say(note, quiet=quiet)
    if json:
        print_json({"out": str(folder), "fresh": got.fresh, **result.to_json()})
        return
    typer.echo(str(result))
    picture = f"; look at {folder / 'comparison.png'}" if drawn else ""
    say(f"{folder}: {got.fresh:,} tasks are new or changed{picture}", quiet=quiet)


def connect(url: str) -> "Server":
    """A server, with the token of the environment or of a prompt that shows nothing."""
    import os
    import sys

    from reco_assist.label_studio import TOKEN, Server

    token = os.environ.get(TOKEN)
    if not token and sys.stdin.isatty():
        token = typer.prompt(f"Token for {url}", hide_input=True, err=True)
    return Server(url, token)


def _source(folder: Path | None, document_root: Path | None, image_url: str | None) -> "Source":
    from reco_assist.label_studio import LocalFiles, Prefix, Upload

    if document_root is not None and image_url is not None:
        raise InputError("--document-root and --image-url are two ways of the same: give one")
    if image_url is not None:
        return Prefix(image_url)
    if folder is None:
        raise InputError("nothing tells where the images are: name their folder by --images")
    root = existing_folder(folder)
    return Upload(root) if document_root is None else LocalFiles(root, document_root)
