"""The Annotator as a curator meets it: JupyterLab, a kernel, Chromium, the keyboard and the mouse.

Pictures of every step are left in test-artifacts/.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import Lab, chromium, idle, opened, run_all, settle, shoot, until
from conftest import SAMPLES
from PIL import Image
from pycocotools import mask as coco

from reco_assist.session import Session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
    pytest.mark.timeout(600),
]

CELL = """from reco_assist import Annotator, Archive
annotator = Annotator(Archive.open("photos.reco"), targets="targets", who="curator")
annotator"""


def _examples():
    """(x, y, width, height) in 0..1 around the extinguishers of the samples' examples, by file name."""
    data = json.loads((SAMPLES / "samples.json").read_text())
    masks = {image["file"]: image["mask"] for image in data["images"]}
    found = {}
    for name in data["exemplars"]["fire extinguisher"]:
        mask = np.asarray(Image.open(SAMPLES / masks[name])) == 2
        rows, columns = np.nonzero(mask)
        height, width = mask.shape
        x, y, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        found[Path(name).name] = (x / width, y / height, (right - x) / width, (bottom - y) / height)
    return found


EXAMPLES = _examples()


@pytest.fixture(scope="module")
def archive(samples, tmp_path_factory):
    return samples.path


@pytest.fixture
def folder(archive, tmp_path):
    return working_folder(archive, tmp_path)


def working_folder(archive, place):
    """A folder with the sample archive and three targets."""
    shutil.copytree(archive, place / "photos.reco")
    (place / "targets").mkdir()
    for number in (8, 9, 12):
        name = f"scene_{number:03}.jpg"
        shutil.copy(SAMPLES / "targets" / name, place / "targets" / name)
    return place


@pytest.fixture(params=[False, True], ids=["light", "dark"])
def dark(request):
    return request.param


def step(page, number):
    return page.locator(".ra-stepper-step").nth(number)


def wait_for_step(page, number, pattern):
    page.wait_for_function(
        "([n, p]) => new RegExp(p).test(document.querySelectorAll('.ra-stepper-step')[n]?.textContent ?? '')",
        arg=[number, pattern],
    )


def specified(folder, name):
    """What the session says of a concept at this moment: read in a copy, since the kernel has it open."""
    copy = shutil.copytree(folder / "photos.session", folder / "looked-at.session", dirs_exist_ok=True)
    session = Session.open(copy)
    plan = session.plan(name)
    session.close()
    return plan


def in_view(page, selector):
    return page.locator(f"{selector}:visible").first


def begin(page, word="mug"):
    """Run the notebook and find a word's images."""
    run_all(page)
    page.locator(".ra-question input").fill(word)
    page.keyboard.press("Enter")
    wait_for_step(page, 2, "20 of 20 kept")


def look_closer(page, name):
    """Open an image of the wall at a larger size."""
    tile = page.locator(".ra-tile:visible", has_text=name)
    tile.scroll_into_view_if_needed()
    tile.dblclick()
    in_view(page, ".ra-preview-stage img[src]").wait_for()
    settle(page)


