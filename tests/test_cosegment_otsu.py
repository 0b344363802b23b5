"""Otsu's threshold against scikit-image and against trying every split."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import threshold_otsu

from reco_assist.cosegment import blend_threshold, otsu
from reco_assist.errors import InputError


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_image_on_integers(seed):
    """On 8-bit values its histogram has one bin per value, so it is exact too."""
    rng = np.random.default_rng(seed)
    image = np.concatenate([rng.normal(70, 20, 900_000), rng.normal(160, 30, 400_000)])
    image = image.clip(0, 255).astype(np.uint8)
    assert otsu(torch.from_numpy(image)).item() == threshold_otsu(image)


def test_is_within_a_bin_of_scikit_image_on_floats():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 0.5, 3000), rng.normal(2, 0.3, 1000)])
    assert abs(otsu(torch.from_numpy(values)).item() - threshold_otsu(values)) < 2 * np.ptp(values) / 256


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-8, 8), min_size=2, max_size=12).filter(lambda v: len(set(v)) > 1))
def test_no_split_is_better(values):
    array = np.array(values, np.float64)

    def between(threshold):
        low, high = array[array <= threshold], array[array > threshold]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    threshold = otsu(torch.tensor(values)).item()
    assert threshold in values
    assert between(threshold) == pytest.approx(max(between(t) for t in sorted(set(values))[:-1]))


def test_rows_are_independent_and_offsets_do_not_matter():
    rows = torch.randn(3, 4, 50, generator=torch.Generator().manual_seed(0))
    together = otsu(rows)
    assert together.shape == (3, 4)
    assert all(together[i, j] == otsu(rows[i, j]) for i in range(3) for j in range(4))
    shifted = (rows * 64).round() / 64 + 4096  # exactly representable before and after
    assert torch.equal(otsu(shifted) - 4096, otsu((rows * 64).round() / 64))


def test_constant_rows_have_no_upper_class():
    values = torch.tensor([[2.0, 2.0, 2.0], [1.0, 3.0, 3.0]])
    assert otsu(values).tolist() == [2.0, 1.0]
    assert (values > otsu(values)[:, None]).any(1).tolist() == [False, True]
    assert otsu(torch.tensor([5.0])).item() == 5.0


def test_blend_lies_between_otsu_and_the_maximum():
    values = torch.tensor([[0.0, 1.0, 6.0], [0.0, 0.0, 10.0]])
    torch.testing.assert_close(blend_threshold(values, torch.tensor([1.0, 0.0])), torch.tensor([2.0, 2.0]))
    torch.testing.assert_close(blend_threshold(values[0], torch.tensor(1.0), blend=1), torch.tensor(6.0))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: otsu(torch.zeros(3, 0)), "at least 1"),
        (lambda: otsu(torch.tensor(1.0)), "at least 1"),
        (lambda: otsu(torch.tensor([0.0, torch.nan])), "finite"),
        (lambda: blend_threshold(torch.zeros(2, 3), torch.zeros(3)), "differ"),
        (lambda: blend_threshold(torch.zeros(2, 3), torch.zeros(2), blend=1.5), "0 to 1"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(InputError, match=says):
        call()
