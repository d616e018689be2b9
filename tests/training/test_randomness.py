"""Random numbers are functions of their key."""

import math

import pytest
import torch

from lowerbound.training.randomness import BLOCK, mix, noise, order


def test_order_is_a_permutation_and_a_pure_function():
    assert torch.equal(order(3, 5, 1000), order(3, 5, 1000))
    assert torch.equal(order(3, 5, 1000).sort().values, torch.arange(1000))
    assert not torch.equal(order(3, 5, 1000), order(3, 6, 1000))


def test_noise_belongs_to_the_row_not_to_the_batch():
    whole = noise(0, 0, 3 * BLOCK, 2, 4)
    parts = torch.cat([noise(0, a, min(a + 700, 3 * BLOCK), 2, 4) for a in range(0, 3 * BLOCK, 700)], 1)
    assert torch.equal(whole, parts)
    assert abs(float(whole.mean())) < 6 / (whole.numel() ** 0.5)  # false alarm 2e-9


@pytest.mark.parametrize(("samples", "batch"), [(1, 1000), (50, 20), (50, 7), (3000, 1)])
def test_few_rows_of_many_samples_do_not_pay_for_a_thousand_rows(samples, batch, monkeypatch):
    """A validation of 50 samples an example drew 51 times the noise that it used."""
    drawn, randn = [], torch.randn
    monkeypatch.setattr(torch, "randn", lambda *shape, **kw: drawn.append(math.prod(shape)) or randn(*shape, **kw))
    whole, used = noise(0, 0, 40, samples, 2), 0
    for first in range(0, 40, batch):
        last = min(first + batch, 40)
        drawn.clear()
        assert torch.equal(noise(0, first, last, samples, 2), whole[:, first:last])
        used = max(used, sum(drawn) / 2)
    assert used <= samples * batch + 2 * max(BLOCK, samples)  # a block cut at either end


def test_keys_do_not_collide():
    seeds = {mix(a, b) for a in range(200) for b in range(200)}
    assert len(seeds) == 40000
