r"""The continuous Bernoulli: a density on [0, 1] whose normaliser is stable through lambda = 1/2.

With the logit l, and b = \|l\|,

.. math:: \log p(x) = x\,l - \max(l, 0) - \log\frac{1 - e^{-b}}{b}, \qquad
          \frac{d\log p}{dl} = x - \tfrac12 - \tfrac12 L(l/2), \quad L(h) = \coth h - \frac1h,

the last fraction going to 1 as b goes to 0; near 0 the Langevin function L is its continued fraction.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.data.dataset import Summary
from lowerbound.maths.units import at_least_float32, sum_parts
from lowerbound.model.likelihoods.base import LIKELIHOODS, TINY, Likelihood

NEAR = 0.5
"""Below this |h| the Langevin function is a continued fraction, above it coth h - 1/h."""
DEPTH = {torch.float32: 5, torch.float64: 10}


def langevin(h: Tensor) -> Tensor:
    """L(h) = coth h - 1/h = h/(3 + h^2/(5 + h^2/(7 + ...))): odd, from -1 to 1."""
    small = h.abs() < NEAR
    square = h.square().clamp(max=NEAR**2)
    deepest = 2 * DEPTH[h.dtype] + 1
    fraction = torch.full_like(h, float(deepest))
    for odd in range(deepest - 2, 1, -2):
        fraction = torch.div(square, fraction, out=None if torch.is_grad_enabled() else fraction).add_(odd)
    far = torch.where(small, 1.0, h)
    return torch.where(small, h / fraction, 1 / torch.tanh(far) - 1 / far)


class _LogDensity(torch.autograd.Function):
    """The log density per value, its passes over the pixels in place; its derivative in l is x minus the mean."""

    @staticmethod
    def forward(logits: Tensor, x: Tensor) -> Tensor:  # type: ignore[override]
        b = logits.abs().clamp_(min=1e-30)
        cost = b.neg().expm1_().div_(b).neg_().log_()
        return cost.add_(logits.clamp(min=0)).addcmul_(x, logits, value=-1).neg_()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], logits: Tensor, x: Tensor) -> tuple[Tensor, int]:
        """For a stack of models: every value by itself, with the stack's axis first."""
        logits, x = (a[None] if d is None else a.movedim(d, 0) for a, d in zip((logits, x), in_dims, strict=True))
        x = x.reshape(len(x), *[1] * (logits.dim() - x.dim()), *x.shape[1:])
        return _LogDensity.apply(logits, x), 0

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:  # type: ignore[override]
        logits, x = ctx.saved_tensors
        to_x = (logits * gradient).sum_to_size(x.shape) if ctx.needs_input_grad[1] else None
        return (x - 0.5 - 0.5 * langevin(0.5 * logits)) * gradient, to_x


def logits_of_mean(mean: Tensor) -> Tensor:
    """The logits at which the density has this mean, in (0, 1), by 80 bisections in float64."""
    target = 2 * mean.double() - 1
    low, high = torch.full_like(target, -1e7), torch.full_like(target, 1e7)
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = langevin(0.5 * middle) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)


class ContinuousBernoulliDistribution(Distribution):
    """The density proportional to e^(l x) on [0, 1]; ``log_prob`` per value, nats."""

    arg_constraints: dict[str, Any] = {}

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return _LogDensity.apply(at_least_float32(self.logits), value)

    @property
    def mean(self) -> Tensor:
        return 0.5 + 0.5 * langevin(0.5 * self.logits)

    @property
    def variance(self) -> Tensor:
        """(1/h^2 - 1/sinh(h)^2) / 4; 1/12 at 0."""
        h = (0.5 * self.logits).abs()
        far = h.clamp(min=0.05)
        square = h.square()
        near = (1 / 3 - square / 15 + 2 * square.square() / 189 - square**3 / 675) / 4
        return torch.where(h < 0.05, near, (far.pow(-2) - torch.sinh(far).pow(-2)) / 4)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """By the inverse of the distribution function, on the falling side, reflected where the density rises."""
        u = torch.rand(self._extended_shape(torch.Size(sample_shape))).to(self.logits)
        falling = -self.logits.abs().clamp(min=1e-6)
        y = (torch.log1p(u * torch.expm1(falling)) / falling).clamp(0, 1)
        return torch.where(self.logits > 0, 1 - y, y)


@LIKELIHOODS.register("continuous-bernoulli")
class ContinuousBernoulli(Likelihood):
    r"""Independent grey values in [0, 1], a true density; the decoder emits one logit for each.

    .. math:: \log p(x|z) = \sum_i x_i l_i - \log\frac{e^{l_i} - 1}{l_i}

    *Shapes*: out (samples, batch, 1, \*shape), x (batch, \*shape) -> (samples, batch).
    *Units and sign*: nats of a density on [0, 1], higher is better; it may be positive. *Neutral setting*: no options;
    logit 0 is the uniform density, 0 nats. *Source*: Loaiza-Ganem & Cunningham 2019 (1907.06845), eq. 3 to 8.

    >>> s = Summary("unit", (2,), torch.full((2,), 0.5), torch.full((2,), 0.3))
    >>> ContinuousBernoulli(s).log_prob(torch.zeros(1, 1, 1, 2), torch.rand(1, 2))
    tensor([[0.]])
    """

    about = "grey values in [0, 1]"
    kinds = ("unit", "binary")

    def __init__(self, summary: Summary) -> None:
        super().__init__(summary)

    def forward(self, out: Tensor) -> ContinuousBernoulliDistribution:
        return ContinuousBernoulliDistribution(self._single(out))

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        return sum_parts(_LogDensity.apply(self._flat(out).squeeze(-2), x.flatten(1)), 1)

    def marginal_variance(self, summary: Summary) -> Tensor:
        marginal = logits_of_mean(summary.mean.clamp(1e-6, 1 - 1e-6))
        return ContinuousBernoulliDistribution(marginal).variance.clamp(min=TINY).to(summary.mean)

    def output_bias(self, summary: Summary) -> Tensor:
        return logits_of_mean(summary.mean.clamp(0.02, 0.98)).to(summary.mean).unsqueeze(0)

    def warning(self, summary: Summary) -> str | None:
        return density_of_discrete(summary, "bernoulli") if summary.kind == "binary" else None


def density_of_discrete(summary: Summary, better: str) -> str:
    """The sentence on a density of values that are discrete."""
    return (
        f"The data are {summary.kind} and so discrete: a density of them has no upper limit, and its nats are no code "
        f"length. A likelihood of the values themselves: {better}."
    )
