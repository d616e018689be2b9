"""Whole-model truths: the minibatch gradient is unbiased, and no figure depends on the batch size. All in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lowerbound.maths.units import mean_examples
from lowerbound.training.ledger import Ledger
from lowerbound.training.loop import Training
from lowerbound.training.measure import measure
from lowerbound.training.randomness import order
from lowerbound.training.run import Run
from lowerbound.training.watch import Watch
from tests.training.small import blobs, spec, stripes

DATA = {"bernoulli": stripes, "normal": lambda: blobs(390)}
OBJECTIVES = {
    "elbo": {"name": "elbo"},
    "beta 4": {"name": "elbo", "beta": 4.0},
    "averaged": {"name": "averaged"},
    "free bits of each example": {"name": "free-bits", "floor": 0.3, "per": "example"},
}


def trainer(tmp_path, batch: int, data, objective: dict | None = None, **settings) -> Training:
    """A run that is about to take its first step; weights and warm-up are those of the seed."""
    chosen = spec(
        objective=objective or {"name": "elbo"}, training={"batch": batch, "precision": "float64"}, **settings
    )
    cpu = torch.device("cpu")
    training = Training(chosen, data, Run(tmp_path / f"run{batch}"), None, Watch(), lambda: None, lambda: False, cpu)
    for parameter in training.model.parameters():  # away from the start, where some gradients vanish
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    training.model.eval()
    return training


def noise_of(training: Training) -> Tensor:
    """One draw for every example of the training split, whichever batch it falls into."""
    g = torch.Generator().manual_seed(7)
    return torch.randn(1, training.n, training.model.latent, generator=g, dtype=torch.float64)


def epoch(training: Training, noise: Tensor):
    """The (rows, loss, ledger) of every step of the first epoch, at unchanged weights, noise keyed by example."""
    forward = training.model.forward
    rows = order(training.spec.training.seed, 0, training.n)
    for taken in rows.split(training.spec.training.batch):
        training.model.forward = lambda x, taken=taken, **_: forward(x, noise=noise[:, taken])
        loss, ledger = training.players[0].loss(training._batch(taken))
        yield taken, loss, ledger
    training.model.forward = forward


def gradient(training: Training) -> Tensor:
    """The average of the steps' gradients, each step weighted by its examples."""
    parameters = training.players[0].parameters
    total = torch.zeros(sum(p.numel() for p in parameters), dtype=torch.float64)
    for taken, loss, _ in epoch(training, noise_of(training)):
        total += len(taken) / training.n * torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])
    return total


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("likelihood", DATA)
def test_the_average_minibatch_gradient_is_the_full_gradient(tmp_path, likelihood, objective):
    data = DATA[likelihood]()
    n = len(data.splits["train"])
    assert n % 7 and n % 32  # a ragged last batch
    full = gradient(trainer(tmp_path, n, data, OBJECTIVES[objective]))
    assert full.norm() > 1e-3
    for batch in (1, 7, 32):
        average = gradient(trainer(tmp_path, batch, data, OBJECTIVES[objective]))
        assert (average - full).norm() <= 1e-12 * full.norm()


def test_the_gradient_is_that_of_the_negative_bound(tmp_path):
    """d/dtheta of -mean(elbo), by the ledger alone: catches a weight left in the objective."""
    training = trainer(tmp_path, 10**6, blobs())
    (_, loss, ledger) = next(epoch(training, noise_of(training)))
    torch.testing.assert_close(loss, -mean_examples(ledger.elbo()), rtol=1e-13, atol=0)


def test_free_bits_per_batch_are_not_unbiased_and_that_is_known(tmp_path):
    """max(floor, mean of a batch) is not linear in the batch: small batches give another objective, as published."""
    part = {"name": "free-bits", "floor": 0.3, "per": "batch"}
    data = stripes()
    full, single = (gradient(trainer(tmp_path, batch, data, part)) for batch in (len(data.splits["train"]), 1))
    assert (single - full).norm() > 1e-3 * full.norm()


# Figures ------------------------------------------------------------------------------------------------------------


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("likelihood", DATA)
@pytest.mark.parametrize("split", ["train", "valid"])
def test_measured_figures_do_not_depend_on_the_batch_size(tmp_path, likelihood, split):
    data = DATA[likelihood]()
    model = trainer(tmp_path, 32, data).model
    n = len(data.splits[split])
    whole = measure(model, data, split, batch=n, means=True)
    assert whole.distortion.shape == (n,) and whole.rate.shape == (n, 2)
    for batch in (1, 7, 32):
        parts = measure(model, data, split, batch=batch, means=True)
        for name in ("distortion", "rate", "mean", "elbo"):
            torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-12, atol=1e-12)
        for key, value in whole.row().items():
            pairs = (
                zip(value, parts.row()[key], strict=True) if isinstance(value, list) else [(value, parts.row()[key])]
            )
            assert all(close(a, b) for a, b in pairs), key


@pytest.mark.parametrize("likelihood", DATA)
def test_the_training_ledger_does_not_depend_on_the_batch_size(tmp_path, likelihood):
    data = DATA[likelihood]()
    rows = []
    for batch in (10**6, 1, 7, 32):
        training = trainer(tmp_path, batch, data)
        ledger = Ledger.empty(2, training.device)
        for _, loss, terms in epoch(training, noise_of(training)):
            ledger.add(terms, loss, torch.zeros(()), len(terms.rate))
        assert ledger.examples == training.n
        rows.append(ledger.row())
    for row in rows[1:]:
        for key in ("bound", "rate", "distortion", "objective"):
            assert close(row[key], rows[0][key]), key
        assert all(close(a, b) for a, b in zip(row["rate_per_dimension"], rows[0]["rate_per_dimension"], strict=True))


def test_more_samples_measure_the_same_bound(tmp_path):
    """1 and 64 samples an example agree within 5 standard errors (seeded; false-alarm rate 6e-7)."""
    data = blobs()
    model = trainer(tmp_path, 32, data).model
    one, many = (measure(model, data, "train", samples=k).elbo for k in (1, 64))
    gap = one - many
    assert abs(gap.mean()) < 5 * gap.std() / math.sqrt(len(gap))
