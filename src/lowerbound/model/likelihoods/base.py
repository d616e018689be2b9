"""What every likelihood shares: which data it is for, and how its log probability is summed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound.data.dataset import Kind, Summary
from lowerbound.errors import InputError
from lowerbound.maths.units import at_least_float32, sum_parts
from lowerbound.registry import Registry

TINY = 1e-12


class Likelihood(nn.Module, ABC):
    """p(x|z) of one example of shape ``summary.shape``, given what the decoder emits.

    ``about`` says what it is a likelihood of; ``kinds`` are the kinds of data it takes; ``output_shape`` is what the
    decoder must emit for an example. ``fixed`` says that its deviation is a constant that a person chose. ``end`` is
    the symbol that closes a sequence, where there is one.
    """

    about: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    name: ClassVar[str]
    fixed = False
    end: int | None = None
    output_shape: tuple[int, ...]

    def __init__(self, summary: Summary, *, numbers: int = 1) -> None:
        super().__init__()
        if summary.kind not in self.kinds:
            what = f"{self.name} is a likelihood of {self.about}, the data are {summary.kind}"
            raise InputError(what, where="likelihood", mend=self.mend(summary.kind))
        self.shape = tuple(summary.shape)
        self.output_shape = (numbers, *self.shape)

    @classmethod
    def mend(cls, kind: Kind) -> str:
        """What to do where data of ``kind`` are none of its own: grey values can be made binary."""
        if "binary" in cls.kinds and kind in ("levels", "unit"):
            return "make them so: --binarise threshold, or fresh, drawn anew at each use; or -s likelihood.name=auto"
        return 'leave it at "auto", or say what the data are: data.kind'

    @abstractmethod
    def forward(self, out: Tensor) -> Distribution:
        """out (..., *output_shape) -> p(x|z), whose ``log_prob`` is per value (or per column): (..., *shape)."""

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) in nats per example, summed over its parts.

        *Shapes*: out (samples, batch, *output_shape), x (batch, *shape) -> (samples, batch), in at least float32.
        """
        return sum_parts(self(at_least_float32(out)).log_prob(x), len(self.shape))

    def mean(self, out: Tensor) -> Tensor:
        """The expected x, in data units: (..., *shape)."""
        return self(at_least_float32(out)).mean

    def each(self, out: Tensor, draw: bool) -> Tensor:
        """A value of each part on its own, drawn or expected: (..., *shape)."""
        return self(out).sample() if draw else self.mean(out)

    @abstractmethod
    def marginal_variance(self, summary: Summary) -> Tensor:
        """The variance of each value (*shape), data units, under a decoder that is constant and at its best."""

    @abstractmethod
    def output_bias(self, summary: Summary) -> Tensor:
        """What a decoder that ignores z should emit: (*output_shape)."""

    def sigma(self) -> Tensor | None:
        """The deviation in data units, where one is fixed, learned or fitted for all examples; else None."""
        return None

    def warning(self, summary: Summary) -> str | None:
        """A sentence for people, where this is not a likelihood of such data; else None."""
        return None

    def _single(self, out: Tensor) -> Tensor:
        """(..., 1, *shape) -> (..., *shape)."""
        return out.squeeze(-len(self.shape) - 1)

    def _flat(self, out: Tensor) -> Tensor:
        """(..., numbers, *shape) -> (..., numbers, parts), in at least float32."""
        return at_least_float32(out).flatten(out.dim() - len(self.shape))


LIKELIHOODS: Registry[Likelihood] = Registry("likelihood")


def levels_of(summary: Summary) -> int:
    """The number of levels of a value, 2 if it is binary."""
    return max(summary.levels, 2)


def logit_of_mean(summary: Summary, floor: float = 1e-3) -> Tensor:
    """log p/(1-p) of the mean of each value, p kept ``floor`` away from 0 and 1."""
    return torch.logit(summary.mean.clamp(floor, 1 - floor))
