"""Codes against the prior: right as often as it says where they match, and seen where they do not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest

from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.model.linear import LinearAutoencoder
from lowerbound.readers.two_sample import (
    ROWS,
    TwoSample,
    both,
    codes_match_prior,
    dimension_tests,
    holm,
    kernel,
    permutation_test,
)
from lowerbound.training.load import Trained
from lowerbound.training.randomness import generator, noise
from lowerbound.training.run import Run
from lowerbound.training.spec import Spec

WIDTH, LATENT = 6, 3


def oracle(path, *, shrink=1.0, shift=0.0, rows=600, seed=0, valid=0.0):
    """A linear model, exact data drawn from it, and its exact posterior, so that q(z) is p(z) to the last digit.

    With ``shrink`` and ``shift`` the posterior's means are falsified.
    """
    random = torch.Generator().manual_seed(seed)
    W = torch.randn(WIDTH, LATENT, generator=random, dtype=torch.float64)
    W = torch.linalg.qr(W)[0] * torch.tensor([2.0, 1.0, 0.7], dtype=torch.float64)
    z = torch.randn(rows, LATENT, generator=random, dtype=torch.float64)
    noise = torch.randn(rows, WIDTH, generator=random, dtype=torch.float64)
    x = z @ W.T + 0.5 * noise
    data = data_floor.from_array(x.float(), valid=valid, test=0.5)
    model = LinearAutoencoder.build(data_floor.summary(data), LATENT).double()
    model._put(W, torch.zeros(WIDTH, dtype=torch.float64), torch.tensor(0.25, dtype=torch.float64))
    with torch.no_grad():
        model.posterior.head.weight[:LATENT] *= shrink
        model.posterior.head.bias[:LATENT] += shift
    run = Run(path / f"run-{seed}")
    run.create(Spec(latent=LATENT), data.record, {}, "0")
    return Trained(run, Spec(latent=LATENT), model.eval(), data)


def test_the_p_value_is_uniform_where_both_are_one_distribution():
    """400 pairs: P(p <= t) = t at every t that 99 permutations allow. False-alarm rate of this test: one in 1,000."""
    random = np.random.default_rng(0)
    p = [permutation_test(*random.normal(size=(2, 40, 2)), permutations=99, seed=i)[1] for i in range(400)]
    assert kstest(np.array(p) - random.random(400) / 100, "uniform").pvalue > 0.001
    assert sum(np.array(p) <= 0.05) <= binom.ppf(0.9995, 400, 0.05)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("a shift", lambda z: z + 0.4),
        ("shrunk", lambda z: 0.6 * z),
        ("spread", lambda z: 1.6 * z),
        ("correlated", lambda z: z @ np.array([[1.0, 0.9], [0.0, 0.44]])),
        ("a hole in the middle", lambda z: z * (1 + 0.7 / np.linalg.norm(z, axis=1, keepdims=True))),
    ],
)
def test_power(what, change):
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, 300, 2))
    assert permutation_test(change(a), b, permutations=199)[1] == 1 / 200


def test_the_statistic_is_the_mmd_by_hand():
    a, b = np.array([[0.0], [1.0]]), np.array([[2.0]])
    K = kernel(np.concatenate([a, b]))
    by_hand = K[:2, :2].sum() / 4 + K[2, 2] - 2 * K[:2, 2].sum() / 2
    assert permutation_test(a, b, permutations=9)[0] == pytest.approx(by_hand, abs=1e-12)
    assert permutation_test(a, a, permutations=9)[:2] == pytest.approx((0, 1), abs=1e-12)


def test_a_kernel_of_few_different_points_is_finite():
    K = kernel(np.repeat(np.eye(3), [8, 1, 1], 0))
    assert np.isfinite(K).all()
    assert kernel(np.zeros((4, 2))) == pytest.approx(np.full((4, 4), 5.0))


def test_coordinates_are_tested_with_their_number_in_mind():
    """200 draws of 10 coordinates that match: a false alarm among them in 0.05 of draws (it fails once in 2,000)."""
    random = np.random.default_rng(2)
    false = [min(d.p_value for d in dimension_tests(*random.normal(size=(2, 100, 10)))) <= 0.05 for _ in range(200)]
    assert sum(false) <= binom.ppf(0.9995, 200, 0.05)
    a, b = random.normal(size=(2, 300, 10))
    a[:, 4] *= 0.5
    found = dimension_tests(a, b)
    assert [d.index for d in found if d.p_value <= 0.05] == [4]
    assert found[4].deviation == pytest.approx(0.5, abs=0.07)


def test_holm_by_hand():
    assert holm(np.array([0.04, 0.01, 0.02])).tolist() == pytest.approx([0.04, 0.03, 0.04])


def test_exact_posteriors_match_the_prior(tmp_path):
    """Twenty models whose aggregate posterior is the prior: at most four are called different (one time in 400)."""
    found = [codes_match_prior(oracle(tmp_path, seed=i), permutations=99, seed=i) for i in range(20)]
    assert sum(one.differs for one in found) <= 4
    assert kstest([one.p_value for one in found], "uniform").pvalue > 0.001


@pytest.mark.parametrize(("change", "words"), [({"shift": 0.6}, "mean +0."), ({"shrink": 0.3}, "deviation 0.")])
def test_falsified_posteriors_do_not(tmp_path, change, words):
    found = codes_match_prior(oracle(tmp_path, **change))
    assert found.differs
    assert found.p_value == 1 / 500
    assert found.statistic > found.critical
    text = " ".join(found.words())
    assert "do not match" in text
    assert words in text
    assert json.loads(json.dumps(found.json(), allow_nan=False))["n"] == 300


def test_it_is_the_split_that_was_asked_for(tmp_path):
    """Held-out examples far from those of training: their codes alone do not match."""
    trained = oracle(tmp_path, seed=1)
    trained.data.splits["test"].x.add_(3.0)
    assert codes_match_prior(trained, "test", permutations=99).differs
    assert not codes_match_prior(trained, "train", permutations=99).differs


def test_a_code_is_that_of_its_row(tmp_path):
    """Those of 50 chosen examples are made, by hand, of the noise of their rows in the split, to 1e-12."""
    trained = oracle(tmp_path)
    rows = torch.randperm(300, generator=generator(ROWS, 4))[:50]
    with torch.no_grad():
        q = trained.model.encode(trained.data.splits["test"].x[rows].double())
    by_hand = q.transform(noise(4, 0, 300, 1, LATENT)[:, rows])[0]
    assert both(trained, "test", 50, 4)[0] == pytest.approx(by_hand.numpy(), abs=1e-12, rel=0)


def test_no_difference_found_is_not_said_to_be_none(tmp_path):
    found = codes_match_prior(oracle(tmp_path, seed=1))
    assert not found.differs
    assert "no proof" in " ".join(found.words())
    assert found == codes_match_prior(oracle(tmp_path / "again", seed=1)), "the seed decides all"


def test_what_is_different_by_itself_is_said_either_way():
    two = dimension_tests(*np.random.default_rng(0).normal(size=(2, 100, 2)) * np.array([[[0.2, 1]], [[1, 1]]]))
    words = TwoSample(0.0, 0.1, 0.5, 100, 99, "test", "codes", 0, two).words()
    assert any("z0 has mean" in sentence for sentence in words)


def test_too_few_examples(tmp_path):
    few = oracle(tmp_path, rows=30)
    with pytest.raises(InputError, match="has 15 examples in split 'test'"):
        codes_match_prior(few)
