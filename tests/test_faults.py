"""Accidents that the tests of single modules do not stage: SECURITY.md has the whole matrix."""

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from children import ENVIRONMENT, start
from fakes import FakeEncoder, write_photos
from PIL import Image
from test_session import NAMES, Job
from test_session_ranking import Bright
from typer.testing import CliRunner

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.archive import AddReport, Archive, decoding
from reco_assist.cli.app import app
from reco_assist.concepts import learn_concept
from reco_assist.errors import StorageError
from reco_assist.folders import make_output_folder
from reco_assist.formats import write_label_studio
from reco_assist.images import MemoryShortError, content_hash
from reco_assist.locks import only_writer
from reco_assist.runs import Run, list_targets, run
from reco_assist.runs.journal import Journal
from reco_assist.segmenter import Segmenter
from reco_assist.session import Choice, Session, export, store
from reco_assist.session.results import add_result
from reco_assist.session.session import REVIEW
from reco_assist.session.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="POSIX signals and limits")]
SEEDS = [*range(5), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5, 50))]


def kill_at_random(child, seed, lines):
    """SIGKILL somewhere after a random number of the lines it prints; returns what it printed."""
    random = np.random.default_rng(seed)
    printed = [child.stdout.readline() for _ in range(random.integers(1, lines))]
    time.sleep(random.uniform(0, 0.02))
    child.send_signal(signal.SIGKILL)
    printed += child.stdout.readlines()
    child.communicate()
    return printed


SAVE = """
import sys
from pathlib import Path
from reco_assist.session import store
store._SNAPSHOT_AFTER = 1500
session = store.Store(Path(sys.argv[1]))
for number in range(1, 100_000):
    session.put("count", {"last": number, f"key/{number % 50}": "x" * 2000}, scope="s")
    print(number, flush=True)
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_session_keeps_every_change_that_was_reported(tmp_path, seed):
    printed = kill_at_random(start(SAVE, tmp_path / "job.session"), seed, 60)
    reported = int([line for line in printed if line.endswith("\n")][-1])
    store = Store(tmp_path / "job.session")
    assert store.get("last") == store.count
    assert store.count in {reported, reported + 1}  # one more may be on disk than was told
    store.close()


EXPORT = """
import sys
from pathlib import Path
from test_session import Job
from reco_assist.session import Choice, export
job = Job(Path(sys.argv[1]))
digests = [job.add(f"{number}.png", seed=number) for number in range(6)]
for number in range(1, 255):
    for digest in digests:
        job.session.masks.set_thresholds(digest, {"mug": number, "spoon": 255 - number})
    export(job.session, Path(sys.argv[1]) / "out", Choice(undecided=True))
    print(number, flush=True)
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_export_leaves_whole_files_and_the_next_one_mends_it(tmp_path, seed):
    kill_at_random(start(EXPORT, tmp_path), seed, 6)
    out = tmp_path / "out"
    for name in ("coco.json", "label-studio.json"):
        json.loads((out / name).read_text())
    session = Session.open(tmp_path / "job.session")
    export(session, out, Choice(undecided=True))
    export(session, tmp_path / "fresh", Choice(undecided=True))
    session.close()
    assert visible(out) == visible(tmp_path / "fresh")


