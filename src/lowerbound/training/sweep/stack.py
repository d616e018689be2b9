"""M models of one shape as one player: their parameters stacked, their terms in one pass, their steps in one step.

Adam and its kin move every number by itself, and a sum of losses gives each member the gradient of its own loss; so a
stacked step is M separate steps, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import Parameter
from torch.optim import Optimizer

from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_samples
from lowerbound.objective import Batch, Minimised
from lowerbound.objective.objectives import BetaElbo
from lowerbound.training.ledger import Counted, Ledger
from lowerbound.training.sweep.batched import Batched


@dataclass(frozen=True)
class StackedTerms:
    """The terms of every member, in nats.

    *Shapes*: ``distortion`` (M, samples, batch), ``rate`` (M, batch, columns), ``losses`` (M,), what each minimises.
    """

    distortion: Tensor
    rate: Tensor
    losses: Tensor

    def of(self, i: int) -> Terms:
        """The terms of member ``i`` alone."""
        return Terms(self.distortion[i], self.rate[i], "closed")


class Skeleton(nn.Module):
    """A model without parameters of its own: it is called with those of a member, and that member's beta."""

    def __init__(self, minimised: Minimised) -> None:
        super().__init__()
        self.model, self.minimised = minimised.model, minimised

    def forward(self, batch: Batch, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        objective = cast(BetaElbo, self.minimised.objective)
        before, objective.beta = objective.beta, beta  # type: ignore[assignment]
        try:
            loss, terms = self.minimised(batch)
        finally:
            objective.beta = before
        return loss, terms.distortion, terms.rate


class Stack:
    """The models' parameters and buffers, stacked; the models go on living as views of the stack.

    Args:
        minimised: of a further model of the same shape, in training mode; its parameters are not used.
        models: the members; whatever moves the stack moves them, and the other way round.
        betas: the weight of each member's rate.
    """

    def __init__(self, minimised: Minimised, models: Sequence[nn.Module], betas: Sequence[float]) -> None:
        self.skeleton, self.models = Skeleton(minimised), list(models)
        self.state = {f"model.{name}": stacked(group) for name, group in named(models)}
        device = next(iter(self.state.values())).device
        self.betas = torch.tensor(betas, dtype=torch.float64, device=device)
        self.each = vmap(self._one, in_dims=(0, 0, None), randomness="same")

    @property
    def parameters(self) -> list[Parameter]:
        """What is trained, in the order of a member's own parameters: (M, *shape) each."""
        return [tensor for tensor in self.state.values() if isinstance(tensor, Parameter) and tensor.requires_grad]

    def _one(self, state: dict[str, Tensor], beta: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        with Batched():
            found: tuple[Tensor, Tensor, Tensor] = functional_call(self.skeleton, state, (batch, beta))
        return found

    def __call__(self, batch: Batch) -> tuple[Tensor, StackedTerms]:
        """The sum of the members' losses, and their terms; all see the same rows and the same noise."""
        losses, distortion, rate = self.each(self.state, self.betas, batch)
        return losses.sum(), StackedTerms(distortion, rate, losses)

    def gradient_norms(self) -> Tensor:
        """The norm of each member's gradient: (M,)."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        per_tensor = torch.stack([torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1) for g in gradients])
        return torch.linalg.vector_norm(per_tensor, dim=0)

    def scale_gradients(self, factors: Tensor) -> None:
        """Multiply each member's gradient by its factor (M,)."""
        for p in self.parameters:
            if p.grad is not None:
                p.grad.mul_(factors.to(p.grad).view(-1, *[1] * (p.dim() - 1)))

    def check(self, batch: Batch, own: Sequence[Any], reseed: Callable[[], None]) -> str:
        """What is wrong with the stack, or "": one pass must give what the members give one by one, on a few rows.

        Buffers are left as they were.

        Args:
            own: each member's own loss(batch).
            reseed: puts the random numbers back to where a step begins.
        """
        kept = {name: tensor.detach().clone() for name, tensor in self.state.items()}
        with torch.no_grad():
            apart = []
            for loss in own:
                reseed()
                apart.append(loss(batch)[0])
            for name, tensor in self.state.items():
                tensor.copy_(kept[name])
            reseed()
            try:
                together = self(batch)[1].losses
            except (RuntimeError, NotImplementedError):
                return "torch knows no rule for them under vmap"
            for name, tensor in self.state.items():
                tensor.copy_(kept[name])
        close = torch.allclose(together.double(), torch.stack(apart).double(), rtol=1e-3, atol=1e-3)
        return "" if close else "together they do not compute what each computes alone"


def named(models: Sequence[nn.Module]) -> list[tuple[str, list[Tensor]]]:
    """Every parameter and buffer by name, once, with its value in each model."""
    own = [dict(model.named_parameters()) | dict(model.named_buffers()) for model in models]
    return [(name, [tensors[name] for tensors in own]) for name in own[0]]


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors as one, (M, *shape); each becomes a view of it."""
    whole = torch.stack([tensor.detach() for tensor in tensors])
    for tensor, part in zip(tensors, whole.unbind(), strict=True):
        tensor.data = part
    return Parameter(whole, tensors[0].requires_grad) if isinstance(tensors[0], Parameter) else whole


def hand_out(whole: Optimizer, member: Optimizer, i: int) -> None:
    """Give member ``i`` its part of what the stack's optimiser remembers, as its own optimiser would."""
    for together, alone in zip(parameters_of(whole), parameters_of(member), strict=True):
        slots = whole.state.get(together, {})
        member.state[alone] = {k: v[i] if v.shape == together.shape else v.clone() for k, v in slots.items()}


def take_in(whole: Optimizer, members: Sequence[Optimizer]) -> None:
    """The reverse: stack what the members' optimisers remember."""
    for together, *alone in zip(parameters_of(whole), *map(parameters_of, members), strict=True):
        slots = [member.state[p] for member, p in zip(members, alone, strict=True)]
        whole.state[together] = {
            k: torch.stack([slot[k] for slot in slots]) if v.shape == together.shape[1:] and k != "step" else v.clone()
            for k, v in slots[0].items()
        }


def parameters_of(optimiser: Optimizer) -> list[Parameter]:
    """The parameters that an optimiser moves."""
    return [p for group in optimiser.param_groups for p in group["params"]]


class StackedLedger(Counted):
    """The ledgers of all members: float64 sums of their terms over an epoch, one number (or row) a member."""

    def __init__(self, members: int, width: int, device: torch.device) -> None:
        self.distortion, self.objective, self.gradient_norm, self.norms = (
            torch.zeros(members, dtype=torch.float64, device=device) for _ in range(4)
        )
        self.rate = torch.zeros(members, width, dtype=torch.float64, device=device)
        self.examples = self.steps = 0

    def add(
        self, terms: StackedTerms, objective: Tensor, gradient_norm: Tensor, n: int, weighted: bool = False
    ) -> None:
        """Count one step on n examples; ``norms`` holds the gradient norm of each member."""
        self.distortion += mean_samples(terms.distortion.detach().transpose(0, 1)).sum(-1, dtype=torch.float64)
        self.rate += terms.rate.detach().sum(1, dtype=torch.float64)
        self.objective += n * terms.losses.detach()
        self.gradient_norm += self.norms
        self.count(n)

    def add_sums(self, sums: Tensor) -> None:
        """Add what steps that were counted gave each member (M, 4 + columns), as a compiled step gives it."""
        self.distortion += sums[:, 0]
        self.objective += sums[:, 1]
        self.gradient_norm += sums[:, 2]
        self.rate += sums[:, 4:]

    def of(self, i: int) -> Ledger:
        """The ledger of member ``i``, as its own run would have kept it."""
        none = torch.zeros_like(self.rate[0, :0])
        tighter, norm = torch.zeros_like(self.norms[i]), self.gradient_norm[i]
        return Ledger(
            self.distortion[i], self.rate[i], self.objective[i], norm, none, tighter, self.examples, self.steps
        )

    def put(self, i: int, ledger: Ledger) -> None:
        """Take up what a member's checkpoint holds."""
        self.distortion[i], self.rate[i], self.objective[i] = ledger.distortion, ledger.rate, ledger.objective
        self.gradient_norm[i], self.examples, self.steps = ledger.gradient_norm, ledger.examples, ledger.steps

    def bounds(self) -> list[float]:
        """The bound of each member so far in the epoch, nats per example, higher is better."""
        n = max(self.examples, 1)
        return (-(self.distortion + self.rate.sum(1)) / n).tolist()
