"""The steps of a compiled sweep: one graph of a member's step, which all members share, given their beta.

A member's weights and Adam's memory of them fill a processor's cache; so a block of steps is taken of one member, then
of the next, on the same rows and the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lowerbound.objective import Batch
from lowerbound.training.compiled import CompiledStep, instead, started
from lowerbound.training.sweep.stack import Stack, StackedLedger

BLOCK = 16
"""Steps of a member before it is the next one's turn."""
MOMENTS = ("exp_avg", "exp_avg_sq")


class MemberStep(CompiledStep):
    """The step of one member whose beta is the last of the factors: the same graph does for every member."""

    beta = 1.0

    def factors(self, rate: float, step: int, epoch: float) -> Tensor:
        """Those of every step, and beta."""
        found = super().factors(rate, step, epoch)
        return torch.cat([found, found.new_tensor([self.beta])])

    def _eager(self, *given: Tensor) -> Tensor:
        with instead(self.objective, "beta", given[3 * len(self.weights) + 3][4]):
            return super()._eager(*given)


class CompiledSweep:
    """Takes the steps of all members, ``look`` at a time; where one of them is not finite, none of these was taken.

    Args:
        one: the step of the first member.
        stack: the weights of all, which move where they lie; ``optimiser`` is the stack's.
    """

    look = BLOCK

    def __init__(self, one: MemberStep, stack: Stack, optimiser: Optimizer, betas: Sequence[float]) -> None:
        self.one, self.betas, self.open = one, list(betas), 0
        self.slots = [started(optimiser, p) for p in stack.parameters]
        moments = [slot[key] for key in MOMENTS for slot in self.slots]
        self.whole = [*(p.detach() for p in stack.parameters), *moments]
        self.kept = [torch.empty_like(t) for t in self.whole]
        self.waiting: list[tuple[Batch, float, int, Tensor]] = []

    def compile(self, batch: Batch) -> str | None:
        """As :meth:`CompiledStep.compile`."""
        return self.one.compile(batch)

    def __call__(self, batch: Batch, rate: float, step: int, ledger: StackedLedger) -> None:
        """Step ``step`` (from 1) of every member, with the noise that torch's generator would give now."""
        self.waiting.append((batch, rate, step, torch.get_rng_state()))
        ledger.count(len(batch.x))
        self.open, self.ledger = self.open + 1, ledger

    def undone(self, step: int) -> int:
        """How many of the last steps were not taken, because one of them was not finite for some member."""
        taken, self.open = self.open, 0
        if not taken:
            return 0
        torch._foreach_copy_(self.kept, self.whole)
        sums = [self._block(i) for i in range(len(self.betas))]
        self.waiting.clear()
        if None in sums:
            torch._foreach_copy_(self.whole, self.kept)
            return taken
        self.ledger.add_sums(torch.stack(sums))  # type: ignore[arg-type]
        for slot in self.slots:
            slot["step"] += taken
        return 0

    @torch.no_grad()
    def _block(self, i: int) -> Tensor | None:
        """The steps that wait, of member ``i``: what its ledger is to add, or None where one was not finite."""
        self.one.beta, graph = self.betas[i], self.one.graph
        sound = torch.ones((), dtype=torch.bool)
        fixed = [*(t[i] for t in self.whole), torch.zeros_like(self.one.taken), sound]
        sums: Any = 0
        for batch, rate, step, state in self.waiting:
            torch.set_rng_state(state)
            more = () if batch.y is None else (batch.y,)
            sums = sums + graph(*fixed, batch.x, self.one.factors(rate, step, batch.epoch), *more)  # type: ignore[misc]
        return sums if sound.item() else None
