"""What segmenters made of targets: kept beside what the curator decided, which stays as it is."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.annotations.regions import AUTOMATIC, claimed, despeckled
from reco_assist.images import decode, perceptual_hash, stamp
from reco_assist.masks.edits import apply_edits
from reco_assist.session.order import disagreement, doubt, pack_look
from reco_assist.session.records import Finding, Result, Review, rivals_of
from reco_assist.session.session import Session


def is_done(
    session: Session, file_name: str, path: Path, digests: Mapping[str, str], *, decided: bool = False
) -> bool:
    """Whether a file has not changed, and its masks were made by these very concepts or need no others.

    Args:
        session: The job.
        file_name: As data sets name it.
        path: The file.
        digests: Digest of each concept by its name.
        decided: Count the masks too about which somebody has decided.
    """
    known = session.store.get(f"file/{file_name}")
    if known is None or not _is_of(known["stamp"], path):
        return False
    findings = session.store.get(f"result/{known['hash']}")["findings"]
    rivals = rivals_of(digests)
    return all(
        name in findings
        and (
            Finding.from_json(findings[name]).is_of(digest, rivals)
            or _stays(session.review(known["hash"], name), decided=decided)
        )
        for name, digest in digests.items()
    )


def add_result(
    session: Session,
    image: ImageRef,
    path: Path,
    maps: NDArray[np.uint8],
    verdicts: Sequence[Verdict],
    digests: Mapping[str, str],
    *,
    specks: bool = False,
    embedding: NDArray[np.float32] | None = None,
    decided: bool = False,
) -> Result:
    """Keep what a segmenter made of a target. What the curator decided already stays as it is.

    Concepts share no pixel: each map is kept where it is the largest of those that are still open and
    where no accepted mask of the job lies, without the specks that the automatic threshold leaves. What
    was decided claims the pixels of its mask and no others: a rejected or absent concept claims none.

    Args:
        session: The job.
        image: The target.
        path: Its file.
        maps: (K, H, W) uint8 refined probability.
        verdicts: One per map.
        digests: Digest of each concept by its name, in the order of the maps.
        specks: Keep the specks: people drew them.
        embedding: (d,) what the image as a whole looks like; None if unknown.
        decided: Replace the masks too that were accepted or rejected; where one comes out otherwise, it
            is open again.

    Raises:
        StorageError: It cannot be written.
    """
    known = session.store.get(f"result/{image.content_hash}")
    earlier = Result.from_json(known).findings if known else {}
    findings = dict(earlier)
    free = np.ones(maps.shape[1:], bool)  # (H, W)
    rivals = rivals_of(digests)
    fixed = {
        name
        for name, finding in earlier.items()
        if _stays(
            session.review(image.content_hash, name),
            decided=decided and name in digests and not finding.is_of(digests[name], rivals),
        )
    }
    for name in fixed & set(session.concepts):
        free &= ~session.mask(image.content_hash, name)
    names = list(digests)
    still = [k for k, name in enumerate(names) if name not in fixed]
    for k, owned in zip(still, claimed(maps[still], free=free), strict=True):
        name, verdict = names[k], verdicts[k]
        scores = owned if specks else despeckled(owned)  # (H, W)
        findings[name] = Finding(
            digests[name],
            verdict.present,
            verdict.probability,
            doubt(scores, verdict.probability),
            _changed(session, image.content_hash, name, digests[name], scores, earlier.get(name)),
            rivals,
            verdict.looks,
        )
        _reopen(session, image.content_hash, name, scores)
        session.masks.keep(image.content_hash, name, scores)
    pixels = decode(path, reduce_to=64).pixels
    look = (known or {}).get("look", "") if embedding is None else pack_look(embedding)
    result = Result(image, path, perceptual_hash(pixels), findings, look)
    file = {"hash": image.content_hash, "stamp": list(stamp(path) or ())}
    values = {f"file/{image.file_name}": file, f"result/{image.content_hash}": result.to_json()}
    session.store.put("segment", values)
    return result


def forget_files(session: Session, content_hashes: Collection[str]) -> None:
    """Let the files of some images count as not segmented; results and decisions stay until they are."""
    gone = {f"file/{name}": None for name, digest in session.files().items() if digest in content_hashes}
    session.store.put("forget", gone)


def _reopen(session: Session, content_hash: str, concept: str, scores: NDArray[np.uint8]) -> None:
    """Take back what was decided about another mask than this map (H, W) uint8 gives, for good."""
    key = f"review/{content_hash}/{concept}"
    if session.store.get(key) is None and not session.store.reaches(key):
        return
    threshold = session.masks.adjustment(content_hash, concept).threshold
    now = apply_edits(scores, threshold, session.masks.strokes(content_hash, concept))
    if not np.array_equal(now, session.masks.drawn(content_hash, concept)):
        # Before the map is there: killed in between, nobody has accepted what nobody saw.
        taken = {key: None} if session.review(content_hash, concept).decided else {}
        session.store.put("segment anew", taken, forget=[key])


def _changed(
    session: Session,
    content_hash: str,
    concept: str,
    digest: str,
    scores: NDArray[np.uint8],
    earlier: Finding | None,
) -> float:
    """How far a map (H, W) uint8 disagrees with the one it replaces, if something else had made that."""
    if earlier is None:
        return 0.0
    if earlier.digest == digest:
        return earlier.disagreement
    before = session.masks.scores(content_hash, concept)  # (H, W)
    return round(disagreement(before >= AUTOMATIC, scores >= AUTOMATIC), 4)


def _stays(review: Review, *, decided: bool) -> bool:
    """Whether a mask stays whatever made it; that a concept is absent holds for any mask."""
    return review.state == "absent" or (review.decided and not decided)


def _is_of(kept: Sequence[int], path: Path) -> bool:
    """Whether a file is as it was; one that could not be looked at, then or now, may be another."""
    now = stamp(path)
    return now is not None and tuple(kept) == now
