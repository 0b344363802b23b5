"""The guided filter against a linear regression in every window."""

import numpy as np
import pytest

from reco_assist.errors import InputError
from reco_assist.refine import guided_filter


def brute_force(probability, image, radius, eps):
    """He et al., equations (14) to (16), window by window, with scipy-free ridge regressions."""
    height, width = probability.shape
    colour = image.astype(np.float64) / 255
    fits = np.empty((height, width, 4))
    for y in range(height):
        for x in range(width):
            window = np.s_[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            c, p = colour[window].reshape(-1, 3), probability[window].ravel().astype(np.float64)
            n = len(p)
            design = np.vstack(
                [np.hstack([c, np.ones((n, 1))]), np.hstack([np.sqrt(n * eps) * np.eye(3), np.zeros((3, 1))])]
            )
            fits[y, x] = np.linalg.lstsq(design, np.append(p, np.zeros(3)), rcond=None)[0]
    out = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            window = np.s_[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            mean = fits[window].reshape(-1, 4).mean(0)
            out[y, x] = mean[:3] @ colour[y, x] + mean[3]
    return out.clip(0, 1)


@pytest.mark.parametrize(
    ("radius", "eps"), [(1, 1e-3), (3, 1e-2), (20, 1e-3)]
)  # 20: windows exceed the image
def test_equals_a_regression_in_every_window(radius, eps):
    rng = np.random.default_rng(radius)
    image = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    probability = rng.random((9, 11)).astype(np.float32)
    refined = guided_filter(probability, image, radius=radius, eps=eps)
    assert refined.dtype == np.float32
    np.testing.assert_allclose(refined, brute_force(probability, image, radius, eps), atol=1e-5)


def test_a_flat_image_gives_the_mean_of_means():
    probability = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    image = np.full((8, 8, 3), 200, np.uint8)
    np.testing.assert_allclose(guided_filter(probability, image, radius=20), probability.mean(), atol=1e-5)


def test_edges_of_the_image_return():
    truth = np.zeros((64, 64), bool)
    truth[16:48, 20:44] = True
    image = np.where(truth[..., None], 200, 60).astype(np.uint8).repeat(3, axis=2)
    coarse = truth.reshape(8, 8, 8, 8).mean((1, 3)).repeat(8, 0).repeat(8, 1).astype(np.float32)
    shifted = np.roll(coarse, 3, axis=1) * 0.8 + 0.1
    assert ((shifted > 0.5) != truth).mean() > 0.03
    assert ((guided_filter(shifted, image, radius=8) > 0.5) != truth).mean() < 0.01


def test_channels_equal_single_runs_and_stay_in_range():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    maps = (rng.random((4, 20, 30)) > 0.5).astype(np.float32)
    together = guided_filter(maps, image, radius=2, eps=1e-4)
    assert together.min() >= 0
    assert together.max() <= 1
    for channel, alone in zip(together, maps, strict=True):
        np.testing.assert_array_equal(channel, guided_filter(alone, image, radius=2, eps=1e-4))


@pytest.mark.parametrize("options", [{"radius": 0}, {"eps": 0}, {"eps": np.nan}])
def test_bad_options(options):
    with pytest.raises(InputError, match="expected"):
        guided_filter(np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), **options)


def test_bad_shape():
    with pytest.raises(InputError, match="resize"):
        guided_filter(np.zeros((4, 5), np.float32), np.zeros((4, 4, 3), np.uint8))
