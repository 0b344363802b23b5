"""`reco-assist serve`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reco_assist.cli.options import Device, Quiet, Verbose, say, set_up
from reco_assist.errors import InputError

if TYPE_CHECKING:
    from reco_assist.concepts import Concept
    from reco_assist.label_studio import Server
    from reco_assist.student import StudentSegmenter

TOKEN = "RECO_ASSIST_TOKEN"  # noqa: S105  (the name of the variable)
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def serve(
    concept: Annotated[
        list[Path], typer.Option(help="A concept file, or a folder of them. May be repeated.")
    ],
    student: Annotated[
        Path | None,
        typer.Option(help="A student that 'reco-assist train' made of these concepts; it predicts for them."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(help="The Label Studio server whose images are read; token: LABEL_STUDIO_API_KEY."),
    ] = None,
    files: Annotated[
        list[Path] | None, typer.Option(help="A folder whose images may be read. May be repeated.")
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(help="Connect the backend to this project of the server, by title or number."),
    ] = None,
    state: Annotated[
        Path, typer.Option(help="Where corrections are kept, and the concepts they have taught.")
    ] = Path("reco-backend"),
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen at.")] = 9090,
    device: Device = "auto",
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Predict for Label Studio: in batches, for what an annotator marks, and better with each correction.

    Anywhere but on this machine itself, requests must show the token of the variable RECO_ASSIST_TOKEN, as
    the password of basic authentication or as a bearer. A student predicts in place of the concepts it was
    trained on, until a correction teaches a project's concept more than it knows.

    Example: reco-assist serve --concept concepts --server http://localhost:8080 --project mugs
    """
    set_up(verbose=verbose, quiet=quiet)
    import uvicorn

    from reco_assist.encoders import load_encoder
    from reco_assist.label_studio import Server
    from reco_assist.serving import ImageStore, Teacher, create_app
    from reco_assist.serving.journal import CorrectionLog

    token = os.environ.get(TOKEN, "").strip() or None
    if host not in _LOOPBACK and token is None:
        raise InputError(f"anybody could reach {host}: set {TOKEN} to a secret of your choice first")
    concepts = _concepts(concept)
    connected = None if server is None else Server(server)
    for folder in files or ():
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: name one whose images may be read")
    if connected is None and not files:
        raise InputError(
            "no image could be read: name the Label Studio server by --server, or folders by --files"
        )
    images = ImageStore(tuple(files or ()), connected)
    encoder = None if device == "auto" else load_encoder(concepts[0].provenance.encoder, device=device)
    trained = None if student is None else _student(student, [one.name for one in concepts], device)
    teacher = Teacher(concepts, images, log=CorrectionLog(state), encoder=encoder, student=trained)
    app = create_app(teacher, token=token)
    names = ", ".join(repr(one.name) for one in concepts)
    say(f"serving {names} at http://{host}:{port}; stop by Control-C", quiet=quiet)
    if project is not None:
        if connected is None:
            raise InputError("a project is connected on its server: name it by --server")
        _connect_soon(connected, project, f"http://{host}:{port}", token, quiet=quiet)
    try:
        uvicorn.run(app, host=host, port=port, log_level="warning", access_log=verbose > 0)
    finally:
        images.close()


def _concepts(paths: list[Path]) -> "list[Concept]":
    from reco_assist.concepts import Concept
    from reco_assist.library import SUFFIX

    found: list[Concept] = []
    for path in paths:
        listed = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not listed:
            raise InputError(f"{path} holds no concept file (*{SUFFIX}): make one with 'reco-assist learn'")
        found += [Concept.load(one) for one in listed]
    return found


def _student(path: Path, names: list[str], device: str) -> "StudentSegmenter":
    from reco_assist.student import Student, StudentSegmenter

    found = StudentSegmenter(Student.load(path), device=device)
    if not set(names) & set(found.digests):
        raise InputError(
            f"{path} finds {', '.join(found.digests)} and the concepts are {', '.join(names)}: "
            "name the concepts that it was trained on"
        )
    return found


def _connect_soon(server: "Server", project: str, url: str, token: str | None, *, quiet: bool) -> None:
    """Connect in the background: the server looks whether the backend answers, which it does in a moment."""
    import time
    from threading import Thread

    import httpx

    from reco_assist.errors import RecoAssistError
    from reco_assist.serving.connecting import connect

    def wait_and_connect() -> None:
        try:
            for _ in range(100):
                try:
                    httpx.get(f"{url}/health", timeout=1, trust_env=False)  # our own: no proxy knows it
                    break
                except httpx.HTTPError:
                    time.sleep(0.1)
            say(connect(server, project, url, token), quiet=quiet)
        except RecoAssistError as error:
            say(f"error: {error}")

    Thread(target=wait_and_connect, daemon=True).start()
