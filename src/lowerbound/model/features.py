"""What the encoder sees of an example: the same numbers in units that a network likes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowerbound.data.dataset import Summary


class Features(nn.Module):
    """x (batch, *shape) in data units -> (batch, *output_shape), centred and scaled by the data's kind.

    Binary and [0, 1] values are passed as they are; levels are laid on [-1, 1]; real values are standardised.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, summary: Summary) -> None:
        super().__init__()
        self.kind, self.output_shape = summary.kind, tuple(summary.shape)
        mean, scale = torch.zeros(summary.shape), torch.ones(summary.shape)
        if summary.kind == "levels":
            half = (summary.levels - 1) / 2
            mean, scale = mean + half, scale * half
        elif summary.kind == "real":
            mean, scale = summary.mean.clone(), torch.where(summary.std > 0, summary.std, 1.0)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind in ("binary", "unit"):
            return x
        return (x - self.mean) / self.scale
