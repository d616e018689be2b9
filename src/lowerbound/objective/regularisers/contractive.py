"""A code that hardly moves with its input: the Jacobian of the encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from lowerbound.errors import InputError
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_examples, sum_parts
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser, Weight

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch


@REGULARISERS.register("contractive")
class Contractive(Regulariser):
    r"""The squared Frobenius norm of the encoder's Jacobian.

    .. math:: R = w\,\Big\|\frac{\partial \mu(x)}{\partial x}\Big\|_F^2 = w \textstyle\sum_j |\nabla_x \mu_j(x)|^2

    with mu the mean of q(z|x). ``exact`` takes one backward pass for each number of the code; ``hutchinson`` one in
    all, with random signs v: :math:`E\,|J^T v|^2 = \|J\|_F^2`, unbiased. The derivative is by the numbers of x;
    a category has none. Neither may have batch normalisation in the encoder, which mixes examples.

    *Shapes*: a batch in, a scalar out; a second pass through the encoder. *Units and sign*: lower is better; the norm
    is in units of z per data unit, ``weight`` gives it nats. *Neutral setting*: ``weight=0``. *Source*: Rifai et al.
    2011 (Contractive auto-encoders, ICML), eq. 2 and 3; Hutchinson 1990 for the estimate.

    >>> "estimate" in Contractive(784, 32, jacobian="hutchinson").words()
    True
    """

    def __init__(
        self, parts: int, width: int, *, weight: Weight = 0.1, jacobian: Literal["exact", "hutchinson"] = "exact"
    ) -> None:
        super().__init__(parts, width)
        self.weight, self.jacobian = weight, jacobian

    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        if self.weight == 0:
            return terms.distortion.new_zeros(())
        return self.weight * mean_examples(self.squared_norm(model, batch))

    def refuse(self, model: Any) -> None:
        super().refuse(model)
        if not self.weight:
            return
        if model.encoder is None or model.features.in_steps:
            what = "there is no code" if model.encoder is None else "a sequence has symbols, or an end"
            what = f"{what}, and so no derivative of the code by x"
            raise InputError(what, where="contractive", mend="use it for a code of examples of one length")
        if any(isinstance(layer, _BatchNorm) for part in (model.encoder, model.posterior) for layer in part.modules()):
            what = "batch normalisation mixes examples, so that no example has a Jacobian of its own"
            raise InputError(what, where="contractive", mend="use an encoder and a posterior without it")

    def squared_norm(self, model: Any, batch: Batch) -> Tensor:
        """The squared norm of d mean / dx, exact or estimated, for each example: (batch,)."""
        x = batch.x.detach().clone().requires_grad_()
        if torch.isnan(x).any():
            raise InputError("a missing cell has no derivative", where="contractive", mend="fill the missing cells")
        mean = model.encode(x, batch.y).mean
        norms = [sum_parts(_gradient(mean, x, v).square(), x.dim() - 1) for v in self._directions(mean)]
        return torch.stack(norms).sum(0)

    def _directions(self, mean: Tensor) -> list[Tensor]:
        """The v (batch, width) whose |J^T v|^2 are summed: the axes of the code, or one of random signs."""
        if self.jacobian == "hutchinson":
            return [torch.empty_like(mean).bernoulli_(0.5).mul_(2).sub_(1)]
        return [axis.expand_as(mean) for axis in torch.eye(mean.shape[-1]).to(mean)]

    def words(self) -> str:
        how = "" if self.jacobian == "exact" else " (Hutchinson's estimate, one direction)"
        return (
            f"Regulariser: + {self.weight:g} x |d mean / dx|^2{how}; "
            "the bound, which has no such term, is logged beside it where there is one."
        )


def _gradient(mean: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """J^T v of every example, (batch, *shape), which can itself be differentiated."""
    what = "the code does not vary smoothly with x, so it has no Jacobian"
    if not mean.requires_grad:
        raise InputError(what, where="contractive", mend="use it where an encoder makes the code")
    (gradient,) = torch.autograd.grad(mean, x, v, create_graph=True, allow_unused=True)
    if gradient is None:
        raise InputError(what, where="contractive", mend="give values that are numbers, not categories")
    return gradient