RANK = """
import sys
import reco_assist.student as student
from reco_assist.cli import app
from reco_assist.session import ranking
from test_session_ranking import Bright
student.load_predictor = lambda *arguments, **options: Bright(100)
ranking._BATCH = 2
add = ranking.Ranking.add

def noisy(self, targets):
    for number, count in enumerate(add(self, targets)):
        print(*(target.file_name for target in targets[2 * number : 2 * number + 2]), flush=True)
        yield count

ranking.Ranking.add = noisy
sys.argv = ["reco-assist", "rank", "x.student", "--images", sys.argv[1], "--out", sys.argv[2], "-q"]
app.main()
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_ranking_keeps_every_image_that_was_reported(tmp_path, seed, monkeypatch):
    photos = tmp_path / "photos"
    write_photos(photos, 60)
    printed = kill_at_random(start(RANK, photos, tmp_path / "out"), seed, 29)
    names = [line.split() for line in printed if line.startswith(("a/", "b/")) and line.endswith("\n")]
    reported = {name for pair in names for name in pair if name[0] in "ab"}
    assert reported
    words = ["rank", "x.student", "--images", str(photos), "-q", "--out"]
    ranked = {}
    for out in ("out", "fresh"):
        predictor = ranked[out] = Bright(100)
        monkeypatch.setattr(
            "reco_assist.student.load_predictor", lambda *_, predictor=predictor, **__: predictor
        )
        CliRunner().invoke(app, [*words, str(tmp_path / out)], catch_exceptions=False)
    assert not reported & set(ranked["out"].seen)
    assert len(ranked["fresh"].seen) == 60
    lists = [(tmp_path / out / "ranking.csv").read_bytes() for out in ranked]
    assert lists[0] == lists[1]


ALL = Choice(undecided=True)
LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")


# In a process of their own: what earlier tests freed would hide the limit.
MEMORY = pytest.param("memory", marks=pytest.mark.soak)


@LINUX
def test_short_memory_in_a_process_of_its_own():
    options = ["-m", "soak", "-k", "memory", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", __file__, *options]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert "3 passed" in done.stdout, done.stdout


def visible(folder):
    """All files but hidden ones, such as the half-written file of a killed process."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder): path.read_bytes() for path in files}


@contextmanager
def limited(what, size):
    """Let the system refuse files (RLIMIT_FSIZE) or memory (RLIMIT_AS) beyond a size in bytes."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


@contextmanager
def bound_by_permissions():
    """Take from this thread what lets root pass permissions: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    before = data[0]
    data[0] = before & ~0b110
    libc.capset(header, data)
    try:
        yield
    finally:
        data[0] = before
        libc.capset(header, data)


def memory_in_use():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def all_that_is_free():
    """Blocks of a megabyte: all that this process has freed and would use again under a limit."""
    blocks = []
    with suppress(MemoryError):
        while True:
            blocks.append(bytearray(1 << 20))
    return blocks


@pytest.fixture
def reviewed(tmp_path):
    """A job of three targets, their export, and what that wrote."""
    job = Job(tmp_path)
    for number in range(3):
        job.add(f"{number}.png", seed=number)
    export(job.session, tmp_path / "out", ALL)
    yield job, visible(tmp_path / "out")
    job.session.close()


def reopened(job):
    """The session as the next process finds it."""
    job.session.close()
    (job.folder / "job.session" / "snapshot.json").unlink(missing_ok=True)
    job.session = Session.open(job.folder / "job.session")
    return job.session


@LINUX
@pytest.mark.parametrize("fault", ["full disk", "permissions", MEMORY])
def test_an_export_that_fails_keeps_the_last_one(reviewed, fault):
    job, before = reviewed
    for result in job.session.results():
        job.session.masks.set_thresholds(result.image.content_hash, {"mug": 60})
    out = job.folder / "out"
    if fault == "memory":
        large = np.full((2, 3000, 4000), 200, np.uint8)
        path = job.folder / "photos" / "large.png"
        Image.new("RGB", (4000, 3000)).save(path)
        image = ImageRef("large.png", content_hash(path.read_bytes()), 4000, 3000)
        verdicts = [Verdict(name, present=True, probability=0.9) for name in NAMES]
        add_result(job.session, image, path, large, verdicts, NAMES)
        del large
        with limited(resource.RLIMIT_AS, memory_in_use()):
            hoard = all_that_is_free()
            del hoard[:20]
            with pytest.raises((MemoryError, MemoryShortError)):
                export(job.session, out, ALL)
            hoard.clear()
    elif fault == "full disk":
        with limited(resource.RLIMIT_FSIZE, 500), pytest.raises(StorageError, match="Cannot write"):
            export(job.session, out, ALL)
    else:
        folders = [out, *out.rglob("*/")]
        for folder in folders:
            folder.chmod(0o555)
        with bound_by_permissions(), pytest.raises(StorageError, match="you may not write there"):
            export(job.session, out, ALL)
        for folder in folders:
            folder.chmod(0o755)
    assert visible(out) == before
    export(job.session, out, ALL)
    export(job.session, job.folder / "fresh", ALL)
    assert visible(out) == visible(job.folder / "fresh")


