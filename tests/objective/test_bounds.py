"""Bounds and the estimators of their gradients, against exact gradients of the linear-Gaussian oracle.

Every z-test is seeded; its false-alarm rate is stated.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lowerbound.data import from_array, summary
from lowerbound.errors import InputError
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.maths.terms import Terms
from lowerbound.model.linear import LinearAutoencoder
from lowerbound.objective import BOUNDS, OBJECTIVES, REGULARISERS, Batch, Minimised
from lowerbound.objective.schedules import SCHEDULES, Constant

GRADIENTS = ("plain", "stl", "dreg")


def oracle() -> tuple[LinearAutoencoder, Tensor]:
    """A linear model that is not at its optimum, and five examples."""
    g = torch.Generator().manual_seed(2)
    x = torch.randn(60, 2, generator=g) @ torch.randn(2, 4, generator=g) + 0.4 * torch.randn(60, 4, generator=g)
    data = from_array(x.numpy(), valid=0, test=0, kind="real")
    torch.manual_seed(0)
    model = LinearAutoencoder.build(summary(data), latent=2).double()
    return model, data.splits["train"].x[:5].double()


TOGETHER = 20
"""Draws an example in one batch: a gradient is then the average of so many."""


def gradients(model, loss, draws: int) -> tuple[Tensor, Tensor]:
    """Average and standard error over ``draws`` of the gradient of a stochastic loss, as one long vector each."""
    draws //= TOGETHER
    parameters = list(model.parameters())
    total = [torch.cat([g.flatten() for g in torch.autograd.grad(loss(), parameters)]) for _ in range(draws)]
    stacked = torch.stack(total)
    return stacked.mean(0), stacked.std(0) / draws**0.5


def iwae_loss(model, x: Tensor, k: int, gradient: str):
    bound = BOUNDS.build("iwae", k=k, gradient=gradient)
    minimised = Minimised(model, objective_of(), bound)
    return lambda: minimised(Batch(x.repeat(TOGETHER, 1)))[0]


def objective_of(name: str = "elbo", **options):
    return OBJECTIVES.build(name, 4, 2, Constant(), **options)


def exact_gradient(model, x: Tensor) -> Tensor:
    loss = -model.exact_elbo(x).mean()
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_with_one_sample_every_estimator_has_the_gradient_of_the_elbo(gradient):
    """2,000 draws against the exact gradient: every |z| < 5 of 22 parameters, a false alarm of 2e-5."""
    model, x = oracle()
    mean, error = gradients(model, iwae_loss(model, x, 1, gradient), 2000)
    assert ((mean - exact_gradient(model, x)).abs() <= 5 * error + 1e-12).all()


@pytest.mark.parametrize("estimator", ["closed", "sampled"])
def test_both_estimators_of_the_paper_have_the_gradient_of_the_elbo(estimator):
    """2,000 draws of SGVB A (sampled) and B (closed) against the exact gradient: |z| < 5, a false alarm of 2e-5."""
    model, x = oracle()
    minimised = Minimised(model, objective_of(), BOUNDS.build("elbo", estimator=estimator))
    mean, error = gradients(model, lambda: minimised(Batch(x.repeat(TOGETHER, 1)))[0], 2000)
    assert ((mean - exact_gradient(model, x)).abs() <= 5 * error + 1e-12).all()


@pytest.mark.parametrize("k", [2, 8])
def test_the_doubly_reparameterised_gradient_is_unbiased(k):
    """4,000 draws each of dreg and plain: they differ by less than 5 standard errors (a false alarm of 2e-5)."""
    model, x = oracle()
    plain, a = gradients(model, iwae_loss(model, x, k, "plain"), 4000)
    dreg, b = gradients(model, iwae_loss(model, x, k, "dreg"), 4000)
    assert ((plain - dreg).abs() <= 5 * (a.square() + b.square()).sqrt()).all()


def test_the_doubly_reparameterised_gradient_of_the_encoder_varies_less():
    """At k = 16 its variance for the encoder is below 0.7 of the plain one's (measured: half)."""
    model, x = oracle()
    encoder = sum(p.numel() for p in [*model.encoder.parameters(), *model.posterior.parameters()])
    errors = {name: gradients(model, iwae_loss(model, x, 16, name), 2000)[1] for name in ("plain", "dreg")}
    assert errors["dreg"][:encoder].square().sum() < 0.7 * errors["plain"][:encoder].square().sum()


