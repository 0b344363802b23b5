"""Work with archives and sessions of a stranger: symbolic links, lying names and values, damaged files.

    PYTHONPATH=tests python scripts/fuzz_folders.py [--seconds 60] [--seed 0]

Each round copies a sound archive or session, damages it in one to three places, and opens, reads, changes,
exports, examines and repairs it. Every step must end as a value or as an error of ours, and nothing outside
of the copy may change. Whatever does is printed with its seed, and ends the run with status 1.
"""

import argparse
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fakes import FakeEncoder, write_photos
from test_session import NAMES, Job

from reco_assist.archive import Archive
from reco_assist.archive.doctor import examine_archive
from reco_assist.errors import RecoAssistError
from reco_assist.session import Choice, ReviewQueue, Session, export
from reco_assist.session.doctor import examine_session

NUMBERS = [0, -1, 1, 2**31, 2**64, 10**30, 0.5, 1e308, float("nan"), float("inf")]
TEXTS = [
    "",
    ".",
    "..",
    "\0",
    "a\0b",
    "\ud800",
    "x" * 5000,
    "\x1b[2J",
    "../../own/profile",
    "/",
    "masks/",
    "coco.json",
]
ODD = [None, True, [], {}, [[]], {"a": None}, *NUMBERS, *TEXTS]
ALL = Choice(undecided=True)


def main() -> None:
    """Fuzz until time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable()
    counts, findings, seed = Counter[str](), 0, options.seed
    with tempfile.TemporaryDirectory() as place:
        whole = sound(Path(place) / "sound")
        until = time.monotonic() + options.seconds
        while time.monotonic() < until:
            told = one(whole, Path(place) / "round", seed, counts)
            for line in told:
                print(f"seed {seed}: {line}", flush=True)
            findings += bool(told)
            seed += 1
    print(f"{seed - options.seed} rounds, {findings} with findings; {dict(sorted(counts.items()))}")
    sys.exit(bool(findings))


def sound(folder: Path) -> Path:
    """A folder with an archive, a session, an export of it and photographs."""
    folder.mkdir()
    job = Job(folder)
    digests = [job.add(f"{number}.png", seed=number) for number in range(3)]
    export(job.session, folder / "out", ALL)
    job.session.decide(digests[0], {"mug": "accepted"})
    job.session.undo()
    job.session.masks.set_thresholds(digests[1], {"mug": 77})
    job.session.masks.edit(digests[1], "mug", 0, 0, np.ones((3, 4), np.uint8))
    job.session.close()
    write_photos(folder / "more", 6)
    archive = Archive.create(folder / "x.reco", encoder=FakeEncoder())
    archive.add(folder / "more", progress=False)
    archive.search(language=np.ones(32, np.float32))
    own = folder / "own"
    (own / "table-1-mean-0").mkdir(parents=True)
    (own / "table-1-mean-0" / "state.json").write_text("mine")
    (own / "profile").write_text("mine")
    (own / "a.png").write_text("mine")
    return folder


def one(whole: Path, place: Path, seed: int, counts: Counter[str]) -> list[str]:
    """A round; what it found."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place)
    moved(place, whole)
    chance = random.Random(seed)
    kind = chance.choice(["session", "session", "archive"])
    told = [harm(chance, place, kind) for _ in range(chance.randint(1, 3))]
    before = contents(place / "own")
    steps = session_steps(place, chance) if kind == "session" else archive_steps(place, chance)
    found = []
    for name, step in steps.items():
        try:
            step()
        except RecoAssistError as error:
            counts[f"{name} refused"] += 1
            said = str(error).replace(str(place), "")
            if len(said) > 500:  # paths and names of the file are quoted in it
                found.append(f"{name}: a sentence of {len(said)} letters after {told}")
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001  (any other is the finding, and a panic of Lance is no `Exception`)
            last = traceback.format_exc().splitlines()
            found.append(f"{name}: {' | '.join(last[-4:])} after {told}")
        else:
            counts[f"{name} done"] += 1
    if contents(place / "own") != before:
        found.append(f"files outside changed after {told}")
    return found


def moved(place: Path, whole: Path) -> None:
    """Let a copy's session and archive speak of the copy."""
    for path in (place / "job.session" / "audit.jsonl", place / "x.reco" / "archive.json"):
        path.write_bytes(path.read_bytes().replace(str(whole).encode(), str(place).encode()))


