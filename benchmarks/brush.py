"""Label Studio's brush codec against that of its SDK: the same bytes, and how much sooner.

python benchmarks/brush.py
"""

import resource
import time
from collections.abc import Callable

import numpy as np
from label_studio_sdk.converter import brush as sdk

from reco_assist.masks import brush

SIDE = 4096


def best(action: Callable[[], object], repeat: int = 3) -> float:
    """Seconds of the quickest of some runs."""
    times = []
    for _ in range(repeat):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return min(times)


def main() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    disc = np.hypot(y - SIDE / 2, x - SIDE / 2) < SIDE / 3
    noise = np.random.default_rng(0).random((SIDE, SIDE)) < 0.1
    print(f"{SIDE} x {SIDE}      ours     SDK   ratio")
    for name, mask in (("simple", disc), ("noisy", disc ^ noise)):
        pixels = mask.astype(np.uint8) * 255
        ours, theirs = brush.encode(mask), bytes(sdk.mask2rle(pixels))
        if ours != theirs:
            raise SystemExit(f"{name}: the bytes differ")
        if not np.array_equal(brush.decode(ours, height=SIDE, width=SIDE), mask):
            raise SystemExit(f"{name}: the mask differs")
        listed = list(ours)
        mine = best(lambda mask=mask: brush.encode(mask))
        other = best(lambda pixels=pixels: sdk.mask2rle(pixels), 1)
        print(f"encode {name:6} {mine:8.3f} {other:7.3f} {other / mine:6.1f}x")
        mine = best(lambda listed=listed: brush.decode(listed, height=SIDE, width=SIDE))
        other = best(lambda listed=listed: sdk.decode_rle(listed), 1)
        print(f"decode {name:6} {mine:8.3f} {other:7.3f} {other / mine:6.1f}x")
    print(f"bytes equal; at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB in all")


if __name__ == "__main__":
    main()
