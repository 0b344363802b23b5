"""The panel where things are long, many, missing or wrong, and on a touch screen; with pictures."""

import numpy as np
import pytest
from browser import Lab, chromium, opened, run_all, settle, shoot, until
from curator import correct_mugs
from label_studio_server import title
from PIL import Image, ImageFilter
from test_browser import in_view, step, wait_for_step, working_folder

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.images import content_hash
from reco_assist.session import ConceptSpec, ReviewQueue, Session
from reco_assist.session.results import add_result

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
    pytest.mark.timeout(600),
]

OPEN = """from reco_assist import Annotator, Archive
annotator = Annotator(Archive.open("photos.reco"), resume=True, who="curator")
annotator.state.open(3)
annotator"""
WAIT = """import time
from pathlib import Path
while not Path("go").exists():
    time.sleep(0.05)"""

LONG = "portable fire extinguisher of the older kind with a rubber hose, hung on a wall behind a pillar"
COUNT = 500

# Visible texts that are cut without saying so, and what reaches beyond the panel.
_OUTSIDE = """() => {
  const panel = document.querySelector('.ra-annotator').getBoundingClientRect();
  const names = (one) => `${one.className}: ${one.textContent.slice(0, 40)}`;
  const found = [];
  for (const one of document.querySelectorAll('.ra-annotator *')) {
    if (!one.offsetParent || one.closest('.ra-tile, svg, .ra-live, .widget-label')) continue;
    const box = one.getBoundingClientRect();
    if (box.width && (box.right > panel.right + 1 || box.left < panel.left - 1)) found.push(names(one));
    const style = getComputedStyle(one);
    const cut = one.scrollWidth > one.clientWidth + 1 && style.overflowX === 'hidden' && !one.children.length;
    if (cut && style.textOverflow !== 'ellipsis') found.push(`cut: ${names(one)}`);
  }
  return found;
}"""


@pytest.fixture
def folder(samples, tmp_path):
    return working_folder(samples.path, tmp_path)


def fill(folder):
    """A session of targets with long names, the surest of which is gone since; nothing is decided."""
    place = folder / "targets" / "survey of the northern stairwells, second visit"
    place.mkdir()
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[:72, :96]
    session = Session.open(folder / "photos.session")
    session.targets = folder / "targets"
    session.set_plan(ConceptSpec(LONG))
    for number in range(COUNT):
        path = place / f"IMG_20260817_{number:04}_panorama stitched, exposure corrected, final version.jpg"
        coarse = Image.fromarray(random.integers(0, 256, (3, 4, 3), np.uint8))
        coarse.resize((96, 72), Image.Resampling.BICUBIC).save(path)
        name = path.relative_to(folder / "targets").as_posix()
        image = ImageRef(name, content_hash(path.read_bytes()), 96, 72)
        y, x = random.uniform(20, 50, 2)
        scores = 255 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / random.uniform(60, 400))
        verdict = Verdict(LONG, present=True, probability=round(0.5 + 0.499 * number / COUNT, 3))
        add_result(session, image, path, scores.astype(np.uint8)[None], [verdict], {LONG: "digest"})
    ReviewQueue(session).items[-1].result.path.unlink()
    session.close()


def test_what_is_long_many_missing_or_wrong_on_a_sharp_touch_screen(folder):
    fill(folder)
    with (
        Lab(folder) as lab,
        opened(lab.notebook("job.ipynb", [OPEN, WAIT]), scale=2, touch=True, height=1100) as page,
    ):
        run_all(page)
        page.locator(".ra-note:visible", has_text="Waiting for the kernel…").wait_for()
        shoot(page, "state-loading")
        (folder / "go").touch()
        page.get_by_text(f"1 / {COUNT} · {COUNT} left", exact=True).wait_for()
        settle(page)
        shoot(page, "state-500-review")
        assert page.evaluate(_OUTSIDE) == []
        paint_and_zoom_with_fingers(page)

        page.keyboard.press("g")
        in_view(page, ".ra-tile img[src]").wait_for()
        page.keyboard.press("End")
        page.get_by_text("Cannot be read").wait_for()
        for key in ("ArrowLeft", "n"):
            page.keyboard.press(key)
        page.locator(".ra-badge:visible", has_text="Not here").wait_for()
        settle(page)
        shoot(page, "state-500-grid")
        assert page.locator(".ra-tile:visible").count() < 100
        page.get_by_role("button", name="Rejected", exact=True).click()
        page.get_by_text("No image is rejected.").wait_for()
        shoot(page, "state-empty")
        page.get_by_role("button", name="Not here", exact=True).click()
        in_view(page, ".ra-tile").click()
        page.keyboard.press("Enter")
        page.locator(".ra-state:visible", has_text="Not here").wait_for()
        page.keyboard.press("r")  # the canvas has the keyboard
        wait_for_step(page, 3, f"1 of {COUNT} reviewed")

        page.get_by_label("Images to segment").fill("a folder/that was moved/" * 6)
        page.get_by_role("button", name="Segment", exact=True).click()
        page.get_by_role("alert").get_by_text("is not a folder").wait_for()
        page.get_by_label("Images to segment").focus()
        ring = page.get_by_label("Images to segment").evaluate("(one) => getComputedStyle(one).outlineStyle")
        assert ring == "solid"
        settle(page)
        shoot(page, "state-error")
        page.set_viewport_size({"width": 820, "height": 1100})
        settle(page)
        shoot(page, "state-narrow")
        assert page.evaluate(_OUTSIDE) == []
        assert page.problems == []
    session = Session.open(folder / "photos.session")
    assert sum(bool((session.masks.strokes(one, LONG) == 1).any()) for one in session.files().values()) == 1
    session.close()


