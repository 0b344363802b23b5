"""The gallery's browser half in a real Chromium."""

import io

import numpy as np
import pytest
from browser import chromium
from PIL import Image
from widget_page import widget_page

from reco_assist.ui import ExemplarGallery
from reco_assist.ui.gallery import _RECORD

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
]


def picture_of(width, height):
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 90)).save(file, "PNG")
    return file.getvalue()


class _Nothing:
    """A source that is never asked: the test answers."""


def _say_images(widget, sizes):
    """Two images, and the thumbnails of those whose size is given."""
    names = ["a", "b"]
    widget.say({"type": "rows", "rows": [[name, f"{name}.jpg", 0, []] for name in names]})
    records = [(row, 0.5, np.nan, np.nan, np.nan, 1, 0, 0) for row in range(2)]
    widget.say({"type": "state"}, [np.array(records, _RECORD).tobytes()])
    known = [(name, size) for name, size in zip(names, sizes, strict=True) if size]
    widget.say(
        {"type": "thumbs", "ids": [name for name, _ in known]}, [picture_of(*size) for _, size in known]
    )
    for name, _ in known:
        widget.page.locator(f".ra-tile[data-id={name}] img[src]").wait_for()


def _see(widget, name, size, key):
    """Open an image with a key, and let the kernel send it."""
    page = widget.page
    page.locator(f".ra-tile[data-id={name}]").click()
    page.keyboard.press(key)
    widget.say({"type": "preview", "id": name}, [picture_of(*size)])
    page.wait_for_function("(w) => document.querySelector('.ra-preview img').naturalWidth === w", arg=size[0])
    return page.locator(".ra-preview .ra-picture").bounding_box()


SIZES = {"portrait": (300, 900), "landscape": (900, 300), "square": (400, 400)}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("before", ["thumbnail", "nothing", "another image"])
def test_a_dab_of_the_brush_is_round_on_the_image(size, before):
    width, height = size
    with widget_page("exemplar_gallery", ExemplarGallery(_Nothing(), mode="retrieve")) as widget:
        page = widget.page
        _say_images(widget, [None if before == "nothing" else (width // 3, height // 3), (320, 240)])
        if before == "another image":
            _see(widget, "b", (800, 600), "Enter")
            page.keyboard.press("Escape")
        box = _see(widget, "a", size, "p")
        ring = page.locator(".ra-ring").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.keyboard.press("Enter")
        [painting] = widget.sent("painting")
    assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.02)
    rows, columns = painting["height"], painting["width"]
    packed = np.frombuffer(painting["buffers"][0], np.uint8)
    mask = np.unpackbits(packed, count=rows * columns).reshape(rows, columns)
    painted = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
    left, top, right, bottom = painted.getbbox()
    diameter = 0.1 * max(size)
    assert right - left == pytest.approx(diameter, abs=6)
    assert bottom - top == pytest.approx(diameter, abs=6)
    assert ring["width"] == pytest.approx(0.1 * max(box["width"], box["height"]), abs=1)
