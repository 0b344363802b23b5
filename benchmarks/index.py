"""Indexing against the bare encoder on the same photographs, loader included.

    python benchmarks/index.py [--images 160] [--rounds 3] [--json]

The baseline is what one would write without this package: a torch DataLoader with one worker that opens,
resizes and batches with Pillow, and the encoder's forward in a loop; nothing is kept. Ours also hashes, makes
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
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from synthetic import in_own_process, peak, resident, table, write_photographs
from torch.utils.data import DataLoader, Dataset

from reco_assist import Archive, load_encoder

BATCH = 32


class Photographs(Dataset[torch.Tensor]):
    """Square pixels (3, S, S) of files."""

    def __init__(self, paths: list[Path], side: int) -> None:
        self._paths = paths
        self._side = side

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        with Image.open(self._paths[number]) as image:
            square = image.convert("RGB").resize((self._side, self._side), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(square)).permute(2, 0, 1)


def measure(row: str, photographs: Path, encoder_name: str) -> dict[str, float]:
    """Seconds, CPU seconds and extra peak memory of one pass."""
    encoder = load_encoder(encoder_name, device="cpu")
    encoder.encode(torch.zeros(2, 3, encoder.input_size, encoder.input_size, dtype=torch.uint8))
    before, begun = resident(), time.perf_counter()
    if row == "bare":
        loader = DataLoader(
            Photographs(sorted(photographs.iterdir()), encoder.input_size), batch_size=BATCH, num_workers=1
        )
        with torch.inference_mode():
            for pixels in loader:
                encoder.encode(pixels)
    else:
        with tempfile.TemporaryDirectory() as folder:
            archive = Archive.create(Path(folder) / "x.reco", encoder=encoder)
            archive.add(photographs, batch_size=BATCH, progress=False)
    return {"seconds": time.perf_counter() - begun, "memory": peak() - before}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=160)
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
    names = {"bare": "DataLoader and bare encoder", "ours": "reco-assist index"}
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
