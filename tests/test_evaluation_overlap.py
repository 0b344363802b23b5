import numpy as np
import pytest
import torch
from predictions import blob
from skimage.morphology import disk
from skimage.segmentation import find_boundaries
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from reco_assist.errors import InputError
from reco_assist.evaluation import (
    boundary_f,
    class_ious,
    confusion,
    hits,
    mean_iou,
    overlap,
    pixel_accuracy,
    pooled_iou,
)


def _pair(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(30, 90, 2))
    predicted, truth = blob(rng, height, width), blob(rng, height, width)
    return predicted, truth, rng.random((height, width)) < 0.8


@pytest.mark.parametrize("seed", range(5))
def test_overlap_equals_sklearn_and_torchmetrics(seed):
    from torchmetrics.classification import BinaryJaccardIndex  # takes seconds

    predicted, truth, valid = _pair(seed)
    found = overlap(predicted, truth, valid=valid)
    assert found.iou == pytest.approx(jaccard_score(truth[valid], predicted[valid]))
    assert found.accuracy == pytest.approx(accuracy_score(truth[valid], predicted[valid]))
    metric = BinaryJaccardIndex(ignore_index=255)
    target = torch.from_numpy(np.where(valid, truth, 255))
    assert found.iou == pytest.approx(float(metric(torch.from_numpy(predicted).int(), target)), abs=1e-6)
    assert found.changed == np.count_nonzero((predicted != truth) & valid)


def test_two_empty_masks_agree_and_a_missed_one_does_not():
    empty, full = np.zeros((4, 5), bool), np.ones((4, 5), bool)
    assert overlap(empty, empty).iou == 1
    assert overlap(empty, full).iou == 0
    nothing_known = overlap(empty, full, valid=empty)
    assert (nothing_known.iou, nothing_known.accuracy) == (1, 1)
    assert pooled_iou([]) == 1


def test_pooled_iou_is_that_of_all_pixels_together():
    pairs = [_pair(seed) for seed in range(4)]
    pooled = pooled_iou(overlap(p, t, valid=v) for p, t, v in pairs)
    predicted = np.concatenate([p[v] for p, _, v in pairs])
    truth = np.concatenate([t[v] for _, t, v in pairs])
    assert pooled == pytest.approx(jaccard_score(truth, predicted))


@pytest.mark.parametrize(
    ("mask", "truth"),
    [
        (np.zeros((3, 3), int), np.zeros((3, 3), bool)),  # not bool
        (np.zeros((3, 4), bool), np.zeros((3, 3), bool)),  # another shape
    ],
)
def test_unlike_masks_are_refused(mask, truth):
    for measure in (overlap, boundary_f, hits):
        with pytest.raises(InputError, match="one image at one size"):
            measure(mask, truth)


def _boundary_by_hand(predicted, truth, valid, radius):
    """By dilation with a disk instead of distances."""
    from skimage.morphology import dilation

    edges = [find_boundaries(mask, connectivity=1, mode="inner") & valid for mask in (predicted, truth)]
    near = [dilation(edge, disk(radius)) for edge in edges]
    precision, recall = near[1][edges[0]].mean(), near[0][edges[1]].mean()
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("radius", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_boundary_f_equals_dilated_boundaries(seed, radius):
    predicted, truth, valid = _pair(seed)
    tolerance = (radius + 1e-9) / np.hypot(*truth.shape)
    expected = _boundary_by_hand(predicted, truth, valid, radius)
    assert boundary_f(predicted, truth, valid=valid, tolerance=tolerance) == pytest.approx(expected)


def test_boundary_f_of_masks_without_a_boundary():
    empty, full = np.zeros((9, 9), bool), np.ones((9, 9), bool)
    assert boundary_f(full, full) == boundary_f(empty, empty) == 1  # the frame is no boundary
    assert boundary_f(full, empty) == 0
    half = np.arange(81).reshape(9, 9) < 40
    assert boundary_f(half, full) == boundary_f(empty, half) == 0


def test_boundary_f_counts_a_shift_within_the_tolerance_as_right():
    truth = np.zeros((30, 40), bool)  # a diagonal of 50 pixels
    truth[8:20, 8:25] = True
    shifted = np.roll(truth, 3, axis=1)
    assert boundary_f(truth, truth) == 1
    assert boundary_f(shifted, truth, tolerance=0.06) == 1
    assert boundary_f(shifted, truth, tolerance=0.059) < 0.9
    assert boundary_f(np.roll(truth, 1, axis=1), truth, tolerance=0) == 1  # a pixel is always near


def test_a_region_is_right_when_it_is_all_of_the_truth_or_one_part_of_it():
    truth = np.zeros((40, 60), bool)
    truth[5:25, 5:25] = truth[5:25, 35:55] = True
    one = np.zeros_like(truth)
    one[5:25, 5:25] = True
    assert overlap(one, truth).iou == 0.5
    assert hits(one, truth, least=0.9)  # one of two objects
    assert hits(truth, truth, least=0.9)  # both at once
    third = one & (np.arange(60) < 10)
    assert not hits(third, truth)
    assert not hits(~truth, truth)
    assert not hits(one, np.zeros_like(truth))
    assert hits(third, truth, valid=np.broadcast_to(np.arange(60) < 10, truth.shape))


@pytest.mark.parametrize("seed", range(3))
def test_confusion_equals_sklearn_and_torchmetrics(seed):
    from torchmetrics.classification import MulticlassJaccardIndex  # takes seconds

    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 5, (40, 50)), rng.integers(0, 4, (40, 50))
    truth[rng.random(truth.shape) < 0.2] = 255
    matrix = confusion(truth, predicted, 5)
    kept = truth != 255
    np.testing.assert_array_equal(matrix, confusion_matrix(truth[kept], predicted[kept], labels=range(5)))
    assert pixel_accuracy(matrix) == pytest.approx(accuracy_score(truth[kept], predicted[kept]))
    target, labels = torch.from_numpy(truth), torch.from_numpy(predicted)
    per_class = MulticlassJaccardIndex(5, average=None, ignore_index=255)(labels, target)
    np.testing.assert_allclose(class_ious(matrix), per_class.numpy(), rtol=1e-5)
    macro = MulticlassJaccardIndex(5, average="macro", ignore_index=255)(labels, target)
    assert mean_iou(matrix) == pytest.approx(float(macro), rel=1e-5)


def test_classes_that_never_occur_do_not_count():
    matrix = confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 4)
    np.testing.assert_array_equal(class_ious(matrix), [0.5, 0.5, np.nan, np.nan])
    assert mean_iou(matrix) == 0.5
    nothing = confusion(np.array([255]), np.array([0]), 2)
    assert np.isnan([mean_iou(nothing), pixel_accuracy(nothing)]).all()


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(InputError, match="true label"):
        confusion(np.array([7]), np.array([0]), 3)
    with pytest.raises(InputError, match="predicted label"):
        confusion(np.array([0]), np.array([255]), 3)
    with pytest.raises(InputError, match="maps of one image"):
        confusion(np.array([0, 0]), np.array([0]), 3)
