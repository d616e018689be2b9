"""Matrix products in float32 on a CPU by oneDNN, which torch itself asks for bfloat16.

For float32 torch asks MKL, which runs at half speed on processors of other makers than its own.
"""

from __future__ import annotations

import torch
from torch import Tensor


def quick(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether :func:`product` is the quicker way, and there."""
    return dtype == torch.float32 and device.type == "cpu" and torch.backends.mkldnn.is_available()


def product(a: Tensor, b: Tensor) -> Tensor:
    """a (rows, n) b (n, columns) -> (rows, columns), float32 on a CPU.

    >>> product(torch.ones(2, 3), torch.ones(3, 1))
    tensor([[3.],
            [3.]])
    """
    found: Tensor = torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")
    return found


def stacked(a: Tensor, b: Tensor) -> Tensor:
    """The products of M pairs: a (M, rows, n), b (M, n, columns) -> (M, rows, columns), by the quicker way.

    Either may have been expanded from one matrix: two axes are then one, and M products are one.

    >>> stacked(torch.ones(2, 1, 3), torch.ones(1, 3, 1).expand(2, 3, 1)).flatten()
    tensor([3., 3.])
    """
    if not quick(a.dtype, a.device):
        return torch.bmm(a, b)
    if b.stride(0) == 0:
        return product(a.reshape(-1, a.shape[2]), b[0]).view(len(a), a.shape[1], -1)
    if a.stride(0) == 0:
        b = b.mT.reshape(-1, b.shape[1])
        return product(a[0], b.t()).view(a.shape[1], len(a), -1).transpose(0, 1)
    found = a.new_empty(len(a), a.shape[1], b.shape[2])
    for each, x, y in zip(found, a, b, strict=True):
        each.copy_(product(x, y))
    return found
