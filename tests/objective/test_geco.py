"""The constrained objective: its neutral setting, its recursion by hand, and where it ends on a solved problem."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lowerbound.data import from_array, summary
from lowerbound.maths.terms import Terms
from lowerbound.model.linear import LinearAutoencoder
from lowerbound.objective import OBJECTIVES
from lowerbound.objective.schedules import Constant, Linear


def geco(parts: int = 4, **options: float) -> torch.nn.Module:
    return OBJECTIVES.build("geco", parts, 2, Constant(), **options)


def ledger(distortion: float | Tensor, rate: float = 1.0) -> Terms:
    return Terms(torch.as_tensor(distortion, dtype=torch.float32).expand(3, 5), torch.full((5, 2), rate), "closed")


def test_at_speed_0_it_is_the_negative_bound_bitwise():
    terms = Terms(100 * torch.rand(3, 5), torch.rand(5, 2), "closed")
    objective, plain = geco(speed=0.0), OBJECTIVES.build("elbo", 4, 2, Constant())
    for _ in range(3):
        assert torch.equal(objective(terms, 0.0), plain(terms, 0.0))
    assert objective.weights(0.0).beta == 1.0 and objective.first_nat() == 1.0
    assert "is the negative bound itself" in objective.words()


def test_the_recursion_is_that_of_the_paper():
    """Three steps by hand: the average, cut at the root of 4 values, moves log lambda after it was used."""
    objective = geco(kappa=10.0, speed=0.5, memory=0.9)
    log_multiplier, average = 0.0, None
    for distortion in (11.0, 8.0, 30.0):
        found = objective(ledger(distortion), 0.0).item()
        assert found == pytest.approx(math.exp(log_multiplier) * distortion + 2.0, rel=1e-6)
        excess = distortion - 10.0
        average = excess if average is None else 0.9 * average + 0.1 * excess
        log_multiplier += 0.5 * max(-1.0, min(1.0, average / 2))
        assert objective.weights(0.0).r == pytest.approx(math.exp(log_multiplier), rel=1e-6)
        assert objective.weights(0.0).beta == pytest.approx(math.exp(-log_multiplier), rel=1e-6)


def test_the_gradient_weighs_the_distortion_by_lambda_and_the_rate_by_one():
    objective = geco(kappa=0.0, speed=1.0)
    objective(ledger(2.0), 0.0)
    distortion, rate = torch.full((1, 5), 2.0, requires_grad=True), torch.ones(5, 2, requires_grad=True)
    multiplier = objective.weights(0.0).r
    objective(Terms(distortion, rate, "closed"), 0.0).backward()
    assert multiplier > 1 and torch.allclose(distortion.grad, torch.full((1, 5), multiplier / 5))
    assert torch.allclose(rate.grad, torch.full((5, 2), 1 / 5))


def test_tolerance_is_a_value_and_kappa_an_example():
    assert geco(784, tolerance=0.1).target == 78.4 and geco(784, kappa=-20.0).target == -20.0


def test_lambda_stays_finite_whatever_comes():
    for distortion, end in ((1e30, 1e6), (-1e30, 1e-6)):
        objective = geco(kappa=0.0, speed=10.0)
        for _ in range(5):
            assert torch.isfinite(objective(ledger(distortion), 0.0))
        assert objective.weights(0.0).r == pytest.approx(end, rel=0.3)


def test_evaluation_moves_nothing():
    objective = geco(kappa=0.0).eval()
    objective(ledger(5.0), 0.0)
    assert objective.weights(0.0).r == 1.0 and int(objective.steps) == 0


def test_its_memory_is_kept_bitwise():
    objective, fresh = geco(kappa=1.0), geco(kappa=1.0)
    for distortion in (3.0, 0.5):
        objective(ledger(distortion), 0.0)
    fresh.load_state_dict({k: v.clone() for k, v in objective.state_dict().items()})
    assert torch.equal(objective(ledger(2.0), 0.0), fresh(ledger(2.0), 0.0))
    assert objective.weights(0.0) == fresh.weights(0.0)


def test_the_schedule_warms_the_rate():
    objective = OBJECTIVES.build("geco", 4, 2, Linear(epochs=10), speed=0.0)
    assert objective(ledger(1.0), 5.0).item() == pytest.approx(1.0 + 0.5 * 2.0)


def test_it_says_what_it_does():
    words = geco(784).words()
    assert "78.4 nats" in words and "no bound" in words and "\n" not in words
    assert geco(784).first_nat() == 0.0


def test_it_ends_at_the_tolerance_with_the_lowest_rate():
    """A linear-Gaussian model of fixed deviation: the distortion comes to kappa, and 1 / lambda is the beta at which a
    plain run ends at the same distortion and rate. 2 seconds; 1% of kappa, 5% of the rate."""
    torch.manual_seed(0)
    data = from_array((torch.randn(256, 3) @ torch.randn(3, 6) + 0.3 * torch.randn(256, 6)).numpy(), valid=0, test=0)
    x = data.splits["train"].x
    model = LinearAutoencoder.build(summary(data), latent=3)
    for parameter in model.likelihood.parameters():
        parameter.requires_grad_(False)
    objective = OBJECTIVES.build("geco", 6, 3, Constant(), kappa=10.0, speed=0.05, memory=0.9)

    def descend(loss, steps):
        optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
        for _ in range(steps):
            terms = model(x, samples=4)
            optimiser.zero_grad()
            loss(terms, 0.0).backward()
            optimiser.step()
        terms = model(x, samples=50)
        return terms.distortion.mean().item(), terms.rate.sum(1).mean().item()

    distortion, rate = descend(objective, 1200)
    beta = objective.weights(0.0).beta
    assert distortion == pytest.approx(10.0, rel=0.01) and 0.5 < beta < 0.7
    again = descend(OBJECTIVES.build("elbo", 6, 3, Constant(), beta=beta), 600)
    assert again == (pytest.approx(distortion, rel=0.01), pytest.approx(rate, rel=0.05))
