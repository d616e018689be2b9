"""Right losses, forty rewritings of them, and forty mutations, each with the code that must convict it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Any]


def kl_each(mu: Tensor, s: Tensor) -> Tensor:
    return 0.5 * (mu**2 + s.exp() - 1 - s)


def bce(x: Tensor, p: Tensor) -> Tensor:
    return -(x * p.log() + (1 - x) * (1 - p).log())


def bcel(x: Tensor, o: Tensor) -> Tensor:
    return F.softplus(o) - x * o


def sse(x: Tensor, o: Tensor) -> Tensor:
    return 0.5 * (x - o) ** 2


def g_logvar(mu: Tensor, s: Tensor, eps: Tensor) -> Tensor:
    return mu + torch.exp(0.5 * s) * eps


def g_logstd(mu: Tensor, s: Tensor, eps: Tensor) -> Tensor:
    return mu + torch.exp(s) * eps


def g_std(mu: Tensor, s: Tensor, eps: Tensor) -> Tensor:
    return mu + s * eps


def g_var(mu: Tensor, s: Tensor, eps: Tensor) -> Tensor:
    return mu + s.sqrt() * eps


def g_softplus(mu: Tensor, s: Tensor, eps: Tensor) -> Tensor:
    return mu + F.softplus(s) * eps


def n01(mu: Tensor) -> Normal:
    return Normal(torch.zeros_like(mu), torch.ones_like(mu))


def head(std: Callable[[Tensor], Tensor]) -> tuple[Loss, Any]:
    """A Bernoulli VAE with any positive head, and its sampler."""

    def loss(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
        sd = std(s)
        return (bce(x, out).sum(1) + (0.5 * (mu**2 + sd**2 - 1) - sd.log()).sum(1)).mean()

    return loss, lambda mu, s, eps: mu + std(s) * eps


def sampled(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    q = Normal(mu, (0.5 * s).exp())
    z = q.rsample()
    return (bcel(x, out).sum(1) + (q.log_prob(z) - n01(mu).log_prob(z)).sum(1)).mean()


def half_sampled(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    z = mu + (0.5 * s).exp() * torch.randn_like(mu)
    entropy = 0.5 * (s + math.log(2 * math.pi) + 1).sum(1)
    return (bcel(x, out).sum(1) - entropy - n01(mu).log_prob(z).sum(1)).mean()


def masked_both(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    return (bce(x, out).sum() + kl_each(mu, s).sum()) / (x.shape[0] * x.shape[1])


def gaussian(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    nll = -Normal(out, torch.ones_like(out)).log_prob(x).sum(1)
    return (nll + kl_divergence(Normal(mu, (s / 2).exp()), n01(mu)).sum(1)).mean()


def learned(scale: float) -> Loss:
    def loss(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
        nll = 0.5 * ((x - out) / scale) ** 2 + math.log(scale) + 0.5 * math.log(2 * math.pi)
        return nll.sum() / x.shape[0] + kl_each(mu, s).sum() / x.shape[0]

    return loss


def by_column(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    sd = torch.linspace(0.3, 1.4, x.shape[1], dtype=x.dtype)
    return (-Normal(out, sd).log_prob(x).sum(1) + kl_each(mu, s).sum(1)).mean()


def optimal(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    n = x.numel()
    return 0.5 * n * torch.log(((x - out) ** 2).sum() / n) + kl_each(mu, s).sum()


def categorical(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    b = x.shape[0]
    return -(x.reshape(b, 2, -1) * out.reshape(b, 2, -1).log_softmax(-1)).sum() / b + kl_each(mu, s).sum() / b


def poisson(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    return (
        F.poisson_nll_loss(out, x, log_input=False, full=False, reduction="none", eps=0.0).sum(1)
        + kl_each(mu, s).sum(1)
    ).mean()


def lognormal_rate(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    return (F.poisson_nll_loss(out, x, log_input=True, reduction="none").sum(1) + kl_each(mu, s).sum(1)).mean()


def multi(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    return (-(x * out.log_softmax(1)).sum(1) + kl_each(mu, s).sum(1)).mean()


def own_prior(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    gen = torch.Generator().manual_seed(5)
    m = 0.5 * torch.randn(mu.shape[1], generator=gen, dtype=torch.float64)
    t = 0.5 + torch.rand(mu.shape[1], generator=gen, dtype=torch.float64)
    kl = 0.5 * ((s.exp() + (mu - m) ** 2) / t - 1 - s + t.log())
    return (bce(x, out).sum(1) + kl.sum(1)).mean()


def wide_prior(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    kl = kl_divergence(Normal(mu, (s / 2).exp()), Normal(torch.zeros_like(mu), 2 * torch.ones_like(mu)))
    return (bce(x, out).sum(1) + kl.sum(1)).mean()


def continuous(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    p = torch.distributions.ContinuousBernoulli(logits=out)
    return (-p.log_prob(x).sum(1) + kl_each(mu, s).sum(1)).mean()


def gamma_form(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    """phi(s) = e^s - 1 - s, the form without cancellation."""
    return (bcel(x, out).sum(1) + 0.5 * (torch.expm1(s) - s + mu * mu).sum(1)).mean()


U, L, R = ("unit", "prob"), ("unit", "logit"), ("real", "real")
B, K, C, H = ("binary", "prob"), ("count", "rate"), ("count", "logit"), ("onehot", "logit")

# name -> (loss, sampler, (x, out))
RIGHT: dict[str, tuple[Loss, Any, tuple[str, str]]] = {
    "sum all": (lambda x, o, m, s: bce(x, o).sum() + kl_each(m, s).sum(), g_logvar, U),
    "mean over batch": (lambda x, o, m, s: (bce(x, o).sum(1) + kl_each(m, s).sum(1)).mean(), g_logvar, U),
    "vector": (lambda x, o, m, s: bce(x, o).sum(1) + kl_each(m, s).sum(1), g_logvar, U),
    "column": (lambda x, o, m, s: bce(x, o).sum(1, keepdim=True) + kl_each(m, s).sum(1, keepdim=True), g_logvar, U),
    "mean times Dx": (lambda x, o, m, s: bce(x, o).mean() * x.shape[1] + kl_each(m, s).mean(0).sum(), g_logvar, U),
    "both over numel": (masked_both, g_logvar, U),
    "both by 1000": (lambda x, o, m, s: (bce(x, o).sum() + kl_each(m, s).sum()) / 1000, g_logvar, U),
    "latent mean times Dz": (
        lambda x, o, m, s: bce(x, o).sum(1).mean() + m.shape[1] * kl_each(m, s).mean(),
        g_logvar,
        U,
    ),
    "minus half": (lambda x, o, m, s: bce(x, o).sum() - 0.5 * (1 + s - m.pow(2) - s.exp()).sum(), g_logvar, U),
    "constant dropped": (lambda x, o, m, s: bce(x, o).sum() + 0.5 * (m**2 + s.exp() - s).sum(), g_logvar, U),
    "torch bce": (lambda x, o, m, s: F.binary_cross_entropy(o, x, reduction="sum") + kl_each(m, s).sum(), g_logvar, U),
    "torch bce logits": (
        lambda x, o, m, s: (
            F.binary_cross_entropy_with_logits(o, x, reduction="sum") / len(x) + kl_each(m, s).sum() / len(x)
        ),
        g_logvar,
        L,
    ),
    "distributions": (
        lambda x, o, m, s: (
            -Independent(Bernoulli(logits=o, validate_args=False), 1).log_prob(x)
            + kl_divergence(Independent(Normal(m, (s / 2).exp()), 1), Independent(n01(m), 1))
        ).mean(),
        g_logvar,
        L,
    ),
    "log sigma": (lambda x, o, m, s: bce(x, o).sum() + (0.5 * (m**2 + (2 * s).exp() - 1) - s).sum(), g_logstd, U),
    "sigma": (lambda x, o, m, s: bce(x, o).sum() + (0.5 * (m**2 + s**2 - 1) - s.log()).sum(), g_std, U),
    "signed sigma": (lambda x, o, m, s: bce(x, o).sum() + 0.5 * (m**2 + s**2 - 1 - (s**2).log()).sum(), g_std, U),
    "variance": (lambda x, o, m, s: bce(x, o).sum() + 0.5 * (m**2 + s - 1 - s.log()).sum(), g_var, U),
    "softplus": (*head(F.softplus), U),
    "softplus floor": (*head(lambda s: F.softplus(s) + 1e-3), U),
    "softplus shifted": (*head(lambda s: F.softplus(s + 0.54)), U),
    "scaled sigmoid": (*head(lambda s: 2 * torch.sigmoid(s)), U),
    "half softplus": (*head(lambda s: 0.7 * F.softplus(s)), U),
    "exp shifted": (*head(lambda s: torch.exp(0.5 * s - 0.4)), U),
    "bounded log variance": (*head(lambda s: torch.exp(2 * torch.tanh(s))), U),
    "elu": (*head(lambda s: F.elu(s) + 1 + 1e-4), U),
    "precision": (*head(lambda s: torch.exp(-0.5 * s)), U),
    "clamped": (*head(lambda s: torch.exp(0.5 * s.clamp(-10, 10))), U),
    "sampled KL": (sampled, g_logvar, L),
    "half sampled KL": (half_sampled, g_logvar, L),
    "no cancellation": (gamma_form, g_logvar, L),
    "unit Gaussian": (gaussian, g_logvar, R),
    "half SSE": (lambda x, o, m, s: (sse(x, o).sum(1) + kl_each(m, s).sum(1)).mean(), g_logvar, R),
    "SSE over 2 s2": (lambda x, o, m, s: (sse(x, o).sum(1) / 0.01 + kl_each(m, s).sum(1)).mean(), g_logvar, R),
    "own scale": (learned(0.37), g_logvar, R),
    "scale by column": (by_column, g_logvar, R),
    "optimal variance": (optimal, g_logvar, R),
    "categorical": (categorical, g_logvar, H),
    "Poisson": (poisson, g_logvar, K),
    "Poisson log rate": (lognormal_rate, g_logvar, C),
    "multinomial": (multi, g_logvar, C),
    "own prior per latent": (own_prior, g_logvar, U),
    "wide prior": (wide_prior, g_logvar, U),
    "continuous Bernoulli": (continuous, g_logvar, L),
}


def per(reduce_x: str, reduce_z: str, batch_x: str = "mean", batch_z: str = "mean", w: float = 1.0) -> Loss:
    """Reductions over parts, latents and batch."""

    def over(t: Tensor, inner: str, outer: str) -> Tensor:
        each = t.sum(1) if inner == "sum" else t.mean(1)
        return each.sum() if outer == "sum" else each.mean()

    return lambda x, o, m, s: over(bce(x, o), reduce_x, batch_x) + w * over(kl_each(m, s), reduce_z, batch_z)


def with_kl(kl: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A Bernoulli VAE with any penalty per latent (B, Dz)."""
    return lambda x, o, m, s: (bce(x, o).sum(1) + kl(m, s).sum(1)).mean()