@LINUX
@pytest.mark.parametrize("fault", ["full disk", "permissions", "unplugged", MEMORY])
def test_a_session_that_cannot_be_written_keeps_what_was_reported(reviewed, fault, monkeypatch):
    job, _ = reviewed
    monkeypatch.setattr(store, "_SNAPSHOT_AFTER", 2000)
    folder, session = job.folder / "job.session", job.session
    digest = session.results()[0].image.content_hash
    saved = []

    def save():
        for number in range(1, 60):
            session.masks.set_thresholds(digest, {"mug": number})
            saved.append(number)

    size = (folder / "audit.jsonl").stat().st_size
    if fault == "full disk":
        with limited(resource.RLIMIT_FSIZE, size + 3000), pytest.raises(StorageError, match="Cannot write"):
            save()
        assert len(saved) < 59
    elif fault == "permissions":
        folder.chmod(0o555)  # the log is open already, and the snapshot is a cache
        with bound_by_permissions():
            save()
        folder.chmod(0o755)
    elif fault == "unplugged":
        session.masks.set_thresholds(digest, {"mug": 200})
        shutil.move(folder, job.folder / "away")
        with pytest.raises(StorageError, match="Cannot write"):
            add_result(session, *job_result(job), NAMES)
        shutil.move(job.folder / "away", folder)
        save()
    else:
        with limited(resource.RLIMIT_AS, memory_in_use() + 20_000_000):
            with pytest.raises(MemoryError):
                bytearray(500_000_000)
            save()
    session = reopened(job)
    assert session.masks.adjustment(digest, "mug").threshold == saved[-1]


