"""Scores of single examples: exact on the linear model, the same as evaluate, and low for what is strange.

Random tests are seeded; what is noisy is held to five standard errors (a false alarm in some two million).
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.readers.evaluate import evaluate
from lowerbound.readers.score import score
from tests.readers.conftest import finished
from tests.readers.linear import exact, plane

ODDS = Path(os.environ.get("LOWERBOUND_DATA", "/nowhere")) / "odds"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return exact(tmp_path_factory.mktemp("linear") / "run", plane(600))


def test_the_score_of_the_linear_model_is_its_log_evidence(run):
    """With the exact posterior every importance weight is p(x): no noise at all, whatever the number of samples."""
    trained, model = run
    with torch.no_grad():
        truth = model.log_evidence(trained.data.splits["test"].x.double()).numpy()
    for samples in (2, 40):
        found = score(trained, estimator="iwae", samples=samples)
        np.testing.assert_allclose(found.bound, truth, atol=1e-9)
        assert found.stderr.max() < 1e-6 and found.ess.min() > samples - 1e-6


def test_the_stated_error_is_the_real_one(run):
    """The elbo's distance to its exact value, in stated errors, has deviation 1 (300 examples; 0.8 to 1.2)."""
    trained, model = run
    with torch.no_grad():
        truth = model.exact_elbo(trained.data.splits["test"].x.double()).numpy()
    found = score(trained, samples=64)
    assert 0.8 < ((found.bound - truth) / found.stderr).std() < 1.2


def test_the_error_of_iwae_is_the_real_one(run):
    """With a posterior half as wide as it should be; the spread over 40 seeds against what is stated."""
    trained, model = run
    head = model.posterior.head.bias
    before = head.detach().clone()
    with torch.no_grad():
        head[model.latent :] -= 0.5
    try:
        found = [score(trained, estimator="iwae", samples=50, seed=s, features=False) for s in range(40)]
    finally:
        head.data.copy_(before)
    spread = np.std([f.bound for f in found], 0, ddof=1)
    stated = np.sqrt(np.mean([f.stderr**2 for f in found], 0))
    assert 0.8 < np.median(stated / spread) < 1.25


def test_the_mean_of_the_scores_is_what_evaluate_says(digits, table):
    for trained in (digits, table):
        for samples in (1, 5):
            mean = score(trained, samples=samples).bound.mean()
            assert mean == pytest.approx(evaluate(trained, samples=samples).elbo.value, rel=1e-6)


