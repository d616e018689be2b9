"""Dropout: what hidden units do not say in training."""

from __future__ import annotations

from torch import Tensor, nn

from lowerbound.maths.draws import chosen_like, rounded


class Dropout(nn.Module):
    r"""A ``share`` of the values is 0 in training, and the rest is larger for it, so that their mean stays.

    .. math:: h_i \mapsto m_i h_i, \qquad m_i \sim \mathrm{Bernoulli}(1 - s) / (1 - s)

    Torch's own draws a mask one value after another on a CPU, which takes as long as the products of a small network.

    *Shapes*: any. *Units and sign*: ``share`` of the values, no unit. *Neutral setting*: ``share=0``, and evaluation.
    *Source*: Srivastava et al. 2014 (JMLR 15), section 4.

    >>> import torch
    >>> Dropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, h: Tensor) -> Tensor:
        if not self.training or not self.share:
            return h
        return h.masked_fill(chosen_like(h, self.share), 0) / (1 - rounded(self.share))
