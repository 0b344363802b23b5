"""Contact sheets: what a caption says at its end is read, however long the file's name is."""

import pytest
from PIL import Image, ImageDraw, ImageFont

from reco_assist.masks.sheet import _fit

FONT = ImageFont.load_default(14)
DRAW = ImageDraw.Draw(Image.new("RGB", (1, 1)))


@pytest.mark.parametrize("name", ["a.jpg", "holiday_2024_" * 12 + "0815.jpg"])
@pytest.mark.parametrize("width", [120, 288])
def test_a_caption_fits_and_keeps_its_ends(name, width):
    caption = f"{name}: IoU 0.53"
    fitted = _fit(DRAW, caption, FONT, width)
    assert DRAW.textlength(fitted, FONT) <= width
    assert fitted.endswith("0.53")
    assert fitted[0] == name[0]
    assert (fitted == caption) == (DRAW.textlength(caption, FONT) <= width)
