"""An objective with a constraint: a distortion to reach, and a multiplier that learns what it costs."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_examples, mean_samples, sum_latent
from lowerbound.objective.objectives import OBJECTIVES, Objective, Weights
from lowerbound.objective.schedules import Schedule

LIMIT = 14.0  # of |log lambda|: lambda stays between 1e-6 and 1e6


@OBJECTIVES.register("geco")
class Geco(Objective):
    r"""The least rate at which the distortion meets a tolerance: a Lagrange multiplier finds the weight.

    .. math:: L = \lambda\,\text{distortion} + s(t) \textstyle\sum_j \text{rate}_j, \qquad
              \log \lambda \leftarrow \log \lambda + \nu\,\overline{C} / \sqrt{D_x}, \quad
              C = \text{distortion} - \kappa

    with :math:`\overline C \leftarrow \alpha \overline C + (1 - \alpha) C`, and :math:`\overline C / \sqrt{D_x}` cut to
    [-1, 1]: examples differ by about the square root of their number of values, so one ``speed`` serves any size.
    kappa is ``tolerance`` nats per value of x, or ``kappa`` nats per example where it is given (a density's may be
    negative). The constant :math:`-\lambda\kappa` is left out of L. Lambda is at least 1e-6 and at most 1e6.

    *Shapes*: a ledger in, a scalar out. *Units and sign*: nats per example, lower is better; 1 / lambda is the
    effective beta; no bound by itself. *Neutral setting*: ``speed=0``. *Source*: Rezende & Viola 2018 (1810.00597),
    eq. 2 and algorithm 1, whose constraint is on the squared error: the distortion of a Normal of fixed deviation.

    >>> from lowerbound.objective.schedules import Constant
    >>> Geco(784, 2, Constant(), tolerance=0.1).target
    78.4
    """

    log_multiplier: Tensor
    average: Tensor
    steps: Tensor

    def __init__(
        self,
        parts: int,
        latent: int,
        schedule: Schedule,
        *,
        tolerance: float = 0.1,
        kappa: float | None = None,
        speed: Annotated[float, Field(ge=0)] = 0.02,
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    ) -> None:
        super().__init__(parts, latent, schedule)
        self.target = round(tolerance * parts, 9) if kappa is None else kappa
        self.speed, self.memory = speed, memory
        self.register_buffer("log_multiplier", torch.zeros(()))
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        distortion = mean_examples(mean_samples(terms.distortion))
        multiplier = self.log_multiplier.exp()
        if self.training and self.speed:
            self.learn(distortion.detach())
        return multiplier * distortion + self.penalty(terms.rate, epoch)

    def learn(self, distortion: Tensor) -> None:
        """Move the multiplier: up while the distortion is above the tolerance, down below it."""
        with torch.no_grad():
            excess = (distortion - self.target).to(self.average)
            memory = torch.where(self.steps > 0, self.memory, 0.0)
            self.average.mul_(memory).add_((1 - memory) * excess)
            self.log_multiplier.add_(self.speed * (self.average / self.parts**0.5).clamp(-1, 1)).clamp_(-LIMIT, LIMIT)
            self.steps.add_(1)

    def weights(self, epoch: float) -> Weights:
        return Weights(float(self.log_multiplier.exp()), self.schedule(epoch))

    def penalty(self, rate: Tensor, epoch: float) -> Tensor:
        return self.schedule(epoch) * mean_examples(sum_latent(rate))

    def first_nat(self) -> float:
        """While the tolerance is not met lambda grows, and the effective beta falls toward 0."""
        return 0.0 if self.speed else super().first_nat()

    def formula(self) -> str:
        return f"objective = lambda x distortion + rate, lambda moved until the distortion is {self.target:.4g} nats"

    def words(self) -> str:
        if not self.speed:
            return super().words()
        now = f"The effective beta, 1 / lambda, is {self.weights(self.schedule.ends).beta:.4g} now and is logged"
        return f"{self.formula()}. {now}: no bound; the bound at beta 1 is logged beside it.{self._warm_up()}"
