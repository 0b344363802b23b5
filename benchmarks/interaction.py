"""How quickly the notebook answers: figures from JupyterLab in Chromium, as a curator's hand meets it.

    python benchmarks/interaction.py [--images 1000]

Needs Chromium. Times are from the input event to the frame that shows its effect; Chromium paints without a
graphics card here, so they are upper bounds.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser import Lab, opened, run_all
from playwright.sync_api import Page, WebSocket

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples"

PREPARE = f"""
from pathlib import Path
from reco_assist import Annotator, Archive, load_encoder
archive = Archive.create("bench.reco", encoder=load_encoder("offline"))
archive.add({str(SAMPLES)!r} + "/archive", progress=False)
annotator = Annotator(archive, targets={str(SAMPLES)!r} + "/targets")
annotator"""

WALL = """
from reco_assist.ui import ExemplarGallery, GalleryItem
entries = list(archive.images())
pictures = archive.thumbnails([entry.content_hash for entry in entries])
class Source:
    def thumbnails(self, ids): return [pictures[int(i) % len(pictures)] for i in ids]
    def preview(self, i): return pictures[int(i) % len(pictures)]
    def heat_map(self, i): return None
wall = ExemplarGallery(Source(), title="wall", height=520)
wall.items = [GalleryItem(str(n), f"image_{n:05}.jpg", 1 - n / IMAGES) for n in range(IMAGES)]
wall"""

# The time from a key to the first frame in which seeds stand elsewhere than before.
DROP = """() => new Promise((done) => {
  const seeds = () => [...document.querySelectorAll('.ra-tile')].filter((tile) => tile.offsetParent)
    .map((tile) => tile.dataset.id + tile.querySelector('.ra-seed')?.getAttribute('style')
      + tile.querySelector('.ra-meter, [title^=Support]')?.title).join();
  const before = seeds();
  addEventListener('keydown', () => {
    const start = performance.now();
    const look = () => seeds() !== before ? requestAnimationFrame(() => done(performance.now() - start))
      : performance.now() - start > 5000 ? done(NaN) : requestAnimationFrame(look);
    look();
  }, {once: true, capture: true});
  window.armed = true;
})"""

SLIDE = """async () => {
  const slider = [...document.querySelectorAll('.ra-canvas .ra-concept input[type=range]')]
    .find((one) => one.offsetParent);
  const times = [];
  for (let value = 60; value < 200; value += 4) {
    const start = performance.now();
    slider.value = String(value);
    slider.dispatchEvent(new Event('input', {bubbles: true}));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - start);
  }
  return times;
}"""

SCROLL = """async () => {
  const wall = [...document.querySelectorAll('.ra-wall')].findLast((one) => one.offsetParent);
  const frames = [];
  let tiles = 0;
  let last = await new Promise(requestAnimationFrame);
  const bottom = wall.scrollHeight - wall.clientHeight;
  for (let top = 0; top <= bottom; top += 90) {
    wall.scrollTop = top;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
    tiles = Math.max(tiles, wall.querySelectorAll('.ra-tile').length);
  }
  return {frames, tiles};
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000, help="thumbnails on the wall that is scrolled")
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
        cells = [PREPARE, WALL.replace("IMAGES", str(images))]
        with opened(lab.notebook("bench.ipynb", cells)) as page:
            sent, received = count_messages(page)
            run_all(page)
            page.locator(".ra-question input").fill("mug")
            page.locator(".ra-question input").press("Enter")
            page.locator(".ra-stepper-step", has_text="20 of 20 kept").wait_for()
            print(row("drop an image of 20: key to new seeds", drops(page)))
            print(row("slider: input to redraw", *slides(page, sent)))
            print(row(f"scroll {images:,} thumbnails: frame to frame", *scrolls(page)))
            print(payload(page, received))


def count_messages(page: Page) -> tuple[list[int], list[int]]:
    """Sizes of what goes to the kernel and comes from it, from the next page load on."""
    sent: list[int] = []
    received: list[int] = []

    def watch(socket: WebSocket) -> None:
        socket.on("framesent", lambda data: sent.append(len(data)))
        socket.on("framereceived", lambda data: received.append(len(data)))

    page.on("websocket", watch)
    page.reload()
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.get_by_text("| Idle").first.wait_for()
    return sent, received


def drops(page: Page) -> list[float]:
    page.locator(".ra-stepper-step").nth(2).click()
    page.locator(".ra-tile:visible .ra-seed").first.wait_for()
    page.locator(".ra-tile:visible").first.click()
    times = []
    for _ in range(8):
        page.evaluate(f"() => {{ window.armed = false; window.result = ({DROP})(); }}")
        page.wait_for_function("window.armed")
        page.keyboard.press("d")
        times.append(page.evaluate("() => window.result"))
        page.keyboard.press("z")  # so that the next one is dropped from the same set
        page.locator(".ra-stepper-step", has_text="20 of 20 kept").wait_for()
        page.wait_for_timeout(200)
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(100)
    return times


def slides(page: Page, sent: list[int]) -> tuple[list[float], str]:
    page.locator(".ra-stepper-step").nth(3).click()
    page.get_by_role("button", name="Segment", exact=True).click()
    page.get_by_text("21 of 21 segmented").wait_for(timeout=180_000)
    page.wait_for_timeout(1000)
    sent.clear()
    times = page.evaluate(SLIDE)
    return times, f"{len(sent)} kernel messages"


def scrolls(page: Page) -> tuple[list[float], str]:
    page.locator(".ra-wall:visible").last.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    result = page.evaluate(SCROLL)
    return result["frames"], f"at most {result['tiles']} tiles in the page"


def payload(page: Page, received: list[int]) -> str:
    """What 50 thumbnails weigh on their way to the browser, with all that goes with them."""
    page.wait_for_timeout(1500)
    cell = page.locator(".jp-CodeCell").last
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(
        "wall.items = wall.items[:50]\nfresh = ExemplarGallery(Source(), height=1500, size=96)\n"
        "fresh.items = wall.items\nfresh"
    )
    received.clear()
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(4000)
    shown = page.locator(".ra-tile:visible img[src]").count()
    kilobytes = sum(received) / 1000
    return f"a gallery of 50 images: {kilobytes:.0f} kB in {len(received)} messages, {shown} pictures"


def row(what: str, times: list[float], note: str = "") -> str:
    ordered = sorted(times)
    most = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return f"{what}: median {statistics.median(times):.0f} ms, 95 % {most:.0f} ms" + (
        f", {note}" if note else ""
    )


if __name__ == "__main__":
    main()
