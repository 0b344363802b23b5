"""How soon a command ends after Ctrl-C, and whether it goes on where it was when it is run again.

    python benchmarks/interrupt.py [--only index,segment,export,push,pull,train] [--repetitions 6] [--json]

Ctrl-C comes at a random moment of the run, start-up included, and goes to the whole group of processes, as
from a terminal. Then the same command runs to its end, and what it leaves is compared with an undisturbed
run's. Push and pull talk to a real Label Studio (`make label-studio`), and are left out without one.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import label_studio_server
import numpy as np
from synthetic import write_photographs

from reco_assist.archive import Archive
from reco_assist.cli.stopping import STOPPED
from reco_assist.concepts import learn_concept
from reco_assist.encoders import load_encoder

RECO = [sys.executable, "-m", "reco_assist.cli"]
SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples"
EXPORT = """
import sys
from pathlib import Path
from reco_assist.session import Choice, Session, export
session = Session.open(Path(sys.argv[1]))
export(session, Path(sys.argv[2]), Choice(undecided=True))
"""
FILL = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from test_session import Job
job = Job(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    job.add(f"{number}.png", seed=number)
job.session.close()
"""
_ROW = "{:<10}{:>14}{:>14}{:>10}{:>10}{:>12}{:>10}"


@dataclass(frozen=True, slots=True)
class Work:
    """A command on places of its own.

    Attributes:
        command: What is run, interrupted and run again.
        left: What it leaves when it has ended, to be compared.
    """

    command: list[str]
    left: Callable[[], object]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--repetitions", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    chosen = (options.only or "index,segment,export,train,push,pull").split(",")
    # What a shell starts in the background is deaf to Ctrl-C, and so would be what we start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        jobs = prepared(Path(name), chosen, stack)
        for job, make in jobs.items():
            rows[job] = measured(make, options.repetitions, np.random.default_rng(options.seed))
            print(job, rows[job], file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(_ROW.format("", "whole run s", "interrupted", "median s", "most s", "went on", "the same"))
    for job, row in rows.items():
        print(_ROW.format(job, *row.values()))
    return 0


def measured(make: Callable[[str], Work], repetitions: int, random: np.random.Generator) -> dict[str, object]:
    calm = make("calm")
    begun = time.perf_counter()
    subprocess.run(calm.command, check=True, env=environment(), capture_output=True)
    whole = time.perf_counter() - begun
    expected = calm.left()
    times: list[float] = []
    went_on = same = 0
    for attempt in range(4 * repetitions):
        if len(times) == repetitions:
            break
        work = make(f"stopped-{attempt}")
        stopped, seconds = interrupt(work.command, random.uniform(0.05, 0.95) * whole)
        if not stopped:
            whole = seconds  # others leave it more of the machine now
            continue
        times.append(seconds)
        again = subprocess.run(work.command, check=False, env=environment(), capture_output=True)
        went_on += again.returncode == 0
        same += work.left() == expected
    return {
        "whole run": round(whole, 1),
        "interrupted": len(times),
        "median": round(statistics.median(times), 2),
        "most": round(max(times), 2),
        "went on": went_on,
        "the same": same,
    }


def interrupt(command: list[str], after: float) -> tuple[bool, float]:
    """True and the seconds from Ctrl-C to the end of a command; False and those of all if it ended before."""
    child = subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    begun = time.perf_counter()
    try:
        child.communicate(timeout=after)
        return False, time.perf_counter() - begun
    except subprocess.TimeoutExpired:
        begun = time.perf_counter()
    os.killpg(child.pid, signal.SIGINT)
    child.wait()
    taken = time.perf_counter() - begun
    if child.returncode == 0:  # it was at its very end
        child.communicate()
        return False, after + taken
    told = child.communicate()[1].strip().splitlines()
    said = told[-1:] if child.returncode == STOPPED else told
    print(f"  {after:.1f} s: {taken:.2f} s, exit {child.returncode}, {said}", file=sys.stderr, flush=True)
    return True, taken


def environment() -> dict[str, str]:
    tests = str(Path(__file__).parents[1] / "tests")
    paths = os.pathsep.join([str(Path(__file__).parents[1]), tests])
    return {**os.environ, "PYTHONPATH": paths, "LABEL_STUDIO_API_KEY": label_studio_server.LEGACY_TOKEN}


def prepared(folder: Path, chosen: list[str], stack: ExitStack) -> dict[str, Callable[[str], Work]]:
    """For each job what makes its work, under a name."""
    photographs = folder / "photographs"
    write_photographs(photographs, 48)
    concept = folder / "mug.concept"
    archive = Archive.create(folder / "samples.reco", encoder=load_encoder("offline"))
    archive.add(SAMPLES / "archive", progress=False)
    learn_concept(archive, "mug", k=12).save(concept)

    def index(name: str) -> Work:
        place = folder / f"{name}.reco"
        return Work(
            [*RECO, "index", str(place), str(photographs)],
            lambda: sorted(entry.content_hash for entry in Archive.open(place).images()),
        )

    def segment(name: str) -> Work:
        out = folder / f"segment-{name}"
        command = [*RECO, "segment", str(concept), "--images", str(SAMPLES / "targets"), "--out", str(out)]
        return Work([*command, "--presence", "off"], lambda: files(out, ["*.json", "masks/*.png"]))

    def export(name: str) -> Work:
        job, out = folder / "job" / "job.session", folder / f"export-{name}"
        if not job.exists():
            command = [sys.executable, "-c", FILL, str(job.parent), "400"]
            job.parent.mkdir()
            subprocess.run(command, check=True, env=environment())
        return Work([sys.executable, "-c", EXPORT, str(job), str(out)], lambda: files(out, ["**/*.*"]))

    def train(name: str) -> Work:
        out = folder / f"train-{name}"
        command = [*RECO, "train", str(concept), "--images", str(SAMPLES / "targets"), "--out", str(out)]
        command += ["--size", "224", "--iterations", "6", "--batch", "8"]
        return Work(command, lambda: files(out, ["model.student", "checkpoint.safetensors"]))

    jobs: dict[str, Callable[[str], Work]] = {
        "index": index,
        "segment": segment,
        "export": export,
        "train": train,
    }
    if {"push", "pull"} & set(chosen):
        if label_studio_server.missing():
            print(label_studio_server.missing(), file=sys.stderr)
        else:
            jobs |= with_server(folder, segment("pushed"), stack)
    return {name: make for name, make in jobs.items() if name in chosen}


def with_server(folder: Path, segmented: Work, stack: ExitStack) -> dict[str, Callable[[str], Work]]:
    server = stack.enter_context(label_studio_server.Server(folder / "server"))
    subprocess.run(segmented.command, check=True, env=environment(), capture_output=True)
    out = folder / "segment-pushed"
    client = server.client()

    def push(name: str) -> Work:
        project = label_studio_server.title(name)
        command = [*RECO, "push", str(out), "--images", str(SAMPLES / "targets"), "--url", server.url]

        def left() -> object:
            (made,) = [one for one in client.projects.list() if one.title == project]
            tasks = client.tasks.list(project=made.id, fields="all")
            return sorted((task.data["file_name"], len(task.predictions)) for task in tasks)

        return Work([*command, "--project", project], left)

    def pull(name: str) -> Work:
        if not corrected:
            work = push("corrected")
            subprocess.run(work.command, check=True, env=environment(), capture_output=True)
            corrected.append(work.command[-1])
            (made,) = [one for one in client.projects.list() if one.title == corrected[0]]
            for task in client.tasks.list(project=made.id):
                client.annotations.create(id=task.id, result=[])
        place = folder / f"pull-{name}"
        command = [*RECO, "pull", str(place), "--images", str(SAMPLES / "targets"), "--url", server.url]
        return Work([*command, "--project", corrected[0]], lambda: files(place, ["corrections/coco.json"]))

    corrected: list[str] = []
    return {"push": push, "pull": pull}


def files(folder: Path, patterns: list[str]) -> dict[str, bytes]:
    """Contents of the files that are not hidden."""
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if path.is_file() and not path.name.startswith(".")
    }


if __name__ == "__main__":
    sys.exit(main())
