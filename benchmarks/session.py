"""What one decision costs in a large session: on disk, in the queue, and in the figures of the review.

    python benchmarks/session.py [--images 5000,20000] [--decisions 60]

Maps and pictures are left out: they belong to one image, however many there are. The baseline is one synced
write of a line of the same length, in the same run and folder.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from reco_assist.annotations import ImageRef
from reco_assist.session import ConceptSpec, Finding, Result, ReviewQueue, Session

NAMES = ("mug", "cat")
_AT_ONCE = 1000  # results of one change, while the session is made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", default="5000,20000")
    parser.add_argument("--decisions", type=int, default=60)
    options = parser.parse_args()
    print(f"{'images':>8}{'what':>34}{'median ms':>12}{'most ms':>10}")
    for images in map(int, options.images.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            for what, times in measured(Path(folder), images, options.decisions).items():
                print(f"{images:>8}{what:>34}{statistics.median(times):>12.2f}{max(times):>10.1f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB")


def measured(folder: Path, images: int, decisions: int) -> dict[str, list[float]]:
    """Milliseconds of each thing that is done, one after the other."""
    times: dict[str, list[float]] = {}

    def clock(what: str, work: Callable[[], object]) -> None:
        begun = time.perf_counter()
        work()
        times.setdefault(what, []).append((time.perf_counter() - begun) * 1000)

    session = Session.open(folder / "large.session", who="bench")
    fill(session, images)
    session.close()
    clock("open", lambda: Session.open(folder / "large.session", who="bench"))
    session = Session.open(folder / "large.session", who="bench")
    queues: list[ReviewQueue] = []
    clock("first queue", lambda: queues.append(ReviewQueue(session)))
    queue = queues[0]
    digests = [item.content_hash for item in queue.items[:decisions]]

    def look() -> None:
        assert len(queue.items) == len(queue.states) == sum(queue.progress.counts.values())

    for number, digest in enumerate(digests):
        state = ("accepted", "rejected", "absent", "skipped")[number % 4]

        def decide(digest: str = digest, state: str = state) -> None:
            session.decide(digest, dict.fromkeys(NAMES, state))  # type: ignore[arg-type]
            look()

        clock("decision, queue and figures", decide)

    def undo() -> None:
        session.undo()
        look()

    for _ in range(min(20, decisions)):
        clock("undo, queue and figures", undo)
    line = os.urandom(300)
    with (folder / "baseline").open("ab", buffering=0) as file:
        for _ in range(decisions):
            clock("baseline: a synced line", lambda: (file.write(line), os.fsync(file.fileno())))
    clock("close", session.close)
    return times


def fill(session: Session, images: int) -> None:
    """Results of so many images, as a run would have left them."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        session.set_plan(ConceptSpec(name, begun=True))
    for start in range(0, images, _AT_ONCE):
        values = {}
        for number in range(start, min(images, start + _AT_ONCE)):
            digest = sha256(str(number).encode()).hexdigest()
            image = ImageRef(f"folder {number % 7}/IMG_{number:06}.jpg", digest, 640, 480)
            chances = rng.random(len(NAMES)).round(4).tolist()
            findings = {
                name: Finding("0" * 64, p > 0.5, p, round(1 - abs(2 * p - 1), 4))
                for name, p in zip(NAMES, chances, strict=True)
            }
            result = Result(image, Path("/photos") / image.file_name, number, findings, "")
            values[f"result/{digest}"] = result.to_json()
            values[f"file/{image.file_name}"] = {"hash": digest, "stamp": [1, 2]}
        session.store.put("segment", values)


if __name__ == "__main__":
    main()
