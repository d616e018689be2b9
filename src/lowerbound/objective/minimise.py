"""What the model's own player minimises: objective and bound, and what the regulariser adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.terms import Terms
from lowerbound.objective.bounds import Bound
from lowerbound.objective.objectives import Objective
from lowerbound.objective.players import Batch
from lowerbound.objective.regularisers import Regulariser


class Minimised:
    """loss(batch) of the model: the objective over the ledger, or the importance-weighted bound, plus the regularisers.

    Raises:
        InputError: the parts make no sense together; the sentence says why.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        bound: Bound,
        regularisers: Sequence[Regulariser] = (),
        samples: int = 1,
        played: bool = True,
    ) -> None:
        self.model, self.objective, self.bound, self.regularisers = model, objective, bound, tuple(regularisers)
        self.samples = bound.samples or samples
        if played:
            refuse(model, objective, bound, regularisers)
        elif bound.words() or not self.plain:
            what = "this game has losses of its own and reads no objective, bound or regulariser"
            raise InputError(what, where="game", mend="leave them out, or use -s game=alone")

    @property
    def plain(self) -> bool:
        """Whether nothing was asked of the objective, and no regulariser is there."""
        return neutral(self.objective) and all(r.name == "none" for r in self.regularisers)

    def __call__(self, batch: Batch) -> tuple[Tensor, Terms]:
        """The scalar to minimise and the ledger behind it."""
        terms = self.model(batch.x, y=batch.y, samples=self.samples, weights=self.bound.weighted)
        cost = self.bound.loss(self.bound.prepare(terms), self.objective, batch.epoch)
        for regulariser in self.regularisers:
            cost = cost + regulariser(self.model, terms, batch)
        return cost, terms


def neutral(objective: Objective) -> bool:
    """Whether nothing was asked of the objective."""
    plain = objective.additive and objective.first_nat() == 1 and not objective.schedule.ends
    return plain or not objective.reads_rate


def refuse(model: Any, objective: Objective, bound: Bound, regularisers: Sequence[Regulariser]) -> None:
    """An InputError where the parts make no sense together."""
    posterior = getattr(model.posterior, "name", "normal")
    if objective.reads_rate and not model.has_bound:
        what = f"posterior {posterior} has no density, so there is no rate for objective {objective.name} to weigh"
        raise InputError(what, where="objective", mend="use -s objective=reconstruction, or posterior normal")
    for regulariser in regularisers:
        regulariser.refuse(model)
    if not bound.weighted:
        return
    if not model.has_bound:
        what = f"posterior {posterior} has no density, so it has no importance weights"
        raise InputError(what, where="bound", mend="use posterior normal")
    if getattr(model.condition, "inferred", False):
        what = "an inferred label has no importance weight"
        raise InputError(what, where="bound", mend="use bound elbo with condition inferred-labels")
    if not model.posterior.reparameterised:
        what = f"posterior {posterior} has no exact gradient through its draws, which bound {bound.name} needs"
        raise InputError(what, where="bound", mend="use bound elbo")
    if not objective.additive or objective.first_nat() != 1 or objective.schedule.ends:
        what = f"bound {bound.name} has no rate of its own for objective {objective.name} to weigh or warm up"
        raise InputError(
            what, where="bound", mend="use objective elbo with beta 1 and schedule constant, or bound elbo"
        )
    for regulariser in (r for r in regularisers if r.codes and getattr(bound, "gradient", "") == "dreg"):
        what = f"regulariser {regulariser.name} takes gradients through the codes, which dreg reweights"
        raise InputError(what, where="bound", mend="use -s bound.gradient=plain or stl")
