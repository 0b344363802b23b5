"""The compiler-free CRF against pydensecrf and an exact dense kernel, its grid against dictionaries."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom
from skimage import data
from skimage.transform import resize

from reco_assist.errors import InputError
from reco_assist.refine import PAPER_CRF, BilateralGrid, CrfParameters, crf, label_crf

PHOTOGRAPHS = ["astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry"]


def photograph(name, side):
    return (resize(getattr(data, name)(), (side, side), anti_aliasing=True) * 255).astype(np.uint8)


def noisy_map(truth, seed):
    """What a 14 x 14 grid makes of a mask: coarse, blurred, noisy; probability (H, W)."""
    rng = np.random.default_rng(seed)
    side = len(truth) // 14
    coarse = truth.reshape(14, side, 14, side).mean((1, 3))
    scores = gaussian_filter(coarse, 0.5) * 0.6 + rng.normal(0, 0.15, (14, 14))
    return (1 / (1 + np.exp(-10 * (zoom(scores, side, order=1) - 0.3)))).astype(np.float32)


def colour_region(image, seed):
    """A mask with edges of the photograph: one side of a smooth field that follows its brightness."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=image.shape[:2]), 30)
    light = gaussian_filter(image.mean(2), 3)
    return field / field.std() + (light - light.mean()) / light.std() > 0


def scene(side=112, seed=0):
    """A textured disc on a textured ground: image (H, W, 3) uint8 and its exact mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    truth = (y - side * 0.45) ** 2 + (x - side * 0.55) ** 2 < (side * 0.3) ** 2
    image = np.where(truth[..., None], (180, 60, 50), (90, 110, 130)) + rng.normal(0, 8, (side, side, 3))
    return image.clip(0, 255).astype(np.uint8), truth


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def reference_crf(probability, image, params):
    p = probability.clip(1e-6, 1 - 1e-6)
    return reference_labels(np.stack([1 - p, p]), image, params)[1]


def reference_labels(probabilities, image, params):
    """pydensecrf with Potts costs: (K, H, W) of (K, H, W)."""
    densecrf = pytest.importorskip(
        "pydensecrf.densecrf", reason="pydensecrf2 needs a C++ compiler to install"
    )
    labels, height, width = probabilities.shape
    model = densecrf.DenseCRF2D(width, height, labels)
    model.setUnaryEnergy(-np.log(probabilities.clip(1e-6, 1)).reshape(labels, -1).astype(np.float32))
    model.addPairwiseGaussian(sxy=params.gaussian_sxy, compat=params.gaussian_weight)
    model.addPairwiseBilateral(
        sxy=params.bilateral_sxy,
        srgb=params.bilateral_srgb,
        rgbim=np.ascontiguousarray(image),
        compat=params.bilateral_weight,
    )
    return np.array(model.inference(params.iterations)).reshape(labels, height, width)


@pytest.mark.parametrize("params", [CrfParameters(), PAPER_CRF], ids=["default", "paper"])
def test_agrees_with_pydensecrf_on_photographs(params):
    agreement, kept = [], []
    for seed, name in enumerate(PHOTOGRAPHS):
        image = photograph(name, 224)
        unary = noisy_map(colour_region(image, seed), seed)
        expected = reference_crf(unary, image, params) > 0.5
        agreement.append(((crf(unary, image, params=params) > 0.5) == expected).mean())
        kept.append(((unary > 0.5) == expected).mean())
    assert np.mean(agreement) >= 0.98
    assert min(agreement) >= 0.96
    assert np.mean(kept) < 0.95  # the refinement had something to do


@pytest.mark.parametrize("params", [CrfParameters(), PAPER_CRF], ids=["default", "paper"])
def test_several_labels_agree_with_pydensecrf(params):
    """Four labels that exclude each other, as the paper's protocol has them."""
    agreement, kept = [], []
    for seed, name in enumerate(PHOTOGRAPHS[:3]):
        image = photograph(name, 224)
        first, second = colour_region(image, seed), colour_region(image, seed + 50)
        regions = [first & second, first & ~second, ~first & second, ~first & ~second]
        maps = np.stack([noisy_map(region, 10 * seed + k) for k, region in enumerate(regions)]) + 1e-3
        maps /= maps.sum(0)  # (4, H, W)
        expected = reference_labels(maps, image, params).argmax(0)
        refined = label_crf(maps, image, params=params)
        np.testing.assert_allclose(refined.sum(0), 1, atol=1e-5)
        agreement.append((refined.argmax(0) == expected).mean())
        kept.append((maps.argmax(0) == expected).mean())
    assert np.mean(agreement) >= 0.96, agreement
    assert np.mean(kept) < 0.93, kept  # the refinement had something to do


