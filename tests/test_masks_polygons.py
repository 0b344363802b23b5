import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_cases import NAMED, masks
from scipy import ndimage
from skimage.measure import euler_number, label

from reco_assist.errors import InputError
from reco_assist.masks import polygons, rle


def filled(rings: list[np.ndarray] | tuple[np.ndarray, ...], shape: tuple[int, int]) -> np.ndarray:
    """The even-odd fill of rings, each rasterised by pycocotools."""
    mask = np.zeros(shape, bool)
    for ring in rings:
        mask ^= rle.decode(polygons.fill([ring], *shape))
    return mask


def signed_area(ring: np.ndarray) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def traced_exactly(mask: np.ndarray) -> None:
    outline = polygons.trace(mask)
    np.testing.assert_array_equal(filled(outline.outer + outline.holes, mask.shape), mask)
    areas = [sum(abs(signed_area(ring)) for ring in rings) for rings in (outline.outer, outline.holes)]
    assert areas[0] - areas[1] == mask.sum()
    parts = label(mask, connectivity=1).max()
    assert len(outline.outer) == parts
    assert len(outline.holes) == parts - euler_number(mask, connectivity=1)


@pytest.mark.parametrize("mask", NAMED.values(), ids=NAMED.keys())
def test_named_masks_are_traced_exactly(mask):
    traced_exactly(mask)


@settings(deadline=None, max_examples=80)
@given(masks(side=40))
def test_any_mask_is_traced_exactly(mask):
    traced_exactly(mask)


def test_corners_in_their_order():
    mask = np.zeros((5, 6), bool)
    mask[1:4, 1:5] = True
    mask[2, 2] = False
    outline = polygons.trace(mask)
    assert [ring.tolist() for ring in outline.outer] == [[[1, 1], [5, 1], [5, 4], [1, 4]]]
    assert len(outline.holes) == 1
    assert len(outline.holes[0]) == 4


@settings(deadline=None, max_examples=80)
@given(masks(side=40))
def test_split_holes_covers_the_mask_once_without_holes(mask):
    rings = polygons.split_holes(mask)
    covered = np.zeros(mask.shape, int)
    for ring in rings:
        part = rle.decode(polygons.fill([ring], *mask.shape))
        assert not polygons.trace(part).holes
        covered += part
    np.testing.assert_array_equal(covered, mask.astype(int))


def distance_to(points: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Smallest distance of each point from any edge of a ring, by brute force."""
    starts, edges = ring, np.roll(ring, -1, 0) - ring
    offset = points[:, None] - starts  # (n, m, 2)
    along = np.clip((offset * edges).sum(-1) / np.maximum((edges**2).sum(-1), 1e-12), 0, 1)
    return np.hypot(*np.moveaxis(offset - along[..., None] * edges, -1, 0)).min(1)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 0.5, 1, 3]))
def test_simplified_rings_stay_within_the_tolerance(seed, tolerance):
    noise = np.random.default_rng(seed).random((60, 70))
    mask = ndimage.gaussian_filter(noise, 4) > 0.5
    for ring in polygons.trace(mask).outer:
        simple = polygons.simplify(ring, tolerance)
        assert distance_to(ring, simple).max() <= tolerance + 1e-9
        assert {tuple(point) for point in simple} <= {tuple(point) for point in ring}
        if tolerance == 0:
            assert len(simple) == len(ring)


def test_a_disc_needs_few_points_and_keeps_its_area():
    y, x = np.mgrid[:200, :200]
    mask = np.hypot(y - 99.5, x - 99.5) < 80
    (ring,) = polygons.trace(mask).outer
    simple = polygons.simplify(ring)
    assert len(simple) < len(ring) / 5
    assert rle.iou(polygons.fill([simple], 200, 200), rle.encode(mask)) > 0.98


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 5)])
def test_small_objects_keep_their_shape(shape):
    mask = np.pad(np.ones(shape, bool), 2)
    (ring,) = polygons.trace(mask).outer
    assert len(polygons.simplify(ring, 5)) == 4


def test_points_on_straight_edges_go():
    ring = np.array([[0, 0], [5, 0], [10, 0], [10, 10], [0, 10], [0, 4]], float)
    assert polygons.simplify(ring, 0).tolist() == [[0, 0], [10, 0], [10, 10], [0, 10]]


@pytest.mark.parametrize("mask", [np.zeros((2, 2), np.uint8), np.zeros(4, bool)])
def test_only_masks_are_traced(mask):
    with pytest.raises(InputError, match="bool array"):
        polygons.trace(mask)


@pytest.mark.parametrize("seed", range(20))
def test_what_of_a_polygon_lies_in_the_image_is_that_of_a_larger_image(seed):
    """By pycocotools on an image with a margin around; a pixel along the outline may be rounded otherwise."""
    random = np.random.default_rng(seed)
    height, width, margin = 40, 60, 100
    ring = random.uniform(-margin, margin + 60, (random.integers(3, 7), 2)).clip(-margin, [160, 140])
    whole = polygons.fill([ring + margin], height + 2 * margin, width + 2 * margin)
    expected = rle.decode(whole)[margin : margin + height, margin : margin + width]
    moved = rle.decode(polygons.fill_inside([ring], height, width)) ^ expected
    outline = expected ^ ndimage.binary_erosion(expected) | ndimage.binary_dilation(expected) ^ expected
    assert not (moved & ~outline).any()


def test_a_polygon_beside_the_image_has_no_pixel():
    ring = np.array([[-9.0, 2.0], [-2.0, 2.0], [-2.0, 30.0]])
    assert rle.area(polygons.fill_inside([ring, ring[:2]], 40, 60)) == 0
