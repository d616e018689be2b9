"""What an autoregressive decoder makes of a code: each step follows from those before it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.maths.units import at_least_float32
from lowerbound.model.networks.recurrent import laid


def run(model: Any, z: Tensor, c: Tensor | None, draw: bool) -> tuple[Tensor, Tensor]:
    """What the decoder emits when it reads its own choices, and the choices: the likeliest, or drawn ones.

    ``model`` is the :class:`~lowerbound.model.autoencoder.Autoencoder` of the decoder.

    *Shapes*: z (..., width) -> outputs (..., *output_shape) and x (..., *shape), data units, NaN after an end.
    """
    seen = model.seen(z, c).flatten(0, -2) if z.dim() > 1 else model.seen(z, c).unsqueeze(0)
    decoder: Any = model.decoder
    likelihood = model.likelihood
    x = seen.new_full((len(seen), *model.shape), torch.nan)
    axis = -1 if len(model.shape) == 1 else -2
    ended = torch.zeros(len(seen), dtype=torch.bool, device=seen.device)
    state, before, pieces = decoder.begin(seen), None, []
    for t in range(decoder.steps):
        if before is None:
            before = torch.zeros_like(laid(model.features(x))[:, 0])
        piece, state = decoder.step(seen, before, state)
        pieces.append(piece)
        value = likelihood.each(at_least_float32(decoder.shaped(_whole(pieces, decoder.steps))), draw)
        chosen = value.detach().select(axis, t).to(x)
        x.select(axis, t).copy_(torch.where(ended.reshape(-1, *[1] * (chosen.dim() - 1)), torch.nan, chosen))
        if likelihood.end is not None:
            ended = ended | (chosen == likelihood.end)
            if bool(ended.all()):
                break
        before = laid(model.features(x))[:, t]
    out = decoder.shaped(_whole(pieces, decoder.steps))
    return out.reshape(*z.shape[:-1], *out.shape[1:]), x.reshape(*z.shape[:-1], *x.shape[1:])


def _whole(pieces: list[Tensor], steps: int) -> Tensor:
    """The steps so far, zeros for those to come: (batch, steps, numbers)."""
    rest = pieces[0].new_zeros(len(pieces[0]), steps - len(pieces), pieces[0].shape[1])
    return torch.cat([torch.stack(pieces, 1), rest], 1)


class StepByStep(Distribution):
    """p(x|z) = prod_t p(x_t | x_<t, z) of codes z (..., width): exact ``log_prob`` per value, and draws.

    ``mean`` is the sequence of likeliest choices: an expectation over all beginnings has no closed form.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, model: Any, z: Tensor, c: Tensor | None) -> None:
        self.model, self.z, self.c = model, z, c
        super().__init__(torch.Size((*z.shape[:-1], *model.shape)), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        out = self.model.outputs(self.z, self.c, value)
        return self.model.likelihood(at_least_float32(out)).log_prob(value)

    @property
    def mean(self) -> Tensor:
        return run(self.model, self.z, self.c, draw=False)[1]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return run(self.model, self.z.expand(*sample_shape, *self.z.shape), self.c, draw=True)[1]