def session_steps(place: Path, chance: random.Random) -> dict[str, Callable[[], object]]:
    """What is done with a session, in this order."""
    folder = place / "job.session"

    def work() -> None:
        session = Session.open(folder, who="fuzz")
        try:
            list(ReviewQueue(session).items)
            for result in session.results():
                for name in session.concepts:
                    session.mask(result.image.content_hash, name)
                session.masks.set_thresholds(
                    result.image.content_hash, dict.fromkeys(NAMES, chance.randint(1, 255))
                )
                session.decide(result.image.content_hash, {"mug": "accepted"})
            session.undo()
            session.redo()
            for name in session.concepts:
                session.remove_concept(name)
        finally:
            session.close()

    def hand_on() -> None:
        session = Session.open(folder, who="fuzz")
        try:
            export(session, place / "out", ALL)
        finally:
            session.close()

    return {
        "session": work,
        "export": hand_on,
        "look at session": lambda: examine_session(folder),
        "repair session": lambda: examine_session(folder, repair=True),
        "session again": work,
        "export again": hand_on,
        "set aside": lambda: Session.open(folder).set_aside(),
    }


def archive_steps(place: Path, chance: random.Random) -> dict[str, Callable[[], object]]:
    """What is done with an archive, in this order."""
    folder = place / "x.reco"

    def work() -> None:
        archive = Archive.open(folder, encoder=FakeEncoder())
        archive.search(language=np.ones(32, np.float32), k=3)
        list(archive.images())
        archive.statistics()

    def change() -> None:
        archive = Archive.open(folder, encoder=FakeEncoder())
        archive.add(place / "photos", progress=False, workers=1)
        archive.remove([entry.content_hash for entry in archive.images()][:1])

    steps: dict[str, Callable[[], object]] = {"archive": work}
    if chance.random() < 0.3:  # a decoding process is started each time
        steps["add"] = change
    steps["look at archive"] = lambda: examine_archive(folder)
    steps["repair archive"] = lambda: examine_archive(folder, repair=True)
    return {**steps, "archive again": work}


def harm(chance: random.Random, place: Path, kind: str) -> str:
    """Damage one place; what was done."""
    folders = [place / "x.reco"] if kind == "archive" else [place / "job.session", place / "out"]
    files = sorted(path for folder in folders for path in [folder, *folder.rglob("*")] if path not in folders)
    path = chance.choice(files)
    texts = [file for file in files if file.suffix in {".json", ".jsonl"} and "out" not in file.parts]
    way = chance.choice(["link", "link", "lie", "lie", "lie", "cut", "byte"])
    if way == "link":
        target = chance.choice(["own", "own/profile", "own/a.png", "own/table-1-mean-0", "own/new"])
        given = place / target
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.symlink_to(given if chance.random() < 0.5 else os.path.relpath(given, path.parent))
    elif way == "lie" and texts:
        path = chance.choice(texts)  # what an export wrote is read by nobody
        way = lie(chance, path, place)
    elif path.is_file():
        data = bytearray(path.read_bytes())
        if way == "cut":
            del data[chance.randint(0, len(data)) :]
        elif data:
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
    return f"{way} at {path.relative_to(place)}"


def lie(chance: random.Random, path: Path, place: Path) -> str:
    """Put another value or key into a JSON file, or into a line of one."""
    odd = chance.choice([*ODD, str(place / "own" / "profile"), "../own/a.png"])
    try:
        if path.suffix == ".json":
            path.write_text(json.dumps(replaced(chance, json.loads(path.read_bytes()), odd)))
        else:
            lines = path.read_bytes().splitlines()
            number = chance.randrange(len(lines))
            event = json.loads(lines[number])
            if chance.random() < 0.7 and event.get("changes"):  # what is believed, if the line is sound
                key = chance.choice(list(event["changes"]))
                event["changes"][key][1] = replaced(chance, event["changes"][key][1], odd)
            else:
                event = replaced(chance, event, odd)
            lines[number] = json.dumps(event).encode()
            path.write_bytes(b"\n".join(lines) + b"\n")
            (path.parent / "snapshot.json").unlink(missing_ok=True)
    except (ValueError, OSError, IndexError):  # damaged before
        return "no lie"
    return f"lie {odd!r:.40}"


def replaced(chance: random.Random, value: Any, odd: object) -> Any:  # noqa: ANN401
    """A JSON value with one part of it, or one of its keys, replaced."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        if chance.random() < 0.15 and isinstance(odd, str):
            return {(odd if one == key else one): part for one, part in value.items()}
        return {**value, key: replaced(chance, value[key], odd)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return [*value[:at], replaced(chance, value[at], odd), *value[at + 1 :]]
    return odd


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


if __name__ == "__main__":
    main()
