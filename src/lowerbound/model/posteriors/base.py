"""What every posterior shares: its code, the noise that it is made from, and what the decoder sees of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from lowerbound.errors import InputError
from lowerbound.registry import Registry

Support = Literal["real", "one-hot", "one-hot and real"]


class Posterior(nn.Module, ABC):
    """A head on ``features`` numbers that returns q(z|x) over ``latent`` dimensions.

    ``factorised`` says whether q is independent over dimensions, so that its rate has one column for each;
    ``density`` whether it has a density, without which there is no bound; ``support`` what a code is.
    ``width`` counts the numbers of a code z, ``represented`` those that the decoder is given.
    """

    name: ClassVar[str]
    factorised = True
    density = True
    reparameterised = True
    support: Support = "real"

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.features, self.latent = features, latent
        self.width = self.represented = latent

    @property
    def noise_width(self) -> int:
        """How many N(0, 1) numbers ``transform`` takes for one code."""
        return self.width

    @property
    def names_class(self) -> bool:
        """Whether a code names a class, so that ``class_logits`` answers."""
        return False

    @abstractmethod
    def forward(self, features: Tensor) -> Any:
        """(batch, features) -> q(z|x), in at least float32, with ``transform(noise)`` for N(0, 1) noise."""

    def represent(self, z: Tensor) -> Tensor:
        """What the decoder sees of a code: (..., width) -> (..., represented)."""
        return z

    def class_logits(self, features: Tensor) -> Tensor:
        """Logits of the class that the code names, (batch, classes); only where the code has a class."""
        what = f"its code (posterior {self.name}) names no class"
        raise InputError(what, where="posterior", mend="use posterior class-and-style, or a condition that infers it")


POSTERIORS: Registry[Posterior] = Registry("posterior")
