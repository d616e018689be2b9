"""What a stack of models multiplies: the two operations whose batching rules in torch copy whole weights.

Under :func:`torch.vmap` a linear layer is one product of three-dimensional tensors, but torch's own rule leaves the
gradient of the weights transposed, and every step then copies all of it; the cross-entropy falls into a dozen passes
over memory. Both have their rule written here. They compute what the plain functions compute, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lowerbound.maths.products import stacked

_CROSS_ENTROPY = F.binary_cross_entropy_with_logits


class StackedLinear(Function):
    """x (M or 1, rows, in), W (M, out, in), b (M, 1, out) -> (M, rows, out): x W^T + b for every member."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(x, W)
        found = stacked(x.expand(len(W), -1, -1), W.mT)
        return torch.add(found, b, out=torch.empty_like(found, memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, W = ctx.saved_tensors
        dx = stacked(g, W) if ctx.needs_input_grad[0] else None
        if dx is not None and len(x) == 1:
            dx = dx.sum(0, keepdim=True)
        return dx, stacked(g.mT, x.expand(len(W), -1, -1)), g.sum(1, keepdim=True)


class Linear(Function):
    """``F.linear`` for one member; its rule for a stack is :class:`StackedLinear`."""

    @staticmethod
    def forward(x: Tensor, W: Tensor, b: Tensor) -> Tensor:
        return F.linear(x, W, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError("only under vmap, whose rule has its own gradient")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, W: Tensor, b: Tensor) -> tuple[Tensor, int]:
        x, W, b = (front(t, d) for t, d in zip((x, W, b), in_dims, strict=True))
        W, b = (t.expand(info.batch_size, *t.shape[1:]) for t in (W, b))
        if x.dim() == 3:  # no view of it: an activation in place would copy what it is a view of
            return StackedLinear.apply(x, W, b.unsqueeze(1)), 0
        out = StackedLinear.apply(x.reshape(len(x), -1, x.shape[-1]), W, b.unsqueeze(1))
        return out.reshape(len(out), *x.shape[1:-1], -1), 0


class CrossEntropy(Function):
    """-log of a Bernoulli at its logits, nats per value: logits and x (..., values) -> (..., values)."""

    @staticmethod
    def forward(logits: Tensor, x: Tensor) -> Tensor:
        return F.softplus(logits).addcmul_(logits, x, value=-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        logits, x = ctx.saved_tensors
        return torch.sigmoid(logits).sub_(x).mul_(gradients[0]), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], logits: Tensor, x: Tensor) -> tuple[Tensor, int]:
        logits, x = (front(t, d) for t, d in zip((logits, x), in_dims, strict=True))
        return CrossEntropy.apply(logits, x), 0


def front(a: Tensor, dim: int | None) -> Tensor:
    """The stack's axis first; of length 1 where all members share the tensor."""
    return a.unsqueeze(0) if dim is None else a.movedim(dim, 0)


def autocast(x: Tensor) -> bool:
    """Whether torch is to choose the precision of products with ``x``: it does so in its own rule only."""
    return torch.is_autocast_enabled(x.device.type)


class Batched(TorchFunctionMode):
    """Within it, linear layers and cross-entropies of logits take the rules of this file."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = {k: v for k, v in (kwargs or {}).items() if v is not None}
        if func is F.linear and len(args) == 3 and args[2] is not None and not autocast(args[0]):
            return Linear.apply(*args)
        if func is _CROSS_ENTROPY and len(args) == 2 and options == {"reduction": "none"}:
            return CrossEntropy.apply(*args)
        return func(*args, **(kwargs or {}))