def seeds_on_screen(page):
    """Where each visible image's seed is drawn, by file name."""
    return page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('.ra-gallery .ra-tile')]
          .filter((tile) => tile.offsetParent)
          .map((tile) => [tile.dataset.id, tile.querySelector('.ra-seed')?.getAttribute('style') ?? '']))"""
    )


def segment_all(page):
    step(page, 3).click()
    page.get_by_role("button", name="Segment", exact=True).click()
    page.get_by_text("3 of 3 segmented").wait_for()
    in_view(page, ".ra-canvas .ra-stage").wait_for()


def reviewed(page, count):
    wait_for_step(page, 3, f"{count} of 3 reviewed")


def swap_and_swap_back(page, before, name):
    page.get_by_role("button", name="Swap object and background").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Swap back").wait_for()
    until(page, lambda: seeds_on_screen(page) != before)
    for key in "ddb":  # on a plain button these are Jupyter's keys: cells would be deleted and made
        page.keyboard.press(key)
    assert page.locator(".jp-Notebook .jp-Cell").count() == 1
    page.get_by_role("button", name="Heat maps").click()
    in_view(page, ".ra-tile .ra-heat").wait_for()
    settle(page)
    shoot(page, f"{name}-3-swapped")
    page.get_by_role("button", name="Heat maps").click()
    page.get_by_role("button", name="Swap back").click()
    page.get_by_role("button", name="Swap object and background").wait_for()
    until(page, lambda: seeds_on_screen(page) == before)


def order_on_screen(page):
    """Names of the visible images, from the first on."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.ra-gallery .ra-tile')]
          .filter((tile) => tile.offsetParent)
          .sort((a, b) => a.getAttribute('aria-posinset') - b.getAttribute('aria-posinset'))
          .map((tile) => tile.dataset.id)"""
    )


def many_at_once(page):
    """Drop a range, then all below one, and take both back."""
    before = order_on_screen(page)
    in_view(page, ".ra-tile[aria-posinset='1']").click()
    in_view(page, ".ra-tile[aria-posinset='3']").click(modifiers=["Shift"])
    page.keyboard.press("d")
    wait_for_step(page, 2, "17 of 20 kept")
    page.keyboard.press("z")
    wait_for_step(page, 2, "20 of 20 kept")
    until(page, lambda: order_on_screen(page) == before)  # the wall is told after the stepper
    in_view(page, ".ra-tile[aria-posinset='1']").click()
    for key in ("ArrowRight", "b"):
        page.keyboard.press(key)
    wait_for_step(page, 2, "2 of 20 kept")
    page.keyboard.press("z")
    wait_for_step(page, 2, "20 of 20 kept")


def test_from_a_word_to_masks(folder, dark):  # noqa: PLR0915  (it is the whole loop)
    name = "dark" if dark else "light"
    with Lab(folder, dark=dark) as lab, opened(lab.notebook("job.ipynb", [CELL]), dark=dark) as page:
        run_all(page)
        page.locator(".ra-question input").wait_for()
        settle(page)
        shoot(page, f"{name}-1-concept")
        page.locator(".ra-question input").fill("mug")
        page.keyboard.press("Enter")
        wait_for_step(page, 1, "20 images")
        in_view(page, ".ra-tile img[src]").wait_for()
        settle(page)
        shoot(page, f"{name}-2-retrieve")

        step(page, 2).click()
        in_view(page, ".ra-tile .ra-seed").wait_for()
        settle(page)
        shoot(page, f"{name}-3-prune")
        before = seeds_on_screen(page)
        swap_and_swap_back(page, before, name)
        many_at_once(page)
        in_view(page, ".ra-tile").click()
        for key in ("d", "ArrowRight", "d"):
            page.keyboard.press(key)
        wait_for_step(page, 2, "18 of 20 kept")
        settle(page)
        shoot(page, f"{name}-3-pruned")
        after = seeds_on_screen(page)
        assert len(specified(folder, "mug").dropped) == 2
        assert {before[digest] for digest in before} != {after[digest] for digest in after} or before != after
        for _ in range(2):
            page.keyboard.press("z")
        wait_for_step(page, 2, "20 of 20 kept")
        until(page, lambda: seeds_on_screen(page) == before)
        for _ in range(2):
            page.keyboard.press("y")
        wait_for_step(page, 2, "18 of 20 kept")
        page.keyboard.press("h")
        in_view(page, ".ra-tile .ra-heat").wait_for()
        shoot(page, f"{name}-3-heat")
        page.keyboard.press("h")
        page.locator(".ra-tile .ra-heat").first.wait_for(state="detached")
        page.locator(".ra-stepper-busy.ra-on").wait_for(state="detached")
        shoot(page, f"panel-prune{'-dark' * dark}", of=".ra-annotator")

        segment_all(page)
        stage = in_view(page, ".ra-canvas .ra-stage")
        stage.click(position={"x": 10, "y": 10})
        threshold = in_view(page, ".ra-canvas .ra-concept output").inner_text()
        for _ in range(6):
            page.keyboard.press("ArrowDown")
        assert in_view(page, ".ra-canvas .ra-concept output").inner_text() != threshold
        page.keyboard.press("b")
        box = stage.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 + 30, steps=8)
        page.mouse.up()
        settle(page)
        shoot(page, f"{name}-4-review")
        shoot(page, f"panel-review{'-dark' * dark}", of=".ra-annotator")
        page.keyboard.press("a")
        reviewed(page, 1)
        settle(page)
        page.keyboard.press("r")
        reviewed(page, 2)
        settle(page)
        page.keyboard.press("n")
        reviewed(page, 3)
        page.get_by_role("button", name="Grid").click()
        in_view(page, ".ra-gallery .ra-tile img[src]").wait_for()
        settle(page)
        shoot(page, f"{name}-4-grid")

        step(page, 4).click()
        page.locator(".ra-large:visible", has_text="Export").click()
        page.get_by_text("2 images, masks").wait_for()
        shoot(page, f"{name}-5-export")
        assert page.problems == []

    document = json.loads((folder / "photos-export" / "coco.json").read_text())
    assert len(document["images"]) == 2  # the rejected one is not exported
    session = Session.open(folder / "photos.session")
    states = {digest: session.review(digest, "mug").state for digest in session.files().values()}
    assert sorted(states.values()) == ["absent", "accepted", "rejected"]
    [accepted] = [digest for digest, state in states.items() if state == "accepted"]
    correction = session.masks.adjustment(accepted, "mug")
    assert correction.threshold < 128
    assert (session.masks.strokes(accepted, "mug") == 1).sum() > 100
    mask = np.zeros_like(session.mask(accepted, "mug"))
    [image] = [one for one in document["images"] if one["reco_hash"] == accepted]
    for one in document["annotations"]:
        assert one["image_id"] == image["id"]
        mask |= coco.decode(one["segmentation"]).astype(bool)
    assert np.array_equal(mask, session.mask(accepted, "mug"))
    assert {line["who"] for line in session.store.log() if "who" in line} == {"curator"}
    session.close()


def test_notebook_7_works_too(folder):
    with Lab(folder, app="notebook") as lab, opened(lab.notebook("job.ipynb", [CELL])) as page:
        begin(page)
        step(page, 2).click()
        in_view(page, ".ra-tile").click()
        page.keyboard.press("d")
        wait_for_step(page, 2, "19 of 20 kept")
        settle(page)
        shoot(page, "notebook7-1-prune")
        segment_all(page)
        in_view(page, ".ra-canvas .ra-stage").click(position={"x": 10, "y": 10})
        # Keys that Notebook gives a meaning of its own in command mode.
        page.keyboard.press("a")
        reviewed(page, 1)
        settle(page)
        page.keyboard.press("r")
        reviewed(page, 2)
        settle(page)
        shoot(page, "notebook7-2-review")
        assert page.locator(".jp-Notebook .jp-Cell").count() == 1
        # Notebook 7.6 has an error of its own when it starts; our modules are loaded from blobs.
        assert [problem for problem in page.problems if "blob:" in problem] == []
    session = Session.open(folder / "photos.session")
    states = [session.review(digest, "mug").state for digest in session.files().values()]
    assert states.count("pending") == 1
    session.close()


def test_boxes_are_drawn_where_words_fail(folder):
    with Lab(folder) as lab, opened(lab.notebook("job.ipynb", [CELL])) as page:
        run_all(page)
        page.locator(".ra-question input").fill("fire extinguisher")
        page.get_by_role("button", name="Browse the archive").click()
        for name in EXAMPLES:
            look_closer(page, name)
            picture = in_view(page, ".ra-preview-stage img[src]")
            page.keyboard.press("e")
            box = picture.bounding_box()
            x, y, width, height = EXAMPLES[name]
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            page.mouse.down()
            page.mouse.move(
                box["x"] + (x + width) * box["width"], box["y"] + (y + height) * box["height"], steps=6
            )
            page.mouse.up()
            page.get_by_role("button", name=f"{name}  ✕").wait_for()
            page.keyboard.press("Escape")
        settle(page)
        shoot(page, "panel-examples", of=".ra-annotator")
        page.get_by_role("button", name="Find images").click()
        wait_for_step(page, 2, "20 of 20 kept")
        step(page, 2).click()
        in_view(page, ".ra-tile .ra-seed").wait_for()
        settle(page)
        shoot(page, "examples-prune")
        page.get_by_role("button", name="Load more").click()
        wait_for_step(page, 2, "40 of 40 kept")
        assert page.problems == []
    session = Session.open(folder / "photos.session")
    plan = session.plan("fire extinguisher")
    assert [Path(example.path).name for example in plan.exemplars] == list(EXAMPLES)
    for example in plan.exemplars:
        with Image.open(example.path) as image:
            expected = np.array(EXAMPLES[Path(example.path).name]) * (*image.size, *image.size)
        assert np.abs(np.array(example.box) - expected).max() <= 3
    session.close()


def test_examples_are_painted_and_boxed_by_keyboard(folder):
    boxed, painted, _ = EXAMPLES
    with Lab(folder) as lab, opened(lab.notebook("job.ipynb", [CELL])) as page:
        run_all(page)
        page.locator(".ra-question input").fill("fire extinguisher")
        page.get_by_role("button", name="Browse the archive").click()
        look_closer(page, boxed)
        page.keyboard.press("e")
        for key in ("ArrowDown", "ArrowRight", "ArrowDown", "Shift+ArrowRight", "]"):
            page.keyboard.press(key)
        shoot(page, "examples-box-by-keyboard", of=".ra-annotator")
        page.keyboard.press("Enter")
        page.get_by_role("button", name=f"{boxed}  ✕").wait_for()
        page.keyboard.press("Escape")

        look_closer(page, painted)
        page.keyboard.press("p")
        box = in_view(page, ".ra-preview-stage img[src]").bounding_box()
        x, y, width, height = EXAMPLES[painted]
        top, bottom = (box["y"] + (y + part * height) * box["height"] for part in (0.2, 0.8))
        middle = box["x"] + (x + width / 2) * box["width"]
        page.mouse.move(middle, top)
        page.mouse.down()
        page.mouse.move(middle, bottom, steps=5)
        page.mouse.up()
        page.keyboard.press("[")
        for key in (" ", "ArrowUp", " ", "x"):  # by keyboard: brush down, a little up, brush up, eraser
            page.keyboard.press(key)
        shoot(page, "examples-brush", of=".ra-annotator")
        page.get_by_role("button", name="Use it as an example").click()
        page.get_by_role("button", name=f"{painted}  ✕").wait_for()
        in_view(page, ".ra-preview .ra-outline").wait_for()
        shoot(page, "examples-painted", of=".ra-annotator")
        assert page.problems == []
    session = Session.open(folder / "photos.session")
    by_name = {Path(example.path).name: example for example in session.draft.exemplars}
    session.close()
    assert by_name[boxed].mask is None
    assert by_name[painted].mask is not None


def test_a_kernel_killed_in_the_middle_loses_nothing(folder):
    with Lab(folder) as lab, opened(lab.notebook("job.ipynb", [CELL])) as page:
        begin(page)
        step(page, 2).click()
        in_view(page, ".ra-tile").click()
        page.keyboard.press("d")
        wait_for_step(page, 2, "19 of 20 kept")
        segment_all(page)
        in_view(page, ".ra-canvas .ra-stage").click(position={"x": 10, "y": 10})
        page.keyboard.press("r")
        reviewed(page, 1)
        os.kill(lab.kernel_process(), signal.SIGKILL)
        died = page.get_by_role("dialog").filter(has_text="appears to have died")
        died.first.wait_for()
        # Lab may say so more than once.
        page.add_locator_handler(died, lambda _: died.get_by_role("button", name="OK").first.click())
        idle(page)
        page.locator(".jp-Notebook .cm-content").first.click()
        run_all(page)
        page.get_by_role("button", name="Go on").wait_for()
        settle(page)
        shoot(page, "resume-1-offer")
        page.get_by_role("button", name="Go on").click()
        reviewed(page, 1)
        in_view(page, ".ra-canvas .ra-stage").click(position={"x": 10, "y": 10})
        settle(page)
        page.keyboard.press("a")
        reviewed(page, 2)
        step(page, 2).click()
        wait_for_step(page, 2, "19 of 20 kept")
        settle(page)
        shoot(page, "resume-2-prune")
        # The rejection of the first kernel can be undone in the second.
        step(page, 3).click()
        in_view(page, ".ra-canvas .ra-stage").click(position={"x": 10, "y": 10})
        page.keyboard.press("z")
        reviewed(page, 1)
        page.keyboard.press("z")
        reviewed(page, 0)
        assert page.problems == []
    session = Session.open(folder / "photos.session")
    assert len(session.plan("mug").dropped) == 1
    assert {session.review(digest, "mug").state for digest in session.files().values()} == {"pending"}
    session.close()


def test_a_saved_notebook_stays_small(folder):
    with Lab(folder) as lab, opened(lab.notebook("job.ipynb", [CELL])) as page:
        begin(page)
        segment_all(page)
        page.keyboard.press("Control+s")
        until(page, lambda: "widget-view+json" in (folder / "job.ipynb").read_text())
    saved = (folder / "job.ipynb").read_text()
    assert len(saved) < 60_000
    assert not re.search(r"/9j/|iVBOR", saved)  # JPEG and PNG in base64


def test_the_browser_is_found_or_the_skip_says_why():
    reason = subprocess.run(
        [sys.executable, "-m", "pytest", __file__, "-rs", "-q", "-k", "small", "-p", "no:cacheprovider"],
        env={"PATH": "/nowhere", "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "no Chromium: apt-get install chromium, or set CHROMIUM" in reason
