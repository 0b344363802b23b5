"""How cost grows with the archive, the set, the resolution and the concepts, and what that comes to on paper.

    python benchmarks/scaling.py [--json]

CPU seconds of one thread, medians; exponents and lines are least-squares fits. The second table extrapolates
to archives that cannot be tried here. Its assumption: indexing is divided among N workers without loss, each
as fast as one core here, until the one process that writes the table is the bottleneck; images are of the
size tried here.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from synthetic import queries, table, write_archive, write_photographs

from reco_assist import Archive, Segmenter, learn_concept, load_encoder
from reco_assist.archive.engines import encode_vectors
from reco_assist.cosegment import best_match
from reco_assist.images import content_hash, decode, squash, thumbnail
from reco_assist.segmenter import Target

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples" / "archive"
_WORKERS = (1, 8, 64, 512)


def cpu_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return statistics.median(times)


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """B of seconds = a * size^b."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def line(sizes: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Seconds of nothing, and of each one more."""
    slope, offset = np.polyfit(sizes, seconds, 1)
    return float(offset), float(slope)


def matching(k: int, side: int) -> float:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(k, 384, side, side, generator=generator)
    weights = torch.rand(k, side, side, generator=generator)
    return cpu_seconds(lambda: best_match(features, weights))


def searching(folder: Path, images: int) -> tuple[float, float, float]:
    """Seconds of a search by word, seconds that storing an image took, and bytes of it on disk."""
    begun = time.process_time()
    path = write_archive(folder / f"{images}.reco", images)
    stored = (time.process_time() - begun) / images
    archive = Archive.open(path)
    words = iter(queries(16))
    archive.search(language=next(words), k=50)
    seconds = cpu_seconds(lambda: archive.search(language=next(words), k=50), 9)
    return seconds, stored, archive.statistics().archive_bytes / images


def segmenting(folder: Path, counts: Sequence[int]) -> list[float]:
    """Seconds an image with some numbers of concepts."""
    encoder = load_encoder("offline", device="cpu")
    archive = Archive.create(folder / "samples.reco", encoder=encoder)
    archive.add(SAMPLES, progress=False)
    concept = learn_concept(archive, "mug")
    targets = [Target(path, path.name) for path in write_photographs(folder / "photographs", 8)]
    seconds = []
    for count in counts:
        concepts = [replace(concept, name=f"mug {number}") for number in range(count)]
        segmenter = Segmenter(concepts, encoder=encoder, presence="off")
        seconds.append(
            cpu_seconds(lambda s=segmenter: [s.decide(one) for one in s.segment(targets)]) / len(targets)
        )
    return seconds


def indexing(folder: Path) -> float:
    """Seconds of a core an image: decoding, hashing, encoding, compacting, without the table."""
    encoder = load_encoder("offline", device="cpu")
    side = encoder.input_size
    files = [path.read_bytes() for path in sorted((folder / "photographs").iterdir())]

    def work() -> None:
        squares = []
        for data in files:
            content_hash(data)
            pixels = decode(data, reduce_to=2 * side).pixels
            thumbnail(pixels)
            squares.append(torch.from_numpy(squash(pixels, side)).permute(2, 0, 1))
        encode_vectors(encoder, torch.stack(squares))

    return cpu_seconds(work) / len(files)


def measure() -> dict[str, Any]:
    sizes, ks, sides, concepts = (4_000, 8_000, 16_000, 32_000), (8, 16, 32), (12, 18, 24), (1, 2, 4, 8)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        searches = [searching(folder, images) for images in sizes]
        segments = segmenting(folder, concepts)
        index = indexing(folder)
    sets = [matching(k, 18) for k in ks]
    grids = [matching(12, side) for side in sides]
    return {
        "search": {"sizes": sizes, "seconds": [one[0] for one in searches]},
        "set": {"sizes": ks, "seconds": sets},
        "grid": {"sizes": sides, "seconds": grids},
        "concepts": {"sizes": concepts, "seconds": segments},
        "index_seconds": index,
        "store_seconds": searches[-1][1],
        "bytes_an_image": searches[-1][2],
    }


def fits(found: dict[str, Any]) -> str:
    search, segment = (line(found[name]["sizes"], found[name]["seconds"]) for name in ("search", "concepts"))
    text = {
        "search": f"{1000 * search[0]:.0f} ms + {1e9 * search[1]:.0f} ms a million images, scanned whole",
        "set": f"k to the power {exponent(**found['set']):.2f} (2 expected: each pair of images)",
        "grid": f"side to the power {exponent(**found['grid']):.2f} (4 expected: each pair of cells)",
        "concepts": f"{1000 * segment[0]:.0f} ms an image + {1000 * segment[1]:.0f} ms a concept",
    }
    names = {
        "search": "search by word, images of the archive",
        "set": "co-segmentation, images k of the set",
        "grid": "co-segmentation, side of the grid",
        "concepts": "segmentation, concepts",
    }
    rows = [
        [
            names[name],
            ", ".join(f"{size:,}" for size in found[name]["sizes"]),
            ", ".join(f"{1000 * seconds:.0f}" for seconds in found[name]["seconds"]),
            text[name],
        ]
        for name in names
    ]
    return table(["cost of", "tried", "CPU ms", "fit"], rows)


def on_paper(found: dict[str, Any]) -> str:
    rows = []
    for images in (10**6, 10**7, 10**8, 10**9):
        hours = [
            images * max(found["index_seconds"] / workers, found["store_seconds"]) / 3600
            for workers in _WORKERS
        ]
        disk = images * found["bytes_an_image"] / 1e9
        rows.append([f"{images:,}", *(f"{value:,.1f}" for value in hours), f"{disk:,.0f}"])
    head = ["images", *(f"hours to index, {workers} workers" for workers in _WORKERS), "GB, no thumbnails"]
    return table(head, rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of the tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    found = measure()
    if options.json:
        print(json.dumps(found))
        return 0
    print(fits(found))
    print(
        f"\nOn paper: {1000 * found['index_seconds']:.0f} ms of a core an image to index, "
        f"{1000 * found['store_seconds']:.2f} ms of the writer.\n"
    )
    print(on_paper(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