def paint_and_zoom_with_fingers(page):
    sides = page.locator(".ra-canvas .ra-masks").evaluate("(one) => [one.width, one.clientWidth]")
    assert sides[0] == 2 * sides[1]
    page.locator(".ra-canvas [data-tool=brush]").tap()
    box = in_view(page, ".ra-canvas .ra-stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    area = in_view(page, ".ra-canvas .ra-pick .ra-soft")
    before, zoom = area.inner_text(), page.locator(".ra-canvas .ra-foot").inner_text()
    fingers(page, [[(x - 80, y)], [(x, y + 40)], [(x + 80, y + 60)]])
    until(page, lambda: area.inner_text() != before)
    painted = area.inner_text()
    fingers(page, [[(x - 20, y), (x + 20, y)], [(x - 60, y), (x + 60, y)], [(x - 120, y), (x + 120, y)]])
    until(page, lambda: page.locator(".ra-canvas .ra-foot").inner_text() != zoom)
    assert area.inner_text() == painted  # a pinch paints nothing
    settle(page)
    shoot(page, "state-touch")


def fingers(page, moments):
    """Put fingers on the screen, move them from moment to moment, and take them away."""
    screen = page.context.new_cdp_session(page)
    for number, points in enumerate(moments):
        kind = "touchMove" if number else "touchStart"
        touches = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(points)]
        screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
    screen.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_masks_are_pushed_and_corrections_pulled(folder, label_studio, truth, monkeypatch):
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    project = title("panel")
    session = Session.open(folder / "photos.session")
    session.targets = folder / "targets"
    session.set_plan(ConceptSpec("mug"))
    for path in sorted((folder / "targets").iterdir()):
        exact = Image.fromarray((truth.labels(f"targets/{path.name}") == 1).astype(np.uint8) * 255)
        image = ImageRef(path.name, content_hash(path.read_bytes()), *exact.size)
        scores = np.asarray(exact.filter(ImageFilter.GaussianBlur(6)))
        if path.name == "scene_009.jpg":
            scores = np.roll(scores, 60, 1)  # something to be corrected
        add_result(session, image, path, scores[None], [Verdict("mug", True, 0.9)], {"mug": "digest"})
    session.close()
    with Lab(folder) as lab, opened(lab.notebook("job.ipynb", [OPEN])) as page:
        run_all(page)
        step(page, 5).click()
        page.get_by_label("Label Studio's address").fill(label_studio.url)
        page.get_by_label("Project, title or number").fill(project)
        page.get_by_role("button", name="Push", exact=True).click()
        page.get_by_role("alert").get_by_text("There is no token").wait_for()
        settle(page)
        shoot(page, "light-6-no-token")
        page.get_by_label("Token").fill(label_studio.token)
        push(page, "3 tasks created", "light")
        exact = correct_mugs(label_studio.client(), project, truth)
        pull(page, "light")
        page.get_by_role("menuitem", name="Settings").click()
        page.get_by_text("Theme", exact=True).hover()
        page.get_by_text("JupyterLab Dark", exact=True).click()
        page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
        push(page, "3 updated", "dark")
        pull(page, "dark")
        page.keyboard.press("Control+s")  # the focus is on a button of the panel
        until(page, lambda: "widget-view+json" in (folder / "job.ipynb").read_text())
        assert label_studio.token not in (folder / "job.ipynb").read_text()
        assert page.problems == []
    session = Session.open(folder / "photos.session")
    digest = session.files()["scene_009.jpg"]
    assert session.review(digest, "mug").state == "accepted"
    np.testing.assert_array_equal(session.mask(digest, "mug"), exact["scene_009.jpg"])
    assert {"push", "pull"} <= {line.get("what") for line in session.store.log()}
    session.close()


def push(page, outcome, theme):
    step(page, 5).click()
    page.get_by_role("button", name="Push", exact=True).click()
    page.locator(".ra-hint:visible", has_text=outcome).wait_for()
    settle(page)
    shoot(page, f"{theme}-6-push")


def pull(page, theme):
    step(page, 6).click()
    page.get_by_role("button", name="Pull", exact=True).click()
    page.locator(".ra-hint:visible", has_text="tasks are new or changed").wait_for()
    in_view(page, ".ra-table").wait_for()
    settle(page)
    shoot(page, f"{theme}-7-pull")
