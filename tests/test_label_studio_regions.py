"""Regions of every kind as masks, against rasterisers and codecs that are not ours."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_cases import masks
from predictions import image_ref
from skimage import draw as sk

from reco_assist.annotations import Prediction, Region
from reco_assist.errors import FormatError
from reco_assist.formats.label_studio import pre_annotation
from reco_assist.formats.label_studio_regions import read_region, read_regions
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


def there_and_back(mask, shape):
    """What a pull reads of a pushed mask."""
    image = image_ref("a.png", *mask.shape)
    made = Prediction(image, (Region("mug", rle.encode(mask), 0.5),))
    (back,) = read_regions(pre_annotation(made, model_version="v", shape=shape)["result"], image, {})
    return back.mask


@settings(max_examples=60, deadline=None)
@given(masks())
def test_any_mask_goes_there_and_back_as_a_brush(mask):
    if mask.any():
        assert there_and_back(mask, "brush") == rle.encode(mask)


@settings(max_examples=40, deadline=None)
@given(st.one_of(masks(side=60), masks(blocks=(20, 50))))
def test_any_mask_goes_there_and_back_as_polygons_but_for_a_pixel_along_their_outlines(mask):
    mask = mask[mask.any(1)][:, mask.any(0)]
    if not mask.any():
        return
    near = np.zeros(np.add(mask.shape, 2), bool)  # of an outline, or of a seam where a hole was cut open
    for ring in polygons.split_holes(mask):
        corners = ring.astype(int)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
            near[min(y0, y1) : max(y0, y1) + 2, min(x0, x1) : max(x0, x1) + 2] = True
    moved = rle.decode(there_and_back(mask, "polygon")) ^ mask
    assert not (moved & ~near[1:-1, 1:-1]).any()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (region("brushlabels", {"format": "rle", "rle": [1, 2]}), "cannot be read"),
        (region("brushlabels", {"format": "png", "rle": []}), "not rle"),
        (region("polygonlabels", {"points": "x"}), "cannot be read"),
        (region("rectanglelabels", {"x": 1}), "cannot be read"),
        (region("brushlabels", {"format": "rle", "rle": []}, original_width=7), "drawn on 7 x 120"),
        (region("brushlabels", {"format": "rle", "rle": [math.inf]}), "cannot be read"),
        (region("polygonlabels", {"points": [[0, 0], [math.inf, 0], [9, 9]]}), "cannot be read"),
        (
            region("rectanglelabels", {"x": math.inf, "y": 1, "width": 2, "height": 2, "rotation": 0}),
            "cannot be read",
        ),
        (
            region("ellipselabels", {"x": 1, "y": 1, "radiusX": math.inf, "radiusY": 2, "rotation": 0}),
            "cannot be read",
        ),
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
