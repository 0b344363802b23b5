"""Accidents that the tests of single modules do not stage: SECURITY.md has the whole matrix."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEncoder, write_photos

from reco_assist.archive import Archive
from reco_assist.session import Choice, Session, export
from reco_assist.session.store import Store

HERE = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
    "OMP_NUM_THREADS": "1",
}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and limits")
SEEDS = [*range(5), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5, 50))]


def start(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill_at_random(child, seed, lines):
    """SIGKILL somewhere after a random number of the lines it prints; returns what it printed."""
    random = np.random.default_rng(seed)
    printed = [child.stdout.readline() for _ in range(random.integers(1, lines))]
    time.sleep(random.uniform(0, 0.02))
    child.send_signal(signal.SIGKILL)
    return printed + child.communicate()[0].splitlines(keepends=True)


SAVE = """
import sys
from pathlib import Path
from reco_assist.session import store
store._SNAPSHOT_EVERY = 7
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
        job.session.set_thresholds(digest, {"mug": number, "spoon": 255 - number})
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


def visible(folder):
    """All files but hidden ones, such as the half-written file of a killed process."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder): path.read_bytes() for path in files}


LIMITED = """
import resource, sys
from pathlib import Path
from test_session import Job
from reco_assist.errors import StorageError
from reco_assist.session import Choice, Session, export
folder = Path(sys.argv[1])
session = Session.open(folder / "job.session")
digest = session.results()[0].image.content_hash
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    if sys.argv[2] == "export":
        export(session, folder / "out", Choice(undecided=True))
    else:
        for number in range(1, 200):
            session.set_thresholds(digest, {"mug": number})
            print(number, flush=True)
except StorageError as error:
    print("error:", error)
"""


@pytest.fixture
def reviewed(tmp_path):
    """A folder with a session of three targets, one export, and what the export wrote."""
    script = EXPORT.replace("range(1, 255)", "range(128, 129)").replace("range(6)", "range(3)")
    child = start(script, tmp_path)
    assert child.wait() == 0, child.stderr.read()
    return tmp_path, visible(tmp_path / "out")


def test_an_export_onto_a_full_disk_keeps_the_last_one(reviewed):
    folder, before = reviewed
    session = Session.open(folder / "job.session")
    for result in session.results():
        session.set_thresholds(result.image.content_hash, {"mug": 60})
    session.close()
    told = start(LIMITED, folder, "export", 500).communicate()[0]
    assert told.startswith("error: Cannot write"), told
    assert visible(folder / "out") == before


def test_a_session_on_a_full_disk_keeps_what_was_reported(reviewed):
    folder, _ = reviewed
    size = (folder / "job.session" / "audit.jsonl").stat().st_size
    told = start(LIMITED, folder, "save", size + 3000).communicate()[0].splitlines()
    assert told[-1].startswith("error: Cannot write"), told
    session = Session.open(folder / "job.session")
    digest = session.results()[0].image.content_hash
    assert session.correction(digest, "mug").threshold == int(told[-2])
    session.close()


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
