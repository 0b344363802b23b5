"""Time and memory of the best-match matrix against the full matrix of the paper's formula.

    python benchmarks/cosegment.py [--quick] [--threads 1] [--json]

Every row runs in a process of its own, so that its peak memory is its own; `extra` is the peak resident
memory above what inputs and imports took. Ratios are to the full matrix of the same run, by the
wall clock; CPU seconds stand beside it because other work on the machine disturbs them less, but they leave
out what the operating system needs to hand out the gigabytes.

What bounds it: the products. The block-wise kernel makes k (k + 1) / 2 of the k^2 blocks, 325 of 637 GFLOP at
k = 50. A core of the machine of RESULTS.md multiplies single-precision matrices of these shapes at 90 to 95
GFLOP/s (torch) and up to 102 (numpy), so 325 GFLOP take 3.5 s at best. The kernel takes 4.0 s: no order of
blocks makes it three times as fast as a full matrix of 8.8 s, only fewer products would. In bfloat16 the core
reaches 211 GFLOP/s at this shape (222 at most over ten shapes), so the products alone take 1.5 s of the 1.9:
at most 5.7 times as fast as that full matrix.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from reco_assist.cosegment import MatchMatrix, Precision, best_match, seed_pixels, unit_features

ROWS = {
    "full": "full matrix, float32",
    "float32": "block-wise, float32",
    "bfloat16": "block-wise, bfloat16",
    "drop": "drop one image and re-seed",
    "add": "add one image and re-seed",
    "add16": "add one image and re-seed, bfloat16",
}


def full_matrix(features: Tensor, weights: Tensor) -> Tensor:
    """B by way of all (k*h*w)^2 products at once."""
    k, channels, height, width = features.shape
    cells = unit_features(features).flatten(2).transpose(1, 2).reshape(-1, channels)  # (k*h*w, C)
    products = cells @ cells.T  # (k*h*w, k*h*w)
    products *= weights.reshape(-1)
    return products.view(len(cells), k, height * width).amax(2)  # (k*h*w, k)


def case(row: str, features: Tensor, weights: Tensor) -> tuple[Callable[[], Tensor], int]:
    """What a row does, ready to be timed, and how often: its result is B, or the seeds."""
    side = features.shape[2:]

    def reseed(matrix: MatchMatrix) -> Tensor:
        return seed_pixels(matrix.match, *side)

    if row == "full":
        return lambda: full_matrix(features, weights), 3
    precision: Precision = "bfloat16" if row in ("bfloat16", "add16") else "float32"
    if row == precision:
        return lambda: best_match(features, weights, precision=precision), 3
    if row == "drop":
        matrix = MatchMatrix.build(features, weights)
        return lambda: reseed(matrix.drop([len(features) // 2])), 9
    smaller = MatchMatrix.build(features[:-1], weights[:-1], precision=precision)
    return lambda: reseed(smaller.add(features[-1:], weights[-1:])), 5


def measure(row: str, k: int, side: int, channels: int, threads: int) -> dict[str, float]:
    """Median seconds, peak extra bytes and, where it may differ, the deviation from block-wise float32."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(k, channels, side, side, generator=generator)
    features += 0.7 * torch.randn(1, channels, 1, 1, generator=generator)  # images have something in common
    weights = torch.rand(k, side, side, generator=generator)
    small = torch.randn(2, channels, 4, 4, generator=generator)
    case(row, small, torch.rand(2, 4, 4))[0]()  # kernels load
    run, repeats = case(row, features, weights)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, wall = [], []
    for _ in range(repeats):
        start = time.process_time(), time.perf_counter()
        result = run()
        seconds.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "cpu_seconds": statistics.median(seconds),
        "wall_seconds": statistics.median(wall),
        "extra_bytes": (peak - before) * 1024,
    }
    if row in ("full", "bfloat16"):
        exact = best_match(features, weights)
        seeds, expected = seed_pixels(result, side, side), seed_pixels(exact, side, side)
        figures["deviation"] = (result - exact).abs().max().item()
        figures["same_seeds"] = (seeds == expected).all(1).float().mean().item()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-k", type=int, default=50, help="images of the set")
    parser.add_argument("--side", type=int, default=24, help="cells along each side of the grid")
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="16 images of 14 x 14 cells")
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    parser.add_argument("--row", choices=list(ROWS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.k, options.side = 16, 14
    size = (options.k, options.side, options.channels, options.threads)
    if options.row:
        print(json.dumps(measure(options.row, *size)))
        return 0
    table = {}
    for row in ROWS:
        arguments = [f"-k={size[0]}", f"--side={size[1]}", f"--channels={size[2]}", f"--threads={size[3]}"]
        command = [sys.executable, __file__, "--row", row, *arguments]
        child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        table[row] = json.loads(child.stdout)
    baseline = table["full"]
    for figures in table.values():
        figures["faster"] = baseline["wall_seconds"] / figures["wall_seconds"]
        figures["memory_ratio"] = figures["extra_bytes"] / baseline["extra_bytes"]
    if options.json:
        names = dict(zip(("k", "side", "channels", "threads"), size, strict=True))
        print(json.dumps({**names, "rows": table}))
        return 0
    print(f"k = {size[0]}, grid {size[1]} x {size[1]}, C = {size[2]}, {size[3]} thread(s)\n")
    print("| what | wall s | CPU s | faster | extra MB | of full | deviation | same seeds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row, f in table.items():
        time_cells = f"{f['wall_seconds']:.4f} | {f['cpu_seconds']:.4f} | {f['faster']:.1f}x"
        memory_cells = f"{f['extra_bytes'] / 1e6:.0f} | {f['memory_ratio']:.3f}"
        check_cells = f"{f['deviation']:.1e} | {f['same_seeds']:.0%}" if "deviation" in f else " | "
        print(f"| {ROWS[row]} | {time_cells} | {memory_cells} | {check_cells} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
