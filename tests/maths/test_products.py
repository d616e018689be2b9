"""Products by oneDNN are those of torch, with their gradients and the gradients of these; and what is left to torch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lowerbound.maths import products
from lowerbound.maths.products import linear
from lowerbound.maths.tracing import spelt_out
from lowerbound.model.networks.linear import Linear

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")
ROWS, IN, OUT = 64, 400, 320


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The products that oneDNN was asked for, on a processor that MKL does not favour."""
    monkeypatch.setattr(products, "favoured", lambda: False)
    found: list[int] = []
    own = products.Affine.forward

    def counted(*given):
        found.append(1)
        return own(*given)

    monkeypatch.setattr(products.Affine, "forward", staticmethod(counted))
    return found


def given(*, bias: bool = True, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    shapes = [(ROWS, IN), (OUT, IN), (OUT,)][: 3 if bias else 2]
    return [torch.randn(s, generator=random, dtype=dtype).requires_grad_() for s in shapes]


@pytest.mark.parametrize("bias", [True, False])
def test_the_value_and_its_gradients_are_torch_s(bias, asked):
    tensors = given(bias=bias)
    mine, its = linear(*tensors), F.linear(*tensors)
    torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-4)
    of_a_sum = torch.ones(()).expand(ROWS, OUT)  # one number, expanded
    for weights in (torch.randn(ROWS, OUT), of_a_sum):
        found = torch.autograd.grad(mine, tensors, weights, retain_graph=True)
        truth = torch.autograd.grad(its, tensors, weights, retain_graph=True)
        for a, b in zip(found, truth, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)
    assert len(asked) == 5, "one product, and two for each gradient"


def test_gradients_have_gradients(asked):
    """The norm of a gradient, as a penalty has it, by all that it depends on."""
    found = []
    for way in (linear, F.linear):
        x, W, b = given()
        h = way(x, W, b).tanh().square().sum()
        (by_x,) = torch.autograd.grad(h, x, create_graph=True)
        found.append(torch.autograd.grad(by_x.square().sum(), (x, W, b)))
    for a, b in zip(*found, strict=True):
        assert (a - b).norm() < 1e-4 * b.norm()
    assert len(asked) > 3


def test_only_what_is_asked_for_is_computed(asked):
    x, W, b = given()
    linear(x.detach(), W, b).sum().backward()
    assert len(asked) == 2 and x.grad is None and W.grad is not None
    with torch.no_grad():
        assert not linear(x, W, b).requires_grad


CASES = {
    "small": lambda x, W, b: linear(x[:5], W, b),
    "double": lambda x, W, b: linear(x.double(), W.double(), b.double()),
    "three axes": lambda x, W, b: linear(x.view(2, ROWS // 2, IN), W, b),
    "stacked": lambda x, W, b: torch.vmap(linear, (None, 0, 0))(x, W.expand(3, OUT, IN), b.expand(3, OUT)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_rest_is_torch_s_own(case, asked):
    CASES[case](*given())
    assert not asked


def test_what_torch_rounds_or_a_compiler_reads_is_torch_s_own(asked):
    tensors = given()
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(*tensors).dtype == torch.bfloat16
    with spelt_out():
        linear(*tensors)
    assert not asked


def test_a_layer_asks_for_it(asked):
    layer = Linear(IN, OUT)
    x = torch.randn(ROWS, IN)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), rtol=1e-4, atol=1e-4)
    assert asked


@pytest.mark.parametrize(("name", "favoured"), [("AMD EPYC", False), ("Intel(R) Xeon(R)", True), ("", True)])
def test_the_maker_of_the_processor_decides(monkeypatch, name, favoured):
    monkeypatch.undo()
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name} if name else {})
    assert products.favoured.__wrapped__() is favoured
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert products.favoured.__wrapped__()
