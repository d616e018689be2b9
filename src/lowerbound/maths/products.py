"""Matrix products in float32 on a CPU by oneDNN, which torch itself asks for bfloat16.

For float32 torch asks MKL, which runs at half speed on processors of other makers than its own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from lowerbound.maths.tracing import is_spelt_out

LARGE = 1_000_000
"""Multiplications from which a product is worth a call out of a graph."""
WORTH = 8_000_000
"""Multiplications from which a layer gains more by its three products than it loses by a gradient that is Python."""


def quick(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether :func:`product` is the quicker way, and there."""
    return dtype == torch.float32 and device.type == "cpu" and torch.backends.mkldnn.is_available()


@cache
def favoured() -> bool:
    """Whether the processor is one that MKL is made for, or torch has another library."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return not torch.backends.mkl.is_available() or "AMD" not in known.get("cpu_name", "")


def product(a: Tensor, b: Tensor) -> Tensor:
    """a (rows, n) b (n, columns) -> (rows, columns), float32 on a CPU.

    >>> product(torch.ones(2, 3), torch.ones(3, 1))
    tensor([[3.],
            [3.]])
    """
    found: Tensor = torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")
    return found


class Affine(Function):
    """x W^T + b, whose gradients are products by :func:`linear` again and so have gradients themselves."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, W)
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, W, b, "none", [], "")
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, W = ctx.saved_tensors
        for_x, for_W, for_b = ctx.needs_input_grad
        return linear(g, W.t()) if for_x else None, linear(g.t(), x.t()) if for_W else None, g.sum(0) if for_b else None


def linear(x: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """x (rows, n), W (columns, n), b (columns,) -> x W^T + b (rows, columns), by the quicker way.

    What torch transforms, traces or rounds is left to its own ``linear``, as are small products and processors that
    MKL favours.

    >>> linear(torch.ones(2, 3), torch.ones(1, 3), torch.ones(1))
    tensor([[4.],
            [4.]])
    """
    large = x.dim() == 2 and x.numel() * len(W) >= WORTH and quick(x.dtype, x.device) and W.dtype == x.dtype
    if not large or favoured() or is_spelt_out():
        return F.linear(x, W, b)
    if torch.is_autocast_enabled("cpu") or torch._C._are_functorch_transforms_active():
        return F.linear(x, W, b)
    return Affine.apply(x, W, b)  # type: ignore[no-any-return]


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