def exact_crf(probability, image, params):
    """Mean field with every pair of pixels, two labels, float64."""
    height, width = probability.shape
    y, x = np.mgrid[:height, :width]
    place = np.stack([y.ravel(), x.ravel()], 1).astype(float)
    colour = image.reshape(-1, 3).astype(float)

    def kernel(features):
        square = ((features[:, None] - features[None]) ** 2).sum(-1)
        k = np.exp(-square / 2)
        root = 1 / np.sqrt(k.sum(1))
        return root[:, None] * k * root

    gaussian = kernel(place / params.gaussian_sxy)
    bilateral = kernel(np.hstack([place / params.bilateral_sxy, colour / params.bilateral_srgb]))
    pair = params.gaussian_weight * gaussian + params.bilateral_weight * bilateral
    p = probability.astype(float).clip(1e-6, 1 - 1e-6).ravel()
    unary = np.log(np.stack([1 - p, p]))
    q = np.stack([1 - p, p])
    for _ in range(params.iterations):
        energy = unary + q @ pair.T
        q = np.exp(energy - energy.max(0))
        q /= q.sum(0)
    return q[1].reshape(height, width)


def test_agrees_with_the_exact_kernel():
    image, truth = scene(28)
    unary = noisy_map(truth, 1)
    params = CrfParameters(gaussian_sxy=1, bilateral_sxy=6)
    expected = exact_crf(unary, image, params)
    refined = crf(unary, image, params=params)
    assert ((refined > 0.5) == (expected > 0.5)).mean() >= 0.98
    assert np.abs(refined - expected).mean() < 0.02


def test_finds_the_edges_of_the_object():
    image, truth = scene()
    unary = noisy_map(truth, 0)
    assert iou(unary > 0.5, truth) < 0.9
    assert iou(crf(unary, image) > 0.5, truth) > 0.97


def test_gaussian_kernel_alone_is_exact():
    image, truth = scene(28)
    params = CrfParameters(bilateral_weight=0, gaussian_sxy=2)
    unary = noisy_map(truth, 2)
    np.testing.assert_allclose(crf(unary, image, params=params), exact_crf(unary, image, params), atol=2e-3)


def test_grid_equals_dictionaries_of_cells():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image[4:] = image[4:] // 8 + 112  # crowded colours, so that cells have neighbours
    values = rng.random((9, 7)).astype(np.float32)

    def corners(y, x):
        """Cells that a pixel touches, with its share in each."""
        colour = tuple(round(int(level) / 20) for level in image[y, x])
        (fy, y0), (fx, x0) = np.modf(y / 3), np.modf(x / 3)
        for dy, dx in itertools.product((0, 1), repeat=2):
            yield (int(y0) + dy, int(x0) + dx, *colour), abs(1 - dy - fy) * abs(1 - dx - fx)

    sums = defaultdict(float)
    for y, x in itertools.product(range(9), range(7)):
        for cell, share in corners(y, x):
            sums[cell] += share * float(values[y, x])
    for axis in range(5):
        step = np.eye(5, dtype=int)[axis]
        sums = {
            cell: total / 2
            + sum(sums.get(tuple(int(c) for c in np.add(cell, sign * step)), 0.0) for sign in (-1, 1)) / 4
            for cell, total in sums.items()
        }
    filtered = BilateralGrid.build(image, sxy=3, srgb=20).filter(values)
    expected = [[sum(sums[c] * share for c, share in corners(y, x)) for x in range(7)] for y in range(9)]
    np.testing.assert_allclose(filtered, expected, rtol=1e-5)


