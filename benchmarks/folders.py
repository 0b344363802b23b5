"""A folder of many image files: finding them, deciding what is new, and the care of a data set of them.

    python benchmarks/folders.py [--images 3000] [--json]

The files are small JPEGs in one folder, and a COCO file has a mask in each. The encoder is a quick stand-in:
`index` is listing, reading, hashing, decoding and committing; `index again` is listing and the decision that
nothing is new. Each case runs in a process of its own; `CPU s` is its processor time without that of the
imports, `MB` its peak memory with them.
"""

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from datasets import command, imports
from PIL import Image
from synthetic import in_own_process, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes import FakeEncoder

from reco_assist import Archive
from reco_assist.runs.targets import list_targets

WIDTH, HEIGHT = 64, 48


def write(folder: Path, count: int) -> None:
    """The photographs, no two of the same bytes, and the data set."""
    (folder / "photos").mkdir(parents=True)
    picture = Image.effect_noise((WIDTH, HEIGHT), 40).convert("RGB")
    names = [f"{number:07}.jpg" for number in range(1, count + 1)]
    for name in names:
        picture.save(folder / "photos" / name, comment=name)
    square = {"segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]], "bbox": [10, 10, 20, 20], "area": 400}
    document = {
        "images": [
            {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
            for number, name in enumerate(names, 1)
        ],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, **square}
            for number in range(1, count + 1)
        ],
    }
    (folder / "a.json").write_text(json.dumps(document))


def index(folder: Path) -> None:
    """Into a new archive, or the one that is there."""
    place, encoder = folder / "photos.reco", FakeEncoder()
    archive = Archive.open(place, encoder=encoder) if place.exists() else None
    (archive or Archive.create(place, encoder=encoder)).add(folder / "photos", progress=False)


def care(*words: str) -> Callable[[Path], None]:
    """A command with the folder of the photographs; see `datasets.command`."""
    return lambda folder: command(*words, "--images", str(folder / "photos"))(folder)


CASES: dict[str, Callable[[Path], object]] = {
    "imports": imports,
    "segment lists": lambda folder: list_targets(folder / "photos"),
    "index": index,
    "index again": index,
    "report": care("report", "{a}", "--out", "{out}.html"),
    "convert to COCO": care("convert", "{a}", "--out", "{out}"),
    "convert to YOLO": care("convert", "{a}", "--to", "yolo", "--val", "0.2", "--out", "{out}"),
}


def measured(case: str, folder: Path) -> dict[str, float]:
    """Seconds and megabytes of a case, in this process."""
    sys.stdout, kept = sys.stderr, sys.stdout
    before = resource.getrusage(resource.RUSAGE_SELF)
    CASES[case](folder)
    sys.stdout = kept
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "MB": used.ru_maxrss / 1024}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(options.case, options.folder)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "files"
        write(folder, options.images)
        rows = {case: in_own_process(__file__, f"--case={case}", f"--folder={folder}") for case in CASES}
    if options.json:
        print(json.dumps({"images": options.images, "rows": rows}))
        return 0
    print(f"{options.images:,} images\n")
    cells = [
        [case, f"{one['cpu']:.1f}", f"{1e6 * one['cpu'] / options.images:.0f}", f"{one['MB']:.0f}"]
        for case, one in rows.items()
    ]
    print(table(["what", "CPU s", "us an image", "MB"], cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
