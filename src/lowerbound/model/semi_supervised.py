"""A model whose label is latent where it is unknown (M2)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowerbound.errors import InputError
from lowerbound.maths.divergence import kl
from lowerbound.maths.onehot import OneHot
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import at_least_float32
from lowerbound.model.autoencoder import Autoencoder, full_precision


class SemiSupervised(Autoencoder):
    r"""An autoencoder of p(x|z, y) whose label y is inferred by a classifier q(y|x) where it is not known.

    .. math::
        \log p(x, y) &\ge -\text{distortion}(x,y) - \text{rate}(x,y) - \log K \\
        \log p(x) &\ge -\sum_y q(y|x)\left[\text{distortion}(x,y) + \text{rate}(x,y)\right] - KL(q(y|x)\|p(y))

    Both are the ledger's distortion and rate: the label is the last column of the rate, log K where it is given.
    Every class is tried, so the sum over y is exact. Source: Kingma et al. 2014 (1406.5298), eq. 6 and 7.
    """

    def __init__(self, *parts: Any, classifier: nn.Module, **named: Any) -> None:
        super().__init__(*parts, **named)
        self.classifier = classifier
        self.classes = self.condition.width

    @property
    def rate_width(self) -> int:
        return super().rate_width + 1

    @property
    def names_class(self) -> bool:
        return True

    def class_logits(self, x: Tensor) -> Tensor:
        """Logits of q(y|x): (batch, classes)."""
        return at_least_float32(self.classifier(self.corruption(self.features(x))))

    def labels_of(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The labels (batch,), the likeliest class where they are unknown."""
        if y is not None and bool((y >= 0).all()):
            return y
        likeliest = self.class_logits(x).argmax(-1)
        return likeliest if y is None else torch.where(y >= 0, y, likeliest)

    def given(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.condition(x, self.labels_of(x, y))

    def log_joint(self, z: Tensor, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x|z, y) + log p(z) + log p(y) where y is known, in nats: (samples, batch)."""
        if y is None or bool((y < 0).any()):
            raise InputError("the joint density needs the label", where="labels", mend="give y for every example")
        return super().log_joint(z, x, y) - math.log(self.classes)

    def forward(
        self,
        x: Tensor,
        *,
        y: Tensor | None = None,
        noise: Tensor | None = None,
        samples: int = 1,
        weights: bool = False,
    ) -> Terms:
        if weights:
            what = "an inferred label has no importance weight"
            raise InputError(what, where="bound", mend="use bound elbo with condition inferred-labels")
        n, K = len(x), self.classes
        y = torch.full((n,), -1, device=x.device) if y is None else y
        unknown = (y < 0).nonzero().squeeze(-1)
        known = (y >= 0).nonzero().squeeze(-1)
        if noise is None:
            noise = torch.randn(samples, n, self.noise_width, dtype=x.dtype, device=x.device)
        rows = torch.cat([known, unknown.repeat_interleave(K)])
        labels = torch.cat([y[known], torch.arange(K, device=x.device).repeat(len(unknown))])
        every = super().forward(x[rows], y=labels, noise=noise[:, rows])
        with full_precision(x.device):
            return self._summed(every, self.class_logits(x[unknown]), known, unknown)

    def _summed(self, every: Terms, logits: Tensor, known: Tensor, unknown: Tensor) -> Terms:
        """The terms of every (example, class), averaged over q(y|x) where the label is unknown."""
        K, k, u = self.classes, len(known), len(unknown)
        q = F.softmax(logits, -1)
        at = torch.cat([known, unknown]).argsort()
        distortion = torch.cat(
            [every.distortion[:, :k], (every.distortion[:, k:].unflatten(1, (u, K)) * q).sum(-1)], 1
        )[:, at]
        style = torch.cat([every.rate[:k], (every.rate[k:].unflatten(0, (u, K)) * q.unsqueeze(-1)).sum(1)])
        uniform = OneHot(torch.zeros_like(logits).unsqueeze(-2))
        label = torch.cat([logits.new_full((k, 1), math.log(K)), kl(OneHot(logits.unsqueeze(-2)), uniform).value])
        return Terms(distortion, torch.cat([style, label], 1)[at], every.kind)
