"""Functions of tensors as graphs: traced, their products asked of oneDNN, compiled, and on CUDA captured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lowerbound.maths import products
from lowerbound.maths.tracing import spelt_out
from lowerbound.objective.regularisers import pairs_compiled

SOLID: dict[str, Any] = {"memory_format": torch.contiguous_format}
OPTIONS: dict[str, dict[str, Any]] = {
    "cpu": {"cpp_wrapper": True, "fallback_random": True},
    "cuda": {"fallback_random": True, "combo_kernels": True},
}
"""Called without Python between kernels (CUDA's are replayed); what eager code draws; all weights moved at once."""


def copies(arguments: Sequence[Tensor]) -> list[Tensor]:
    """Copies of the arguments."""
    return [a.clone() for a in arguments]


class Captured:
    """A function of tensors as one CUDA graph: ``fixed`` are read and written where they lie, ``given`` copied there.

    What is drawn follows the generator as it stands at each call, as an eager call's would.
    """

    def __init__(self, function: Callable[..., Tensor], fixed: Sequence[Tensor], given: Sequence[Tensor]) -> None:
        self.fixed, self.given = len(fixed), copies(given)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            function(*copies(fixed), *self.given)  # what is loaded at a first call cannot be captured
        torch.cuda.current_stream().wait_stream(beside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.out = function(*fixed, *self.given)

    def __call__(self, *arguments: Tensor) -> Tensor:
        """What the function gives, valid until the next call."""
        for kept, new in zip(self.given, arguments[self.fixed :], strict=True):
            kept.copy_(new, non_blocking=True)
        self.graph.replay()
        return self.out


def inductor(graph: torch.fx.GraphModule, arguments: list[Tensor], options: dict[str, Any]) -> Callable[..., Any]:
    """The graph compiled, with nothing in between that asks at each call whether its arguments have changed."""
    from torch import _inductor

    for node in graph.graph.nodes:
        node.meta.clear()
    given: list[Any] = [*arguments]
    return _inductor.compile(graph, given, options=options)  # type: ignore[no-any-return]


_LIB = torch.library.Library("lowerbound", "FRAGMENT")
_LIB.define("linear(Tensor a, Tensor w) -> Tensor")
_LIB.impl("linear", lambda a, w: products.product(a, w.t()), "CPU")


@torch.library.register_fake("lowerbound::linear")
def _linear_shape(a: Tensor, w: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], w.shape[0])


@cache
def call_without_python() -> None:
    """Let compiled code call oneDNN itself for ``linear``; where this torch keeps that elsewhere, it goes by Python."""
    try:
        from torch._inductor import ir, lowering, mkldnn_ir

        class Linear(mkldnn_ir.LinearUnary):  # type: ignore[misc]
            """Asked for with its weights as they lie: oneDNN turns them round as it reads, which costs nothing."""

            @classmethod
            def require_contiguous(cls, x: Any) -> Any:
                return x if isinstance(x, ir.ReinterpretView) else super().require_contiguous(x)

        lowering.register_lowering(torch.ops.lowerbound.linear.default, type_promotion_kind=None)(
            lambda a, w: ir.TensorBox.create(Linear.create(a, w, None, "none", [], ""))
        )
    except (ImportError, AttributeError, TypeError):
        return


def quick_products(graph: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """The graph with its large float32 products by :func:`~lowerbound.maths.products.product`."""
    aten = torch.ops.aten
    for node in graph.graph.nodes:
        if node.target not in (aten.mm.default, aten.addmm.default):
            continue
        *bias, a, b = node.args
        value, inner = node.meta["val"], a.meta["val"].shape[1]
        if not products.quick(value.dtype, value.device) or value.numel() * inner < products.LARGE:
            continue
        with graph.graph.inserting_before(node):
            w = graph.graph.call_function(aten.t.default, (b,))
            new = graph.graph.call_function(torch.ops.lowerbound.linear.default, (solid(graph, a), w))
            if bias:
                new = graph.graph.call_function(aten.add.Tensor, (new, bias[0]))
        node.replace_all_uses_with(new)
        graph.graph.erase_node(node)
    graph.recompile()
    return graph


def solid(graph: torch.fx.GraphModule, a: torch.fx.Node) -> torch.fx.Node:
    """A matrix row by row: the compiler turns it round as it is made, the product would afterwards."""
    if a.meta["val"].is_contiguous():
        return a
    return graph.graph.call_function(torch.ops.aten.clone.default, (a,), SOLID)


def traced(step: Callable[..., Any], arguments: list[Tensor]) -> torch.fx.GraphModule:
    """The operations of a step on arguments of these shapes."""
    from torch.fx.experimental.proxy_tensor import make_fx

    table: Any = {torch.ops.lowerbound.mean_log_ratio.default: pairs_compiled.mean_log_ratio}
    with spelt_out():
        return make_fx(lambda *given: step(*given), decomposition_table=table)(*arguments)
