"""Fully connected layers, with their products by the quicker library."""

from __future__ import annotations

from torch import Tensor, nn

from lowerbound.maths.products import linear


class Linear(nn.Linear):
    r"""Torch's layer, whose products are :func:`~lowerbound.maths.products.linear`.

    .. math:: h \mapsto W h + b

    *Shapes*: (..., inputs) -> (..., outputs). *Units and sign*: none. *Neutral setting*: none.
    *Source*: none is needed.

    >>> import torch
    >>> Linear(3, 2)(torch.ones(4, 3)).shape
    torch.Size([4, 2])
    """

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)
