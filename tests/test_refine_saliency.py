"""The salient-object network against its authors' file, and what its outlines do to masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLES
from PIL import Image, ImageDraw
from skimage.measure import label, regionprops

from reco_assist.errors import InputError
from reco_assist.refine import crf, saliency, saliency_crf, u2net

# Probability in 8 bits, by onnxruntime 1.32 with the authors' u2netp.onnx (see scripts/u2net_weights.py).
EXPECTED = Path(__file__).parent / "expected" / "salient_scene_003.png"


def scene(*, cushions=1, side=224):
    """A picture of dark cushions on a bright floor, and their masks."""
    rng = np.random.default_rng(0)
    floor = Image.fromarray((190 + 12 * rng.standard_normal((side, side, 3))).clip(0, 255).astype(np.uint8))
    masks = []
    for i in range(cushions):
        mask = Image.new("L", (side, side))
        left = side * (0.3 if cushions == 1 else 0.06 + 0.5 * i)
        box = [left, side * 0.3, left + side * 0.38, side * 0.68]
        ImageDraw.Draw(mask).ellipse(box, fill=255)
        floor.paste((120, 30 + 90 * i, 40), mask=mask)
        masks.append(np.asarray(mask) > 0)
    return np.asarray(floor), masks


def iou(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


def test_the_network_is_its_authors():
    image = Image.open(SAMPLES / "targets" / "scene_003.jpg").convert("RGB")
    pixels = np.asarray(image.resize((320, 320), Image.Resampling.BILINEAR)).astype(np.float32)
    colours = (pixels / pixels.max() - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    network = u2net.load_salient(torch.device("cpu"))
    with torch.inference_mode():
        odds = network(torch.from_numpy(colours).float().permute(2, 0, 1)[None])
    found, expected = torch.sigmoid(odds)[0, 0].numpy(), np.asarray(Image.open(EXPECTED)) / 255
    assert expected.std() > 0.2
    difference = np.abs(found - expected)
    assert difference.mean() < 0.001  # the weights are in half precision
    assert difference.max() < 0.1
    assert ((found > 0.5) == (expected > 0.5)).mean() > 0.9995


def test_what_stands_out_is_outlined_whatever_the_size_of_the_picture():
    for side in (90, 224, 500):
        picture, (truth,) = scene(side=side)
        odds = u2net.salient_odds(picture)
        assert odds.shape == (u2net.SIDE, u2net.SIDE)
        assert odds.dtype == np.float32
        outline = np.asarray(Image.fromarray(odds).resize((side, side))) > 0
        assert iou(outline, truth) > 0.9


def test_a_dark_picture_is_seen_as_well():
    picture, _ = scene()
    dark = np.rint(picture / 8).astype(np.uint8)
    light = np.rint(dark * (255 / dark.max())).astype(np.uint8)  # the same after the brightest is made white
    np.testing.assert_allclose(u2net.salient_odds(dark), u2net.salient_odds(light), atol=0.5)


def part_of(truth):
    """A map that is sure of the lower part of an object only, a mask that the CRF leaves too small."""
    lower = truth & (np.arange(224)[:, None] > 100)
    return np.select([lower, truth], [0.8, 0.15], 0.1).astype(np.float32)


def test_a_mask_of_a_part_becomes_a_mask_of_the_object():
    picture, (truth,) = scene()
    probability = part_of(truth)
    assert iou(crf(probability, picture) > 0.5, truth) < 0.8
    assert iou(saliency_crf(probability, picture, picture) > 0.5, truth) > 0.9


def test_a_mask_of_something_else_is_left_to_the_crf():
    picture, (truth,) = scene()
    floor = np.where(truth, 0.05, 0.9).astype(np.float32)  # the surroundings are the concept, as with road
    np.testing.assert_array_equal(saliency_crf(floor, picture, picture), crf(floor, picture))


def test_each_map_and_each_region_is_looked_at_by_itself():
    picture, (left, right) = scene(cushions=2)
    maps = np.stack([np.where(mask, 0.8, 0.1) for mask in (left, right, left | right)]).astype(np.float32)
    together = saliency_crf(maps, picture, picture)
    for one, alone in zip(together, maps, strict=True):
        np.testing.assert_array_equal(one, saliency_crf(alone, picture, picture))
    for found, truth in zip(together, (left, right, left | right), strict=True):
        assert iou(found > 0.5, truth) > 0.9


def test_the_picture_may_have_another_size_and_shape_than_the_map():
    picture, (truth,) = scene()
    picture, truth = np.roll(picture, 45, axis=1), np.roll(truth, 45, axis=1)  # rows and columns differ
    probability = part_of(truth)
    for size in ((448, 448), (600, 200), (200, 600)):
        resized = np.asarray(Image.fromarray(picture).resize(size))
        assert iou(saliency_crf(probability, picture, resized) > 0.5, truth) > 0.9
    # Seen in the wrong place, the object does not agree with its region.
    shifted = np.roll(picture, 112, axis=1)
    np.testing.assert_array_equal(saliency_crf(probability, picture, shifted), crf(probability, picture))


@pytest.mark.parametrize("seed", range(8))
def test_windows_hold_the_largest_regions_and_a_margin(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((60, 90), bool)
    for _ in range(7):
        y, x = rng.integers(0, 60), rng.integers(0, 90)
        mask[y : y + rng.integers(1, 16), x : x + rng.integers(1, 16)] = True
    regions = sorted(regionprops(label(mask, connectivity=1)), key=lambda one: -one.area)
    expected = []
    for one in regions[:4]:
        top, left, bottom, right = one.bbox
        down, across = max(60 / 28, (bottom - top) / 4), max(90 / 28, (right - left) / 4)
        if one.area >= 0.002 * mask.size:
            rows = (max(0, int(top - down)), min(60, int(np.ceil(bottom + down))))
            expected.append((*rows, max(0, int(left - across)), min(90, int(np.ceil(right + across)))))
    found = [(rows.start, rows.stop, cols.start, cols.stop) for rows, cols in saliency._windows(mask)]
    assert len(found) == len(expected)
    assert set(found) == set(expected)


def test_specks_and_empty_maps_cost_no_look(monkeypatch):
    looks = []
    monkeypatch.setattr(saliency, "salient_odds", lambda crop, **_: looks.append(crop))
    monkeypatch.setattr(saliency, "crf", lambda maps, image: maps)
    picture, _ = scene()
    probability = np.full((2, 224, 224), 0.1, np.float32)
    probability[1, 100:109, 100:109] = 0.9  # 81 pixels, .0016 of the image
    np.testing.assert_array_equal(saliency_crf(probability, picture, picture), probability)
    assert not looks


def test_bad_input_is_one_sentence():
    picture, (truth,) = scene()
    probability = truth.astype(np.float32)
    with pytest.raises(InputError, match="expected uint8"):
        saliency_crf(probability, picture, picture.astype(np.float32))
    with pytest.raises(InputError, match="resize one of them"):
        saliency_crf(probability[:100], picture, picture)
    with pytest.raises(InputError, match="expected 0 to 1"):
        saliency_crf(probability * 2, picture, picture)
