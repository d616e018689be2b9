r"""Many random numbers at a time, as fast as a processor's vectors go: torch draws them one after another.

Torch's own generator gives a key k, and word i is that of SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom
number generators") i steps after k, which needs none of the words before it:

.. math:: w_i = \mathrm{mix}(k + i\gamma), \qquad
          (\epsilon_1, \epsilon_2) = \sqrt{-2 \ln u}\,(\cos a, \sin a), \quad u = \tfrac{\text{low half} + 1/2}{2^{32}},
          \quad a = \tfrac{2\pi\,\text{high half}}{2^{32}}

for two N(0, 1) numbers a word (Box and Muller 1958). None is beyond 6.8, where one of 10^11 should be.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GAMMA = -0x61C8864680B583EB
MIX = ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15))


def random_words(count: int, device: torch.device) -> Tensor:
    """``count`` whole numbers of 64 random bits: (count,), int64."""
    key = torch.empty(1, dtype=torch.int64, device=device).random_()
    words = torch.arange(1, count + 1, device=device).mul_(GAMMA).add_(key)
    for shift, factor in MIX:
        words.bitwise_xor_(shifted(words, shift)).mul_(factor)
    return words.bitwise_xor_(shifted(words, 31))


def shifted(words: Tensor, shift: int) -> Tensor:
    """``words`` moved to the right, with zeros from the left."""
    return words.bitwise_right_shift(shift).bitwise_and_(2 ** (64 - shift) - 1)


def normal_like(a: Tensor) -> Tensor:
    """N(0, 1) numbers of the shape, type and device of ``a``; where it is not on a CPU, torch's own."""
    if a.device.type != "cpu":
        return torch.randn_like(a)
    real = torch.float64 if a.dtype == torch.float64 else torch.float32
    words = random_words(-(-a.numel() // 2), a.device)
    radius = words.bitwise_and(2**32 - 1).to(real).add_(0.5).mul_(2**-32).log_().mul_(-2).sqrt_()
    angle = words.bitwise_right_shift_(32).to(real).mul_(2 * math.pi / 2**32)
    pairs = torch.stack([angle.cos(), angle.sin()]).mul_(radius)
    return pairs.view(-1)[: a.numel()].view(a.shape).to(a.dtype)
