import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_cases import NAMED, masks
from skimage.measure import label as reference_label

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


def test_bad_input():
    mask = np.ones((3, 3), bool)
    with pytest.raises(InputError, match="bool array"):
        components.label(mask.astype(np.uint8))
    with pytest.raises(InputError, match="give 4 or 8"):
        components.label(mask, connectivity=6)
