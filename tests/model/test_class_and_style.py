"""The code of class and style: its parts, and logits that are kept apart where no label does it."""

import pytest
import torch

from lowerbound.model.posteriors import POSTERIORS

ClassAndStyle = POSTERIORS["class-and-style"]
X = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))


def taken(spread):
    """A posterior whose first class takes every example."""
    torch.manual_seed(0)
    q = ClassAndStyle(6, 2, classes=4, spread=spread)
    with torch.no_grad():
        q.head.bias[0] += 200
    return q


def test_it_is_a_softmax_beside_numbers_of_style():
    torch.manual_seed(0)
    q = ClassAndStyle(6, 2, classes=4)
    a = q.head(X)
    assert torch.equal(q(X).mean, torch.cat([a[:, :4].softmax(-1), a[:, 4:]], -1))
    assert torch.equal(q.class_logits(X), a[:, :4])


def test_a_class_that_takes_all_has_no_gradient_and_a_spread_one_takes_not_all():
    for spread, moved in ((0.0, False), (4.0, True)):
        q = taken(spread)
        y = q(X).mean[:, :4]
        y.square().sum().backward()
        assert bool(q.head.weight.grad[:4].abs().max() > 1e-4) is moved
        assert bool((y[:, 0] > 0.5).all()) is not moved


@pytest.mark.parametrize("spread", [0.5, 4.0])
def test_logits_of_a_batch_have_mean_0_and_the_deviation_asked_for(spread):
    a = taken(spread).class_logits(1000 * X)
    torch.testing.assert_close(a.mean(0), torch.zeros(4), atol=1e-4 * spread, rtol=0)
    torch.testing.assert_close(a.std(0, correction=0), torch.full((4,), spread), atol=0, rtol=1e-4)


def test_after_training_a_code_does_not_hang_on_its_company():
    q = taken(4.0)
    for _ in range(200):
        q(X)
    trained = q.class_logits(X)
    q.eval()
    alone = torch.cat([q.class_logits(x[None]) for x in X])
    torch.testing.assert_close(alone, q.class_logits(X), atol=1e-4, rtol=0)  # of logits near 200
    torch.testing.assert_close(alone, trained, atol=0.1, rtol=0)


def test_one_example_is_a_batch_too():
    q = taken(4.0)
    assert torch.isfinite(q(X[:1]).mean).all()
