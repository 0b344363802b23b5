"""A session and a Label Studio server: masks go there, corrections come back into the session."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from reco_assist.errors import InputError
from reco_assist.files import make_folder
from reco_assist.formats.label_studio import Shape
from reco_assist.label_studio import Policy, Pulled, Pushed, Server, Source, Upload
from reco_assist.label_studio import pull as fetch
from reco_assist.label_studio import push as send
from reco_assist.label_studio.comparison import compare, draw
from reco_assist.masks import rle
from reco_assist.session.exporting import Choice, collect
from reco_assist.version import __version__

if TYPE_CHECKING:
    from reco_assist.session.session import Session

CORRECTIONS = "corrections"
"""Name of the folder in a session where corrections are."""

PICTURE = "comparison.png"


def push(
    session: "Session",
    url: str,
    project: str,
    *,
    token: str | None,
    images: Source | None,
    shape: Shape | Literal["auto"],
    boxes: bool,
    on_images: Callable[[int], object],
) -> Pushed:
    """See `Session.push`."""
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


def pull(session: "Session", url: str, project: str, *, token: str | None, policy: Policy) -> Pulled:
    """See `Session.pull`."""
    folder = make_folder(session.folder / CORRECTIONS)
    with Server(url, token) as server:
        pulled = fetch(server, project, folder, images=session.targets, policy=policy)
        draw(pulled, folder / PICTURE, fetch=server.fetch)
    _take_over(session, pulled)
    result = compare(pulled)
    session.store.put("pull", {f"pulled/{pulled.project}": result.to_json()})
    return pulled


def _take_over(session: "Session", pulled: Pulled) -> None:
    """Corrected masks become the session's own, as strokes over its maps, and are accepted."""
    known = set(session.files().values())
    for one in pulled.answered:
        digest = one.image.content_hash
        if digest not in known:
            continue
        corrected = pulled.corrected(one)
        findings = session.result(digest).findings
        for name in session.concepts:
            if name not in pulled.concepts or name not in findings:
                continue
            mask = np.zeros((one.image.height, one.image.width), bool)
            for region in corrected.regions:
                if region.concept == name:
                    mask |= rle.decode(region.mask)
            state: Literal["accepted", "absent"] = "accepted" if mask.any() else "absent"
            if mask.any() and not np.array_equal(mask, session.drawn(digest, name)):
                session.edit(digest, name, 0, 0, np.where(mask, np.uint8(1), np.uint8(2)))
            if session.review(digest, name).state != state:
                session.decide(digest, {name: state})


def _targets(session: "Session") -> Path:
    if session.targets is None:
        raise InputError("No target folder was chosen; name the folder of the images to segment.")
    return session.targets


def _version(session: "Session") -> str:
    """The same concepts have the same version, whatever was reviewed meanwhile."""
    digests = sorted({one.digest for result in session.results() for one in result.findings.values()})
    mark = sha256(" ".join(digests).encode()).hexdigest()[:8]
    return f"reco-assist {__version__} {', '.join(session.concepts)} @{mark}"
