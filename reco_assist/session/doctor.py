"""Check a session on disk, and mend it without losing what can still be read.

The snapshot needs no doctor: it is a cache of the log, and one that does not fit is not believed.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from reco_assist.errors import Damage, ImageError, InputError
from reco_assist.files import temporary_leftovers, write_bytes
from reco_assist.image_files import load_map
from reco_assist.session.session import Session
from reco_assist.session.store import LOG, check_head

_SET_ASIDE = "audit.damaged.jsonl"


def examine_session(path: str | Path, *, repair: bool = False) -> list[Damage]:
    """Look for damage in a session.

    Args:
        path: The session's folder; nobody may have it open.
        repair: Mend what can be mended. Damaged lines of the log are set aside in a file of their own; a
            target whose map is damaged and about which nothing was decided is segmented again next time.

    Returns:
        What is wrong, the worst first; nothing where all is well.

    Raises:
        InputError: There is no session.
        StorageError: Another process has the session open, or a repair cannot be written.
        FormatError: The log is not one of this release.
    """
    folder = Path(path).absolute()
    if not (folder / LOG).is_file():
        raise InputError(f"{path} is no session, having no {LOG}: give the path of a .session folder")
    findings = list(_log(folder / LOG, repair=repair))
    if findings and not repair:
        return findings
    session = Session.open(folder, who="doctor")
    try:
        findings += _maps(session, repair=repair)
    finally:
        session.close()
    return findings + list(temporary_leftovers(folder, repair=repair))


def _log(path: Path, *, repair: bool) -> Iterator[Damage]:
    """Lines that are no changes. A last line without an end was cut short by a kill; the store drops it."""
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and lines[0].endswith(b"\n"):
        check_head(path, lines[0])  # what a newer release wrote is not damaged
    bad = {
        number for number, line in enumerate(lines[1:], 1) if line.endswith(b"\n") and not _is_change(line)
    }
    if not bad:
        return
    if repair:
        write_bytes(path.with_name(_SET_ASIDE), b"".join(lines))
        write_bytes(path, b"".join(line for number, line in enumerate(lines) if number not in bad))
    yield Damage(
        f"{len(bad)} of {len(lines)} lines of {path.name} are damaged, the first being line {min(bad) + 1}.",
        f"leave them out by --repair; the log as it was stays in {_SET_ASIDE}",
        mended=repair,
    )


def _is_change(line: bytes) -> bool:
    try:
        event = json.loads(line)
        return all(len(pair) == 2 for pair in event["changes"].values()) and {"n", "at", "scope"} <= set(
            event
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return False


def _maps(session: Session, *, repair: bool) -> Iterator[Damage]:
    again, decided = set(), []
    for result in session.results():
        digest = result.image.content_hash
        for concept in result.findings:
            if _is_sound(session.map_path(digest, concept), result.image.height, result.image.width):
                continue
            if session.review(digest, concept).decided:
                decided.append(f"{concept!r} in {result.image.file_name}")
            else:
                again.add(digest)
    if again:
        if repair:
            session.forget_files(again)
        yield Damage(
            f"The maps of {len(again)} segmented images are missing or damaged.",
            "forget them by --repair, and segment again",
            mended=repair,
        )
    if decided:
        yield Damage(
            f"The maps of {len(decided)} decided masks are missing or damaged, such as {decided[0]}.",
            "undo those decisions and segment again, or export without them",
        )


def _is_sound(path: Path, height: int, width: int) -> bool:
    try:
        load_map(path, height=height, width=width)
    except ImageError:
        return False
    return True
