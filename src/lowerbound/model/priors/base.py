"""What every prior shares: its density, and the rate of a posterior against it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.maths.divergence import Rate, kl
from lowerbound.model.posteriors.base import Support
from lowerbound.registry import Registry


class Prior(nn.Module, ABC):
    """p(z) over ``latent`` dimensions; ``factorised`` says whether it is independent over them.

    ``support`` is what its codes are, ``width`` how many numbers one has, ``parts`` where a code's blocks lie: one
    critic judges each. A prior with ``conditional`` needs a condition.
    """

    name: ClassVar[str]
    factorised = True
    conditional = False
    support: Support = "real"

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = self.width = latent

    @property
    def parts(self) -> list[slice]:
        """The blocks of a code that have a meaning of their own."""
        return [slice(0, self.width)]

    @abstractmethod
    def forward(self) -> Distribution:
        """p(z), a distribution whose event is a code (width,)."""

    def join(self, model: Any, summary: Summary) -> None:
        """Called once when the model is assembled: make what depends on its other parts and on the data."""

    def at(self, model: Any, c: Tensor | None = None) -> Distribution:
        """p(z), or p(z|c) for conditions c (batch, width of the condition), inside ``model``."""
        return self()

    def rate(self, q: Any, z: Tensor, p: Distribution | None = None) -> Rate:
        """KL(q || p) in nats per latent dimension; ``z`` (samples, batch, width) serves where no form is known."""
        return kl(q, self() if p is None else p, z=z)

    def sample_of(self, labels: Tensor) -> Tensor:
        """Codes of these labels (n,), (n, width), where a label has a region of the prior; -1 is any region."""
        what = f"prior {self.name} has no region for a label"
        raise InputError(what, where="prior", mend="use ten-gaussians, swiss-roll or mixture")


PRIORS: Registry[Prior] = Registry("prior")


def labelled_draw(p: Any, labels: Tensor, components: int, classes: int) -> Tensor:
    """Draws of a mixture whose components are shared out evenly, in their order, among ``classes`` labels."""
    each = max(components // classes, 1)
    within = torch.randint(each, labels.shape, device=labels.device)
    anywhere = torch.randint(components, labels.shape, device=labels.device)
    return p.sample_of(torch.where(labels < 0, anywhere, (labels * each + within) % components))
