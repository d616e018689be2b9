"""The three reductions, nats and bits, and a figure with its uncertainty."""

from __future__ import annotations

import json
import math

import pytest
import torch

from lowerbound.maths import units

HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("half", HALVES)
def test_half_precision_is_never_summed(half):
    a = torch.full((3000, 3000), 0.1).to(half)
    tenth = a[0, 0].item()
    assert units.sum_latent(a)[0].item() == pytest.approx(3000 * tenth, rel=1e-5)
    assert units.sum_parts(a[None], 2).item() == pytest.approx(9e6 * tenth, rel=1e-4)
    for reduce in (units.mean_examples, units.mean_samples, units.log_mean_exp):
        assert reduce(a[:, :2]).dtype == torch.float32
        assert reduce(a[:, :2])[0].item() == pytest.approx(tenth, rel=1e-5)


def test_axes():
    a = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(units.sum_latent(a), a.sum(-1))
    torch.testing.assert_close(units.sum_parts(a, 2), a.sum((-2, -1)))
    torch.testing.assert_close(units.sum_parts(a, 3), a.sum((-3, -2, -1)))
    assert torch.equal(units.sum_parts(a, 0), a)
    torch.testing.assert_close(units.mean_examples(a), a.mean(0))
    torch.testing.assert_close(units.mean_samples(a), a.mean(0))


def test_log_mean_exp():
    a = torch.randn(10, 4, dtype=torch.float64)
    torch.testing.assert_close(units.log_mean_exp(a), a.exp().mean(0).log(), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(units.log_mean_exp(a - 1e4), units.log_mean_exp(a) - 1e4, rtol=1e-14, atol=0)
    assert torch.equal(units.log_mean_exp(a[:1]), a[0])
    assert torch.equal(units.log_mean_exp(a[:1].expand(8, 4)).round(decimals=12), a[0].round(decimals=12))


def test_log_mean_exp_is_inf_never_nan():
    inf = math.inf
    a = torch.tensor([[-inf, -inf, 0.0, inf, inf], [-inf, 0.0, -inf, inf, -inf]])
    value = units.log_mean_exp(a)
    assert value.tolist() == pytest.approx([-inf, -math.log(2), -math.log(2), inf, inf])
    one = a[:, 1:3].clone().requires_grad_()  # a weight of zero among others is harmless
    assert torch.autograd.grad(units.log_mean_exp(one).sum(), one)[0].tolist() == [[0, 1], [1, 0]]


def test_bits():
    assert units.bits(math.log(2)) == 1
    assert units.bits_per_part(784 * math.log(2), 784) == pytest.approx(1)


def test_an_estimate_has_its_standard_error():
    e = units.Estimate.of(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert (e.value, e.n, e.unit) == (3.0, 4, "nats")
    assert e.stderr == pytest.approx(math.sqrt(14 / 3 / 4))
    assert json.loads(json.dumps(e.json(), allow_nan=False)) == {
        "value": 3.0,
        "stderr": e.stderr,
        "unit": "nats",
        "n": 4,
    }


def test_an_estimate_that_json_cannot_hold():
    one = units.Estimate.of(torch.tensor([1.0]))
    assert one.stderr == math.inf and one.json()["stderr"] is None
    infinite = units.Estimate.of(torch.tensor([1.0, math.inf]))
    assert (infinite.value, infinite.stderr) == (math.inf, math.inf)
    assert math.isnan(units.Estimate.of(torch.tensor([1.0, math.nan])).value)


def test_an_estimate_is_accumulated_in_float64():
    a = torch.full((100_000,), 0.1)
    assert units.Estimate.of(a).value == pytest.approx(a[0].double().item(), rel=1e-13)


def test_the_standard_error_covers():
    """1,000 samples of 200: within 2 standard errors 95.4% of the time; 93..97.5% leaves a false alarm below 1e-3."""
    draws = torch.randn(1000, 200, dtype=torch.float64)
    hits = sum(abs(e.value) < 2 * e.stderr for e in map(units.Estimate.of, draws))
    assert 930 <= hits <= 975


def test_total_is_float64():
    assert units.total([torch.ones(2)] * 3).tolist() == [3, 3]
    assert units.total([torch.ones(())]).dtype == torch.float64


def test_one_example_has_no_standard_error():
    one = units.Estimate.of(torch.tensor([1.5]))
    assert str(one) == "1.500 ± - nats (n = 1)" and one.json()["stderr"] is None
