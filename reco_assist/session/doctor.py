"""Check a session on disk, and mend it without losing what can still be read.

The snapshot needs no doctor: it is a cache of the log, and one that does not fit is not believed.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from reco_assist.errors import Damage, FormatError, ImageError, InputError
from reco_assist.files import atomic_write, link_or_copy
from reco_assist.folders import temporary_leftovers
from reco_assist.image_files import load_map
from reco_assist.json_files import json_line, parse_json
from reco_assist.session.fold import Fold
from reco_assist.session.results import forget_files
from reco_assist.session.session import Session
from reco_assist.session.store import FORMAT, LOG, Store, only_session, open_log


def examine_session(path: str | Path, *, repair: bool = False) -> list[Damage]:
    """Look for damage in a session.

    Args:
        path: The session's folder; nobody, this process included, may have it open.
        repair: Mend what can be mended. Damaged lines of the log are set aside in a file of their own; a
            target whose map is damaged and about which nothing was decided is segmented again next time.

    Returns:
        What is wrong, the worst first; nothing where all is well.

    Raises:
        InputError: There is no session.
        StorageError: The session is open somewhere, or a repair cannot be written.
        FormatError: The log is not one of this release.
    """
    folder = Path(path).absolute()
    if not (folder / LOG).is_file():
        raise InputError(f"{path} is no session, having no {LOG}: give the path of a .session folder")
    with only_session(folder):  # first: what is open elsewhere is neither read nor mended half-way
        findings = list(_log(folder, repair=repair))
        if findings and not repair:
            return findings
        with closing(Session(Store(folder, who="doctor", locked=True))) as session:
            findings += _maps(session, repair=repair)
        return findings + list(temporary_leftovers(folder, repair=repair))


def _log(folder: Path, *, repair: bool) -> Iterator[Damage]:
    """Lines that are no changes. A last line without an end was cut short by a kill; the store drops it."""
    log = open_log(folder)  # what a newer release wrote is not damaged, and refused
    fold, sound, bad = Fold(), [json_line({"format": FORMAT})], []
    for number, line in enumerate(log.lines(), 2):
        try:
            fold.add(fold.read(parse_json(line, log.path, finite=True)), line)
            sound.append(line)
        except FormatError:
            bad.append(number)
    if not bad:
        return
    aside = _unused(folder)
    if repair:
        link_or_copy(log.path, aside)  # the same file under two names, until one is written anew
        with atomic_write(log.path) as file:
            file.writelines(sound)
    yield Damage(
        f"{len(bad)} of {len(log) + 1} lines of {log.path.name} are damaged, the first being line {bad[0]}.",
        f"leave them out by --repair; the log as it was stays in {aside.name}",
        mended=repair,
    )


def _unused(folder: Path) -> Path:
    """Where the log as it was goes; what an earlier repair set aside stays."""
    names = ("audit.damaged.jsonl", *(f"audit.damaged-{number}.jsonl" for number in range(2, 1000)))
    return next(folder / name for name in names if not os.path.lexists(folder / name))


def _maps(session: Session, *, repair: bool) -> Iterator[Damage]:
    again, decided = set(), []
    for result in session.results():
        digest = result.image.content_hash
        for concept in result.findings:
            if _is_sound(session.masks.path(digest, concept), result.image.height, result.image.width):
                continue
            if session.review(digest, concept).decided:
                decided.append(f"{concept!r} in {result.image.file_name}")
            else:
                again.add(digest)
    if again:
        if repair:
            forget_files(session, again)
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
