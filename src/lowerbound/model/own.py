"""A person's own modules as encoder and decoder, fitted by a dry run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lowerbound.errors import InputError
from lowerbound.model.likelihoods import Likelihood


class OwnEncoder(nn.Module):
    """Your module (batch, *inputs) -> (batch, ...), flattened to ``features``; it may also take flat rows.

    >>> OwnEncoder(nn.Linear(64, 10), (1, 8, 8)).features
    10
    """

    def __init__(self, module: nn.Module, inputs: tuple[int, ...]) -> None:
        super().__init__()
        self.module = module
        shaped, fault = dry_run(module, inputs)
        flat, _ = dry_run(module, (math.prod(inputs),)) if shaped is None else (None, "")
        self.flat = shaped is None
        out = shaped if shaped is not None else flat
        if out is None:
            raise InputError(f"your module does not take (batch, {sizes(inputs)}): {fault}", where="encoder")
        self.features = math.prod(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.flatten(1) if self.flat else x).flatten(1)


class OwnDecoder(nn.Module):
    """Your module (batch, latent) -> as many numbers as the likelihood needs, in any shape.

    The output is not started at the marginal of the data: that is your module's affair.
    """

    def __init__(self, module: nn.Module, latent: int, likelihood: Likelihood) -> None:
        super().__init__()
        self.module = module
        out, fault = dry_run(module, (latent,))
        needed = likelihood.output_shape
        if out is None:
            raise InputError(f"your module does not take (batch, {latent}): {fault}", where="decoder")
        if math.prod(out) != math.prod(needed):
            what = f"your module emits {math.prod(out)} numbers an example, {likelihood.name} needs {math.prod(needed)}"
            raise InputError(
                what, where="decoder", mend=f"let it emit (batch, {sizes(needed)}) or flat rows of as many"
            )

    def forward(self, z: Tensor) -> Tensor:
        return self.module(z).flatten(1)


def sizes(shape: tuple[int, ...]) -> str:
    """A shape as people write it."""
    return ", ".join(map(str, shape))


def dry_run(module: nn.Module, inputs: tuple[int, ...]) -> tuple[tuple[int, ...] | None, str]:
    """The shape that the module makes of an example, or None and why not; it is left as it was found."""
    parameter = next(module.parameters(), torch.zeros(()))
    zeros = torch.zeros(2, *inputs, dtype=parameter.dtype, device=parameter.device)
    before = {m: m.training for m in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            out = module(zeros)
    except Exception as error:  # whatever a person's module raises
        return None, (str(error).strip().splitlines() or [type(error).__name__])[0]
    finally:
        for m, training in before.items():
            m.training = training
    if not isinstance(out, Tensor):
        return None, f"it returns a {type(out).__name__}, not one tensor"
    if out.dim() < 1 or len(out) != 2:
        return None, f"of 2 examples it makes {tuple(out.shape)}"
    return tuple(out.shape[1:]), ""
