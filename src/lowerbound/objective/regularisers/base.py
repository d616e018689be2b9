r"""What is added to an objective beside the rate: a scalar in nats per example, and the critics that it needs.

.. math:: L = \text{objective}(\text{terms}) + R(\text{model}, \text{terms}, x)

A regulariser never changes the bound, which is read from the same ledger and logged beside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from lowerbound.errors import InputError
from lowerbound.maths.terms import Terms
from lowerbound.registry import Registry

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch, Player

Weight = Annotated[float, Field(ge=0)]
Speed = Annotated[float, Field(gt=0)]


class Regulariser(nn.Module, ABC):
    """What is added to the objective of the model's player, in nats per example; and the critics it needs as further
    players.

    ``parts`` counts the values of x, ``width`` the numbers of the code z. ``codes`` says whether it reads ``terms.z``:
    a bound whose gradient is doubly reparameterised is refused beside such a one. Parameters of a critic are
    parameters of the regulariser, so that a checkpoint holds them. ``labels`` says that it reads the batch's labels,
    ``labelled`` that it asks for further, labelled examples beside the batch.
    """

    name: ClassVar[str]
    codes: bool = False
    labels: bool = False
    labelled: bool = False

    def __init__(self, parts: int, width: int) -> None:
        super().__init__()
        self.parts, self.width = parts, width

    @abstractmethod
    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        """The scalar that is added to the objective, nats per example averaged over the batch."""

    def refuse(self, model: Any) -> None:
        """An InputError where it makes no sense beside this model; asked before the first step."""
        if self.codes and getattr(model.condition, "inferred", False):
            what = f"{self.name} reads the code, and a model that infers labels has one for every class"
            raise InputError(what, where="regulariser", mend="use condition none, or leave out the regulariser")

    def critics(self, model: Any) -> list[Player]:
        """Further players, each with its own parameters and ``loss(batch) -> (scalar, None)``."""
        return []

    @abstractmethod
    def words(self) -> str:
        """One sentence for the start of a run: the formula, and what it does to the bound."""


REGULARISERS: Registry[Regulariser] = Registry("regulariser")
