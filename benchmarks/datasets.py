"""The care of a large COCO file against pycocotools, which loads the same file.

    python benchmarks/datasets.py [--annotations 20000] [--folder KEPT] [--without CASE]... [--json]

The file is synthetic: 100 polygons of 40 points in each image, ten categories; a million annotations make
some 700 MB. Each case runs in a process of its own; `CPU s` is its processor time and `MB` its peak memory,
both with what Python and the imports take, which the row `imports` shows. What reads two files is held
against pycocotools with both.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from math import cos, pi, sin
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from synthetic import in_own_process, table
from typer.testing import CliRunner

from reco_assist.cli.app import app
from reco_assist.formats import read_dataset

PER_IMAGE, POINTS, SIDE = 100, 40, 1000


def write(path: Path, annotations: int, *, seed: int = 0) -> None:
    """A COCO file, one record after the other."""
    chance = random.Random(seed)
    images = -(-annotations // PER_IMAGE)
    with path.open("w") as file:
        records = (
            f'{{"id":{n},"file_name":"{n:07}.jpg","width":{SIDE},"height":{SIDE}}}'
            for n in range(1, images + 1)
        )
        file.write('{"images":[' + ",".join(records) + '],"categories":[')
        file.write(",".join(f'{{"id":{n},"name":"thing {n}"}}' for n in range(1, 11)) + '],"annotations":[')
        for number in range(1, annotations + 1):
            x, y, r = (chance.uniform(*span) for span in ((60, 940), (60, 940), (5, 50)))
            ring = [
                round(value, 2)
                for k in range(POINTS)
                for value in (x + r * cos(2 * pi * k / POINTS), y + r * sin(2 * pi * k / POINTS))
            ]
            record = {
                "id": number,
                "image_id": (number - 1) // PER_IMAGE + 1,
                "category_id": chance.randint(1, 10),
                "segmentation": [ring],
                "bbox": [round(one, 2) for one in (x - r, y - r, 2 * r, 2 * r)],
                "area": round(pi * r * r, 2),
                "iscrowd": 0,
            }
            file.write(("," if number > 1 else "") + json.dumps(record, separators=(",", ":")))
        file.write("]}")


def imports(folder: Path) -> None:
    """Nothing but the imports."""
    del folder


def pycocotools(folder: Path) -> None:
    """The baseline."""
    COCO(str(folder / "a.json"))


def pycocotools_twice(folder: Path) -> None:
    """The baseline of what reads two files."""
    held = [COCO(str(folder / name)) for name in ("a.json", "b.json")]
    del held


def read(folder: Path) -> None:
    """Our reader."""
    read_dataset(folder / "a.json")


def command(*words: str) -> Callable[[Path], None]:
    """A command of ours; {a} and {b} are the files, {out} is a new folder."""

    def run(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as out:
            places = {"a": folder / "a.json", "b": folder / "b.json", "out": Path(out) / "out"}
            done = CliRunner().invoke(app, [word.format(**places) for word in words])
        if done.exit_code:
            raise RuntimeError(done.output)

    return run


CASES: dict[str, Callable[[Path], None]] = {
    "imports": imports,
    "pycocotools loads": pycocotools,
    "pycocotools loads both": pycocotools_twice,
    "read_dataset": read,
    "convert": command("convert", "{a}", "--out", "{out}"),
    "merge": command("merge", "{a}", "{b}", "--out", "{out}.json"),
    "report": command("report", "{a}", "--out", "{out}.html"),
    "diff": command("diff", "{a}", "{b}", "--json"),
    "evaluate": command("evaluate", "{a}", "--truth", "{b}", "--json"),
}

TWO = ("pycocotools loads both", "merge", "diff", "evaluate")
"""Those that read two files: their baseline is both."""


def measured(case: str, folder: Path) -> dict[str, float]:
    """Seconds and megabytes of a case, in this process."""
    sys.stdout, kept = sys.stderr, sys.stdout
    begun = time.perf_counter()
    CASES[case](folder)
    sys.stdout = kept
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu": used.ru_utime + used.ru_stime,
        "wall": time.perf_counter() - begun,
        "MB": used.ru_maxrss / 1024,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--annotations", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="keep the files here, and use those that are there")
    parser.add_argument(
        "--without", action="append", choices=list(CASES), default=[], help="leave out a case"
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(options.case, options.folder)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(exist_ok=True)
        for seed, name in enumerate(("a.json", "b.json")):
            if not (folder / name).exists():
                write(folder / name, options.annotations, seed=seed)
        size = (folder / "a.json").stat().st_size
        cases = [case for case in CASES if case not in options.without]
        rows = {case: in_own_process(__file__, f"--case={case}", f"--folder={folder}") for case in cases}
    if options.json:
        print(json.dumps({"annotations": options.annotations, "bytes": size, "rows": rows}))
        return 0
    print(f"{options.annotations:,} annotations, {size / 1e6:.0f} MB\n")
    print(table(["what", "CPU s", "of baseline", "MB", "of baseline"], [line(case, rows) for case in cases]))
    return 0


def line(case: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    """A row, in ratios to pycocotools; what the imports take is taken off both for the time alone."""
    loads = "pycocotools loads both" if case in TWO else "pycocotools loads"
    own, base, start = rows[case], rows[loads], rows["imports"]
    ratio = (own["cpu"] - start["cpu"]) / max(base["cpu"] - start["cpu"], 0.01)
    return [case, f"{own['cpu']:.1f}", f"{ratio:.2f}", f"{own['MB']:.0f}", f"{own['MB'] / base['MB']:.2f}"]


if __name__ == "__main__":
    sys.exit(main())
