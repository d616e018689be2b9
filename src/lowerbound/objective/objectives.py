r"""Objectives: what is minimised. Each is the negative ELBO with another weight, floor or target on the rate.

.. math:: L = r \cdot \text{distortion} + \text{penalty}(\text{rate}, t)

An objective is not a bound unless it is ``elbo`` with beta 1 at the end of its schedule; the bound at beta = 1 is read
from the same ledger and logged beside it always.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_examples, mean_samples, sum_latent
from lowerbound.objective.schedules import Schedule
from lowerbound.registry import Registry

NonNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Weights:
    """What an objective gives the likelihood (r) and the KL (k), nats against nats; ``beta`` = k / r."""

    r: float
    k: float

    @property
    def beta(self) -> float:
        """The effective beta: the weight the KL really has against the log-likelihood."""
        return self.k / self.r


class Objective(nn.Module, ABC):
    """An objective over the ledger; ``parts`` and ``latent`` count the values of x and of z.

    What it remembers from step to step (a multiplier, an average) are its buffers, which a checkpoint keeps.
    ``reads_rate`` says that it needs a rate, and with it a posterior that has a density; ``additive`` that it is the
    distortion plus a constant times the rate, which a bound other than the ELBO may stand for.
    """

    reads_rate = True
    additive = False

    def __init__(self, parts: int, latent: int, schedule: Schedule) -> None:
        super().__init__()
        self.parts, self.latent, self.schedule = parts, latent, schedule

    @abstractmethod
    def weights(self, epoch: float) -> Weights:
        """The weights in force at this epoch."""

    def penalty(self, rate: Tensor, epoch: float) -> Tensor:
        """What the rate (batch, latent) costs, nats per example averaged over the batch; a scalar."""
        return self.weights(epoch).k * mean_examples(sum_latent(rate))

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        """The scalar to minimise."""
        distortion = mean_examples(mean_samples(terms.distortion))
        r = self.weights(epoch).r
        return (distortion if r == 1.0 else r * distortion) + self.penalty(terms.rate, epoch)

    def first_nat(self) -> float:
        """The effective beta on the first nat of rate after the schedule: what a collapse is forecast from.

        Negative where nothing presses that nat down, so that there is nothing to forecast.
        """
        return self.weights(self.schedule.ends).beta

    def words(self) -> str:
        """The objective and its effective beta, in words, as printed at the start of every run."""
        return f"{self.formula()}. {beta_words(self.weights(self.schedule.ends).beta)}{self._warm_up()}"

    @abstractmethod
    def formula(self) -> str:
        """The objective as a formula in distortion and rate."""

    def _warm_up(self) -> str:
        if self.schedule.ends == 0:
            return ""
        first = self.weights(0.0).beta
        return f" The weight starts at {first:.4g} and is reached after {self.schedule.ends:g} epochs."


def beta_words(beta: float) -> str:
    """One sentence on an effective beta.

    >>> beta_words(1.0)
    'Effective beta 1: this objective is the negative bound itself, in nats.'
    """
    if beta == 1:
        return "Effective beta 1: this objective is the negative bound itself, in nats."
    side = "more" if beta > 1 else "less"
    factor = beta if beta > 1 else (1 / beta if beta > 0 else float("inf"))
    return (
        f"Effective beta {beta:.4g}: a nat of KL costs {factor:.4g} times {side} than a nat of likelihood, "
        "so this objective is not the bound; the bound at beta 1 is logged beside it."
    )


OBJECTIVES: Registry[Objective] = Registry("objective")


@OBJECTIVES.register("elbo")
class BetaElbo(Objective):
    r"""The negative ELBO with a weight beta on the rate.

    .. math:: L = \text{distortion} + \beta\, s(t) \sum_j \text{rate}_j

    *Shapes*: a ledger in, a scalar out. *Units and sign*: nats per example, lower is better.
    *Neutral setting*: ``beta=1``, schedule ``constant``. *Source*: Kingma & Welling 2014 (1312.6114), eq. 10;
    Higgins et al. 2017 (beta-VAE), eq. 4.

    >>> from lowerbound.objective.schedules import Constant
    >>> BetaElbo(784, 2, Constant(), beta=4.0).weights(0.0).beta
    4.0
    """

    additive = True

    def __init__(self, parts: int, latent: int, schedule: Schedule, *, beta: NonNegative = 1.0) -> None:
        super().__init__(parts, latent, schedule)
        self.beta = beta

    def weights(self, epoch: float) -> Weights:
        return Weights(1.0, self.beta * self.schedule(epoch))

    def formula(self) -> str:
        return f"objective = distortion + {self.beta:g} x rate"


@OBJECTIVES.register("free-bits")
class FreeBits(BetaElbo):
    r"""Each latent dimension may use ``floor`` nats for free: below it, its rate is not pressed further.

    .. math:: L = \text{distortion} + \beta\, s(t) \sum_j \max(\lambda, \text{rate}_j)

    with rate_j averaged over the batch (``per="batch"``) or taken per example (``per="example"``).

    *Shapes*: a ledger in, a scalar out. *Units and sign*: nats per example, lower is better; ``floor`` in nats per
    dimension. *Neutral setting*: ``floor=0``, ``beta=1``. *Source*: Kingma et al. 2016 (1606.04934), eq. 15.

    >>> import torch
    >>> from lowerbound.objective.schedules import Constant
    >>> FreeBits(784, 2, Constant(), floor=0.5).penalty(torch.zeros(3, 2), 0.0)
    tensor(1.)
    """

    additive = False

    def __init__(
        self,
        parts: int,
        latent: int,
        schedule: Schedule,
        *,
        beta: NonNegative = 1.0,
        floor: NonNegative = 0.05,
        per: Literal["batch", "example"] = "batch",
    ) -> None:
        super().__init__(parts, latent, schedule, beta=beta)
        self.floor, self.per = floor, per

    def penalty(self, rate: Tensor, epoch: float) -> Tensor:
        if self.per == "batch":
            floored = sum_latent(mean_examples(rate).clamp(min=self.floor))
        else:
            floored = mean_examples(sum_latent(rate.clamp(min=self.floor)))
        return self.weights(epoch).k * floored

    def formula(self) -> str:
        return f"objective = distortion + {self.beta:g} x sum over latents of max({self.floor:g} nats, rate)"


@OBJECTIVES.register("capacity")
class Capacity(Objective):
    r"""The rate is drawn to a target C(t) that grows to ``target`` nats.

    .. math:: L = \text{distortion} + \gamma\,|\textstyle\sum_j \text{rate}_j - C s(t)|

    The rate is averaged over the batch before the distance is taken.

    *Shapes*: a ledger in, a scalar out. *Units and sign*: nats per example, lower is better; ``target`` in nats.
    *Neutral setting*: ``gamma=1``, ``target=0``. *Source*: Burgess et al. 2018 (1804.03599), eq. 8.

    >>> import torch
    >>> from lowerbound.objective.schedules import Constant
    >>> Capacity(784, 2, Constant(), gamma=10.0, target=5.0).penalty(torch.ones(3, 2), 0.0)
    tensor(30.)
    """

    def __init__(
        self, parts: int, latent: int, schedule: Schedule, *, gamma: NonNegative = 30.0, target: NonNegative = 25.0
    ) -> None:
        super().__init__(parts, latent, schedule)
        self.gamma, self.target = gamma, target

    def weights(self, epoch: float) -> Weights:
        return Weights(1.0, self.gamma)

    def penalty(self, rate: Tensor, epoch: float) -> Tensor:
        return self.gamma * (mean_examples(sum_latent(rate)) - self.target * self.schedule(epoch)).abs()

    def formula(self) -> str:
        return f"objective = distortion + {self.gamma:g} x |rate - {self.target:g} nats|"

    def first_nat(self) -> float:
        """Below the target the rate is drawn up, not pressed down."""
        return self.gamma if self.target == 0 else -self.gamma

    def words(self) -> str:
        side = f"Effective beta {self.gamma:g} above {self.target:g} nats of rate, -{self.gamma:g} below"
        return f"{self.formula()}. {side}: no bound; the bound at beta 1 is logged beside it.{self._warm_up()}"

    def _warm_up(self) -> str:
        ends = self.schedule.ends
        return f" The target is reached after {ends:g} epochs." if ends else ""


@OBJECTIVES.register("averaged")
class Averaged(Objective):
    r"""The literal loss of a well-known tutorial: both terms averaged where the derivation says sum.

    .. math:: L = \frac{1}{D_x}\text{distortion} + \frac{\beta\, s(t)}{D_z} \sum_j \text{rate}_j

    Kept to show what it does: its effective beta is D_x / D_z (392 for 784 pixels and 2 latents).

    *Shapes*: a ledger in, a scalar out. *Units and sign*: nats per value, lower is better; not a bound.
    *Neutral setting*: none, unless D_x = D_z. *Source*: "Building autoencoders in Keras" (2016), the VAE's loss.

    >>> from lowerbound.objective.schedules import Constant
    >>> round(Averaged(784, 2, Constant()).weights(0.0).beta)
    392
    """

    def __init__(self, parts: int, latent: int, schedule: Schedule, *, beta: NonNegative = 1.0) -> None:
        super().__init__(parts, latent, schedule)
        self.beta = beta

    def weights(self, epoch: float) -> Weights:
        return Weights(1 / self.parts, self.beta * self.schedule(epoch) / self.latent)

    def formula(self) -> str:
        return f"objective = distortion / {self.parts} + {self.beta:g} x rate / {self.latent}, both terms averaged"


@OBJECTIVES.register("reconstruction")
class Reconstruction(Objective):
    r"""The distortion alone: an autoencoder's loss. What keeps the codes in place is a regulariser, or nothing.

    .. math:: L = \text{distortion}

    *Shapes*: a ledger in, a scalar out. *Units and sign*: nats per example, lower is better; no bound.
    *Neutral setting*: none; ``elbo`` with ``beta=0`` is the same objective of a model that has a rate.
    *Source*: Hinton & Salakhutdinov 2006 (Science 313); Tolstikhin et al. 2018 (1711.01558), eq. 4 with its penalty.

    >>> from lowerbound.objective.schedules import Constant
    >>> Reconstruction(784, 2, Constant()).weights(0.0).beta
    0.0
    """

    reads_rate = False

    def weights(self, epoch: float) -> Weights:
        return Weights(1.0, 0.0)

    def penalty(self, rate: Tensor, epoch: float) -> Tensor:
        return rate.new_zeros(())

    def formula(self) -> str:
        return "objective = distortion"

    def words(self) -> str:
        return f"{self.formula()}: no bound, since nothing is paid for the code."
