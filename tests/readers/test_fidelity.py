"""Samples against data: distances that are known in closed form, and copies that must be seen."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.readers import pictures
from lowerbound.readers.fidelity import WARNINGS, copies, coverage, feature_map, fidelity, frechet, precision_recall
from lowerbound.readers.fidelity.copies import few_too_close, z_score
from lowerbound.readers.fidelity.distances import radii

from .test_two_sample import oracle


def exactly(mean: np.ndarray, covariance: np.ndarray, n: int = 50, seed: int = 0) -> np.ndarray:
    """n rows whose sample mean and covariance are these, to the last digit."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return mean + x @ np.linalg.cholesky(covariance).T


@pytest.mark.parametrize(
    ("mean", "a", "b", "answer"),
    [
        ([0, 0], np.eye(2), np.eye(2), 0),
        ([3, 4], np.eye(2), np.eye(2), 25),
        ([0, 0], np.eye(2), np.diag([9.0, 0.25]), 4 + 0.25),
        ([1, 0], np.array([[2.0, 1.0], [1.0, 2.0]]), 4 * np.array([[2.0, 1.0], [1.0, 2.0]]), 1 + 4),
        ([0, 0], np.diag([4.0, 1.0]), np.diag([1.0, 4.0]), 2),
    ],
)
def test_frechet_of_known_normals(mean, a, b, answer):
    """Covariances that commute: |m|^2 + tr (A^1/2 - B^1/2)^2."""
    zero = np.zeros(2)
    found = frechet(exactly(zero, a), exactly(np.array(mean, float), b, seed=1))
    assert found == pytest.approx(answer, abs=1e-9)


def test_frechet_of_covariances_that_do_not_commute():
    """In two dimensions tr (AB)^1/2 = (tr AB + 2 (det AB)^1/2)^1/2."""
    A, B = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.8], [-0.8, 3.0]])
    both = math.sqrt(np.trace(A @ B) + 2 * math.sqrt(np.linalg.det(A) * np.linalg.det(B)))
    answer = np.trace(A) + np.trace(B) - 2 * both
    a, b = exactly(np.zeros(2), A), exactly(np.zeros(2), B, seed=1)
    assert frechet(a, b) == pytest.approx(answer, abs=1e-9)
    assert frechet(b, a) == pytest.approx(answer, abs=1e-9)


def test_frechet_is_too_large_for_few_rows():
    """The reason for the figure of training examples beside it: one distribution, 20 features, 50 rows or 2,000."""
    random = np.random.default_rng(0)
    few, many = (frechet(*random.normal(size=(2, n, 20))) for n in (50, 2000))
    assert few > 2 > 0.2 > many > 0


def test_precision_and_recall_of_modes():
    """Two far modes in the data; samples of one: all are among the data, which are half among them."""
    random = np.random.default_rng(0)
    real = random.normal(size=(400, 2)) + np.repeat([[0.0, 0.0], [100.0, 0.0]], 200, 0)
    one = random.normal(size=(400, 2))
    precision, recall = precision_recall(one, real)
    assert precision > 0.9
    assert 0.45 < recall <= 0.5
    assert 0.4 < coverage(one, real) <= 0.5
    assert precision_recall(real, one) == (recall, precision)
    far = one + 1000
    assert (*precision_recall(far, real), coverage(far, real)) == (0, 0, 0)
    assert (*precision_recall(real, real), coverage(real, real)) == (1, 1, 1)


def test_a_lone_sample_widens_recall_and_not_coverage():
    real = np.random.default_rng(0).normal(size=(200, 2))
    lone = np.full((5, 2), 30.0) + np.array([[100.0, 0], [0, 100], [-100, 0], [0, -100], [0, 0]])
    assert precision_recall(lone, real)[1] == 1
    assert coverage(lone, real) == 0


def test_radii_by_hand():
    assert radii(np.array([[0.0], [1.0], [3.0], [7.0]]), k=2).tolist() == [3, 2, 3, 6]


def test_the_score_of_what_is_not_copied_is_standard_normal():
    """100 fresh sets: C_T against N(0, 1) by Kolmogorov-Smirnov (fails one time in 1,000), and no alarm (in 10)."""
    random = np.random.default_rng(0)
    found = [copies(*(random.normal(size=(n, 4)) for n in (200, 150, 400)), seed=i) for i in range(100)]
    assert kstest([one.score for one in found], "norm").pvalue > 0.001
    assert sum(one.copied for one in found) <= 1


