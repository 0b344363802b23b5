"""Touching objects apart, against skimage's watershed and shapes whose parts are known."""

from itertools import pairwise

import numpy as np
import pytest
from skimage.draw import disk, ellipse, line
from skimage.morphology import dilation
from skimage.morphology import disk as brush
from skimage.segmentation import watershed

from reco_assist.masks.components import label
from reco_assist.masks.touching import basins, split_touching


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
def test_basins_are_where_peaks_are_separate(seed):
    rng = np.random.default_rng(seed)
    height = hills(rng, int(rng.integers(1, 7)), noise=seed % 3)
    inside = height > 80
    split = basins(height, inside, 32)
    np.testing.assert_array_equal(split > 0, inside)
    count, rises = prominences(height, inside)
    assert count + (rises >= 36).sum() <= split.max() <= count + (rises >= 28).sum()
    # Against skimage's watershed from the same summits: the borders may differ by a pixel here and there.
    summits = np.zeros(height.shape, int)
    for number in range(1, split.max() + 1):
        summits.ravel()[np.argmax(np.where(split == number, height.astype(int), -1))] = number
    reference = watershed(-height.astype(int), summits, mask=inside, connectivity=2)
    assert (reference == split)[inside].mean() > 0.97


def drawn(shape, *discs):
    mask = np.zeros(shape, np.bool_)
    for y, x, radius in discs:
        mask[disk((y, x), radius, shape=shape)] = True
    return mask


@pytest.mark.parametrize("scale", [1, 2, 9])
def test_overlapping_discs_of_two_sizes_are_two_at_every_scale(scale):
    first, second = (30 * scale, 30 * scale, 22 * scale), (34 * scale, 66 * scale, 17 * scale)
    mask = drawn((60 * scale, 90 * scale), first, second)
    assert label(mask).max() == 1
    parts = split_touching(mask)
    np.testing.assert_array_equal(parts > 0, mask)
    assert parts.max() == 2
    centres = np.zeros(mask.shape, int)
    y, x = np.indices(mask.shape)
    for number, (row, column, _) in enumerate((first, second), 1):
        centres[row, column] = parts[row, column]
        assert parts[row, column] in {1, 2}, number
    powers = [np.hypot(y - row, x - column) - radius for row, column, radius in (first, second)]
    nearer = np.where(powers[0] < powers[1], parts[first[:2]], parts[second[:2]])  # (H, W)
    assert (nearer == parts)[mask].mean() > 0.97


def test_a_tray_of_mushrooms_is_as_many_as_lie_in_it():
    places = [(24 + 36 * i, 24 + 36 * j, 19 + (i + j) % 2) for i in range(3) for j in range(4)]
    mask = drawn((130, 170), *places)
    mask[60:62, 20:150] = True
    assert label(mask).max() == 1
    parts = split_touching(mask)
    assert sorted(parts[y, x] for y, x, _ in places) == list(range(1, 13))
    assert parts.max() == 12


def arc(thickness):
    mask = np.zeros((140, 160), np.bool_)
    angles = np.linspace(np.pi, 2.1 * np.pi, 60)
    points = np.stack([70 - 45 * np.sin(angles) - 20, 80 + 55 * np.cos(angles)], 1).round().astype(int)
    for (y, x), (to_y, to_x) in pairwise(points):
        mask[line(y, x, to_y, to_x)] = True
    return dilation(mask, brush(thickness))


RING = drawn((100, 100), (50, 50, 40)) & ~drawn((100, 100), (50, 50, 24))
CROSS = np.zeros((100, 100), np.bool_)
CROSS[40:60, 5:95] = CROSS[5:95, 40:60] = True
OVAL = np.zeros((80, 160), np.bool_)
OVAL[ellipse(40, 80, 25, 70)] = True
HORSE = drawn((120, 160), (50, 70, 30), (50, 100, 28), (30, 140, 12))  # a body, a head and two legs
HORSE[30:50, 100:140] = HORSE[60:115, 50:60] = HORSE[60:115, 105:115] = True


@pytest.mark.parametrize(
    "mask",
    [RING, CROSS, OVAL, HORSE, arc(6), arc(10), drawn((9, 9), (4, 4, 1)), np.ones((1, 7), np.bool_)],
    ids=["ring", "cross", "oval", "horse", "bent", "bent and thick", "speck", "row"],
)
def test_one_object_stays_one(mask):
    np.testing.assert_array_equal(split_touching(mask), mask)


def test_the_border_of_the_image_is_no_outline():
    whole = drawn((100, 120), (50, 35, 30), (50, 88, 28))
    parts = split_touching(whole[50:], open_sides=((True, False), (False, False)))
    assert parts.max() == 2
    assert len({parts[10, 35], parts[10, 88]}) == 2
