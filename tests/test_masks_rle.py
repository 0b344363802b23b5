import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_cases import NAMED, masks
from pycocotools import mask as coco

from reco_assist.errors import FormatError, InputError
from reco_assist.masks import Rle, counts, rle


def reference(mask: np.ndarray) -> dict:
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))


def agrees_with_pycocotools(mask: np.ndarray) -> None:
    packed, expected = rle.encode(mask), reference(mask)
    assert packed == Rle(*mask.shape, expected["counts"].decode())
    np.testing.assert_array_equal(rle.decode(packed), mask)
    assert rle.area(packed) == coco.area(expected)
    assert list(rle.bbox(packed)) == coco.toBbox(expected).tolist()


@pytest.mark.parametrize("mask", NAMED.values(), ids=NAMED.keys())
def test_named_masks_agree_with_pycocotools(mask):
    agrees_with_pycocotools(mask)


@settings(deadline=None, max_examples=100)
@given(masks())
def test_any_mask_agrees_with_pycocotools(mask):
    agrees_with_pycocotools(mask)


@settings(deadline=None, max_examples=100)
@given(masks(side=40), st.tuples(*[st.integers(0, 9)] * 4))
def test_a_crop_is_encoded_as_if_it_were_the_whole_frame(crop, margins):
    top, bottom, left, right = margins
    frame = np.pad(crop, ((top, bottom), (left, right)))
    packed = rle.encode_crop(crop, x=left, y=top, height=frame.shape[0], width=frame.shape[1])
    assert packed == rle.encode(frame)
    assert packed.counts == reference(frame)["counts"].decode()


def test_a_crop_must_lie_in_its_frame():
    crop = np.ones((3, 4), bool)
    for x, y in ((-1, 0), (0, -1), (7, 0), (0, 8)):
        with pytest.raises(InputError, match="does not lie in a frame"):
            rle.encode_crop(crop, x=x, y=y, height=10, width=10)


@settings(deadline=None, max_examples=60)
@given(masks(side=60), st.integers(0, 2**32 - 1))
def test_iou_agrees_with_pycocotools(first, seed):
    second = first ^ (np.random.default_rng(seed).random(first.shape) < 0.2)
    if first.any() or second.any():
        expected = coco.iou([reference(first)], [reference(second)], [0]).item()
        assert rle.iou(rle.encode(first), rle.encode(second)) == pytest.approx(expected)


def test_iou_of_empty_and_of_different_sizes():
    empty, full = rle.encode(NAMED["empty"]), rle.encode(NAMED["full"])
    assert rle.iou(empty, empty) == 1
    assert rle.iou(empty, full) == 0
    with pytest.raises(InputError, match="cannot be compared"):
        rle.iou(empty, rle.encode(np.ones((5, 7), bool)))


def test_counts_with_empty_runs_are_read_like_pycocotools_reads_them():
    counts = [0, 0, 3, 4, 0, 2, 6]  # other writers leave such runs
    packed = rle.from_coco({"size": [5, 3], "counts": counts}, 5, 3)
    expected = np.repeat([0, 0, 0, 1, 0, 1, 0], counts).astype(bool).reshape(3, 5).T
    np.testing.assert_array_equal(rle.decode(packed), expected)
    assert rle.area(packed) == 6
    assert rle.bbox(packed) == rle.bbox(rle.encode(expected))
    assert rle.iou(packed, rle.encode(expected)) == 1


@pytest.mark.parametrize("mask", NAMED.values(), ids=NAMED.keys())
def test_coco_segmentations_of_every_kind(mask):
    height, width = mask.shape
    packed = rle.encode(mask)
    written = json.loads(json.dumps(rle.to_coco(packed)))
    assert rle.from_coco(written, height, width) == packed
    assert rle.from_coco(reference(mask), height, width) == packed  # counts as bytes
    ends = np.flatnonzero(np.diff(mask.T.ravel().astype(int), prepend=0))
    runs = np.diff(ends, prepend=0, append=mask.size).tolist()
    assert rle.from_coco({"size": [height, width], "counts": runs}, height, width) == packed


def test_polygons_are_rasterised_like_pycocotools_does():
    polygons = [[1.5, 1, 20, 3.25, 14, 18, 4, 15.5], [10, 10, 29, 11, 28.5, 28, 12, 25]]
    expected = coco.decode(coco.merge(coco.frPyObjects(polygons, 30, 40)))
    np.testing.assert_array_equal(rle.decode(rle.from_coco(polygons, 30, 40)), expected)


