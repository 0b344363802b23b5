"""Predictions as an annotator meets them: Label Studio's own editor in a real Chromium."""

import numpy as np
import pytest
from browser import _ARGUMENTS, chromium, shoot
from label_studio_server import EMAIL, PASSWORD, title
from PIL import Image

from reco_assist.annotations import ImageRef, Prediction, Region
from reco_assist.images import content_hash, read_bytes
from reco_assist.label_studio import Server, Upload, compare, pull, push
from reco_assist.masks import rle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
]

_ALPHA = """() => {
  const image = [...document.querySelectorAll('img')].find((one) => one.getBoundingClientRect().width > 300);
  const box = image.getBoundingClientRect();
  const [w, h] = [image.naturalWidth, image.naturalHeight];
  const seen = new Array(w * h).fill(0);
  for (const canvas of document.querySelectorAll('.konvajs-content canvas')) {
    const at = canvas.getBoundingClientRect();
    const scale = canvas.width / at.width;
    const one = new Array(w * h).fill(0);
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    for (let y = 0; y < h; y += 1) for (let x = 0; x < w; x += 1) {
      const cx = Math.floor((box.x - at.x + (x + 0.5) * box.width / w) * scale);
      const cy = Math.floor((box.y - at.y + (y + 0.5) * box.height / h) * scale);
      if (cx < 0 || cy < 0 || cx >= canvas.width || cy >= canvas.height) continue;
      one[y * w + x] = data[4 * (cy * canvas.width + cx) + 3];
    }
    if (one.every((alpha) => alpha > 20)) continue;  // the image itself
    one.forEach((alpha, place) => { seen[place] = Math.max(seen[place], alpha); });
  }
  return { w, h, seen, box: [box.x, box.y, box.width, box.height] };
}"""

# Whether something is drawn at a place in 0..1 of the image, and nothing has moved since the last look.
_DRAWN = f"""([x, y]) => {{
  const image = [...document.querySelectorAll('img')].find((one) => one.getBoundingClientRect().width > 300);
  if (!image?.complete) return false;
  const {{ w, h, seen, box }} = ({_ALPHA})();
  const [now, before] = [JSON.stringify([box, seen]), window.lastLook];
  window.lastLook = now;
  return seen[Math.floor(y * h) * w + Math.floor(x * w)] > 20 && now === before;
}}"""


def wait_for_drawing(page, x, y):
    page.wait_for_function(_DRAWN, arg=[x, y])


RUNS = "<img src=x onerror=window.ran=1>"  # where it is taken for HTML
LABEL = f'mug "/>{RUNS}'


def open_task(page, url, project, task):
    page.goto(f"{url}/projects/{project}/data?task={task}")
    page.locator(".konvajs-content canvas").first.wait_for()
    wait_for_drawing(page, 0.22, 0.22)  # inside the predicted mask


def submit(page):
    with page.expect_response(lambda one: "/annotations" in one.url and one.request.method == "POST"):
        page.get_by_role("button", name="Submit current annotation").click()
    page.get_by_role("button").get_by_text("Update", exact=True).wait_for()


def test_a_prediction_is_drawn_corrected_and_comes_back(label_studio, tmp_path):  # noqa: PLR0915
    from playwright.sync_api import sync_playwright

    made = []
    names = ["0.png", f"{RUNS}.png"]
    for number, file in enumerate(names):
        Image.new("RGB", (300, 400), (60 + 80 * number, 120, 140)).save(tmp_path / file)
        mask = np.zeros((400, 300), bool)
        mask[80:200, 60:180] = True
        mask[120:150, 100:130] = False
        ref = ImageRef(file, content_hash(read_bytes(tmp_path / file)), 300, 400)
        made.append(Prediction(ref, (Region(LABEL, rle.encode(mask), 0.7),)))
    name = title("browser")
    with Server(label_studio.url, label_studio.token) as server:
        done = push(server, name, made, [LABEL], model_version="one", images=Upload(tmp_path))
        tasks = {one["data"]["file_name"]: one["id"] for one in server.tasks(done.project, include=["data"])}
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
            page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
            page.set_default_timeout(60_000)
            page.goto(f"{label_studio.url}/user/login/")
            page.locator("#email").fill(EMAIL)
            page.locator("#password").fill(PASSWORD)
            page.locator("button[type=submit]").click()
            page.wait_for_url(lambda address: "/login" not in address)

            open_task(page, label_studio.url, done.project, tasks[names[0]])
            shoot(page, "label-studio-prediction")
            assert page.get_by_text(LABEL).first.is_visible()
            found = page.evaluate(_ALPHA)
            seen = np.array(found["seen"]).reshape(found["h"], found["w"]) > 20
            expected = rle.decode(made[0].regions[0].mask)
            # The screen's pixels are not the image's: the outline may be a pixel off.
            assert (seen ^ expected).mean() < 0.01
            assert not seen[125:145, 105:125].any()  # the hole
            submit(page)

            open_task(page, label_studio.url, done.project, tasks[names[1]])
            x, y, width, height = page.evaluate(_ALPHA)["box"]
            page.keyboard.press("1")  # the label: the brush draws a region of it
            page.mouse.move(x + 0.2 * width, y + 0.8 * height)
            page.mouse.down()
            page.mouse.move(x + 0.8 * width, y + 0.8 * height, steps=12)
            page.mouse.up()
            wait_for_drawing(page, 0.5, 0.8)
            shoot(page, "label-studio-corrected")
            submit(page)
            page.goto(f"{label_studio.url}/projects/{done.project}/data")
            page.get_by_text(names[1]).first.wait_for()
            assert page.evaluate("window.ran") is None
            browser.close()

        got = pull(server, name, tmp_path / "pulled", images=tmp_path)
    first, second = (got.corrected(one).regions for one in got.answered)
    assert [region.mask for region in first] == [made[0].regions[0].mask]  # untouched: the same pixels
    stroke = np.zeros((400, 300), bool)
    for region in second:
        stroke |= rle.decode(region.mask)
    stroke &= ~rle.decode(made[1].regions[0].mask)
    rows, columns = np.nonzero(stroke)
    assert abs(np.median(rows) - 320) < 4
    assert abs(columns.min() - 60) < 30
    assert abs(columns.max() - 240) < 30
    result = compare(got)
    assert (result.annotated, result.untouched) == (2, 1)
    assert result.seconds is not None
