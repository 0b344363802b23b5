"""A session and a Label Studio server: masks go there, corrections come back into the session."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from reco_assist.errors import InputError
from reco_assist.folders import make_folder
from reco_assist.formats.label_studio import Shape
from reco_assist.label_studio import Policy, Pulled, Pushed, Server, Source, Upload
from reco_assist.label_studio import pull as fetch
from reco_assist.label_studio import push as send
from reco_assist.label_studio.comparison import compare, draw
from reco_assist.session.exporting import Choice, collect
from reco_assist.session.records import State
from reco_assist.session.session import Session
from reco_assist.version import __version__

CORRECTIONS = "corrections"
"""Name of the folder in a session where corrections are."""

PICTURE = "comparison.png"


def push(
    session: Session,
    url: str,
    project: str,
    *,
    token: str | None = None,
    images: Source | None = None,
    shape: Shape | Literal["auto"] = "auto",
    boxes: bool = False,
    on_images: Callable[[int], object] = lambda _: None,
) -> Pushed:
    """Send a session's masks to Label Studio, decided or not, so that others can correct them.

    Args:
        session: The job.
        url: The server's address.
        project: Title or number.
        token: That of the environment (LABEL_STUDIO_API_KEY) if None; it is kept nowhere.
        images: How the images get there; uploaded from the target folder if None.
        shape: See `label_studio.push`.
        boxes: See `label_studio.push`.
        on_images: Called with the number of images that are done, batch by batch.

    Raises:
        InputError: Nothing was segmented yet.
        ServerError: The project does not fit, or the server refuses.
    """
    predictions = collect(session, Choice(undecided=True, negatives=True))
    if not predictions:
        raise InputError("Nothing was segmented yet; segment some images first.")
    with Server(url, token) as server:
        sent = send(
            server,
            project,
            predictions,
            session.concepts,
            model_version=_version(session),
            images=images or Upload(_targets(session)),
            shape=shape,
            boxes=boxes,
            on_images=on_images,
        )
    session.store.put("push", {f"pushed/{sent.project}": sent.to_json()})
    return sent


def pull(
    session: Session, url: str, project: str, *, token: str | None = None, policy: Policy = "latest"
) -> Pulled:
    """Fetch corrections from Label Studio; they become accepted masks, and images without any absent.

    What was decided here about images that came back gives way to it; one undo takes those decisions
    back, and leaves the masks as they were corrected.

    Args:
        session: The job.
        url: The server's address.
        project: Title or number.
        token: That of the environment (LABEL_STUDIO_API_KEY) if None; it is kept nowhere.
        policy: What counts where several people annotated an image.

    Raises:
        ServerError: There is no such project, or the server refuses.
        StorageError: The session cannot be written.
    """
    folder = make_folder(session.folder / CORRECTIONS)
    with Server(url, token) as server:
        pulled = fetch(server, project, folder, images=session.targets, policy=policy)
        draw(pulled, folder / PICTURE, fetch=server.fetch)
    _take_over(session, pulled)
    result = compare(pulled)
    session.store.put("pull", {f"pulled/{pulled.project}": result.to_json()})
    return pulled


def _take_over(session: Session, pulled: Pulled) -> None:
    """Make corrected masks the session's own, as strokes over its maps, and accept them."""
    known = set(session.files().values())
    decisions: dict[str, dict[str, State]] = {}
    for one in pulled.answered:
        digest = one.image.content_hash
        if digest not in known:
            continue
        corrected = pulled.corrected(one)
        findings = session.result(digest).findings
        for name in session.concepts:
            if name not in pulled.concepts or name not in findings:
                continue
            mask = corrected.mask(name)  # (H, W)
            if mask.any() and not np.array_equal(mask, session.masks.drawn(digest, name)):
                session.masks.edit(digest, name, 0, 0, np.where(mask, np.uint8(1), np.uint8(2)))
            state: State = "accepted" if mask.any() else "absent"
            if session.review(digest, name).state != state:
                decisions.setdefault(digest, {})[name] = state
    session.decide_many(decisions)


def _targets(session: Session) -> Path:
    if session.targets is None:
        raise InputError("No target folder was chosen; name the folder of the images to segment.")
    return session.targets


def _version(session: Session) -> str:
    """The same concepts have the same version, whatever was reviewed meanwhile."""
    digests = sorted({one.digest for result in session.results() for one in result.findings.values()})
    mark = sha256(" ".join(digests).encode()).hexdigest()[:8]
    return f"reco-assist {__version__} {', '.join(session.concepts)} @{mark}"
