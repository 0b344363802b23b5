"""Keys that are pressed faster than images load, in a real kernel and Chromium."""

import numpy as np
import pytest
from browser import Lab, chromium, opened, run_all, settle
from PIL import Image
from test_browser import in_view, wait_for_step, working_folder

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.images import content_hash
from reco_assist.session import ConceptSpec, ReviewQueue, Session
from reco_assist.session.results import add_result

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
    pytest.mark.timeout(600),
]

COUNT = 24
SLOW = """import time
from reco_assist.ui import review_canvas
quick = review_canvas.picture
review_canvas.picture = lambda path: (time.sleep(0.4), quick(path))[1]
from reco_assist import Annotator, Archive
annotator = Annotator(Archive.open("photos.reco"), resume=True, who="curator")
annotator.state.open(3)
annotator"""


@pytest.fixture
def folder(samples, tmp_path):
    return working_folder(samples.path, tmp_path)


def fill(folder):
    """A session of small targets; gives their hashes in the order of the review."""
    place = folder / "many"
    place.mkdir()
    session = Session.open(folder / "photos.session")
    session.targets = place
    session.set_plan(ConceptSpec("mug"))
    random = np.random.default_rng(5)
    for number in range(COUNT):
        path = place / f"image_{number:02}.png"
        Image.fromarray(random.integers(0, 256, (48, 64, 3), np.uint8)).save(path)
        image = ImageRef(path.name, content_hash(path.read_bytes()), 64, 48)
        scores = np.zeros((1, 48, 64), np.uint8)
        scores[0, 10:20, 10:30] = 255
        verdict = Verdict("mug", present=True, probability=round(0.6 + 0.01 * number, 3))
        add_result(session, image, path, scores, [verdict], {"mug": "digest"})
    order = [item.content_hash for item in ReviewQueue(session).items]
    session.close()
    return order


def decisions(folder):
    """(content hash, state) of every decision, in the order of the session's log."""
    session = Session.open(folder / "photos.session")
    changes = [item for line in session.store.log() for item in line.get("changes", {}).items()]
    session.close()
    return [(key.split("/")[1], after["state"]) for key, (_, after) in changes if key.startswith("review/")]


def test_keys_that_outrun_the_images_decide_one_image_each(folder):
    order = fill(folder)
    keys = "ar" * 10
    with Lab(folder) as lab, opened(lab.notebook("job.ipynb", [SLOW])) as page:
        run_all(page)
        page.get_by_text(f"1 / {COUNT} · {COUNT} left", exact=True).wait_for()
        in_view(page, ".ra-canvas .ra-stage").click(position={"x": 10, "y": 10})
        for key in keys:
            page.keyboard.press(key)
            page.wait_for_timeout(100)
        page.get_by_text("waiting for the next image").wait_for()  # what goes on is seen
        wait_for_step(page, 3, f"20 of {COUNT} reviewed")
        page.get_by_text("waiting for the next image").wait_for(state="detached")
        settle(page)
        for key in "aaaarr":  # the last two have no image
            page.keyboard.press(key)
        page.get_by_text("No further image is pending: 2 inputs not applied.").first.wait_for()
        wait_for_step(page, 3, f"{COUNT} of {COUNT} reviewed")
        assert page.problems == []
    states = {"a": "accepted", "r": "rejected"}
    expected = [*(states[key] for key in keys), *["accepted"] * 4]
    assert decisions(folder) == list(zip(order, expected, strict=True))
