"""Random numbers made many at a time, against the law they should have and the generator they are named after.

The seed is fixed; a test that fails at p < 1e-4 would do so for one seed in 10,000.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from scipy import stats

from lowerbound.maths.draws import chosen_like, normal_like, random_words, rounded
from lowerbound.maths.tracing import spelt_out

CPU = torch.device("cpu")
MASK = 2**64 - 1


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=[nullcontext, spelt_out])
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """In eager code, and in a graph."""
    with request.param():
        yield


def splitmix(state: int) -> int:
    """One word of the generator, as Steele et al. print it, on Python's whole numbers."""
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_the_words_are_those_of_splitmix_after_a_key_of_torch() -> None:
    found = random_words(100, CPU)
    torch.manual_seed(0)
    key = int(torch.empty(1, dtype=torch.int64).random_())
    expected = [splitmix((key + i) * 0x9E3779B97F4A7C15 & MASK) for i in range(1, 101)]
    assert [int(w) & MASK for w in found] == expected
    assert splitmix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF, "the first word after 0, as its authors publish it"


def test_every_bit_is_fair_and_no_two_of_a_word_or_of_neighbours_go_together() -> None:
    words = random_words(100_000, CPU).numpy().view(np.uint64)
    bits = ((words[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).astype(np.float32)
    z = (bits.mean(0) - 0.5) * 2 * len(bits) ** 0.5
    assert np.abs(z).max() < 5
    signs = 2 * bits - 1
    for lag in (0, 1):
        together = signs[: len(signs) - lag].T @ signs[lag:] / len(signs) ** 0.5
        np.fill_diagonal(together, 0 if lag == 0 else together.diagonal())
        assert np.abs(together).max() < 5.5  # of 4,096: a false alarm of 2e-4


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_is_normal_in_its_middle_its_moments_and_its_tails(dtype: torch.dtype) -> None:
    x = normal_like(torch.empty(1_000_001, dtype=dtype))
    assert x.dtype == dtype and x.shape == (1_000_001,)
    assert stats.kstest(x.numpy(), "norm").pvalue > 1e-4
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        z = float(x.double().pow(power).mean() - moment) / (spread / len(x)) ** 0.5
        assert abs(z) < 4, power
    for edge in (2.0, 3.0, 4.0, 4.5):
        for beyond in (x > edge, x < -edge):
            assert stats.binomtest(int(beyond.sum()), len(x), stats.norm.sf(edge)).pvalue > 1e-4, edge


@pytest.mark.usefixtures("way")
def test_the_two_of_a_pair_neighbours_and_two_draws_are_independent() -> None:
    n = 500_000
    x, again = normal_like(torch.empty(2 * n)), normal_like(torch.empty(2 * n))
    for a, b in ((x[:n], x[n:]), (x[:-1], x[1:]), (x, again)):
        for f in (torch.Tensor.double, lambda t: t.double().square(), lambda t: t.double().abs().log()):
            assert abs(float(torch.corrcoef(torch.stack([f(a), f(b)]))[0, 1])) * len(a) ** 0.5 < 4.5
    turned = (x[:n] + x[n:]) / 2**0.5  # Normal only if the two are independent
    assert stats.kstest(turned.numpy(), "norm").pvalue > 1e-4


@pytest.mark.usefixtures("way")
def test_the_same_seed_gives_the_same_noise_and_the_next_draw_another() -> None:
    first, second = normal_like(torch.empty(3, 5)), normal_like(torch.empty(3, 5))
    torch.manual_seed(0)
    assert torch.equal(normal_like(torch.empty(3, 5)), first) and not torch.equal(first, second)


def test_the_least_and_the_greatest_radius_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = torch.tensor([0, 2**32 - 1, -1], dtype=torch.int64)
    monkeypatch.setattr("lowerbound.maths.draws.random_words", lambda count, device: ends.clone())
    with spelt_out():
        x = normal_like(torch.empty(6))
    assert torch.isfinite(x).all() and 6.7 < x.max() < 6.8 and x[1] == 0


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("share", [0.0, 0.001, 0.25, 0.5, 0.999])
def test_a_share_is_chosen_in_every_place_of_a_word(share: float) -> None:
    found = chosen_like(torch.empty(20_001, 4), share)
    assert found.dtype == torch.bool and found.shape == (20_001, 4)
    for place in found.T:
        assert stats.binomtest(int(place.sum()), len(place), rounded(share)).pvalue > 1e-5


@pytest.mark.usefixtures("way")
def test_neighbours_are_chosen_independently() -> None:
    x = chosen_like(torch.empty(400_000), 0.3).double().numpy()
    for lag in (1, 2, 3, 4):
        assert abs(np.corrcoef(x[:-lag], x[lag:])[0, 1]) * len(x) ** 0.5 < 4.5


def test_a_share_is_taken_to_a_65536th_and_never_all() -> None:
    for share in (0.1, 0.25, 1 / 3, 0.99):
        assert abs(rounded(share) - share) <= 2**-16
    assert rounded(0.25) == 0.25 and rounded(0.999999) < 1
