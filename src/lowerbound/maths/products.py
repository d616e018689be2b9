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
