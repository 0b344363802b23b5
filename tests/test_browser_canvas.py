"""The canvas's browser half in a real Chromium, with answers that the test gives."""

import zlib

import numpy as np
import pytest
from browser import chromium
from test_browser_gallery import picture_of
from widget_page import widget_page

from reco_assist.masks.edits import pack_edits
from reco_assist.ui import MaskCanvas

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
]

SHAPE = (30, 40)
NAMES = ("mug", "cat")


class Review:
    """The kernel's half of a review: frames, the timeline and answers, when the test says so."""

    def __init__(self, widget):
        self.widget = widget
        self.page = widget.page
        self.revision = 0
        self.answered = 0

    def show(self, index):
        """The next frame, of an image of the job."""
        self.revision += 1
        scores = np.zeros((2, *SHAPE), np.uint8)
        scores[0, 5:15, 5:15] = 255
        concepts = [
            {
                "name": name,
                "colour": "#ff9f1c",
                "threshold": 128,
                "presence": 0.9,
                "absent": False,
                "looks": looks,
            }
            for name, looks in zip(NAMES, ([[20, 10, 12, 9]], []), strict=True)
        ]
        header = {
            "type": "frame",
            "revision": self.revision,
            "id": f"image {index}",
            "index": index,
            "label": f"{index}.jpg",
            "width": SHAPE[1],
            "height": SHAPE[0],
            "uncertainty": 0.5,
            "exclusive": False,
            "concepts": concepts,
        }
        maps = [zlib.compress(one.tobytes()) for one in scores]
        edits = [zlib.compress(pack_edits(np.zeros(SHAPE, np.uint8)))] * 2
        self.widget.say(header, [picture_of(80, 60), *maps, *edits])
        self.page.get_by_text(f"{index}.jpg", exact=True).wait_for()

    def decided(self, *states):
        """The timeline says what was decided."""
        self.page.evaluate(
            "(states) => window.change('timeline', new DataView(Uint8Array.from(states).buffer))", states
        )

    def asked(self):
        """What was asked and is not answered yet, as (type, action or name, revision)."""
        told = self.page.evaluate("() => window.sent.filter((one) => one.type !== 'ready')")
        return told[self.answered :]

    def answer(self, outcome="applied"):
        """Answer the oldest message that was not."""
        token = self.asked()[0]["token"]
        self.answered += 1
        self.widget.say({"type": "answer", "token": token, "outcome": outcome})
        self.page.wait_for_timeout(50)


@pytest.fixture
def review():
    with widget_page("mask_canvas", MaskCanvas(height=400)) as widget:
        review = Review(widget)
        review.decided(0, 0, 0, 0)
        review.show(0)
        widget.page.locator(".ra-stage").click(position={"x": 5, "y": 5})
        yield review


def press(review, keys):
    for key in keys:
        review.page.keyboard.press(key)


def said(review):
    return review.page.locator(".ra-status").inner_text()


def test_keys_wait_for_their_image_and_are_applied_in_their_order(review):
    press(review, ["a", "2", "Shift+ArrowUp", "r", "ArrowRight"])
    [decision] = review.asked()
    assert (decision["action"], decision["revision"], decision["concept"]) == ("accept", 1, "mug")
    assert decision["thresholds"] == {"mug": 128, "cat": 128}
    assert said(review) == "4 inputs waiting for the next image …"
    review.decided(1, 0, 0, 0)
    review.show(1)
    assert len(review.asked()) == 1  # the image alone is no answer
    review.answer()
    threshold, rejection = review.asked()
    assert (threshold["type"], threshold["concept"], threshold["value"]) == ("threshold", "cat", 144)
    assert (rejection["action"], rejection["concept"], rejection["revision"]) == ("reject", "cat", 2)
    assert rejection["thresholds"] == {"mug": 128, "cat": 144}
    assert said(review) == "1 input waiting for the next image …"
    review.answer()
    review.decided(1, 2, 0, 0)
    review.show(2)
    review.answer()
    [step] = review.asked()
    assert (step["type"], step["where"], step["index"]) == ("navigate", "next", 2)
    assert said(review) == ""


