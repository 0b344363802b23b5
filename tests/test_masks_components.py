import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_cases import NAMED, masks
from skimage.measure import label as reference_label
from skimage.segmentation import watershed

from reco_assist.errors import InputError
from reco_assist.masks import components, rle


@settings(deadline=None, max_examples=60)
@given(masks(side=60), st.sampled_from([4, 8]))
def test_components_agree_with_skimage(mask, connectivity):
    labels = components.label(mask, connectivity=connectivity)
    np.testing.assert_array_equal(labels, reference_label(mask, connectivity=connectivity // 4))
    assert labels.dtype == np.int32


@settings(deadline=None, max_examples=40)
@given(masks(side=60), st.integers(2, 30))
def test_small_components_are_dropped_and_numbers_have_no_gaps(mask, min_area):
    labels = components.label(mask, min_area=min_area)
    reference = reference_label(mask, connectivity=2)
    areas = np.bincount(reference.ravel())
    np.testing.assert_array_equal(labels > 0, mask & (areas[reference] >= min_area))
    assert sorted(np.unique(labels[labels > 0])) == list(range(1, labels.max() + 1))


@pytest.mark.parametrize("mask", NAMED.values(), ids=NAMED.keys())
def test_encoded_labels_are_the_masks(mask):
    labels = components.label(mask)
    packed = components.encode_labels(labels)
    assert packed == [rle.encode(labels == number) for number in range(1, labels.max() + 1)]


def hills(rng: np.random.Generator, count: int, noise: float) -> np.ndarray:
    y, x = np.mgrid[:70, :90]
    height = np.zeros(y.shape)
    for _ in range(count):
        distance = np.hypot(y - rng.uniform(8, 62), x - rng.uniform(8, 82))
        height = np.maximum(height, rng.uniform(0.6, 1) * np.exp(-((distance / rng.uniform(8, 20)) ** 2)))
    return np.clip(height * 255 + rng.normal(0, noise, y.shape), 0, 255).astype(np.uint8)


def prominences(height: np.ndarray, mask: np.ndarray) -> tuple[int, np.ndarray]:
    """Number of components, and how far each other peak rises above where it joins a higher one."""
    parent: dict[tuple[int, int], tuple[int, int]] = {}

    def root(pixel: tuple[int, int]) -> tuple[int, int]:
        while parent[pixel] != pixel:
            pixel = parent[pixel]
        return pixel

    rises = []
    for y, x in sorted(map(tuple, np.argwhere(mask)), key=lambda pixel: -int(height[pixel])):
        parent[y, x] = (y, x)
        for neighbour in ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
            if neighbour in parent:
                low, high = sorted((root((y, x)), root(neighbour)), key=lambda peak: int(height[peak]))
                if low != high:
                    rises.append(int(height[low]) - int(height[y, x]))
                    parent[low] = high
    return len({root(pixel) for pixel in parent}), np.array(rises)


@pytest.mark.parametrize("seed", range(12))
def test_touching_objects_are_split_where_peaks_are_separate(seed):
    rng = np.random.default_rng(seed)
    height = hills(rng, int(rng.integers(1, 7)), noise=seed % 3)
    labels = components.label(height > 80)
    split = components.split_touching(labels, height, depth=32)
    np.testing.assert_array_equal(split > 0, labels > 0)
    count, rises = prominences(height, labels > 0)
    assert count + (rises >= 36).sum() <= split.max() <= count + (rises >= 28).sum()
    # Against skimage's watershed from the same summits: the borders may differ by a pixel here and there.
    summits = np.zeros(height.shape, int)
    for number in range(1, split.max() + 1):
        summits.ravel()[np.argmax(np.where(split == number, height.astype(int), -1))] = number
    reference = watershed(-height.astype(int), summits, mask=labels > 0, connectivity=2)
    assert (reference == split)[labels > 0].mean() > 0.97


def test_two_discs_with_a_neck_become_two_objects_and_one_hill_stays_one():
    y, x = np.mgrid[:60, :100]
    left, right = (np.hypot(y - 30, x - centre) for centre in (30, 66))
    height = (255 * np.maximum(np.exp(-((left / 22) ** 2)), np.exp(-((right / 22) ** 2)))).astype(np.uint8)
    labels = components.label(height > 60)
    assert labels.max() == 1
    split = components.split_touching(labels, height)
    assert split[30, 30] == 1
    assert split[30, 66] == 2
    assert split[30, 47] == 1
    assert split[30, 49] == 2
    assert components.split_touching(labels, height, depth=200).max() == 1


def test_small_parts_are_dropped_after_splitting():
    height = np.full((9, 30), 100, np.uint8)
    height[2:7, 2:7] = 255
    height[4, 26] = 255
    labels = components.label(height > 0)
    assert components.split_touching(labels, height).max() == 2
    height[:, 24:] = np.minimum(height[:, 24:], 99)
    assert components.split_touching(labels, height).max() == 1


def test_holes_and_the_outside_are_left_alone():
    height = np.full((20, 40), 60, np.uint8)
    height[5:15, 5:15] = height[5:15, 25:35] = 250
    mask = np.ones(height.shape, bool)
    mask[8:12, 18:22] = False
    split = components.split_touching(components.label(mask), height)
    np.testing.assert_array_equal(split > 0, mask)
    assert split.max() == 2


def test_bad_input():
    mask = np.ones((3, 3), bool)
    labels = components.label(mask)
    with pytest.raises(InputError, match="bool array"):
        components.label(mask.astype(np.uint8))
    with pytest.raises(InputError, match="give 4 or 8"):
        components.label(mask, connectivity=6)
    with pytest.raises(InputError, match="uint8 of the labels' size"):
        components.split_touching(labels, np.zeros((3, 4), np.uint8))
    with pytest.raises(InputError, match="uint8 of the labels' size"):
        components.split_touching(labels, np.zeros((3, 3)))