def test_what_the_values_cost_sums_to_the_distortion(digits, table, wide):
    for trained in (digits, table, wide):
        found = score(trained, samples=20)
        total = found.features.reshape(len(found.bound), -1).sum(1)
        np.testing.assert_allclose(total, found.distortion, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(-found.bound, found.distortion + found.rate, rtol=1e-5, atol=1e-5)


def test_a_missing_cell_costs_nothing(table):
    x = table.data.splits["test"].x[:4].clone()
    x[0, 0] = torch.nan
    found = score(table, data_floor.Data(**{**vars(table.data), "splits": {"train": data_floor.Split(x)}}))
    assert found.features[0, 0] == 0 and (found.features[1:, 0] != 0).all()


@pytest.mark.parametrize("estimator", ["elbo", "iwae"])
def test_no_batch_size_changes_a_score(run, estimator):
    whole = score(run[0], estimator=estimator, samples=20)
    pieces = score(run[0], estimator=estimator, samples=20, batch=7)
    for name in ("bound", "stderr", "rate", "distortion", "features"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=0, atol=1e-12)


def test_every_example_is_scored_and_keeps_its_row(run):
    found = score(run[0], samples=1, batch=7)
    assert len(found.bound) == len(run[0].data.splits["test"]) == 300
    assert sorted(found.rows) == sorted(run[0].data.splits["test"].rows)
    assert np.isnan(found.stderr).all()
    assert [line.split()[2] for line in found.lines(2)[2:]] == ["±", "-", "-"]
    assert json.loads(json.dumps(found.json(), allow_nan=False))["strangest"][0]["stderr"] is None
    assert found.strangest(3).tolist() == np.argsort(found.bound)[:3].tolist()


def test_an_array_is_read_as_the_data_of_training_were(digits):
    x = digits.data.splits["test"].x[:5]
    given = score(digits, x.numpy(), samples=3)
    own = score(digits, samples=3)
    np.testing.assert_allclose(given.bound, own.bound[:5], rtol=1e-5)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    few = {"latent": 8, "training": {"epochs": 40, "batch": 64, "learning_rate": 3e-3}}
    return finished(tmp_path_factory.mktemp("runs") / "learned", data_floor.load("digits"), **few)


def test_corrupted_digits_score_lower(learned):
    """Held-out digits against the same ones with their pixels shuffled, or a square inverted; and pixel by pixel."""
    x = learned.data.splits["test"].x
    shuffled = x.flatten(1)[:, torch.randperm(64, generator=torch.Generator().manual_seed(0))].reshape(x.shape)
    squared = x.clone()
    squared[..., 2:5, 2:5] = 16 - squared[..., 2:5, 2:5]
    fine = score(learned).strangeness
    for broken, least in ((shuffled, 0.95), (squared, 0.85)):
        found = score(learned, broken.numpy())
        auc = roc_auc_score(np.repeat([0, 1], len(x)), np.concatenate([fine, found.strangeness]))
        assert auc > least, auc
    cost = score(learned, squared.numpy()).features - score(learned).features
    inside = cost[..., 2:5, 2:5].mean()
    assert inside > 5 * abs(cost[:, :, 6:, :].mean())


def test_the_sign_is_that_of_a_bound(learned):
    """Higher is better: a training digit scores above noise."""
    noise = np.random.default_rng(0).integers(0, 17, (50, 8, 8)).astype(np.float32)
    assert score(learned).bound.mean() > score(learned, noise).bound.mean()
    assert score(learned).bound.max() < 0


@pytest.mark.skipif(not ODDS.is_dir(), reason="LOWERBOUND_DATA has no odds sets")
def test_an_outlier_set_is_separated(tmp_path):
    """satimage-2, unlabelled training: the bound ranks outliers above 0.9 AUC (it has been near 0.99)."""
    held = np.load(ODDS / "satimage-2.npz")
    data = data_floor.from_array(held["X"].astype(np.float32), kind="real")
    few = {"training": {"epochs": 8, "batch": 100, "learning_rate": 3e-3}, "latent": 4}
    trained = finished(tmp_path / "run", data, **few)
    assert roc_auc_score(held["y"], score(trained, held["X"].astype(np.float32), samples=4).strangeness) > 0.9


def test_bad_wishes_are_refused(run, monkeypatch):
    trained, model = run
    with pytest.raises(InputError, match="did you mean iwae"):
        score(trained, estimator="iwa")
    with pytest.raises(InputError, match="it has: train, test"):
        score(trained, split="valid")
    monkeypatch.setattr(model.posterior, "density", False, raising=False)
    with pytest.raises(InputError, match="no density"):
        score(trained)


def test_a_label_that_is_summed_over(tmp_path):
    """The bound is there, as evaluate has it; importance weights and the cost of each value are not."""
    trained = finished(
        tmp_path / "run", data_floor.load("digits"), condition={"name": "inferred-labels", "hidden": [8]}
    )
    found = score(trained, samples=2)
    assert found.features is None and found.lines()
    assert found.bound.mean() == pytest.approx(evaluate(trained, samples=2).elbo.value, rel=1e-6)
    with pytest.raises(InputError, match="importance weight"):
        score(trained, estimator="iwae")


def test_a_score_says_what_it_bounds(run, tmp_path):
    assert score(run[0], samples=2).json()["bound"]["what"] == "lower bound on log p(x)"
    conditional = finished(tmp_path / "run", data_floor.load("digits"), condition={"name": "labels"})
    found = score(conditional, samples=2, estimator="iwae")
    assert found.json()["bound"]["what"] == "lower bound on log p(x | label) in expectation"
    assert found.lines()[0].startswith("iwae on log p(x | label), 2 sample(s)")


def test_one_number_is_not_infinite(run):
    assert math.isfinite(score(run[0], estimator="iwae", samples=2).stderr.max())