def test_a_decision_that_fails_takes_those_after_it_back(review):
    press(review, "arr")
    review.widget.change("error", "The disk is full.")
    review.answer("failed")
    assert review.asked() == []
    assert said(review) == "The last key failed: 2 inputs not applied."
    assert review.page.get_by_role("alert").inner_text() == "The disk is full."
    press(review, "a")
    assert [one["action"] for one in review.asked()] == ["accept"]


def test_what_came_too_late_is_said(review):
    press(review, "ar")
    review.show(3)  # a new frame, before the kernel has read the key
    review.answer("stale")
    assert review.asked() == []
    assert said(review) == "The image had changed meanwhile: 2 inputs not applied."


def test_decisions_beyond_the_last_image_do_not_fall_on_it(review):
    press(review, "aar")
    review.decided(1, 2, 2, 2)
    review.show(0)  # nothing is pending: the kernel stays where it is
    review.answer()
    assert review.asked() == []
    assert said(review) == "No further image is pending: 2 inputs not applied."
    press(review, "r")  # seen and meant
    assert [one["action"] for one in review.asked()] == ["reject"]


def test_an_image_with_a_concept_that_is_left_takes_the_next_decision(review):
    press(review, "na")
    review.show(0)  # absent for one concept; the image is pending still
    review.answer()
    assert [one["action"] for one in review.asked()] == ["accept"]


def test_nothing_is_painted_on_an_image_that_is_about_to_go(review):
    press(review, ["b", "a"])
    review.page.locator(".ra-stage").click(position={"x": 200, "y": 200})
    assert [one["type"] for one in review.asked()] == ["decision"]
    assert "paint on it once it shows" in said(review)
    review.show(1)
    review.answer()
    review.page.locator(".ra-stage").click(position={"x": 200, "y": 200})
    [stroke] = review.asked()
    assert (stroke["type"], stroke["concept"], stroke["revision"]) == ("edit", "mug", 2)


def test_the_chosen_concept_stays_chosen_by_its_name(review):
    press(review, ["2", "s"])
    review.show(1)
    review.answer()
    press(review, "n")
    assert review.asked()[0]["concept"] == "cat"


def test_another_views_answers_are_not_ours(review):
    press(review, "ar")
    review.widget.say({"type": "answer", "token": "other-1", "outcome": "stale"})
    review.page.wait_for_timeout(50)
    assert said(review) == "1 input waiting for the next image …"


def painted(review):
    """(x, y, width, height) in device pixels of what is drawn over the image."""
    review.page.wait_for_timeout(100)
    alpha = review.page.evaluate(
        """() => {
          const masks = document.querySelector(".ra-masks");
          const { data } = masks.getContext("2d").getImageData(0, 0, masks.width, masks.height);
          return [masks.width, Array.from(data.filter((_, index) => index % 4 === 3))];
        }"""
    )
    rows, columns = np.nonzero(np.reshape(alpha[1], (-1, alpha[0])))
    return np.array([columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1])


def test_windows_that_decided_a_mask_are_outlined_on_request(review):
    page = review.page
    button = page.get_by_role("button", name="Windows that decided the mask")
    mask = painted(review)
    cell = mask[2] / 10
    press(review, "w")
    both = painted(review)
    assert button.get_attribute("aria-pressed") == "true"
    assert tuple(both[:2]) == tuple(mask[:2])
    assert both[2] == pytest.approx((20 + 12 - 5) * cell, abs=4)  # to the window's right edge
    assert both[3] == pytest.approx((10 + 9 - 5) * cell, abs=4)
    assert page.locator(".ra-live").inner_text() == "1 window decided the mask of mug"
    press(review, "2")
    assert tuple(painted(review)) == tuple(mask)
    button.click()
    button.click()
    page.get_by_text("No window decided the mask of cat: the whole image did.").first.wait_for()
    press(review, "?")
    page.locator(".ra-legend", has_text="Windows that decided the mask").wait_for()
    assert review.asked() == []
