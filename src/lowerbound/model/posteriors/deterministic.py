"""Codes without noise, and no codes at all."""

from __future__ import annotations

from torch import Tensor, nn

from lowerbound.errors import InputError
from lowerbound.maths.delta import Delta
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.maths.units import at_least_float32
from lowerbound.model.networks.base import Activation, activation_of, initialised
from lowerbound.model.networks.linear import Linear
from lowerbound.model.posteriors.base import POSTERIORS, Posterior


@POSTERIORS.register("deterministic")
class Deterministic(Posterior):
    r"""A plain autoencoder's code: one linear layer, no noise, no density and so no bound.

    .. math:: z = f(x), \qquad KL(\delta_{f(x)} \| p) = \infty

    *Shapes*: (batch, features) -> (batch, latent). *Units and sign*: none; its terms carry a distortion in nats and no
    rate. *Neutral setting*: none, no setting gives the ELBO.
    *Source*: Hinton & Salakhutdinov 2006 (Science 313), figure 1.

    >>> import torch
    >>> Deterministic(500, 20)(torch.zeros(3, 500)).mean.shape
    torch.Size([3, 20])
    """

    density = False

    def __init__(self, features: int, latent: int, *, activation: Activation | None = None) -> None:
        super().__init__(features, latent)
        self.head = initialised(Linear(features, latent), activation)
        self.activation = nn.Identity() if activation is None else activation_of(activation)

    def forward(self, features: Tensor) -> Delta:
        return Delta(self.activation(at_least_float32(self.head(features))))


@POSTERIORS.register("none")
class NoPosterior(Posterior):
    r"""No encoder: the model only generates, as the generator of a GAN does.

    .. math:: z \sim p(z), \qquad x \sim p(x|z)

    *Shapes*: nothing is encoded; the code has ``latent`` numbers. *Units and sign*: none; there are no terms.
    *Neutral setting*: none. *Source*: Goodfellow et al. 2014 (1406.2661), section 3.

    >>> NoPosterior(0, 20).width
    20
    """

    density = False

    def forward(self, features: Tensor) -> Delta:
        raise InputError("this model has no encoder (posterior none)", mend="it can sample, not encode")


class Blind(Posterior):
    """No latent dimensions at all: what is left of a conditional model is a regressor, whose bound is exact."""

    name = "blind"

    def forward(self, features: Tensor) -> DiagonalNormal:
        nothing = features.new_zeros(len(features), 0)
        return DiagonalNormal(nothing, nothing)