def test_an_export_whose_drive_is_unplugged_is_told_and_mended_by_the_next(reviewed, monkeypatch):
    job, before = reviewed
    out, away = job.folder / "out", job.folder / "away"
    for result in job.session.results():
        job.session.masks.set_thresholds(result.image.content_hash, {"mug": 60})

    def unplug(*arguments, **options):
        shutil.move(out, away)
        write_label_studio(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("reco_assist.session.exporting.write_label_studio", unplug)
        with pytest.raises(StorageError, match=r"Cannot write .*its folder does not exist"):
            export(job.session, out, ALL)
    shutil.move(away, out)
    assert visible(out)[Path("label-studio.json")] == before[Path("label-studio.json")]
    shutil.move(job.folder / "photos", job.folder / "gone")  # where the images are, an export need not know
    export(job.session, out, ALL)
    export(job.session, job.folder / "fresh", ALL)
    assert visible(out) == visible(job.folder / "fresh")


def job_result(job):
    """Image, path, maps and verdicts of a further target."""
    path = job.folder / "photos" / "new.png"
    Image.new("RGB", (40, 30), (3, 200, 9)).save(path)
    image = ImageRef("new.png", content_hash(path.read_bytes()), 40, 30)
    return (
        image,
        path,
        np.full((2, 30, 40), 200, np.uint8),
        [Verdict(n, present=True, probability=0.9) for n in NAMES],
    )


def test_a_clock_that_jumps_changes_neither_order_nor_content(reviewed, monkeypatch):
    """Back by 30 years in the middle of a session."""
    job, _ = reviewed

    class Past(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(1995, 1, 1, tzinfo=tz)

    digest = job.session.results()[0].image.content_hash
    job.session.decide(digest, {"mug": "accepted"})
    monkeypatch.setattr("reco_assist.session.store.datetime", Past)
    monkeypatch.setattr("reco_assist.session.exporting.datetime", Past)
    job.session.decide(digest, {"mug": "rejected"})
    export(job.session, job.folder / "out", ALL)
    session = reopened(job)
    assert session.review(digest, "mug").state == "rejected"
    assert session.undo().what == "rejected"
    assert session.review(digest, "mug").state == "accepted"


def interrupted(work, seed, package):
    """Do something, with a Ctrl-C at a random line of a part of ours; False where it came too late."""
    lines, at = 0, sys.maxsize

    def trace(frame, event, _):
        nonlocal lines
        if package not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines += 1
            if lines == at:
                signal.raise_signal(signal.SIGINT)
        return trace

    def run():
        nonlocal lines
        lines = 0
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            work()
        finally:
            sys.settrace(before)

    run()
    at = int(np.random.default_rng(seed).integers(1, lines))
    try:
        run()
    except KeyboardInterrupt:
        return True
    return False


def test_ctrl_c_leaves_a_session_that_goes_on_and_that_the_disk_agrees_with(reviewed):
    """In the kernel of a notebook, which lives on: at each of many lines of the store."""
    job, _ = reviewed
    session = job.session
    digest = session.results()[0].image.content_hash
    states = cycle(["accepted", "rejected", "skipped"])

    def change():
        session.decide(digest, {"mug": next(states)})
        session.undo()
        session.redo()
        session.decide(digest, {"spoon": next(states)})

    stopped = sum(interrupted(change, seed, "reco_assist/session") for seed in range(60))
    assert stopped > 50
    known = dict(session.store.items("")), session.store.count, session.store.reach(REVIEW)
    session = reopened(job)
    assert (dict(session.store.items("")), session.store.count, session.store.reach(REVIEW)) == known
    assert session.undo() is not None


@pytest.mark.parametrize("seed", SEEDS)
def test_ctrl_c_in_an_export_leaves_whole_files_and_the_next_one_mends_it(reviewed, seed):
    job, _ = reviewed
    out = job.folder / "out"
    for result in job.session.results():
        job.session.masks.set_thresholds(result.image.content_hash, {"mug": 60})
    assert interrupted(lambda: export(job.session, out, ALL), seed, "reco_assist")
    for name in ("coco.json", "label-studio.json"):
        json.loads((out / name).read_text())
    assert not list(out.rglob(".*.reco-tmp"))
    export(job.session, out, ALL)
    export(job.session, job.folder / "fresh", ALL)
    assert visible(out) == visible(job.folder / "fresh")


INDEX = """
import sys
from fakes import FakeEncoder
import reco_assist.cli.index as command
from reco_assist.archive import Archive
from reco_assist.cli import app
create = FakeEncoder(delay=0.1)
import reco_assist.encoders
reco_assist.encoders.load_encoder = lambda *args, **options: create
print("go", flush=True)
sys.argv = ["reco-assist", "index", sys.argv[1], sys.argv[2]]
app.main()
"""


def test_an_interrupted_index_goes_on_where_it_was(tmp_path):
    """Ctrl-C goes to the whole group of processes, the decoding ones included."""
    photos = tmp_path / "photos"
    write_photos(photos, 120)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    command = [sys.executable, "-c", INDEX, str(archive.path), str(photos)]
    child = subprocess.Popen(
        command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while len(Archive.open(archive.path)) == 0:
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGINT)
    told = child.communicate()[1]
    assert child.returncode == 130
    assert "stopped: run the same command again to go on" in told
    assert "Traceback" not in told
    stopped = Archive.open(archive.path, encoder=FakeEncoder())
    done = len(stopped)
    assert 0 < done < 120
    report = stopped.add(photos, progress=False)
    assert (report.added, report.known) == (120 - done, done)


DEAF = """
import hashlib
from fakes import FakeEncoder

def encode(self, pixels):
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # many minutes in which Python cannot interrupt

FakeEncoder.encode = encode
"""


def test_ctrl_c_ends_a_command_that_python_cannot_interrupt(tmp_path):
    photos = tmp_path / "photos"
    write_photos(photos, 3)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    child = start(DEAF + INDEX, archive.path, photos)
    while (line := child.stdout.readline()) != "busy\n":
        assert line, child.communicate()[1]
    child.send_signal(signal.SIGINT)
    told = child.communicate()[1]
    assert child.returncode == 130
    assert told.splitlines()[-1] == "stopped: run the same command again to go on"
    assert archive.add(photos, progress=False).added == 3


def test_a_drive_that_is_unplugged_while_indexing_is_reported_and_comes_back(tmp_path):
    photos, away = tmp_path / "photos", tmp_path / "away"
    write_photos(photos, 40)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())

    def unplug(_):
        if (photos / "a").exists():  # its listing has begun
            shutil.move(photos / "a", away)

    report = archive.add(photos, batch_size=4, progress=False, on_batch=unplug)
    assert report.rejected
    assert all("cannot be read" in reason for _, reason in report.rejected)
    assert report.added + len(report.rejected) == 40
    shutil.move(away, photos / "a")
    again = archive.add(photos, progress=False)
    assert again.added + report.added == 40
    assert len({entry.content_hash for entry in archive.images()}) == len(archive) == 40


def test_files_from_the_future_are_known_when_the_clock_is_set_right(tmp_path):
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    photos = write_photos(tmp_path / "photos", 6)
    for moment, expected in ((2**33, AddReport(added=6)), (0, AddReport(known=6))):  # the year 2242, and 1970
        for path in photos:
            os.utime(path, (moment, moment))
        assert archive.add(tmp_path / "photos", progress=False) == expected


LOCKED = """
import ctypes, sys
from pathlib import Path
libc = ctypes.CDLL(None, use_errno=True)
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(header, data)
data[0] &= ~0b110  # before any thread begins: permissions bind all of them, root or not
libc.capset(header, data)
from fakes import FakeEncoder
from reco_assist.archive import Archive
from reco_assist.errors import StorageError
archive = Archive.open(sys.argv[1], encoder=FakeEncoder())

def lock(report):
    for folder in [archive.path, *archive.path.rglob("*/")]:
        folder.chmod(0o555)

try:
    archive.add(sys.argv[2], batch_size=4, progress=False, on_batch=lock)
except StorageError as error:
    print("error:", error)
"""


@LINUX
def test_an_archive_that_is_locked_while_it_is_written_keeps_what_it_has(tmp_path):
    photos = tmp_path / "photos"
    write_photos(photos, 12)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    told = start(LOCKED, archive.path, photos).communicate()[0]
    assert told.startswith("error: Cannot write"), told
    for folder in [archive.path, *archive.path.rglob("*/")]:
        folder.chmod(0o755)
    assert len(Archive.open(archive.path)) == 4
    assert archive.add(photos, progress=False).added == 8
    assert len(Archive.open(archive.path)) == 12


@LINUX
def test_killed_workers_are_replaced(tmp_path):
    photos = tmp_path / "photos"
    write_photos(photos, 40)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    killed = []

    def kill(report):
        if report.added in {4, 20}:
            for children in Path("/proc/self/task").glob("*/children"):
                for child in children.read_text().split():
                    if b"reco_assist.archive.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                        os.kill(int(child), signal.SIGKILL)
                        killed.append(child)

    report = archive.add(photos, batch_size=4, workers=1, progress=False, on_batch=kill)
    assert killed
    assert (report.added, report.rejected) == (40, ())
    assert len({entry.content_hash for entry in archive.images()}) == len(archive) == 40


@LINUX
def test_an_image_too_large_for_the_memory_is_tried_again_next_time(tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    write_photos(photos, 3)
    Image.new("RGB", (6000, 5000)).save(photos / "large.png")
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    limit = (
        "import resource; used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize(); "
        "resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2); main()"
    )
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "_START", decoding._START.removesuffix("main()") + limit)
        report = archive.add(photos, progress=False)
    ((path, reason),) = report.rejected
    assert (report.added, path.name) == (3, "large.png")
    assert "6000 x 5000 pixels, which take more memory than is free" in reason
    assert archive.add(photos, progress=False) == AddReport(added=1, known=3)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """Twelve photographs, a segmenter, and what an undisturbed run writes."""
    folder = tmp_path_factory.mktemp("calm")
    paths = write_photos(folder / "photos", 12)
    archive = Archive.create(folder / "x.reco", encoder=FakeEncoder())
    archive.add(paths, progress=False)
    concept = learn_concept(archive, "mug", k=6)
    concept.save(folder / "mug.concept")
    segmenter = Segmenter([concept], encoder=FakeEncoder(), presence="off", refine="none")
    segment(segmenter, folder / "photos", folder / "out")
    return folder, segmenter, visible(folder / "out")


def segment(segmenter, photos, out):
    with Run.open(out, segmenter, list_targets(photos, out=out)) as opened:
        opened.segment(progress=False)
        opened.export()


@LINUX
@pytest.mark.parametrize("fault", ["unplugged", "permissions", "full disk", MEMORY])
def test_a_disturbed_segment_run_goes_on_to_the_bytes_of_a_calm_one(calm, tmp_path, monkeypatch, fault):
    folder, segmenter, expected = calm
    photos, out = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(folder / "photos", photos)
    monkeypatch.setattr(run, "BATCH", 2)
    if fault == "memory":
        Image.new("RGB", (6000, 5000)).save(photos / "large.png")
    append = Journal.append
    with ExitStack() as faults, monkeypatch.context() as patch:

        def disturb(journal, *arguments):
            append(journal, *arguments)
            if len(journal) != 2:
                return
            if fault == "unplugged":
                shutil.move(photos / "b", tmp_path / "away")
            elif fault == "full disk":
                faults.enter_context(
                    limited(resource.RLIMIT_FSIZE, (out / "journal.jsonl").stat().st_size + 99)
                )
            elif fault == "memory":
                faults.enter_context(limited(resource.RLIMIT_AS, memory_in_use() + 60_000_000))
            else:
                (out / "journal.jsonl").chmod(0o444)
                faults.enter_context(bound_by_permissions())

        patch.setattr(Journal, "append", disturb)
        if fault in {"full disk", "permissions"}:
            with pytest.raises(StorageError, match="Cannot write"):
                segment(segmenter, photos, out)
        else:
            segment(segmenter, photos, out)
    said = (out / "journal.jsonl").read_text()
    if fault == "memory":
        assert "6000 x 5000 pixels, which take more memory than is free" in said
        (photos / "large.png").unlink()
    elif fault == "unplugged":
        assert "cannot be read" in said
        shutil.move(tmp_path / "away", photos / "b")
    else:
        assert not (out / "coco.json").exists()
        (out / "journal.jsonl").chmod(0o644)
    segment(segmenter, photos, out)
    (tmp_path / "out" / "journal.jsonl").unlink()
    assert visible(out) == {name: data for name, data in expected.items() if name.name != "journal.jsonl"}


def test_a_clock_that_jumps_while_segmenting_changes_nothing(calm, tmp_path, monkeypatch):
    """Images of the year 2242 and of 1970, and a journal that is younger than both."""
    folder, segmenter, expected = calm
    photos, out = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(folder / "photos", photos)
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        os.utime(path, (2**33 * (number % 2),) * 2)
    segment(segmenter, photos, out)
    written = (out / "journal.jsonl").read_bytes()
    os.utime(out / "journal.jsonl", (0, 0))
    monkeypatch.setattr(Journal, "append", None)  # nothing is made again
    segment(segmenter, photos, out)
    assert (out / "journal.jsonl").read_bytes() == written
    made = visible(out)
    assert {name: made[name] for name in expected if name.name != "journal.jsonl"} == {
        name: data for name, data in expected.items() if name.name != "journal.jsonl"
    }


SEGMENT = """
import sys
from pathlib import Path
from fakes import FakeEncoder
import reco_assist.student as student
from reco_assist.cli import app
from reco_assist.concepts import Concept
from reco_assist.runs import journal, run
from reco_assist.segmenter import Segmenter
concept, photos, out = sys.argv[1:]
encoder = FakeEncoder(delay=0.3)
made = Segmenter([Concept.load(concept)], encoder=encoder, presence="off", refine="none")
student.load_predictor = lambda *a, **o: made
run.BATCH = 2
append = journal.Journal.append

def noisy(self, *arguments):
    append(self, *arguments)
    print("batch", flush=True)

journal.Journal.append = noisy
sys.argv = ["reco-assist", "segment", concept, "--images", photos, "--out", out]
app.main()
"""


def test_an_interrupted_segment_stops_with_whole_batches(calm, tmp_path):
    folder = calm[0]
    out = tmp_path / "out"
    child = start(SEGMENT, folder / "mug.concept", folder / "photos", out)
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    printed = child.stdout.read()
    told = child.communicate()[1]
    assert child.returncode == 130
    assert "stopped: run the same command again to go on" in told
    assert "Traceback" not in told
    lines = (out / "journal.jsonl").read_text().splitlines()
    assert len(lines) - 1 == 1 + printed.count("batch") < 6
    assert all(json.loads(line) for line in lines)


# As a decoder that is fed what it cannot bear, in whichever process it runs.
CRASH = """
import os
from reco_assist.archive import decoding
from reco_assist.segmenter import targets
trap = (
    "import os, reco_assist.archive.worker as worker; decode = worker.decode; "
    "worker.decode = lambda data, **how: os.abort() if data == b'KILL' else decode(data, **how); main()"
)
decoding._START = decoding._START.removesuffix("main()") + trap
decode = targets.decode
targets.decode = lambda data, **how: os.abort() if data == b"KILL" else decode(data, **how)
"""


def test_an_image_that_kills_a_segment_run_is_left_out_by_the_next(calm, tmp_path):
    folder, _, expected = calm
    photos, out = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(folder / "photos", photos)
    (photos / "a" / "006 killer.png").write_bytes(b"KILL")  # in the second batch
    arguments = folder / "mug.concept", photos, out
    child = start(CRASH + SEGMENT, *arguments)
    assert child.communicate()[0].count("batch") == 1
    assert child.returncode == -signal.SIGABRT
    again = start(CRASH + SEGMENT, *arguments)
    printed, told = again.communicate()
    assert again.returncode == 0, told
    assert printed.count("batch") == 6  # of 13 images
    assert "skipped a/006 killer.png" in told
    assert "makes the image decoder crash" in told
    assert not (out / ".unfinished").exists()
    masks = {name: data for name, data in visible(out).items() if name.parts[0] == "masks"}
    assert masks == {name: data for name, data in expected.items() if name.parts[0] == "masks"}


# A GPU's fault shows in the model's forward, or wherever what it computed is waited for.
BREAK = """
import torch
gone = "CUDA error: device-side assert triggered\\nCUDA kernel errors might be asynchronously reported"

def broken(*arguments, **options):
    raise getattr(torch, "AcceleratorError", RuntimeError)(gone)

"""
FORWARD = """
from fakes import FakeEncoder
works = FakeEncoder.encode
FakeEncoder.encode = lambda self, pixels: (broken if len(self.batches) == 2 else works)(self, pixels)
"""
LATER = """
from reco_assist.segmenter import scorer
scorer.refined = broken
"""


@pytest.mark.parametrize("where", [FORWARD, LATER], ids=["forward", "later"])
def test_a_segment_run_whose_gpu_fails_says_so_and_goes_on(calm, tmp_path, where):
    folder = calm[0]
    out = tmp_path / "out"
    arguments = folder / "mug.concept", folder / "photos", out
    told = in_one_sentence(start(BREAK + where + SEGMENT, *arguments))
    assert "the GPU failed (CUDA error: device-side assert triggered): begin again" in told
    done = 0 if where == LATER else 2
    assert len((out / "journal.jsonl").read_text().splitlines()[1:] if done else []) == done
    again = start(SEGMENT, *arguments)
    assert again.communicate()[0].count("batch") == 6 - done
    made, calmly = (json.loads((place / "coco.json").read_text()) for place in (out, folder / "out"))
    assert [made["images"], made["annotations"]] == [calmly["images"], calmly["annotations"]]


def in_one_sentence(child):
    """What a command says that fails, having checked that it is one sentence."""
    told = child.communicate()[1]
    assert child.returncode == 1, told
    assert "Traceback" not in told
    assert sum(line.startswith("error: ") for line in told.splitlines()) == 1
    return told


def test_an_index_whose_gpu_fails_says_so_and_goes_on(tmp_path):
    photos = tmp_path / "photos"
    write_photos(photos, 80)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    told = in_one_sentence(start(BREAK + FORWARD + INDEX, archive.path, photos))
    assert "the GPU failed (CUDA error: device-side assert triggered): begin again" in told
    assert len(Archive.open(archive.path)) == 64
    again = start(INDEX, archive.path, photos)
    assert "80 images (16 added, 64 known" in again.communicate()[1]
    assert len({entry.content_hash for entry in Archive.open(archive.path).images()}) == 80


def test_two_runs_into_one_folder_are_refused(calm, tmp_path):
    folder, _, _ = calm
    arguments = ["segment", str(folder / "mug.concept"), "--images", str(folder / "photos"), "--out"]
    with only_writer(make_output_folder(tmp_path / "out")):
        load = "reco_assist.student.load_predictor"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load, lambda *_, **__: calm[1])
            done = CliRunner().invoke(app, [*arguments, str(tmp_path / "out")])
    assert "Another process is writing to" in str(done.exception)
    assert not (tmp_path / "out" / "journal.jsonl").exists()
