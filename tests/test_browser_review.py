"""The review in the browser where only it shows the truth: the chosen concept, and masks out of date."""

import json
from dataclasses import replace

import numpy as np
import pytest
from browser import Lab, chromium, opened, run_all, settle, shoot, until
from PIL import Image, ImageFilter
from test_browser import in_view, step, working_folder

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.images import content_hash
from reco_assist.session import ConceptSpec, Session
from reco_assist.session.freshness import note_concept
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
NAMES = {"mug": "digest-m", "fire extinguisher": "digest-f"}


@pytest.fixture
def folder(samples, tmp_path):
    return working_folder(samples.path, tmp_path)


def fill(folder, truth):
    """A session of the sample targets with their true masks; the second concept is chosen."""
    session = Session.open(folder / "photos.session")
    session.targets = folder / "targets"
    for name in NAMES:
        session.set_plan(ConceptSpec(name))
    for path in sorted((folder / "targets").iterdir()):
        labels = truth.labels(f"targets/{path.name}")
        exact = [Image.fromarray((labels == k).astype(np.uint8) * 255) for k in (1, 2)]
        maps = np.stack([np.asarray(one.filter(ImageFilter.GaussianBlur(6))) for one in exact])
        image = ImageRef(path.name, content_hash(path.read_bytes()), *exact[0].size)
        verdicts = [Verdict(name, present=True, probability=0.9) for name in NAMES]
        add_result(session, image, path, maps, verdicts, NAMES)
    session.active = "fire extinguisher"
    return session


def strokes(folder):
    """Concepts that were painted, in order."""
    lines = (folder / "photos.session" / "audit.jsonl").read_text().splitlines()[1:]
    return [
        key.rsplit("/", 1)[1]
        for event in map(json.loads, lines)
        if event["what"] == "stroke"
        for key in event["changes"]
    ]


def chosen(page):
    """The chosen concept: on the canvas, and in the head of the panel."""
    canvas = page.locator(".ra-canvas .ra-pick[aria-checked=true] .ra-concept-name").inner_text()
    return canvas, page.locator(".ra-stepper-concept[aria-pressed=true]").inner_text().strip()


def paint(page):
    page.keyboard.press("b")
    box = in_view(page, ".ra-canvas .ra-stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 20)
    page.mouse.up()


def test_a_stroke_paints_the_concept_that_is_chosen_everywhere(folder, truth):
    fill(folder, truth).close()
    with Lab(folder) as lab, opened(lab.notebook("job.ipynb", [OPEN])) as page:
        run_all(page)
        page.locator(".ra-canvas .ra-pick").first.wait_for()
        settle(page)
        assert chosen(page) == ("fire extinguisher", "fire extinguisher")
        in_view(page, ".ra-canvas .ra-stage").click()
        paint(page)
        until(page, lambda: "fire extinguisher" in strokes(folder))
        page.keyboard.press("1")
        until(page, lambda: chosen(page) == ("mug", "mug"))
        page.locator(".ra-stepper-concept", has_text="fire extinguisher").click()
        until(page, lambda: chosen(page) == ("fire extinguisher",) * 2)
        page.keyboard.press("ArrowRight")
        run_all(page)  # as after a reload
        page.locator(".ra-canvas .ra-pick").first.wait_for()
        settle(page)
        assert chosen(page) == ("fire extinguisher", "fire extinguisher")
        assert page.problems == []


@pytest.mark.parametrize("dark", [False, True])
def test_masks_out_of_date_are_marked(folder, truth, dark):
    session = fill(folder, truth)
    plan = replace(session.plan("mug"), begun=True)
    session.set_plan(plan)
    note_concept(session, plan, NAMES["mug"])
    session.set_plan(replace(plan, dropped=("0" * 64,)))  # the set is another now
    first = next(iter(session.files().values()))
    session.decide(first, dict.fromkeys(NAMES, "accepted"))
    session.close()
    theme = "dark" if dark else "light"
    with (
        Lab(folder, dark=dark) as lab,
        opened(lab.notebook("job.ipynb", [OPEN]), dark=dark) as page,
    ):
        run_all(page)
        page.locator(".ra-hint:visible", has_text="are not what “mug” would give now").wait_for()
        page.get_by_role("button", name="undecided anew").wait_for()
        page.get_by_role("button", name="Segment all 3 anew").wait_for()
        page.locator(".ra-canvas").get_by_text("out of date").wait_for()
        settle(page)
        shoot(page, f"{theme}-4-out-of-date")
        page.get_by_role("button", name="Grid", exact=True).click()
        page.locator(".ra-tile:visible", has_text="out of date").first.wait_for()
        settle(page)
        shoot(page, f"{theme}-4-out-of-date-grid")
        step(page, 4).click()
        page.get_by_text("with masks that are out of date").wait_for()
        settle(page)
        shoot(page, f"{theme}-5-out-of-date")
        assert page.problems == []
