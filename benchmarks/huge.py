"""Huge images: memory, time, and whether planted objects are found.

    python benchmarks/huge.py [--rows 100-tiff 400-tiff 400-jpeg] [--exports] [--json]

Fire extinguishers are cut out of the bundled samples by their masks and planted, 300 pixels high, in noise of
10,000 x 10,000 (100 megapixels) and 20,000 x 20,000 (400). A concept of three exemplar boxes segments each
file, in a process of its own, and exports COCO. `extra` is the peak of that process above what the loaded
encoder took; `report` that of `reco-assist report` of the result, above what its imports took; with
`--exports` the other formats are written too, each in a process of its own. An object is found where a region
has an IoU of at least one half with it; `other` are the regions that touch none.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from synthetic import in_own_process, peak, resident, table

from reco_assist import Archive, Segmenter, learn_concept, load_encoder
from reco_assist.concepts import Concept
from reco_assist.formats import read_coco
from reco_assist.masks import Rle, rle
from reco_assist.retrieval import box_exemplar
from reco_assist.runs import Run, list_targets

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples"
ROWS = {
    "16-tiff": (4_000, "tif"),
    "100-tiff": (10_000, "tif"),
    "400-tiff": (20_000, "tif"),
    "400-jpeg": (20_000, "jpg"),
    "400-png": (20_000, "png"),
}
_HEIGHT, _OBJECTS, _NUMBER = 300, 12, 2  # in pixels; planted; the concept's in the samples' masks
_SAVE = {"tif": {"tile": True, "compression": "deflate"}, "jpg": {"Q": 90}, "png": {"compression": 1}}


def cut_outs() -> list[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Extinguishers (h, w, 3) of the samples and their masks (h, w), of one height."""
    found = []
    for one in json.loads((SAMPLES / "samples.json").read_text())["images"]:
        if "fire extinguisher" not in one["concepts"]:
            continue
        mask = np.asarray(Image.open(SAMPLES / one["mask"])) == _NUMBER
        rows, columns = np.nonzero(mask)
        box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        height, width = mask[box].shape
        size = (round(width * _HEIGHT / height), _HEIGHT)
        picture = Image.open(SAMPLES / one["file"]).convert("RGB")
        found.append(
            (
                np.asarray(Image.fromarray(np.asarray(picture)[box]).resize(size)),
                np.asarray(Image.fromarray(mask[box]).resize(size)),
            )
        )
    return found


def write_image(path: Path, side: int) -> list[Rle]:
    """A file of side x side pixels with objects on noise, and their masks."""
    import pyvips  # noqa: PLC0415  (the extra `huge`)

    random = np.random.default_rng(0)
    patch = random.integers(60, 200, (50, 50, 3), np.uint8)
    patch = np.asarray(Image.fromarray(patch).resize((1000, 1000), Image.Resampling.BICUBIC))
    image = np.tile(patch, (side // 1000, side // 1000, 1))  # (side, side, 3)
    masks = []
    places = random.permutation(64)[:_OBJECTS]
    for place, (picture, mask) in zip(places, cut_outs(), strict=False):
        height, width = mask.shape
        corner = np.array(np.divmod(place, 8)) * (side // 8)
        y, x = corner + random.integers(0, side // 8 - _HEIGHT, 2)
        image[y : y + height, x : x + width][mask] = picture[mask]
        masks.append(rle.encode_crop(mask, x=int(x), y=int(y), height=side, width=side))
    saved = pyvips.Image.new_from_array(image)
    saved.write_to_file(str(path), **_SAVE[path.suffix[1:]])
    return masks


def measure(what: str, folder: Path) -> dict[str, Any]:
    """One step on a folder with an image, in this process."""
    if what == "report":
        from reco_assist.datasets.report import write_report  # noqa: PLC0415  (its memory is what is measured)

        before, begun = resident(), time.perf_counter()
        dataset = read_coco(folder / "out" / "coco.json")
        write_report(folder / "report.html", dataset, title="huge", images=folder / "images")
        return {"seconds": time.perf_counter() - begun, "memory": peak() - before}
    encoder = load_encoder("offline", device="cpu")
    encoder.encode(torch.zeros(16, 3, encoder.input_size, encoder.input_size, dtype=torch.uint8))
    segmenter = Segmenter([Concept.load(folder / "x.concept")], encoder=encoder)
    before, begun = resident(), time.perf_counter()
    with Run.open(folder / "out", segmenter, list_targets(folder / "images")) as run:
        if what == "segment":
            run.segment(progress=False)
            what = "coco"
        run.export([what])
        assert not run.skipped, run.skipped
    return {"seconds": time.perf_counter() - begun, "memory": peak() - before}


def found(path: Path, masks: Sequence[Rle]) -> tuple[int, int]:
    """How many of the masks a COCO file has, and how many regions touch none."""
    dataset = read_coco(path)
    regions = dataset.masks(dataset.document["annotations"])
    ious = np.array([[rle.iou(one, mask) for mask in masks] for one in regions]).reshape(-1, len(masks))
    return int((ious.max(0, initial=0) >= 0.5).sum()), int((ious.max(1, initial=0) == 0).sum())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=["100-tiff", "400-tiff", "400-jpeg"])
    parser.add_argument("--exports", action="store_true", help="write the other formats too")
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(measure(options.step[0], Path(options.step[1]))))
        return 0
    figures = {}
    for row in options.rows:
        with tempfile.TemporaryDirectory() as place:
            figures[row] = _row(row, Path(place), exports=options.exports)
    if options.json:
        print(json.dumps(figures))
        return 0
    lines = [
        [
            row,
            f"{one['segment']['seconds']:.0f}",
            *(f"{one[step]['memory'] / 1e6:.0f}" if step in one else "" for step in _STEPS),
            f"{one['found']} of {one['planted']}",
            one["other"],
        ]
        for row, one in figures.items()
    ]
    print(table(["file", "s", *(f"{step}, extra MB" for step in _STEPS), "found", "other"], lines))
    return 0


_STEPS = ("segment", "report", "label-studio", "png")


def _row(row: str, folder: Path, *, exports: bool) -> dict[str, Any]:
    side, ending = ROWS[row]
    (folder / "images").mkdir()
    masks = write_image(folder / "images" / f"x.{ending}", side)
    archive = Archive.create(folder / "samples.reco", encoder=load_encoder("offline", device="cpu"))
    archive.add(SAMPLES / "archive", progress=False)
    learn_concept(archive, "fire extinguisher", exemplars=_exemplars()).save(folder / "x.concept")
    steps = _STEPS if exports else _STEPS[:2]
    result: dict[str, Any] = {step: in_own_process(__file__, "--step", step, str(folder)) for step in steps}
    hit, other = found(folder / "out" / "coco.json", masks)
    return result | {"planted": len(masks), "found": hit, "other": other}


def _exemplars() -> list[Any]:
    data = json.loads((SAMPLES / "samples.json").read_text())
    masks = {one["file"]: one["mask"] for one in data["images"]}
    boxes = []
    for name in data["exemplars"]["fire extinguisher"]:
        rows, columns = np.nonzero(np.asarray(Image.open(SAMPLES / masks[name])) == _NUMBER)
        x, y = int(columns.min()), int(rows.min())
        boxes.append(box_exemplar(SAMPLES / name, x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1))
    return boxes


if __name__ == "__main__":
    sys.exit(main())