def test_cells_do_not_wrap_around_the_image():
    """In a careless packing the cell after the last of a row is the first of the next row."""
    image = np.zeros((4, 8, 3), np.uint8)
    values = np.zeros((4, 8), np.float32)
    values[0, 7] = 1  # between the last two cells of its row
    filtered = BilateralGrid.build(image, sxy=2, srgb=1).filter(values)
    assert filtered[2, 0] == 0
    assert filtered[2, 7] > 0


def test_kernel_is_normalised_on_both_sides():
    image, _ = scene(8)
    unary = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    grid = BilateralGrid.build(image, sxy=3, srgb=10)
    kernel = np.stack([grid.filter(pixel.reshape(8, 8)).ravel() for pixel in np.eye(64, dtype=np.float32)], 1)
    root = 1 / np.sqrt(kernel.sum(1))
    odds = np.log(unary / (1 - unary)).ravel()
    odds += 5 * (root[:, None] * kernel * root) @ np.tanh(odds / 2)
    params = CrfParameters(iterations=1, gaussian_weight=0, bilateral_sxy=3)
    np.testing.assert_allclose(crf(unary, image, params=params).ravel(), 1 / (1 + np.exp(-odds)), atol=1e-5)


def test_channels_equal_single_runs():
    image, truth = scene(56)
    maps = np.stack([noisy_map(truth, seed) for seed in range(3)])
    together = crf(maps, image)
    assert together.dtype == np.float32
    assert together.shape == (3, 56, 56)
    for channel, alone in zip(together, maps, strict=True):
        np.testing.assert_array_equal(channel, crf(alone, image))


def test_concept_and_background_are_symmetric():
    image, truth = scene(56)
    unary = noisy_map(truth, 0)
    np.testing.assert_allclose(crf(1 - unary, image), 1 - crf(unary, image), atol=1e-4)


def test_undecided_stays_undecided():
    image, _ = scene(28)
    np.testing.assert_array_equal(crf(np.full((28, 28), 0.5, np.float32), image), np.float32(0.5))


def test_no_iteration_changes_nothing():
    image, truth = scene(28)
    unary = noisy_map(truth, 0)
    np.testing.assert_allclose(crf(unary, image, params=CrfParameters(iterations=0)), unary, atol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "probability"),
    [
        (1, 1, 1.0),  # a single pixel, certain
        (1, 50, 0.0),  # a line
        (40, 3, 1.0),  # narrower than the kernel
        (30, 20, 0.9),
    ],
)
def test_flat_images_keep_flat_maps(height, width, probability):
    image = np.full((height, width, 3), 255, np.uint8)
    refined = crf(np.full((height, width), probability, np.float32), image)
    assert ((refined >= 0) & (refined <= 1)).all()
    assert ((refined > 0.5) == (probability > 0.5)).all()


def test_float64_and_views_are_taken():
    image, truth = scene(28)
    unary = noisy_map(truth, 0)
    from_views = crf(unary.astype(np.float64)[:, ::-1], image[:, ::-1])
    assert from_views.dtype == np.float32
    np.testing.assert_array_equal(from_views, crf(unary[:, ::-1].copy(), image[:, ::-1].copy()))


IMAGE = np.zeros((4, 5, 3), np.uint8)
MAP = np.zeros((4, 5), np.float32)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: crf(MAP.T, IMAGE), "resize"),
        (lambda: crf(MAP[None, None], IMAGE), "resize"),
        (lambda: crf(np.empty((0, 4, 5), np.float32), IMAGE), "resize"),
        (lambda: crf(MAP + 1.5, IMAGE), "0 to 1"),
        (lambda: crf(MAP - 0.1, IMAGE), "0 to 1"),
        (lambda: crf(MAP * np.nan, IMAGE), "0 to 1"),
        (lambda: crf(MAP.astype(np.uint8), IMAGE), "float"),
        (lambda: crf(MAP, IMAGE.astype(np.float32)), "uint8"),
        (lambda: crf(MAP, IMAGE[..., 0]), "RGB"),
        (lambda: BilateralGrid.build(IMAGE[..., :2], sxy=3, srgb=3), "RGB"),
        (lambda: CrfParameters(bilateral_srgb=0), "above 0"),
        (lambda: CrfParameters(iterations=-1), "at least 0"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(InputError, match=says):
        call()
