"""A code in two parts: which class, and in which style."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from lowerbound.maths.delta import Delta
from lowerbound.maths.units import at_least_float32
from lowerbound.model.networks.base import initialised
from lowerbound.model.networks.linear import Linear
from lowerbound.model.posteriors.base import POSTERIORS, Posterior, Support


@POSTERIORS.register("class-and-style")
class ClassAndStyle(Posterior):
    r"""The code of the adversarial autoencoder: a soft class and ``latent`` numbers of style, both deterministic.

    .. math:: z = (\mathrm{softmax}\,a(x),\; s(x)), \qquad \text{decoder sees } z \text{ or } W_c\,y + s

    With ``plane=True`` the decoder sees the sum of a learned head of the class and the style, in ``latent``
    dimensions: the paper's network for dimensionality reduction. With ``spread`` each class's logit has mean 0 and that
    deviation over a batch, so that no class can take all examples: where no label holds them apart, one soon does, and
    its softmax then has no gradient left. An example's code depends on its batch in training, and on a running mean and
    variance afterwards.

    *Shapes*: (batch, features) -> code (classes + latent,). *Units and sign*: none; there is no density and no bound.
    *Neutral setting*: ``spread=0``. *Source*: Makhzani et al. 2015 (1511.05644), sections 5 to 7, figures 6 and 8;
    ``spread``: Ioffe & Szegedy 2015 (1502.03167), algorithm 1, without its scale and shift.

    >>> ClassAndStyle(500, 2)(torch.zeros(3, 500)).mean.shape
    torch.Size([3, 12])
    """

    density = False
    support: Support = "one-hot and real"

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        classes: Annotated[int, Field(ge=2)] = 10,
        plane: bool = False,
        spread: Annotated[float, Field(ge=0)] = 0.0,
    ) -> None:
        super().__init__(features, latent)
        self.classes, self.spread = classes, spread
        self.width = classes + latent
        self.represented = latent if plane else self.width
        self.head = initialised(Linear(features, self.width), None)
        self.norm = nn.BatchNorm1d(classes, affine=False) if spread else None
        self.heads = nn.Linear(classes, latent, bias=False) if plane else None
        if self.heads is not None:
            nn.init.normal_(self.heads.weight, std=4.0)

    def forward(self, features: Tensor) -> Delta:
        logits, style = at_least_float32(self.head(features)).split([self.classes, self.latent], -1)
        return Delta(torch.cat([F.softmax(self._spread(logits), -1), style], -1))

    def _spread(self, logits: Tensor) -> Tensor:
        """Logits (batch, classes) of mean 0 and deviation ``spread`` over the batch; one example: by running ones."""
        if self.norm is None:
            return logits
        alone = self.training and len(logits) < 2
        norm = F.batch_norm(logits, self.norm.running_mean, self.norm.running_var) if alone else self.norm(logits)
        return self.spread * norm

    @property
    def names_class(self) -> bool:
        return True

    def represent(self, z: Tensor) -> Tensor:
        if self.heads is None:
            return z
        y, style = z.split([self.classes, self.latent], -1)
        return self.heads(y) + style

    def class_logits(self, features: Tensor) -> Tensor:
        return self._spread(at_least_float32(self.head(features))[..., : self.classes])
