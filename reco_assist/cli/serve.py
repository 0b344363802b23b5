"""`reco-assist serve`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reco_assist.cli.options import Device, Quiet, Verbose, say, set_up
from reco_assist.errors import InputError, StorageError

if TYPE_CHECKING:
    from reco_assist.concepts import Concept
    from reco_assist.label_studio import Server
    from reco_assist.serving import ImageStore, ProjectModels
    from reco_assist.student import StudentSegmenter

TOKEN = "RECO_ASSIST_TOKEN"  # noqa: S105  (the name of the variable)


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
    public_host: Annotated[
        str | None,
        typer.Option(
            help="The name by which Label Studio reaches this machine, if it is another than --host."
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="The port to listen at.")] = 9090,
    device: Device = "auto",
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Predict for Label Studio: in batches, for what an annotator marks, and better with each correction.

    Requests must show a token, as the password of basic authentication or as a bearer: that of the variable
    RECO_ASSIST_TOKEN, or one that is made and printed at each start. --project tells the server of it. A
    student predicts in place of the concepts it was trained on, until a correction teaches a project's
    concept more than it knows.

    Example: reco-assist serve --concept concepts --server http://localhost:8080 --project mugs
    """
    set_up(verbose=verbose, quiet=quiet)
    import secrets

    import uvicorn

    from reco_assist.folders import make_output_folder
    from reco_assist.locks import only_writer
    from reco_assist.serving import create_app

    if project is not None and server is None:
        raise InputError("a project is connected on its server: name it by --server")
    busy = StorageError(f"another backend keeps its corrections in {state}: name another folder by --state")
    with only_writer(make_output_folder(state), busy=busy):
        models, images, connected = _models(concept, student, server, files, state, device)
        token = os.environ.get(TOKEN, "").strip()
        secret = token or secrets.token_urlsafe(32)
        own = f"http://{_bracketed(host)}:{port}"
        say(f"serving {', '.join(map(repr, models.names))} at {own}; stop by Control-C", quiet=quiet)
        if not token:
            unknown = project is None  # nobody else tells Label Studio of it
            say(f"token of this start: {secret} (set {TOKEN} to keep one)", quiet=quiet and not unknown)
        if project is not None and connected is not None:
            told = own if public_host is None else f"http://{_bracketed(public_host)}:{port}"
            _connect_soon(connected, project, own, told, secret, quiet=quiet)
        app = create_app(
            models,
            token=secret,
            hosts=[host, *filter(None, [public_host])],
        )
        try:
            uvicorn.run(app, host=host, port=port, log_level="warning", access_log=verbose > 0)
        finally:
            images.close()
            if connected is not None:
                connected.close()


def _models(
    concept: list[Path],
    student: Path | None,
    server: str | None,
    files: list[Path] | None,
    state: Path,
    device: str,
) -> "tuple[ProjectModels, ImageStore, Server | None]":
    from reco_assist.encoders import load_encoder
    from reco_assist.label_studio import Server
    from reco_assist.serving import ImageStore, ProjectModels
    from reco_assist.serving.pending import CorrectionLog

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
    models = ProjectModels(concepts, images, log=CorrectionLog(state), encoder=encoder, student=trained)
    return models, images, connected


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


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


def _connect_soon(server: "Server", project: str, own: str, told: str, token: str, *, quiet: bool) -> None:
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
                    httpx.get(f"{own}/health", timeout=1, trust_env=False)  # our own: no proxy knows it
                    break
                except httpx.HTTPError:
                    time.sleep(0.1)
            say(connect(server, project, told, token), quiet=quiet)
        except RecoAssistError as error:
            say(f"error: {error}")

    Thread(target=wait_and_connect, daemon=True).start()