@pytest.mark.parametrize(
    ("what", "share", "noise"), [("all", 1.0, 0.0), ("near copies", 1.0, 0.1), ("one in ten", 0.1, 0.0)]
)
def test_copies_are_seen(what, share, noise):
    random = np.random.default_rng(3)
    train, held, samples = (random.normal(size=(n, 5)) for n in (500, 300, 300))
    n = int(share * len(samples))
    samples[:n] = train[random.permutation(500)[:n]] + noise * random.normal(size=(n, 5))
    found = copies(samples, held, train)
    assert found.copied
    assert "learned by heart" in found.words()
    if share == 1 and not noise:
        assert found.ratio == 0
        assert found.distance.max() < 1e-6
        assert (train[found.nearest] == samples).all()


def test_far_samples_are_no_copies():
    random = np.random.default_rng(3)
    found = copies(3 * random.normal(size=(300, 5)), random.normal(size=(300, 5)), random.normal(size=(500, 5)))
    assert not found.copied
    assert found.score > 3
    assert "not yet like data" in found.words()


def test_the_chance_of_very_close_samples():
    """j = 1 held-out example: k samples below it have chance C(n, k) / C(n + m, k)."""
    near, far = np.array([0.1, 0.2, 0.9]), np.array([0.5, 1.0])
    share, p = few_too_close(near, far)
    assert (share, p) == pytest.approx((2 / 3, 3 / 10))
    assert few_too_close(np.ones(3), np.zeros(2)) == (0, 1)


def test_the_score_by_hand():
    assert z_score(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == pytest.approx(-2 / math.sqrt(20 / 12))


def test_features_say_what_they_are():
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 400)
    x = random.normal(size=(400, 8)) + 3 * y[:, None]
    assert feature_map("raw", x, y).transform(x) is x
    pca = feature_map("pca", x, None)
    assert pca.words == "8 principal components of 400 training examples, 100 percent of their variance"
    made = pca.transform(x)
    assert np.linalg.norm(made[0] - made[1]) == pytest.approx(np.linalg.norm(x[0] - x[1]))
    classes = feature_map("classifier", x, y)
    assert classes.transform(x).shape == (400, 32)
    assert "right on 100 percent of 80 others" in classes.words
    with pytest.raises(InputError, match="no labels"):
        feature_map("classifier", x, None)
    with pytest.raises(InputError, match="unknown features 'inception'"):
        feature_map("inception", x, y)


def test_the_oracle_samples_as_its_data_are(tmp_path):
    """Draws of the true model differ from held-out data by no more than the training examples do."""
    found = fidelity(oracle(tmp_path, rows=1500))
    figures = {f.name: f for f in found.figures}
    distance = figures["Frechet distance"]
    assert abs(distance.value - distance.real) < 6 * distance.stderr
    assert abs(figures["precision"].value - figures["precision"].real) < 0.1
    assert abs(found.copies.score) < 4
    assert not found.copies.copied
    assert found.shown.shape == (48, 6)
    text = json.dumps(found.json(), allow_nan=False)
    assert all(warning in "\n".join(found.lines()) for warning in WARNINGS)
    assert "6 principal components" in text
    assert "FID" not in text.replace("It is no FID (that is on Inception features)", "")
    assert found.json() == fidelity(oracle(tmp_path / "again", rows=1500)).json()


def test_expected_values_are_not_draws(tmp_path):
    """The same model's expected values lack the noise of p(x|z): farther by the distance, nearer to every example."""
    run = oracle(tmp_path, rows=1500)
    draws, expected = fidelity(run), fidelity(run, expected=True)
    assert expected.figures[0].value > 2 * draws.figures[0].value
    assert expected.figures[2].value < draws.figures[2].value
    assert expected.samples == "expected values at draws of z"


def test_a_model_that_returns_its_training_set_is_caught(tmp_path, monkeypatch):
    run = oracle(tmp_path, rows=1500)
    x = run.data.splits["train"].x
    monkeypatch.setattr(pictures, "sample", lambda trained, n, **_: x[torch.arange(n) % len(x)])
    found = fidelity(run)
    assert found.copies.copied
    assert found.copies.ratio < 1e-6
    assert found.figures[0].value == pytest.approx(found.figures[0].real, rel=1.0), "the distance sees nothing wrong"
    assert torch.equal(found.shown[:12], found.shown[12:24])


def test_what_has_no_distance_is_refused(tmp_path):
    with pytest.raises(InputError, match="too few examples in 'test'"):
        fidelity(oracle(tmp_path, rows=150))
    run = oracle(tmp_path / "table")
    rows = {"height": np.arange(300.0) % 7, "town": ["Ulm", "Bonn"] * 150}
    run.given = data_floor.from_array(rows)
    run.__dict__["data"] = run.given
    with pytest.raises(InputError, match="mixed columns"):
        fidelity(run)
