"""Slow and sure: mpmath closed forms at 120 digits, quadrature, and models whose log p(x) is known.

The closed forms here are the textbook ones, on purpose not the forms of the library, and are themselves held to
quadrature and exact sums in ``tests/maths/test_oracles.py``. Every function takes numbers already rounded to the
dtype under test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import mpmath
import numpy as np
import torch
from mpmath import mp, mpf
from torch import Tensor

DIGITS = 120
UNDERFLOW = 1e-300
Number = float | mpf


def numbers(a: Tensor | Iterable[float] | float) -> list[mpf]:
    """The elements of ``a`` as exact multiple-precision numbers, flattened."""
    flat = a.detach().double().flatten().tolist() if isinstance(a, Tensor) else np.asarray(a, float).ravel().tolist()
    return [mpf(x) for x in flat]


def relative(value: Number, exact: mpf) -> float:
    """|value - exact| / |exact|; 0 where both are 0 or have underflowed, inf where only the value is not a number."""
    if mpmath.isinf(exact) or mpmath.isnan(mpf(value)):
        return 0.0 if mpf(value) == exact else math.inf
    if abs(exact) < UNDERFLOW:
        return 0.0 if abs(value) < 2 * UNDERFLOW else math.inf
    with mp.workdps(DIGITS):
        return float(abs((mpf(value) - exact) / exact))


def ulps(value: float, exact: mpf, dtype: torch.dtype) -> float:
    """The distance between ``value`` and ``exact`` in units in the last place of ``dtype`` at ``exact``."""
    kind = {torch.float32: np.float32, torch.float64: np.float64}[dtype]
    spacing = float(np.spacing(kind(abs(float(exact)))))
    with mp.workdps(DIGITS):
        return float(abs(mpf(value) - exact) / mpf(spacing))


def phi(x: Number) -> mpf:
    with mp.workdps(DIGITS):
        return mpmath.exp(x) - 1 - x


def kl_normal(m1: Number, l1: Number, m2: Number = 0.0, l2: Number = 0.0) -> mpf:
    """The textbook form: 1/2 [ l2 - l1 + (v1 + (m1-m2)^2) / v2 - 1 ]."""
    with mp.workdps(DIGITS):
        m1, l1, m2, l2 = (mpf(a) for a in (m1, l1, m2, l2))
        return (l2 - l1 + (mpmath.exp(l1) + (m1 - m2) ** 2) / mpmath.exp(l2) - 1) / 2


def kl_normal_pulls(m1: Number, l1: Number, m2: Number = 0.0, l2: Number = 0.0) -> tuple[mpf, mpf]:
    """d KL / d m1 and d KL / d l1."""
    with mp.workdps(DIGITS):
        m1, l1, m2, l2 = (mpf(a) for a in (m1, l1, m2, l2))
        return (m1 - m2) / mpmath.exp(l2), (mpmath.exp(l1 - l2) - 1) / 2


def kl_normal_scale(m1: Number, s1: Number, m2: Number, s2: Number) -> mpf:
    """As kl_normal, from standard deviations."""
    with mp.workdps(DIGITS):
        return kl_normal(m1, 2 * mpmath.log(s1), m2, 2 * mpmath.log(s2))


def kl_laplace(m1: Number, b1: Number, m2: Number, b2: Number) -> mpf:
    """log(b2/b1) + (b1 e^(-d/b1) + d)/b2 - 1 with d = |m1 - m2|."""
    with mp.workdps(DIGITS):
        m1, b1, m2, b2 = (mpf(a) for a in (m1, b1, m2, b2))
        d = abs(m1 - m2)
        return mpmath.log(b2 / b1) + (b1 * mpmath.exp(-d / b1) + d) / b2 - 1


def kl_table(q: Iterable[Number], p: Iterable[Number]) -> mpf:
    """sum q log(q/p) over two tables of probabilities, with 0 log 0 = 0 and q log(q/0) = inf."""
    with mp.workdps(DIGITS):
        total = mpf(0)
        for a, b in zip(q, p, strict=True):
            if a != 0:
                total += a * mpmath.log(a / b) if b != 0 else mpmath.inf
        return total


def kl_categorical(logits1: Iterable[Number], logits2: Iterable[Number]) -> mpf:
    """From any logits, normalised here."""
    with mp.workdps(2 * DIGITS):
        return kl_table(*(softmax(logits) for logits in (logits1, logits2)))


def kl_bernoulli(logit1: Number, logit2: Number) -> mpf:
    return kl_categorical([logit1, 0.0], [logit2, 0.0])


def kl_bernoulli_probs(p1: Number, p2: Number) -> mpf:
    with mp.workdps(DIGITS):
        return kl_table([mpf(p1), 1 - mpf(p1)], [mpf(p2), 1 - mpf(p2)])


def softmax(logits: Iterable[Number]) -> list[mpf]:
    weights = [mpmath.exp(mpf(a)) for a in logits]
    total = sum(weights)
    return [w / total for w in weights]


def kl_full(m1: Tensor, L1: Tensor, m2: Tensor, L2: Tensor) -> mpf:
    """1/2 [ tr(S2^-1 S1) + d' S2^-1 d - n + log det S2 / det S1 ] from the Cholesky factors of two covariances."""
    with mp.workdps(2 * DIGITS):
        n = len(m1)
        A, B = (mpmath.matrix([[mpf(x) for x in row] for row in L.tolist()]) for L in (L1, L2))
        d = mpmath.matrix([mpf(a) - mpf(b) for a, b in zip(m1.tolist(), m2.tolist(), strict=True)])
        inverse = mpmath.inverse(B * B.T)
        trace = sum((inverse * (A * A.T))[i, i] for i in range(n))
        logdet = 2 * sum(mpmath.log(B[i, i] / A[i, i]) for i in range(n))
        return (trace + (d.T * inverse * d)[0] - n + logdet) / 2


def kl_quadrature(log_q: Callable[[mpf], mpf], log_p: Callable[[mpf], mpf], points: list[float]) -> mpf:
    """The integral of q log(q/p), over the intervals between ``points``."""
    with mp.workdps(30):
        return mpmath.quad(lambda z: mpmath.exp(log_q(z)) * (log_q(z) - log_p(z)), points)


@dataclass(frozen=True)
class Conjugate:
    """x | z ~ N(W z + b, s2 I) with z ~ N(0, I): log p(x), the posterior and E_q[log p(x|z)] are all exact."""

    W: Tensor
    b: Tensor
    s2: float

    @classmethod
    def draw(cls, latent: int, parts: int, seed: int) -> Conjugate:
        g = torch.Generator().manual_seed(seed)
        W, b = torch.randn(parts, latent, generator=g).double(), torch.randn(parts, generator=g).double()
        return cls(W, b, 0.1 + torch.rand((), generator=g).item())

    def log_p(self, x: Tensor) -> Tensor:
        """Exact log p(x) in nats: (batch,)."""
        C = self.W @ self.W.T + self.s2 * torch.eye(len(self.b), dtype=torch.float64)
        return torch.distributions.MultivariateNormal(self.b, C).log_prob(x)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (batch, latent) and Cholesky factor (latent, latent) of p(z|x)."""
        M = self.W.T @ self.W / self.s2 + torch.eye(self.W.shape[1], dtype=torch.float64)
        S = torch.linalg.inv(M)
        return (x - self.b) @ self.W @ S.T / self.s2, torch.linalg.cholesky(S)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z): (samples, batch)."""
        error = (x - z @ self.W.T - self.b).square().sum(-1)
        return -0.5 * (len(self.b) * math.log(2 * math.pi * self.s2) + error / self.s2)

    def expected_log_likelihood(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """E_q[log p(x|z)] for q = N(mean, diag(variance)), exact: (batch,)."""
        spread = variance @ self.W.square().sum(0)
        return self.log_likelihood(x, mean) - 0.5 * spread / self.s2
