"""Regions of every kind as masks, against rasterisers and codecs that are not ours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from predictions import image_ref
from skimage import draw as sk

from reco_assist.annotations import Prediction, Region
from reco_assist.errors import FormatError
from reco_assist.export.label_studio import pre_annotation
from reco_assist.label_studio.pull import _read
from reco_assist.label_studio.regions import read_region
from reco_assist.masks import polygons, rle

HEIGHT, WIDTH = 120, 200


def region(kind, value, **more):
    frame = {"original_width": WIDTH, "original_height": HEIGHT}
    return {"id": "r", "type": kind, "value": {**value, kind: ["mug"]}, **frame, **more}


def read(one):
    return rle.decode(read_region(one, height=HEIGHT, width=WIDTH).mask)


@pytest.mark.parametrize("rotation", [0, 30, 90, 200, 359])
def test_turned_boxes(rotation):
    """A box turns clockwise around its first corner."""
    box = {"x": 40, "y": 40, "width": 15, "height": 10, "rotation": rotation}
    x, y, w, h = 80, 48, 30, 12
    angle = np.radians(rotation)
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]])
    turned_x = x + corners[:, 0] * np.cos(angle) - corners[:, 1] * np.sin(angle)
    turned_y = y + corners[:, 0] * np.sin(angle) + corners[:, 1] * np.cos(angle)
    expected = sk.polygon2mask((HEIGHT, WIDTH), np.stack([turned_y, turned_x], 1) - 0.5)
    found = read(region("rectanglelabels", box))
    assert (found & expected).sum() / (found | expected).sum() > 0.9
    assert found.sum() == pytest.approx(w * h, rel=0.1)
    if not rotation:
        assert found[48:60, 80:110].all()
        assert found.sum() == w * h


@pytest.mark.parametrize("rotation", [0, 30, 90, 200])
def test_turned_ellipses(rotation):
    value = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": rotation}
    found = read(region("ellipselabels", value))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    # skimage turns counter-clockwise, and its first radius is along the rows.
    expected[sk.ellipse(59.5, 99.5, 12, 40, shape=expected.shape, rotation=-np.radians(rotation))] = True
    assert (found & expected).sum() / (found | expected).sum() > 0.97


@settings(max_examples=60, deadline=None)
@given(nps.arrays(bool, st.tuples(st.integers(1, 60), st.integers(1, 60))))
def test_any_mask_goes_there_and_back(mask):
    """As a brush to the pixel; as polygons, uncut, all but what simplifying may move."""
    if not mask.any():
        return
    image = image_ref("a.png", *mask.shape)
    made = Prediction(image, (Region("mug", rle.encode(mask), 0.5),))
    (back,) = _read(pre_annotation(made, model_version="v")["result"], image, {})
    assert back.mask == rle.encode(mask)
    (back,) = _read(pre_annotation(made, model_version="v", shape="polygon")["result"], image, {})
    if polygons.trace(mask).holes:  # the seams of the cut are outlines too
        return
    moved = rle.decode(back.mask) ^ mask
    grown = np.pad(mask, 1)
    near = np.zeros_like(grown)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near |= np.roll(grown, (dy, dx), (0, 1)) != grown  # within a pixel of the outline
    assert not (moved & ~near[1:-1, 1:-1]).any()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (region("brushlabels", {"format": "rle", "rle": [1, 2]}), "cannot be read"),
        (region("brushlabels", {"format": "png", "rle": []}), "not rle"),
        (region("polygonlabels", {"points": "x"}), "cannot be read"),
        (region("rectanglelabels", {"x": 1}), "cannot be read"),
        (region("brushlabels", {"format": "rle", "rle": []}, original_width=7), "drawn on 7 x 120"),
    ],
)
def test_damaged_regions(bad, reason):
    with pytest.raises(FormatError, match=reason):
        read_region(bad, height=HEIGHT, width=WIDTH)


def test_what_is_no_mask_is_left_out():
    assert read_region({"type": "choices", "value": {}}, height=9, width=9) is None
    assert (
        read_region(region("polygonlabels", {"points": [[1, 1], [2, 2]]}), height=HEIGHT, width=WIDTH) is None
    )
