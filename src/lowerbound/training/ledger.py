"""The ledger of an epoch: float64 sums of every term, read by progress bar, metrics and alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowerbound.errors import NonFiniteError
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_samples


class Counted:
    """What counts steps, and the examples they were on."""

    examples: int
    steps: int

    def count(self, n: int) -> None:
        """Count one step on n examples whose terms are in the sums."""
        self.examples += n
        self.steps += 1

    def take_back(self, n: int, steps: int) -> None:
        """Uncount steps on n examples that added nothing."""
        self.examples -= n
        self.steps -= steps


@dataclass
class Ledger(Counted):
    """Sums over the examples seen in an epoch, each at the weights it was seen with.

    *Shapes*: ``rate`` (latent,), ``others`` (further players,), the rest scalars; ``tighter`` is what an
    importance-weighted bound is above the ELBO. *Units*: nats, summed over
    ``examples``. ``bounded`` says that there is a bound, ``scored`` that there is a distortion. The terms of the run's
    first player lie in one tensor ``sums`` (4 + latent,), so that a step whose sums come as one adds them as one.
    """

    distortion: Tensor
    rate: Tensor
    objective: Tensor
    gradient_norm: Tensor
    others: Tensor
    tighter: Tensor
    examples: int = 0
    steps: int = 0
    bounded: bool = True
    scored: bool = True

    def __post_init__(self) -> None:
        scalars = [self.distortion, self.objective, self.gradient_norm, self.tighter]
        self.sums = torch.cat([torch.stack(scalars), self.rate])
        self.distortion, self.objective, self.gradient_norm, self.tighter = (self.sums[i] for i in range(4))
        self.rate = self.sums[4:]

    @classmethod
    def empty(cls, width: int, device: torch.device, others: int = 0, bounded: bool = True) -> Ledger:
        """No example yet; ``width`` is the last axis of the rate, ``others`` counts the further players."""
        zero = torch.zeros((), dtype=torch.float64, device=device)
        wide = [torch.zeros(n, dtype=torch.float64, device=device) for n in (width, others)]
        return cls(zero, wide[0], zero.clone(), zero.clone(), wide[1], zero.clone(), bounded=bounded)

    def add(
        self, terms: Terms | None, objective: Tensor, gradient_norm: Tensor, n: int, weighted: bool = False
    ) -> None:
        """Count one step of the run's first player on n examples; its terms are the run's."""
        if terms is None:
            self.scored = False
        else:
            self.distortion += mean_samples(terms.distortion.detach()).sum(dtype=torch.float64)
            self.rate += terms.rate.detach().sum(0, dtype=torch.float64)
        if weighted and terms is not None:
            self.tighter += (terms.iwae() - terms.elbo()).detach().sum(dtype=torch.float64)
        self.objective += n * objective.detach()
        self.gradient_norm += gradient_norm
        self.count(n)

    def add_sums(self, sums: Tensor, n: int) -> None:
        """Count one step by its sums (4 + rate's width,): distortion, objective, gradient norm, tighter, rate."""
        self.sums += sums
        self.count(n)

    def add_other(self, index: int, loss: Tensor, examples: int) -> None:
        """Count one step of a further player."""
        self.others[index] += examples * loss.detach()

    def row(self) -> dict[str, Any]:
        """Averages an example so far, for the metrics; None for what the model does not have."""
        n = max(self.examples, 1)
        distortion, per_dimension = self.distortion.item() / n, (self.rate / n).tolist()
        rate = sum(per_dimension)
        return {
            "bound": self.tighter.item() / n - (distortion + rate) if self.bounded else None,
            "rate": rate if self.bounded else None,
            "distortion": distortion if self.scored else None,
            "objective": self.objective.item() / n,
            "gradient_norm": self.gradient_norm.item() / max(self.steps, 1),
            "rate_per_dimension": per_dimension,
        }

    def tensors(self) -> dict[str, Tensor]:
        """The sums, for a checkpoint."""
        return {
            "distortion": self.distortion,
            "rate": self.rate,
            "objective": self.objective,
            "gradient_norm": self.gradient_norm,
            "others": self.others,
            "tighter": self.tighter,
        }


def refuse_non_finite(terms: Terms | None, loss: Tensor, model: torch.nn.Module, rows: Tensor, step: int) -> None:
    """Raise a NonFiniteError that names the term, the tensor, the step and the rows at fault."""
    found = [] if terms is None else [("distortion", terms.distortion, 1), ("rate", terms.rate, 0)]
    for term, value, axis in found:
        bad = ~torch.isfinite(value)
        if bad.any():
            at = bad.any(1 - axis).nonzero().flatten()
            where = f"rows {_some(rows[at.cpu()].tolist())} of the training split"
            if term == "rate":
                where += f", latent dimensions {_some(bad.any(0).nonzero().flatten().tolist())}"
            raise NonFiniteError(f"{term} is not finite at step {step}, {where}")
    if not torch.isfinite(loss):
        raise NonFiniteError(f"the objective is not finite at step {step}, though rate and distortion are")
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            raise NonFiniteError(f"the gradient of {name} is not finite at step {step}, rows {_some(rows.tolist())}")
    raise NonFiniteError(f"the gradient's norm is not finite at step {step}, rows {_some(rows.tolist())}")


def _some(numbers: list[int]) -> str:
    shown = ", ".join(str(i) for i in numbers[:5])
    return shown if len(numbers) <= 5 else f"{shown}, ... ({len(numbers)} in all)"
