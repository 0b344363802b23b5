"""Spans against scipy.ndimage and pycocotools, which hold the image whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_cases import NAMED, masks
from pycocotools import mask as coco
from scipy import ndimage

from reco_assist.annotations import ImageRef, Region, Verdict
from reco_assist.annotations.regions import AUTOMATIC, Rule, claimed, region_score
from reco_assist.masks import components, spans
from reco_assist.masks.counts import Rle
from reco_assist.masks.spans import Spans, spans_of
from reco_assist.masks.touching import split_touching


def labelled(mask, min_area, connectivity=8):
    """Components by scipy.ndimage and by counting: (H, W), numbered in reading order."""
    labels, _ = ndimage.label(mask, ndimage.generate_binary_structure(2, 1 + (connectivity == 8)))
    numbers, first, areas = np.unique(labels, return_index=True, return_counts=True)
    kept = [n for _, n, area in sorted(zip(first, numbers, areas, strict=True)) if n and area >= min_area]
    return sum((i * (labels == n) for i, n in enumerate(kept, 1)), np.zeros(mask.shape, np.int32))


def encoded(labels):
    """Masks of a label map by pycocotools."""
    packed = [
        coco.encode(np.asfortranarray(labels == n).astype(np.uint8)) for n in range(1, labels.max() + 1)
    ]
    return [Rle(*labels.shape, one["counts"].decode()) for one in packed]


@settings(deadline=None, max_examples=150)
@given(masks(side=60), st.sampled_from([4, 8]), st.integers(1, 12), st.sampled_from([1, 70, 1 << 20]))
def test_components_are_those_of_scipy_and_their_codes_of_pycocotools(mask, connectivity, area, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "_AT_ONCE", at_once)  # the bands of a small image, as of a huge one
        levels = np.arange(mask.size, dtype=np.uint8).reshape(mask.shape)
        found = spans_of(mask, levels).connected(min_area=area, connectivity=connectivity)
    labels = labelled(mask, area, connectivity)
    np.testing.assert_array_equal(found.drawn(), labels)
    assert found.encoded() == encoded(labels)
    numbers = range(1, labels.max() + 1)
    assert found.areas.tolist() == [(labels == n).sum() for n in numbers]
    assert found.sums(found.totals).tolist() == [levels[labels == n].sum() for n in numbers]
    for part, box in zip(found.parts(), ndimage.find_objects(labels), strict=True):
        assert part.box == box
        np.testing.assert_array_equal(part.cropped(), labels[box] == part.count)


@settings(deadline=None, max_examples=60)
@given(masks(side=40), st.integers(1, 5))
def test_the_spans_of_a_label_map_are_its_labels(mask, count):
    labels = np.where(mask, np.arange(mask.size).reshape(mask.shape) % count + 1, 0).astype(np.int32)
    assert components.encode_labels(labels)[: labels.max()] == encoded(labels)
    np.testing.assert_array_equal(spans_of(labels).drawn(), labels)


@pytest.mark.parametrize("mask", NAMED.values(), ids=NAMED.keys())
def test_a_part_of_an_image_is_placed_in_it(mask):
    height, width = mask.shape
    frame = np.zeros((height + 5, width + 7), np.bool_)
    frame[3 : 3 + height, 2 : 2 + width] = mask
    placed = Spans.of(mask).placed(frame.shape, top=3, left=2)
    np.testing.assert_array_equal(placed.drawn() > 0, frame)


def apart(labels):
    """Each component split where it is, all parts numbered by their first pixels."""
    made = np.zeros(labels.shape, np.int32)
    for n, box in enumerate(ndimage.find_objects(labels), 1):
        sides = [(side.start == 0, side.stop == end) for side, end in zip(box, labels.shape, strict=True)]
        parts = split_touching(labels[box] == n, open_sides=sides)
        made[box] += np.where(parts > 0, parts + made.max(), 0)
    _, first, numbers = np.unique(made, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(np.where(made.ravel()[first] > 0, first, -1)))
    return (order[numbers] + (made.min() > 0)).reshape(labels.shape).astype(np.int32)


def whole(rule, image, verdicts, maps):
    """The regions of maps as they were made before: with arrays of the image's size for every step."""
    found = []
    smallest = max(1, round(0.001 * maps[0].size))
    for verdict, levels in zip(verdicts, maps if rule.overlap else claimed(maps), strict=True):
        labels = labelled(levels >= rule.level, smallest).astype(np.int32)
        if rule.instances == "split":
            labels = apart(labels)
        elif rule.instances == "none":
            labels = (labels > 0).astype(np.int32)
        for n, mask in enumerate(encoded(labels), 1):
            inside = levels[labels == n]
            score = region_score(verdict.probability, float(float(inside.sum()) / inside.size / 255))
            found.append(Region(verdict.concept, mask, score))
    return tuple(found)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("instances", ["components", "split", "none"])
def test_the_regions_of_bands_are_those_of_the_whole_image(instances, overlap, seed, monkeypatch):
    random = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(random.random((3, 80, 70)), (0, 3, 3))
    noise -= noise.min((1, 2), keepdims=True)
    maps = np.rint(255 * noise / noise.max((1, 2), keepdims=True)).astype(np.uint8)
    maps[random.random(maps.shape) < 0.02] = 255  # specks and holes
    maps[random.random(maps.shape) < 0.02] = 0
    verdicts = [Verdict(name, present=True, probability=0.7) for name in "abc"]
    image, rule = ImageRef("x.png", "0" * 64, 70, 80), Rule(AUTOMATIC, instances, overlap)
    expected = whole(rule, image, verdicts, maps)
    assert len(expected) >= 3
    assert rule(image, verdicts, maps).regions == expected
    monkeypatch.setattr(spans, "_AT_ONCE", 400)
    assert rule(image, verdicts, maps).regions == expected
