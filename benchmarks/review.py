"""Whether a long review takes more and more memory: JupyterLab in Chromium, all images there and back, twice.

    python benchmarks/review.py [--images 500] [--json]

On the first way every image is decided by its key, every third after its threshold was moved, every tenth
after a stroke of the brush; the other three ways look at all of them again. Images are 640 x 480 with two
concepts. The page's heap is that after a garbage collection (`HeapProfiler.collectGarbage`); pictures and
canvases lie outside of it, in the memory of the renderer, which like that of the kernel is what is resident.
Needs Linux and Chromium.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from browser import Lab, opened, run_all
from fakes import FakeEncoder, write_photos
from playwright.sync_api import Page
from scipy import ndimage
from synthetic import write_photographs

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.archive import Archive
from reco_assist.images import content_hash
from reco_assist.session import ConceptSpec, Session
from reco_assist.session.results import add_result

NAMES = ["mug", "street lamp"]
WIDTH, HEIGHT = 640, 480
CELL = """import sys
sys.path.insert(0, TESTS)
from fakes import FakeEncoder
from reco_assist import Annotator, Archive
annotator = Annotator(Archive.open("bench.reco", encoder=FakeEncoder()), resume=True)
annotator.state.open(3)
annotator"""
_COLUMNS = ["way", "images", "heap MB", "DOM nodes", "listeners", "renderer MB", "kernel MB"]
_ROW = "{:<18}{:>8}{:>12}{:>12}{:>12}{:>14}{:>12}"
_POSITION = re.compile(r"^([\d,]+) / ")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    begun, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as name, Lab(prepared(Path(name), options.images)) as lab:
        cell = CELL.replace("TESTS", repr(sys.path[0]))
        with opened(lab.notebook("bench.ipynb", [cell])) as page:
            run_all(page)
            for row in session(page, lab.kernel_process(), options.images):
                rows.append(row)
                print(row, file=sys.stderr, flush=True)
            if page.problems:  # type: ignore[attr-defined]
                raise SystemExit(str(page.problems))  # type: ignore[attr-defined]
    if options.json:
        print(json.dumps({"rows": rows, "seconds": round(time.monotonic() - begun)}, indent=1))
        return 0
    print(_ROW.format(*_COLUMNS))
    for row in rows:
        print(_ROW.format(*row.values()))
    first, last = rows[0], rows[-1]
    grown = ", ".join(f"{key} {last[key] / first[key]:.2f}" for key in _COLUMNS[2:])
    print(f"The last row in parts of the first: {grown}")
    return 0


def prepared(folder: Path, count: int) -> Path:
    """A folder with an archive, and a session in which nothing is decided yet."""
    write_photos(folder / "photos", 8)
    Archive.create(folder / "bench.reco", encoder=FakeEncoder()).add(folder / "photos", progress=False)
    random = np.random.default_rng(0)
    job = Session.open(folder / "bench.session")
    job.targets = folder / "targets"
    for name in NAMES:
        job.set_plan(ConceptSpec(name))
    for number, path in enumerate(write_photographs(folder / "targets", count, width=WIDTH, height=HEIGHT)):
        image = ImageRef(path.name, content_hash(path.read_bytes()), WIDTH, HEIGHT)
        maps = np.stack([ndimage.gaussian_filter(random.random((HEIGHT, WIDTH)), 20) for _ in NAMES])
        low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
        scores = (255 * (maps - low) / (high - low)).astype(np.uint8)  # (K, H, W)
        chance = round(0.5 + 0.4 * number / count, 4)
        verdicts = [Verdict(name, present=True, probability=chance) for name in NAMES]
        add_result(job, image, path, scores, verdicts, dict.fromkeys(NAMES, "digest"))
    job.close()
    return folder


def session(page: Page, kernel: int, count: int) -> Iterator[dict[str, Any]]:
    """Review all images, then look at them three times more; what is held at some moments."""
    tell = Meter(page, kernel)
    moments = {count // 5, 3 * count // 5, count}
    stage = page.locator(".ra-canvas .ra-stage:visible").first
    page.get_by_text(f"1 / {count} · {count} left", exact=True).wait_for()
    stage.click(position={"x": 10, "y": 10})
    for done in range(1, count + 1):
        before = label(page)
        decide(page, done)
        page.locator(".ra-canvas").get_by_text(f"{count - done:,} left").first.wait_for()
        if done < count:
            changed(page, before)
        if done in moments:
            yield tell.row("decide", done)
    for way, key in (("back", "ArrowLeft"), ("forth again", "ArrowRight"), ("back again", "ArrowLeft")):
        to_the_end(page, "ArrowRight" if key == "ArrowLeft" else "ArrowLeft", count)
        for seen in range(1, count + 1):
            if seen > 1:
                turn(page, key)
            if seen in moments:
                yield tell.row(way, seen)


def decide(page: Page, number: int) -> None:
    """One image, as a curator would."""
    if number % 10 == 0:
        box = page.locator(".ra-canvas .ra-stage:visible").first.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.keyboard.press("b")
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 50, y + 20, steps=4)
        page.mouse.up()
    if number % 3 == 0:
        for _ in range(3):
            page.keyboard.press("ArrowDown")
    page.keyboard.press("ar"[number % 2])


def label(page: Page) -> str:
    return page.locator(".ra-canvas .ra-label").first.get_attribute("title") or ""


def turn(page: Page, key: str) -> None:
    """To the image before or behind, which is waited for."""
    before = label(page)
    page.keyboard.press(key)
    changed(page, before)


def changed(page: Page, before: str) -> None:
    """Wait until another image is shown."""
    page.wait_for_function(
        "(before) => document.querySelector('.ra-canvas .ra-label')?.title !== before", arg=before
    )


def to_the_end(page: Page, key: str, count: int) -> None:
    """To the last image, or the first, from wherever it is."""
    end = f"{count:,}" if key == "ArrowRight" else "1"
    position = page.locator(".ra-canvas .ra-soft", has_text=_POSITION).first
    while (position.text_content() or "").partition(" ")[0] != end:
        turn(page, key)


class Meter:
    """Reads memory: of the page, of what draws it, and of the kernel."""

    def __init__(self, page: Page, kernel: int) -> None:
        self._page, self._kernel = page, kernel
        self._devtools = page.context.new_cdp_session(page)
        self._devtools.send("Performance.enable")
        self._devtools.send("HeapProfiler.enable")

    def row(self, way: str, images: int) -> dict[str, Any]:
        self._page.wait_for_timeout(500)
        self._devtools.send("HeapProfiler.collectGarbage")
        found = self._devtools.send("Performance.getMetrics")["metrics"]
        metrics = {one["name"]: one["value"] for one in found}
        held = (
            round(metrics["JSHeapUsedSize"] / 1e6, 1),
            int(metrics["Nodes"]),
            int(metrics["JSEventListeners"]),
            round(sum(resident(one) for one in renderers()) / 1e6),
            round(resident(self._kernel) / 1e6),
        )
        return dict(zip(_COLUMNS, (way, images, *held), strict=True))


def resident(process: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def renderers() -> list[int]:
    """Processes of our Chromium that draw pages."""
    parents: dict[int, int] = {}
    drawing: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if b"--type=renderer" in (entry / "cmdline").read_bytes():
                    drawing.append(int(entry.name))
            except OSError:
                continue

    def ours(process: int) -> bool:
        while process not in {0, os.getpid()}:
            process = parents.get(process, 0)
        return process == os.getpid()

    return [one for one in drawing if ours(one)]


if __name__ == "__main__":
    sys.exit(main())
