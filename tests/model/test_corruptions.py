"""What the encoder is given instead of x: the law of the noise, drawn from few bits where few are enough."""

import pytest
import torch
from scipy import stats

from lowerbound.model.corruptions import Gaussian, Masking


@pytest.mark.parametrize("share", [0.001, 0.25, 0.3, 0.999, 0.99999])
def test_a_mask_takes_its_share_of_the_values_wherever_they_lie(share: float) -> None:
    torch.manual_seed(0)
    x = torch.full((20_000, 7), 3.0)
    seen = Masking(share=share)(x)
    assert set(seen.unique().tolist()) == {0.0, 3.0}
    for place in (seen == 0).T:
        assert stats.binomtest(int(place.sum()), len(place), share).pvalue > 1e-4


def test_noise_is_normal_around_the_example() -> None:
    torch.manual_seed(0)
    x = torch.full((4000,), 0.5)
    assert stats.kstest((Gaussian(scale=0.2)(x) - x).numpy(), "norm", args=(0, 0.2)).pvalue > 1e-4
    cut = Gaussian(scale=2.0, clip=True)(x)
    assert cut.min() == 0 and cut.max() == 1


@pytest.mark.parametrize("corruption", [Gaussian(), Masking()])
def test_in_evaluation_the_encoder_sees_the_example(corruption: torch.nn.Module) -> None:
    x = torch.rand(3, 4)
    assert torch.equal(corruption.eval()(x), x)
