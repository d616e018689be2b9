"""Categorical codes, through the Concrete relaxation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from lowerbound.maths.onehot import OneHot
from lowerbound.maths.units import at_least_float32
from lowerbound.model.networks.base import initialised
from lowerbound.model.networks.linear import Linear
from lowerbound.model.posteriors.base import POSTERIORS, Posterior, Support


@POSTERIORS.register("categorical")
class Categorical(Posterior):
    r"""``latent`` categoricals of ``classes`` classes each, as one-hot codes, with the exact KL.

    .. math:: z = \mathrm{onehot}\arg\max_i(\ell_i + g_i), \qquad
              \frac{\partial z}{\partial\ell} := \frac{\partial}{\partial\ell}\,\mathrm{softmax}((\ell + g)/\tau)

    The forward value is an exact draw, so the bound that is reported is the bound; the gradient through the draw is
    that of the relaxation, and biased. In evaluation every code is one-hot whatever ``relaxed`` says: with
    ``relaxed=True`` training reads soft codes, and its distortion is then that of the relaxation.

    *Shapes*: (batch, features) -> codes (latent x classes,), rate (batch, latent). *Units and sign*: nats, exact.
    *Neutral setting*: equal logits are the uniform prior, at which the rate is 0.
    *Source*: Jang et al. 2017 (1611.01144), eq. 2; Maddison et al. 2017 (1611.00712), eq. 10.

    >>> import torch
    >>> Categorical(500, 20)(torch.zeros(3, 500)).mean.shape
    torch.Size([3, 200])
    """

    support: Support = "one-hot"
    reparameterised = False

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        classes: Annotated[int, Field(ge=2)] = 10,
        temperature: Annotated[float, Field(gt=0)] = 0.67,
        relaxed: bool = False,
    ) -> None:
        super().__init__(features, latent)
        self.classes, self.temperature, self.relaxed = classes, temperature, relaxed
        self.width = self.represented = latent * classes
        self.head = initialised(Linear(features, self.width), None)

    def forward(self, features: Tensor) -> OneHot:
        logits = at_least_float32(self.head(features)).unflatten(-1, (self.latent, self.classes))
        return OneHot(logits, self.temperature, hard=not (self.relaxed and self.training))

    @property
    def noise_width(self) -> int:
        return 2 * self.width

    @property
    def names_class(self) -> bool:
        return self.latent == 1

    def class_logits(self, features: Tensor) -> Tensor:
        """The logits of the code, where it is a single categorical: it may be read as a class."""
        return self.head(features) if self.names_class else super().class_logits(features)
