"""Calibration, rankings and intervals."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss

from reco_assist.errors import InputError
from reco_assist.evaluation import (
    average_precision,
    bootstrap,
    fit_logistic,
    plot_reliability,
    precision_at,
    reliability,
)


def _scored(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.random(count)
    return scores, rng.random(count) < scores**2


@pytest.mark.parametrize("bins", [1, 5, 10, 15])
@pytest.mark.parametrize("seed", range(3))
def test_reliability_equals_torchmetrics_and_sklearn(seed, bins):
    from torchmetrics.classification import BinaryCalibrationError  # takes seconds

    scores, outcomes = _scored(seed)
    curve = reliability(scores, outcomes, bins=bins)
    metric = BinaryCalibrationError(n_bins=bins, norm="l1")
    expected = metric(torch.from_numpy(scores), torch.from_numpy(outcomes).int())
    assert curve.error == pytest.approx(float(expected), abs=1e-5)
    frequency, confidence = calibration_curve(outcomes, scores, n_bins=bins)
    filled = curve.counts > 0
    np.testing.assert_allclose(curve.frequency[filled], frequency)
    np.testing.assert_allclose(curve.confidence[filled], confidence)
    assert curve.brier == pytest.approx(brier_score_loss(outcomes, scores))


def test_scores_of_one_and_of_nothing_have_their_place():
    curve = reliability([0.0, 1.0], [False, True])
    assert curve.counts.tolist() == [1, *[0] * 8, 1]
    assert curve.error == 0
    assert np.isnan(reliability([], []).error)


@pytest.mark.parametrize(
    ("scores", "outcomes", "bins"),
    [([1.2], [True], 10), ([np.nan], [True], 10), ([0.5], [True, False], 10), ([0.5], [True], 0)],
)
def test_what_is_no_probability_is_refused(scores, outcomes, bins):
    with pytest.raises(InputError):
        reliability(scores, outcomes, bins=bins)


@pytest.mark.parametrize("dimensions", [1, 3])
def test_the_logistic_fit_equals_sklearn(dimensions):
    rng = np.random.default_rng(dimensions)
    features = rng.normal(2, 3, (500, dimensions))
    outcomes = rng.random(500) < 1 / (1 + np.exp(-(features.sum(1) * 0.4 - 1)))
    slopes, offset = fit_logistic(features, outcomes)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(features, outcomes)
    np.testing.assert_allclose(slopes, oracle.coef_[0], rtol=1e-4)
    assert offset == pytest.approx(oracle.intercept_[0], rel=1e-4)


def test_a_fit_stays_finite_where_scores_part_the_outcomes_and_needs_both_kinds():
    slopes, offset = fit_logistic([-2.0, -1, 1, 2], [False, False, True, True])
    assert np.isfinite([*slopes, offset]).all()
    assert slopes[0] > 1
    with pytest.raises(InputError, match="alike"):
        fit_logistic([0.0, 1.0], [True, True])


def test_fitting_calibrates():
    scores, outcomes = _scored(5, 5000)
    logits = np.log(scores / (1 - scores))
    slopes, offset = fit_logistic(logits, outcomes)
    fitted = 1 / (1 + np.exp(-(logits * slopes[0] + offset)))
    assert reliability(fitted, outcomes).error < reliability(scores, outcomes).error / 4


def test_the_plot_is_a_picture_of_every_curve(tmp_path):
    curves = {
        "before": reliability(*_scored(0)),
        "after": reliability(*_scored(1)),
        "none": reliability([], []),
    }
    plot_reliability(tmp_path / "plot.png", curves, title="scores")
    with Image.open(tmp_path / "plot.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert {(230, 159, 0), (86, 180, 233)} <= colours


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_sklearn_also_with_ties(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 20, 60) / 20
    relevant = rng.random(60) < 0.3
    assert average_precision(scores, relevant) == pytest.approx(average_precision_score(relevant, scores))


@pytest.mark.parametrize("k", [1, 7, 30])
def test_precision_at_k_equals_torchmetrics(k):
    from torchmetrics.retrieval import RetrievalPrecision  # takes seconds

    rng = np.random.default_rng(k)
    scores, relevant = rng.random(30), rng.random(30) < 0.4
    ranked = relevant[np.argsort(-scores)]
    metric = RetrievalPrecision(top_k=k)
    expected = metric(
        torch.from_numpy(scores), torch.from_numpy(relevant), indexes=torch.zeros(30, dtype=torch.long)
    )
    assert precision_at(ranked, k) == pytest.approx(float(expected))


def test_rankings_of_nothing_are_refused():
    with pytest.raises(InputError, match="relevant"):
        average_precision([0.1, 0.2], [False, False])
    with pytest.raises(InputError, match="k is 3"):
        precision_at([True, False], 3)


def test_the_interval_equals_scipy():
    values = np.random.default_rng(0).beta(2, 3, 40)
    found = bootstrap([values], rounds=20_000)
    oracle = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(oracle.confidence_interval.low, abs=0.003)
    assert found.high == pytest.approx(oracle.confidence_interval.high, abs=0.003)


def test_groups_count_alike_and_drawing_them_widens_the_interval():
    rng = np.random.default_rng(0)
    groups = [rng.normal(centre, 0.05, size) for centre, size in ((0.1, 200), (0.5, 10), (0.9, 30))]
    images = bootstrap([*groups, []])
    concepts = bootstrap(groups, resample_groups=True)
    assert images.mean == pytest.approx(np.mean([group.mean() for group in groups]))
    assert images.high - images.low < 0.03
    # Three groups drawn thrice: the mean's deviation is that of the centres over the root of three.
    deviation = np.std([0.1, 0.5, 0.9]) / np.sqrt(3)
    assert 2 * deviation < concepts.high - concepts.low < 5 * deviation
    assert bootstrap(groups) == images


def test_the_spread_of_drawn_groups_includes_that_of_their_images():
    rng = np.random.default_rng(1)
    groups = [rng.normal(0.5, 0.3, 10) for _ in range(4)]
    oracle = []
    for _ in range(4000):
        drawn = [groups[i] for i in rng.integers(0, 4, 4)]
        oracle.append(np.mean([rng.choice(group, group.size).mean() for group in drawn]))
    found = bootstrap(groups, resample_groups=True, rounds=4000)
    np.testing.assert_allclose([found.low, found.high], np.quantile(oracle, [0.025, 0.975]), atol=0.015)


@pytest.mark.parametrize("options", [{"level": 1}, {"rounds": 0}])
def test_an_interval_of_nothing_is_refused(options):
    with pytest.raises(InputError):
        bootstrap([[], []])
    with pytest.raises(InputError):
        bootstrap([[0.5, np.nan]])
    with pytest.raises(InputError):
        bootstrap([[0.5]], **options)
