"""Indexing against the bare encoder on the same photographs, loader included.

    python benchmarks/index.py [--images 96] [--rounds 3] [--json]

The baseline is what one would write without this package: a thread that opens and resizes with Pillow, two
batches ahead, and the encoder's forward in a loop; nothing is kept. Ours also hashes, makes
thumbnails and compact cells and commits every batch. Both take turns, so that other work on the machine
meets both. Photographs are synthetic, 1024 x 768. `memory` is the peak of the process above what the loaded
encoder took.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from synthetic import in_own_process, peak, resident, table, write_photographs

from reco_assist import Archive, load_encoder
from reco_assist.encoders import Encoder

BATCH = 32


def load(path: Path, side: int) -> torch.Tensor:
    """Square pixels (3, S, S) of a file."""
    with Image.open(path) as image:
        square = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


def bare(encoder: Encoder, paths: list[Path]) -> None:
    """The encoder's forward over all files, which a thread loads two batches ahead."""
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    with ThreadPoolExecutor(1) as pool, torch.inference_mode():

        def begin(batch: list[Path]) -> "list[Future[torch.Tensor]]":
            return [pool.submit(load, path, encoder.input_size) for path in batch]

        ahead = [begin(batch) for batch in batches[:2]]
        for number in range(len(batches)):
            pixels = torch.stack([one.result() for one in ahead.pop(0)])
            if number + 2 < len(batches):
                ahead.append(begin(batches[number + 2]))
            encoder.encode(pixels)


def measure(row: str, photographs: Path, encoder_name: str) -> dict[str, float]:
    """Seconds, CPU seconds and extra peak memory of one pass."""
    encoder = load_encoder(encoder_name, device="cpu")
    encoder.encode(torch.zeros(2, 3, encoder.input_size, encoder.input_size, dtype=torch.uint8))
    before, begun = resident(), time.perf_counter()
    if row == "bare":
        bare(encoder, sorted(photographs.iterdir()))
    else:
        with tempfile.TemporaryDirectory() as folder:
            archive = Archive.create(Path(folder) / "x.reco", encoder=encoder)
            archive.add(photographs, batch_size=BATCH, progress=False)
    return {"seconds": time.perf_counter() - begun, "memory": peak() - before}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoder", default="offline")
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    parser.add_argument("--row", nargs=2, metavar=("ROW", "PHOTOGRAPHS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.row[0], Path(options.row[1]), options.encoder)))
        return 0
    runs: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        write_photographs(photographs, options.images)
        for _ in range(options.rounds):
            for row, figures in runs.items():
                figures.append(
                    in_own_process(__file__, "--row", row, str(photographs), f"--encoder={options.encoder}")
                )
    rates = {row: [options.images / one["seconds"] for one in figures] for row, figures in runs.items()}
    ratios = [ours / bare for ours, bare in zip(rates["ours"], rates["bare"], strict=True)]
    summary = {
        row: {
            "images_per_second": statistics.median(rates[row]),
            "memory": statistics.median(one["memory"] for one in runs[row]),
        }
        for row in runs
    }
    if options.json:
        print(json.dumps({"images": options.images, "rows": summary, "ratios": ratios}))
        return 0
    names = {"bare": "loader and bare encoder", "ours": "reco-assist index"}
    print(f"{options.images} photographs, {options.rounds} rounds, encoder {options.encoder}\n")
    head = ["what", "images/s", "of baseline (each round)", "extra MB"]
    shown = {
        "bare": "1",
        "ours": f"{statistics.median(ratios):.2f} ({', '.join(f'{r:.2f}' for r in ratios)})",
    }
    rows = [
        [names[row], f"{one['images_per_second']:.1f}", shown[row], f"{one['memory'] / 1e6:.0f}"]
        for row, one in summary.items()
    ]
    print(table(head, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
