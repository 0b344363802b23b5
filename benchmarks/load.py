"""Large jobs: exports of many images, and one run with many concepts; processor time and peak memory.

    python benchmarks/load.py [--images 10000] [--concepts 200] [--json]

Each case runs in a process of its own, whose peak memory is counted above what it held before the work.
Exports are of synthetic predictions with three smooth masks of 320 x 240 pixels each. Concepts are copies of
one that is learnt from the sample archive, each slightly turned, and all of them are refined in every image.
The small case before each large one is the baseline of the ratios.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.archive import Archive
from reco_assist.concepts import Concept, learn_concept
from reco_assist.encoders import load_encoder
from reco_assist.formats import write_coco, write_label_studio
from reco_assist.masks import Rle, rle
from reco_assist.segmenter import Segmenter

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples"
NAMES = ["mug", "cup", "fire extinguisher"]
HEIGHT, WIDTH = 240, 320
_ROW = "{:<34}{:>12}{:>14}{:>10}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000, help="of the large export")
    parser.add_argument("--concepts", type=int, default=200, help="of the large run")
    parser.add_argument("--targets", type=int, default=2, help="sample images that are segmented")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = run(Path(name), options.images, options.concepts, options.targets)
    pairs = list(zip(list(rows)[::2], list(rows)[1::2], strict=True))
    ratios = {
        large: {key: round(rows[large][key] / max(rows[small][key], 0.01), 1) for key in ("seconds", "MB")}
        for small, large in pairs
    }
    if options.json:
        print(json.dumps({"cases": rows, "ratios": ratios}, indent=1))
        return 0
    print(_ROW.format("", "CPU seconds", "ms an image", "peak MB"))
    for case, row in rows.items():
        print(_ROW.format(case, *row.values()))
    for case, ratio in ratios.items():
        print(f"{case}: {ratio['seconds']} times the time, {ratio['MB']} times the memory")
    return 0


def run(folder: Path, images: int, concepts: int, targets: int) -> dict[str, dict[str, float]]:
    """Every case, small and large by turns."""
    concept = folder / "mug.concept"
    learn(concept)
    cases: dict[str, tuple[Callable[[], float], int]] = {}
    for kind in ("coco", "label-studio"):
        for count in (max(1, images // 10), images):
            cases[f"{kind}, {count:,} images"] = partial(export, kind, count, folder), count
    for count in (max(1, concepts // 10), concepts):
        cases[f"segment, {count:,} concepts"] = partial(segment, concept, count, targets), targets
    rows = {}
    for name, (work, count) in cases.items():
        seconds, peak = apart(work)
        rows[name] = {
            "seconds": round(seconds, 2),
            "ms_per_image": round(1000 * seconds / count, 2),
            "MB": round(peak / 1e6, 1),
        }
        print(name, rows[name], file=sys.stderr, flush=True)
    return rows


def apart(work: Callable[[], float]) -> tuple[float, int]:
    """Seconds, and bytes of peak memory above the start, in a process that does nothing else."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measured, args=(work, sender))
    process.start()
    sender.close()
    seconds, peak = receiver.recv()
    process.join()
    return seconds, peak


def measured(work: Callable[[], float], sender: Connection) -> None:
    torch.set_num_threads(1)
    sender.send((work(), peak_memory() - _start["bytes"]))


_start = {"bytes": 0}


def begin() -> float:
    """The clock, after the peak of memory was set back to what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    _start["bytes"] = peak_memory()
    return time.process_time()


def peak_memory() -> int:
    """The most bytes that this process has held."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


def export(kind: str, count: int, folder: Path) -> float:
    masks = shapes()
    path = folder / f"{kind}-{count}.json"
    begun = begin()
    if kind == "coco":
        write_coco(path, lambda: predictions(count, masks), NAMES)
    else:
        write_label_studio(path, predictions(count, masks), NAMES, model_version="load")
    return time.process_time() - begun


def shapes() -> list[Rle]:
    random = np.random.default_rng(0)
    made = [ndimage.gaussian_filter(random.random((HEIGHT, WIDTH)), 12) for _ in range(30)]
    return [rle.encode(one >= np.quantile(one, 0.9)) for one in made]


def predictions(count: int, masks: list[Rle]) -> Iterator[Prediction]:
    verdicts = tuple(Verdict(name, present=True, probability=0.9) for name in NAMES)
    for number in range(count):
        name = f"{number:06}.jpg"
        image = ImageRef(name, sha256(name.encode()).hexdigest(), WIDTH, HEIGHT)
        regions = tuple(
            Region(concept, masks[(number + 7 * k) % len(masks)], 0.5) for k, concept in enumerate(NAMES)
        )
        yield Prediction(image, regions, verdicts)


def learn(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.create(Path(folder) / "samples.reco", encoder=load_encoder("offline"))
        archive.add(SAMPLES / "archive", progress=False)
        learn_concept(archive, "mug", k=12).save(path)


def segment(path: Path, count: int, targets: int) -> float:
    concept = Concept.load(path)
    generator = torch.Generator().manual_seed(0)
    concepts = [turned(concept, number, generator) for number in range(count)]
    images = sorted((SAMPLES / "targets").glob("*.jpg"))[: targets + 1]
    segmenter = Segmenter(concepts, encoder=load_encoder("offline"), presence="off")
    list(segmenter.predict(images[:1]))  # what is set up only once
    begun = begin()
    for _ in segmenter.predict(images[1:]):
        pass
    return time.process_time() - begun


def turned(concept: Concept, number: int, generator: torch.Generator) -> Concept:
    noise = torch.randn(concept.foreground.shape, generator=generator)
    foreground = torch.nn.functional.normalize(concept.foreground + 0.02 * noise, dim=0)
    return replace(concept, name=f"mug {number}", foreground=foreground)


if __name__ == "__main__":
    sys.exit(main())