@settings(deadline=None, max_examples=60)
@given(st.lists(masks(side=30), min_size=1, max_size=6), st.data())
def test_masks_of_every_kind_and_size_are_read_together_as_pycocotools_reads_each(several, data):
    segmentations, expected = [], []
    for mask in several:
        height, width = mask.shape
        side = min(height, width)
        ring = st.lists(st.floats(-side, 2 * side), min_size=6, max_size=6)
        match data.draw(st.sampled_from(["text", "bytes", "runs", "polygons"])):
            case "polygons":
                segmentations.append(data.draw(st.lists(ring, min_size=1, max_size=3)))
                expected.append(coco.merge(coco.frPyObjects(segmentations[-1], height, width)))
            case "runs":
                ends = np.flatnonzero(np.diff(mask.T.ravel().astype(int), prepend=0))
                runs = np.diff(ends, prepend=0, append=mask.size).tolist()
                segmentations.append({"size": [height, width], "counts": [0, 0, *runs]})
                expected.append(coco.frPyObjects(segmentations[-1], height, width))
            case kind:
                expected.append(reference(mask))
                text = expected[-1]["counts"]
                segmentations.append(
                    {"size": [height, width], "counts": text if kind == "bytes" else text.decode()}
                )
    found = rle.from_coco_all(segmentations, [mask.shape for mask in several])
    assert [one.counts for one in found] == [one["counts"].decode() for one in expected]
    # Its boxes are of the runs that it writes itself: an empty run moves them.
    around = [coco.toBbox(coco.encode(coco.decode(one))).tolist() for one in expected]
    for letters in (1, 20, 1 << 20):  # read one by one, some or all together
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(counts, "_AT_ONCE", letters)
            areas, boxes = counts.measure(found)
            assert areas.tolist() == [coco.area(one) for one in expected]
            assert boxes.tolist() == around
    assert [counts.is_blank(one) for one in found] == [not coco.area(one) for one in expected]
    assert [rle.bbox(one) for one in found] == [tuple(box) for box in around]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_whether_a_mask_has_a_pixel_whatever_runs_are_empty(runs):
    total = sum(runs)
    packed = rle.from_coco({"size": [1, total + 40], "counts": [*runs, 40]}, 1, total + 40)
    assert counts.is_blank(packed) == (not rle.decode(packed).any())


def test_one_damaged_mask_among_others_is_found():
    full, empty = rle.encode(NAMED["full"]), rle.encode(NAMED["empty"])
    for damaged in (Rle(4, 5, ""), Rle(4, 5, "d"), Rle(4, 5, "d0P"), Rle(4, 5, "0"), Rle(4, 5, "d0N60")):
        with pytest.raises(FormatError, match="RLE counts"):
            counts.measure([full, damaged, empty])


@pytest.mark.parametrize(
    "segmentation",
    [
        pytest.param({"size": [5, 4], "counts": "0"}, id="another size"),
        pytest.param({"size": [4, 5], "counts": ""}, id="no counts"),
        pytest.param({"size": [4, 5], "counts": "0"}, id="too few pixels"),
        pytest.param({"size": [4, 5], "counts": "ZZZZ0"}, id="too many pixels"),
        pytest.param({"size": [4, 5], "counts": "d0P"}, id="ends within a number"),
        pytest.param({"size": [4, 5], "counts": "oooooooo0"}, id="a number beyond 32 bits"),
        pytest.param({"size": [4, 5], "counts": "d0N60"}, id="a negative run"),
        pytest.param({"size": [4, 5], "counts": "d0 "}, id="foreign characters"),
        pytest.param({"size": [4, 5], "counts": "pd0"}, id="one that would pass for a 0"),
        pytest.param({"size": [4, 5], "counts": "d0€"}, id="not ASCII"),
        pytest.param({"size": [4, 5], "counts": "€5"}, id="not ASCII, which some codecs make a ?"),
        pytest.param({"size": [4, 5], "counts": b"d0\xff"}, id="bytes that are not ASCII"),
        pytest.param({"size": [4, 5], "counts": None}, id="counts missing"),
        pytest.param({"size": [4, 5], "counts": [10, 9]}, id="list too short"),
        pytest.param({"size": [4, 5], "counts": [-5, 25]}, id="list with a negative run"),
        pytest.param({"size": [4, 5], "counts": [10.5, 9.5]}, id="list of fractions"),
        pytest.param({"size": [4, 5], "counts": ["10", "10"]}, id="list of texts"),
        pytest.param({"size": [4, 5], "counts": [[10], [10]]}, id="nested list"),
        pytest.param({"size": [4, 5], "counts": [2**70, 20 - 2**70]}, id="huge numbers"),
        pytest.param({"size": [4, 5], "counts": [2**62] * 4 + [20]}, id="numbers that overflow"),
        pytest.param({"size": [4, 5], "counts": [2**63] * 2 + [20]}, id="unsigned ones that overflow"),
        pytest.param({"size": [4, 5], "counts": 10**15}, id="a number for counts"),
        pytest.param({"size": [4, 5], "counts": []}, id="empty list"),
        pytest.param({"counts": "0"}, id="no size"),
        pytest.param([], id="no polygon"),
        pytest.param([[]], id="an empty polygon"),
        pytest.param([[0, 0, 4, 4]], id="two points"),
        pytest.param([[0, 0, 4, 4, 2]], id="an odd number of coordinates"),
        pytest.param([[0, 0, 4, 0, float("nan"), 4]], id="a coordinate that is no number"),
        pytest.param([[0, 0, 1e9, 0, 4, 4]], id="far outside"),
        pytest.param([["a", "b", "c", "d", "e", "f"]], id="letters"),
        pytest.param([[0, 0, [1], 0, 4, 4]], id="ragged"),
        pytest.param([7], id="a number for a polygon"),
        pytest.param("polygon", id="text"),
        pytest.param(None, id="nothing"),
    ],
)
def test_bad_segmentations(segmentation):
    with pytest.raises(FormatError, match=r"\.$"):
        rle.from_coco(segmentation, 4, 5)


@settings(deadline=None, max_examples=300)
@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12))
def test_random_counts_are_read_or_refused(counts):
    packed = Rle(6, 7, counts)
    try:
        mask = rle.decode(packed)
    except FormatError:
        return
    assert mask.shape == (6, 7)
    np.testing.assert_array_equal(mask, coco.decode({"size": [6, 7], "counts": counts}))


@pytest.mark.parametrize(
    "mask", [np.zeros((2, 2), np.uint8), np.zeros(4, bool), np.zeros((2, 2, 1), bool), np.zeros((0, 3), bool)]
)
def test_only_masks_are_encoded(mask):
    with pytest.raises(InputError, match="bool array"):
        rle.encode(mask)
