r"""Schedules s(epoch) in [0, 1]: how much of the KL weight (or of the capacity) is in force.

Time is counted in epochs, as a real number: step / steps per epoch, so that one spec means the same at any batch size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import Field
from torch import Tensor

from lowerbound.registry import Registry

Epochs = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Schedule(ABC):
    """A function of the epoch with values in [0, 1]; ``ends`` is the epoch from which it stays at 1."""

    ends: float = 0.0

    @abstractmethod
    def __call__(self, epoch: float) -> float:
        """The share in force at this (fractional) epoch."""


SCHEDULES: Registry[Schedule] = Registry("schedule")


class Given(Schedule):
    """The share that stands in a scalar tensor, whatever the epoch: what a step reads that is traced only once."""

    def __init__(self, share: Tensor) -> None:
        self.share = share

    def __call__(self, epoch: float) -> float:
        return self.share  # type: ignore[return-value]  # it is multiplied, as a float is


@SCHEDULES.register("constant")
class Constant(Schedule):
    r"""The full weight from the first step.

    .. math:: s(t) = 1

    *Shapes*: scalars. *Units and sign*: a share, no unit. *Neutral setting*: always.
    *Source*: Kingma & Welling 2014 (1312.6114), eq. 3: the bound has no warm-up.

    >>> Constant()(0.0)
    1.0
    """

    def __call__(self, epoch: float) -> float:
        return 1.0


@SCHEDULES.register("linear")
class Linear(Schedule):
    r"""A straight warm-up from ``start`` to 1 over ``epochs``.

    .. math:: s(t) = s_0 + (1 - s_0) \min(t / T, 1)

    *Shapes*: scalars. *Units and sign*: a share, no unit. *Neutral setting*: ``start=1``.
    *Source*: Bowman et al. 2016 (1511.06349), section 3.1; Sonderby et al. 2016 (1602.02282), section 2.3.

    >>> Linear(epochs=4)(1.0)
    0.25
    """

    def __init__(self, *, epochs: Epochs = 10.0, start: Share = 0.0) -> None:
        self.ends, self.start = epochs, start

    def __call__(self, epoch: float) -> float:
        return self.start + (1 - self.start) * min(max(epoch, 0.0) / self.ends, 1.0)


@SCHEDULES.register("cyclical")
class Cyclical(Schedule):
    r"""``cycles`` warm-ups of ``epochs`` each; in each the weight rises for a share ``ramp``, then stays at 1.

    .. math:: s(t) = \min\left(\frac{t \bmod T}{\rho T}, 1\right) \text{ for } t < cT,\quad 1 \text{ after}

    *Shapes*: scalars. *Units and sign*: a share, no unit. *Neutral setting*: none; one cycle is ``linear``.
    *Source*: Fu et al. 2019 (1903.10145), eq. 6 and 7.

    >>> Cyclical(epochs=4, ramp=0.5)(5.0)
    0.5
    """

    def __init__(
        self,
        *,
        epochs: Epochs = 10.0,
        cycles: Annotated[int, Field(ge=1)] = 4,
        ramp: Annotated[float, Field(gt=0, le=1)] = 0.5,
    ) -> None:
        self.period, self.cycles, self.ramp = epochs, cycles, ramp
        self.ends = epochs * (cycles - 1 + ramp)

    def __call__(self, epoch: float) -> float:
        if epoch >= self.period * self.cycles:
            return 1.0
        return min((epoch % self.period) / (self.ramp * self.period), 1.0)
