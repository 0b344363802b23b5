"""Segment the targets of a session, batch by batch, so that masks can be looked at while they are made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from reco_assist import runs
from reco_assist.errors import ImageError, InputError
from reco_assist.image_files import MAX_PIXELS
from reco_assist.images import is_remote, size_of
from reco_assist.segmenter import Predictor, Skipped, Target
from reco_assist.session.results import add_result, is_done
from reco_assist.session.session import Session

BATCH = 4
"""Images that appear together: the first masks show soon, and a cancel is heard soon."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a job has come.

    Attributes:
        done: Targets that are segmented, those of earlier runs included.
        total: All targets.
        skipped: (file name, reason) of those that could not be read.
        fresh: Content hashes of the images that were segmented in this step.
    """

    done: int
    total: int
    skipped: tuple[tuple[str, str], ...] = ()
    fresh: tuple[str, ...] = ()


def list_targets(session: Session) -> list[Target]:
    """The images of the session's target folder, in a fixed order, names relative to it.

    Raises:
        InputError: No folder was chosen, or it is missing or holds no image.
    """
    if session.targets is None:
        raise InputError("No target folder was chosen; name the folder of the images to segment.")
    return runs.list_targets(session.targets, named=False)


def segment(
    session: Session,
    predictor: Predictor,
    targets: Sequence[Target],
    *,
    cancelled: Event | None = None,
    decided: bool = False,
) -> Iterator[Step]:
    """Segment what is not segmented yet, or was by what has changed; each step is on disk when it is yielded.

    Args:
        session: Where the results go.
        predictor: The session's concepts, or a student that knows them.
        targets: In the order wanted.
        cancelled: Set it to stop after the current batch.
        decided: Make the masks anew too about which somebody has decided; see `results.add_result`.

    Raises:
        StorageError: A result cannot be written; those before it stay.
    """
    digests = predictor.digests
    left = [
        target
        for target in targets
        if not is_done(session, target.file_name, target.path, digests, decided=decided)
    ]
    done, skipped = len(targets) - len(left), list[tuple[str, str]]()
    yield Step(done, len(targets))
    for start in range(0, len(left), BATCH):
        if cancelled is not None and cancelled.is_set():
            return
        batch = left[start : start + BATCH]
        places = {target.file_name: target.path for target in batch}
        too_large = {target.file_name: why for target in batch if (why := _too_large(target))}
        skipped += too_large.items()
        fresh = []
        for one in predictor.segment([target for target in batch if target.file_name not in too_large]):
            if isinstance(one, Skipped):
                skipped.append((one.target.file_name, one.reason))
                continue
            path: Path = places[one.image.file_name]
            add_result(
                session,
                one.image,
                path,
                one.maps,
                one.verdicts,
                digests,
                embedding=one.embedding,
                decided=decided,
            )
            fresh.append(one.image.content_hash)
        done += len(batch)
        yield Step(done, len(targets), tuple(skipped), tuple(fresh))


def _too_large(target: Target) -> str | None:
    """Why an image cannot be shown, said before minutes go into its masks."""
    if is_remote(target.path):  # it would be fetched twice, and is never read in parts here
        return None
    try:
        width, height = size_of(target.path)
    except ImageError:  # whoever segments it says why
        return None
    if width * height <= MAX_PIXELS:
        return None
    return f"{target.file_name} has more than the {MAX_PIXELS:,} pixels that can be shown: use 'segment'"
