"""Segmenting against the bare encoder on the same photographs, and memory as targets grow.

    python benchmarks/segment.py [--images 48] [--json]

A concept is learnt on the bundled samples and applied to synthetic photographs of 1024 x 768 with
`presence` off, so that every image gets a map: the dearest case. The baseline reads the same files and runs
the encoder alone. Each row runs in a process of its own; `memory` is its peak above what the loaded encoder
took. The last row has four times the targets: what it takes more is what grows with their number.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from synthetic import in_own_process, peak, resident, table, write_photographs

from reco_assist import Archive, Segmenter, learn_concept, load_encoder
from reco_assist.concepts import Concept
from reco_assist.encoders.batches import encode_files
from reco_assist.runs import Run
from reco_assist.segmenter import Target, refinement

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples" / "archive"
ROWS = {
    "bare": "bare encoder, files read",
    "none": "masks, not refined",
    "crf": "masks, refined by the CRF alone",
    "saliency": "masks, refined by what stands out too (default)",
    "objects4": "the same, four times the targets",
}
_BATCH = 8


def measure(row: str, folder: Path) -> dict[str, float]:
    """Seconds an image and extra peak memory of one pass."""
    paths = sorted((folder / "photographs").iterdir())
    encoder = load_encoder("offline", device="cpu")
    encoder.encode(torch.zeros(2, 3, encoder.input_size, encoder.input_size, dtype=torch.uint8))
    concept = Concept.load(folder / "mug.concept")
    times = 4 if row.endswith("4") else 1
    before, begun = resident(), time.perf_counter()
    if row == "bare":
        for start in range(0, len(paths), _BATCH):
            encode_files(encoder, paths[start : start + _BATCH])
    else:
        refine = refinement(row.removesuffix("4"))
        segmenter = Segmenter([concept], encoder=encoder, presence="off", refine=refine)
        targets = [Target(path, f"{turn}/{path.name}") for turn in range(times) for path in paths]
        with Run.open(folder / row, segmenter, targets) as run:
            run.segment(progress=False)
    seconds = (time.perf_counter() - begun) / (times * len(paths))
    return {"seconds": seconds, "memory": peak() - before}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    parser.add_argument("--row", nargs=2, metavar=("ROW", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.row[0], Path(options.row[1]))))
        return 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_photographs(folder / "photographs", options.images)
        archive = Archive.create(folder / "samples.reco", encoder=load_encoder("offline", device="cpu"))
        archive.add(SAMPLES, progress=False)
        learn_concept(archive, "mug").save(folder / "mug.concept")
        figures = {row: in_own_process(__file__, "--row", row, place) for row in ROWS}
    if options.json:
        print(json.dumps({"images": options.images, "rows": figures}))
        return 0
    base = figures["bare"]["seconds"]
    print(f"{options.images} photographs, one concept\n")
    rows = [
        [
            ROWS[row],
            f"{1000 * one['seconds']:.0f}",
            f"{one['seconds'] / base:.2f}",
            f"{one['memory'] / 1e6:.0f}",
        ]
        for row, one in figures.items()
    ]
    print(table(["what", "ms an image", "of baseline", "extra MB"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