def with_total(kl: Callable[[Tensor], Tensor]) -> Loss:
    """A Bernoulli VAE with a function of the KL per latent, (B, Dz) -> scalar."""
    return lambda x, o, m, s: bce(x, o).sum(1).mean() + kl(kl_each(m, s))


def no_grad_kl(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
    with torch.no_grad():
        kl = kl_each(mu, s).sum(1).mean()
    return bce(x, out).sum(1).mean() + kl


ok = per("sum", "sum")
# name -> (loss, sampler, (x, out), code)
WRONG: dict[str, tuple[Loss, Any, tuple[str, str], str]] = {
    "pixels averaged": (per("mean", "sum"), g_logvar, U, "R1"),
    "latents averaged": (per("sum", "mean"), g_logvar, U, "R2"),
    "both averaged": (per("mean", "mean"), g_logvar, U, "R1"),
    "both averaged, latents": (per("mean", "mean"), g_logvar, U, "R2"),
    "likelihood summed over batch": (per("sum", "sum", "sum", "mean"), g_logvar, U, "R3"),
    "KL summed over batch": (per("sum", "sum", "mean", "sum"), g_logvar, U, "R3"),
    "all means": (per("mean", "mean", "mean", "sum"), g_logvar, U, "R3"),
    "mse averaged": (lambda x, o, m, s: F.mse_loss(o, x) + kl_each(m, s).sum(1).mean(), g_logvar, R, "R1"),
    "mse averaged, latents too": (lambda x, o, m, s: F.mse_loss(o, x) + kl_each(m, s).mean(), g_logvar, R, "R2"),
    "configured batch": (lambda x, o, m, s: bce(x, o).sum() / 100 + kl_each(m, s).sum(1).mean(), g_logvar, U, "R5"),
    "channels averaged": (lambda x, o, m, s: (bce(x, o).sum(1) / 3 + kl_each(m, s).sum(1)).mean(), g_logvar, U, "R5"),
    "wrong pixels": (lambda x, o, m, s: 1024 * bce(x, o).mean() + kl_each(m, s).sum(1).mean(), g_logvar, U, "R1"),
    "tokens averaged": (
        lambda x, o, m, s: (
            F.cross_entropy(o.reshape(len(x), 2, -1).transpose(1, 2), x.reshape(len(x), 2, -1).argmax(-1))
            + kl_each(m, s).sum(1).mean()
        ),
        g_logvar,
        H,
        "R4",
    ),
    "sign": (with_kl(lambda m, s: -kl_each(m, s)), g_logvar, U, "K3"),
    "sign of exp": (with_kl(lambda m, s: -0.5 * (1 + s - m**2 + s.exp())), g_logvar, U, "K3"),
    "sign of log": (with_kl(lambda m, s: 0.5 * (m**2 + s.exp() + s - 1)), g_logvar, U, "K3"),
    "reversed": (
        lambda x, o, m, s: (bce(x, o).sum(1) + kl_divergence(n01(m), Normal(m, (s / 2).exp())).sum(1)).mean(),
        g_logvar,
        U,
        "K4",
    ),
    "reversed sigma": (with_kl(lambda m, s: s + (1 + m**2) / (2 * (2 * s).exp()) - 0.5), g_logstd, U, "K4"),
    "mean half dropped": (with_kl(lambda m, s: 0.5 * (s.exp() - 1 - s)), g_logvar, U, "K5"),
    "log dropped": (with_kl(lambda m, s: 0.5 * (m**2 + s.exp() - 1)), g_logvar, U, "K5"),
    "variance dropped": (with_kl(lambda m, s: 0.5 * (m**2 - 1 - s)), g_logvar, U, "K5"),
    "half of mu2 dropped": (with_kl(lambda m, s: m**2 + 0.5 * (s.exp() - 1 - s)), g_logvar, U, "K5"),
    "doubled": (with_kl(lambda m, s: 2 * kl_each(m, s)), g_logvar, U, "K5"),
    "half twice": (with_kl(lambda m, s: 0.5 * kl_each(m, s)), g_logvar, U, "K5"),
    "spread dropped": (with_kl(lambda m, s: 0.5 * m**2), g_logvar, U, "K5"),
    "s squared": (with_kl(lambda m, s: 0.5 * (m**2 + (2 * s).exp() - 1 + s**2)), g_logstd, U, "K1"),
    "variance for log": (with_kl(lambda m, s: 0.5 * (m**2 + s.exp() - 1 - torch.exp(s) * s)), g_logvar, U, "K1"),
    "dead": (with_kl(lambda m, s: 0.0 * kl_each(m, s)), g_logvar, U, "K7"),
    "clamped away": (with_total(lambda k: k.sum(1).mean().clamp(0, 0)), g_logvar, U, "K7"),
    "absent": (lambda x, o, m, s: bce(x, o).sum(1).mean(), g_logvar, U, "K7"),
    "detached": (lambda x, o, m, s: (bce(x, o).sum(1) + kl_each(m, s).detach().sum(1)).mean(), g_logvar, U, "M6"),
    "no grad": (no_grad_kl, g_logvar, U, "M6"),
    "detached mean": (with_kl(lambda m, s: kl_each(m.detach(), s)), g_logvar, U, "M6"),
    "free bits per latent": (with_total(lambda k: k.clamp(min=0.5).sum(1).mean()), g_logvar, U, "M1"),
    "free bits per latent of batch": (with_total(lambda k: k.mean(0).clamp(min=0.3).sum()), g_logvar, U, "M1"),
    "floor per example": (with_total(lambda k: k.sum(1).clamp(min=2.0).mean()), g_logvar, U, "M1"),
    "cap": (with_total(lambda k: k.sum(1).clamp(max=9.0).mean()), g_logvar, U, "M1"),
    "capacity": (with_total(lambda k: 5 * (k.sum(1).mean() - 7).abs()), g_logvar, U, "M2"),
    "capacity squared": (with_total(lambda k: (k.sum(1).mean() - 7) ** 2), g_logvar, U, "M2"),
    "noise scaled": (ok, lambda m, s, e: m + 0.01 * torch.exp(0.5 * s) * e, U, "S1"),
    "sigma for variance": (ok, g_logstd, U, "S2"),
    "exp of s as deviation": (ok, lambda m, s, e: m + torch.exp(s) * e, U, "S2"),
    "variance as deviation": (RIGHT["softplus"][0], lambda m, s, e: m + F.softplus(s) ** 2 * e, U, "S2"),
    "noise shared over batch": (ok, lambda m, s, e: m + torch.exp(0.5 * s) * e[:1], U, "S3"),
    "one noise": (ok, lambda m, s: m + torch.exp(0.5 * s) * torch.randn(1, m.shape[1], dtype=m.dtype), U, "S3"),
    "uniform noise": (ok, lambda m, s: m + torch.exp(0.5 * s) * torch.rand_like(m), U, "S3"),
    "s doubled": (with_kl(lambda m, s: kl_each(m, 2 * s)), g_logvar, U, "S2"),
    "another prior unsaid": (with_kl(lambda m, s: 0.5 * (m**2 + s.exp() - 2 * s - 1)), g_logvar, U, "K2"),
    "ones weighted": (
        lambda x, o, m, s: (-(3 * x * o.log() + (1 - x) * (1 - o).log()).sum(1) + kl_each(m, s).sum(1)).mean(),
        g_logvar,
        U,
        "L5",
    ),
    "linear residual": (lambda x, o, m, s: (x - o).sum(1).mean() + kl_each(m, s).sum(1).mean(), g_logvar, R, "L2"),
}
