r"""The loss of the first Keras VAE, as it was written: it claims one KL and injects the noise of another.

.. math::
    z = \mu + 0.01\, e^{h} \epsilon \quad\text{(so } \sigma = 0.01\, e^{h}), \qquad
    \text{claimed} = -\tfrac12 \textstyle\sum_j (1 + h_j - \mu_j^2 - e^{h_j})

The sampler takes e^h for a deviation and shrinks it a hundredfold, the KL takes it for a variance and does not.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.divergence import kl_normal
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_examples, mean_samples, sum_latent
from lowerbound.objective.objectives import OBJECTIVES, Averaged
from lowerbound.objective.schedules import Schedule


@OBJECTIVES.register("keras-2016")
class Claimed(Averaged):
    r"""Both terms averaged, and a KL claimed for noise that is not injected: kept to show what it does.

    .. math:: L = \frac{1}{D_x}\text{distortion} + \frac{1}{D_z}\,\text{claimed}(\mu, h), \qquad
              h = \tfrac12\ell - \log s

    with l the log variance of the noise that is really injected and s the sampler's factor ``scale`` of 0.01. The
    ledger holds the true rate, :meth:`claimed` what the loss says of it.

    *Shapes*: a ledger in, a scalar out. *Units and sign*: nats per value, lower is better; not a bound.
    *Neutral setting*: none. *Source*: "Building autoencoders in Keras" (2016), the VAE as first published.

    >>> from lowerbound.objective.schedules import Constant
    >>> round(Claimed(784, 2, Constant()).weights(0.0).beta)
    392
    """

    def __init__(
        self, parts: int, latent: int, schedule: Schedule, *, scale: Annotated[float, Field(gt=0)] = 0.01
    ) -> None:
        super().__init__(parts, latent, schedule)
        self.scale = scale

    def claimed(self, terms: Terms) -> Tensor:
        """The KL that the loss claims, nats per example: (batch,)."""
        if type(terms.q) is not DiagonalNormal:
            what = "it claims the KL of a diagonal Normal, which this posterior is not"
            raise InputError(what, where="objective keras-2016", mend="use posterior normal")
        h = 0.5 * terms.q.log_variance - math.log(self.scale)
        return sum_latent(kl_normal(terms.q.mean, h))

    def forward(self, terms: Terms, epoch: float) -> Tensor:
        distortion = mean_examples(mean_samples(terms.distortion))
        w = self.weights(epoch)
        return w.r * distortion + w.k * mean_examples(self.claimed(terms))

    def first_nat(self) -> float:
        """The claimed KL is 0 far from the prior: what it presses is not the rate, and no collapse is forecast."""
        return -self.weights(self.schedule.ends).beta

    def formula(self) -> str:
        what = f"objective = distortion / {self.parts} + claimed KL / {self.latent}"
        return f"{what}, both averaged, and the KL is not that of the noise"