def test_at_the_exact_posterior_sticking_the_landing_has_no_variance():
    """Where q is p(z|x) the path derivative is 0 for every draw; the plain gradient is not."""
    model, x = oracle()
    model.solve(x if len(x) > 4 else x.repeat(3, 1))
    encoder = [*model.encoder.parameters(), *model.posterior.parameters()]

    def norm(gradient: str) -> float:
        loss = iwae_loss(model, x, 1, gradient)()
        return sum(float(g.square().sum()) for g in torch.autograd.grad(loss, encoder))

    assert norm("stl") < 1e-18 < 1e-3 < norm("plain")


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_the_value_is_the_bound_never_the_surrogate(gradient):
    model, x = oracle()
    minimised = Minimised(model, objective_of(), BOUNDS.build("iwae", k=7, gradient=gradient))
    loss, terms = minimised(Batch(x))
    assert terms.log_weight.shape == (7, len(x))
    assert abs(float(loss.detach()) + float(terms.iwae().detach().mean())) < 1e-12


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_by_enumeration(gradient):
    """Two codes a and b, one draw of each: the estimator's formula written out term by term."""
    a, b = (torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (0.3, -0.2))
    noise = torch.tensor([[[0.5]], [[-1.1]]], dtype=torch.float64)
    q = DiagonalNormal(a.view(1, 1), b.view(1, 1))
    z = q.transform(noise)
    joint = -(z**4).sum(-1) + z.sum(-1)
    terms = Terms(-joint, torch.zeros(1, 1), "sampled", joint - q.log_prob(z), z, q, None)
    bound = BOUNDS.build("iwae", k=2, gradient=gradient)
    found = torch.autograd.grad(bound.loss(terms, objective_of(), 0.0), (a, b))

    s = math.exp(-0.1)
    values = [0.3 + s * e for e in (0.5, -1.1)]
    logs = [-(v**4) + v + 0.5 * e * e - 0.1 for v, e in zip(values, (0.5, -1.1), strict=True)]
    top = max(logs)
    share = [math.exp(w - top) / sum(math.exp(w2 - top) for w2 in logs) for w in logs]
    expected = [0.0, 0.0]
    for v, e, w in zip(values, (0.5, -1.1), share, strict=True):
        path = -4 * v**3 + 1 + e / s  # d log w / dz with q's parameters held: dlogq/dz = -e/s
        score = (e / s, 0.5 * (e * e - 1))
        along = (1.0, 0.5 * s * e)
        for j in range(2):
            full = path * along[j] - score[j]
            gradient_of = {"plain": w * full, "stl": w * path * along[j], "dreg": w * w * path * along[j]}
            expected[j] -= gradient_of[gradient]
    assert [float(f) for f in found] == pytest.approx(expected, rel=1e-10)


REFUSED = {
    "a beta": (objective_of("elbo", beta=4.0), "none"),
    "free bits": (objective_of("free-bits"), "none"),
    "a capacity": (objective_of("capacity"), "none"),
    "averaged terms": (objective_of("averaged"), "none"),
    "a warm-up": (OBJECTIVES.build("elbo", 4, 2, SCHEDULES.build("linear", epochs=3)), "none"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_importance_weighted_bound_refuses_what_weighs_its_rate(what):
    model, _ = oracle()
    objective, _ = REFUSED[what]
    with pytest.raises(InputError, match="has no rate of its own"):
        Minimised(model, objective, BOUNDS.build("iwae"))


def test_dreg_refuses_a_regulariser_of_the_codes():
    model, _ = oracle()
    mmd = REGULARISERS.build("mmd", 4, 2)
    with pytest.raises(InputError, match="dreg"):
        Minimised(model, objective_of(), BOUNDS.build("iwae", gradient="dreg"), (mmd,))


def test_k_of_zero_is_refused():
    with pytest.raises(InputError, match="k: got 0"):
        BOUNDS.build("iwae", k=0)
