"""The Parzen window: its formula, its failure, and that it never stands alone."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans

from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate
from lowerbound.readers import parzen as module
from lowerbound.readers.parzen import Beside, best_width, parzen, parzen_beside

from .test_two_sample import oracle


def test_it_is_a_mixture_of_normals():
    random = np.random.default_rng(0)
    s, x = random.normal(size=(7, 3)), random.normal(size=(5, 3))
    by_hand = [math.log(np.mean([multivariate_normal(c, 0.3**2 * np.eye(3)).pdf(row) for c in s])) for row in x]
    found = parzen(torch.from_numpy(s), torch.from_numpy(x), 0.3)
    assert found.tolist() == pytest.approx(by_hand, abs=1e-9)


def test_blocks_change_nothing(monkeypatch):
    s, x = torch.randn(20, 2), torch.randn(31, 2)
    whole = parzen(s, x, 0.5)
    monkeypatch.setattr(module, "BLOCK", 4)
    assert parzen(s, x, 0.5).tolist() == pytest.approx(whole.tolist(), abs=1e-12)


def test_in_one_dimension_with_many_samples_it_is_near_the_truth():
    """5,000 samples of N(0, 1): within 0.03 nats, six standard errors of the difference."""
    random = torch.Generator().manual_seed(0)
    s, valid, x = (torch.randn(n, 1, generator=random) for n in (5000, 500, 2000))
    found = Estimate.of(parzen(s, x, best_width(s, valid)))
    exact = Estimate.of(torch.distributions.Normal(0, 1).log_prob(x[:, 0]))
    assert found.value == pytest.approx(exact.value, abs=0.03)


def test_it_prefers_a_memoriser_to_the_truth():
    """Centres of clusters of the training set, whose log p(x) of new examples is -inf, beat the true distribution.

    Both models give as many samples; the figure of the truth is besides more than 4 nats from its own log p(x).
    """
    random, D, m = np.random.default_rng(1), 30, 200
    train, valid, test, truth = (random.normal(size=(n, D)) for n in (5000, 500, 1000, m))
    by_heart = KMeans(m, n_init=1, random_state=0).fit(train).cluster_centers_
    rows = [torch.from_numpy(a) for a in (by_heart, truth, valid, test)]
    memoriser, honest, held, x = rows
    figures = [parzen(s, x, best_width(s, held)) for s in (memoriser, honest)]
    gap = Estimate.of(figures[0] - figures[1])
    assert gap.value > 10 * gap.stderr > 0
    exact = Estimate.of(torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1))
    assert exact.value - Estimate.of(figures[1]).value > 4


def test_it_is_never_shown_alone():
    assert inspect.signature(parzen_beside).parameters["real"].default is inspect.Parameter.empty
    found = Beside(Estimate(225.0, 2.0, n=10), 0.2, 100, Estimate(-90.0, 0.5, n=10), "AIS", "test", "scaled")
    first, second, *warnings = found.lines()
    assert first.startswith("log p(x)  -90.000") and "AIS" in first
    assert second.startswith("Parzen    225.000")
    assert any("no log-likelihood" in line for line in warnings)
    assert {"log_likelihood", "parzen", "warnings"} <= set(found.json())


def test_of_a_run(tmp_path):
    """The oracle's log p(x) is exact; its samples' window is a density over the same six numbers, and lower."""
    trained = oracle(tmp_path, valid=0.25)
    exact = Estimate.of(trained.model.log_evidence(trained.data.splits["test"].x.double()).detach())
    found = parzen_beside(trained, exact, "exact", samples=2000)
    assert found.parzen.n == exact.n
    assert found.parzen.value < exact.value
    some = parzen_beside(trained, exact, "exact", samples=2000, rows=torch.arange(10))
    assert some.parzen.n == 10
    assert some.width == found.width


def test_a_window_needs_a_split_to_be_chosen_on(tmp_path):
    with pytest.raises(InputError, match="no examples in split 'valid'"):
        parzen_beside(oracle(tmp_path), Estimate(0.0, 1.0), "exact")
