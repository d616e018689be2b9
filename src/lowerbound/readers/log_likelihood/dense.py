r"""Importance weights of the commonest model at nearly the speed of its matrix products.

For a fully connected decoder, a Bernoulli of 0 and 1, q(z|x) diagonal and p(z) standard Normal, or a mixture,

.. math:: \log w = -\sum_i \log(1 + e^{s_i l_i(z)})
          + \tfrac12\Big[\sum_j \epsilon_j^2 - \sum_j z_j^2 + \sum_j \ell_j\Big], \quad z = \mu + \sigma\epsilon.

Biases ride along as one more unit that is constant; the signs s of an example with many samples are put into the last
weights once, and so are the bits in a nat; tanh a = 2 sigmoid(2a) - 1, a tenth of whose time the sigmoid takes, is put
into the weights on either side; every product stays in the cache. The model's own ``log_joint`` stays the truth: the
tests hold this to it.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from lowerbound.maths import products
from lowerbound.maths.normal import LOG_2PI, DiagonalNormal
from lowerbound.maths.units import sum_latent
from lowerbound.model.autoencoder import Autoencoder
from lowerbound.model.likelihoods.bernoulli import Bernoulli
from lowerbound.model.networks.linear import Linear
from lowerbound.model.networks.mlp import MLP
from lowerbound.model.posteriors.normal import Normal
from lowerbound.model.priors.mixture import LearnedMixture
from lowerbound.model.priors.normal import StandardNormal
from lowerbound.model.priors.vampprior import VampPrior
from lowerbound.readers.log_likelihood.problem import Problem
from lowerbound.readers.log_likelihood.softplus import BITS, signs, sum_softplus_of_bits_

IN_PLACE: dict[type[nn.Module], Any] = {
    nn.ReLU: torch.relu_,
    nn.Tanh: torch.sigmoid_,
    nn.SiLU: lambda a: nn.functional.silu(a, inplace=True),
    nn.ELU: lambda a: nn.functional.elu_(a),
    nn.GELU: lambda a: a.copy_(nn.functional.gelu(a)),
    nn.GLU: nn.functional.glu,
}


def suits(model: Any) -> bool:
    """Whether the model is of this kind; its data must then be 0 and 1 too."""
    plain = type(model).log_joint is Autoencoder.log_joint and not model.condition.width
    parts = type(model.decoder) is MLP and type(model.likelihood) is Bernoulli
    normal = type(model.posterior) is Normal and type(model.prior) in (StandardNormal, LearnedMixture, VampPrior)
    return plain and parts and normal and all(type(m) in (Linear, *IN_PLACE) for m in model.decoder.layers)


BLOCK = 1024
"""Samples whose logits are looked at together on a CPU: they stay in its cache from the product to the sum."""


class Dense:
    """The decoder as matrices (inputs + 1, outputs + 1), the last unit constant; ``dtype`` is that of its products."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        layers = list(model.decoder.layers)
        self.activations = [IN_PLACE[type(layer)] for layer in layers if type(layer) in IN_PLACE]
        affine = [_affine(layer) for layer in layers if isinstance(layer, nn.Linear)]
        for i, activation in enumerate(self.activations):
            if activation is torch.sigmoid_:
                _through_sigmoid(*affine[i], *affine[i + 1])
        for part in affine[-1]:
            part.mul_(BITS)
        constant, self.matrices = 1.0, []
        for (weight, bias), activation in zip(affine, self.activations, strict=False):
            units = [2.0, 0.0] if activation is nn.functional.glu else [1.0]
            self.matrices.append(_with_bias(weight, bias, constant, units).to(dtype))
            constant = float(activation(torch.tensor(units, dtype=torch.float64)))
        self.matrices.append(_with_bias(*affine[-1], constant, []).to(dtype))

    @property
    def footprint(self) -> int:
        """Bytes of the buffers for one sample, at most."""
        widths = sum(m.shape[1] for m in self.matrices) + 4 * self.matrices[0].shape[0]
        gated = zip(self.matrices[1:], self.activations, strict=True)
        widths += sum(m.shape[0] for m, activation in gated if activation is nn.functional.glu)
        return (widths + 2 * self.matrices[-1].shape[1]) * max(self.matrices[0].element_size(), 4) + 64


def times(h: Tensor, m: Tensor, out: Tensor) -> Tensor:
    """h (n, inputs) m (inputs, outputs), perhaps in ``out``."""
    return products.product(h, m) if products.quick(m.dtype, m.device) else torch.mm(h, m, out=out)


def _affine(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight (outputs, inputs) and bias, copies in float64."""
    return layer.weight.detach().double().clone(), layer.bias.detach().double().clone()


def _through_sigmoid(before: Tensor, bias_before: Tensor, after: Tensor, bias_after: Tensor) -> None:
    """Change the weights on either side of a tanh to those on either side of a sigmoid."""
    before.mul_(2)
    bias_before.mul_(2)
    bias_after.sub_(after.sum(1))
    after.mul_(2)


def _with_bias(weight: Tensor, bias: Tensor, constant: float, units: list[float]) -> Tensor:
    """Weights (inputs + 1, outputs + units) with the bias as the row of the constant unit.

    What the next constant unit is before its activation comes after the outputs: a gated one's two parts after a half.
    """
    columns = torch.cat([weight, bias.unsqueeze(1) / constant], 1)
    more = [columns.new_tensor([[0.0] * weight.shape[1] + [unit / constant]]) for unit in units]
    halves = columns.chunk(len(units)) if units else [columns]
    return torch.cat([part for pair in zip_longest(halves, more) for part in pair if part is not None]).T.contiguous()


class DenseWeigher:
    """Weights of samples of a few examples at a time; one for each thread, since it writes into its own buffers."""

    def __init__(self, dense: Dense, dtype: torch.dtype, tile: int) -> None:
        first, last = dense.matrices[0], dense.matrices[-1]
        device, inner = first.device, first.dtype
        self.dense, self.dtype = dense, dtype
        self.z = torch.ones(tile, first.shape[0], dtype=dtype, device=device)
        self.seen = self.z if inner == dtype else torch.ones_like(self.z, dtype=inner)
        self.hidden = [torch.empty(tile, m.shape[1], dtype=inner, device=device) for m in dense.matrices[:-1]]
        self.block = tile if device.type != "cpu" else min(tile, BLOCK)
        self.out = torch.empty(tile, last.shape[1], dtype=inner, device=device)
        self.logits = self.out if inner == dtype else torch.empty_like(self.out, dtype=dtype)
        self.signed = torch.empty_like(last)

    def prepare(self, problem: Problem, samples: int) -> bool:
        """Set the examples, of which ``samples`` will be asked each; False where they are not 0 and 1."""
        s = signs(problem.target.flatten(1))
        if s is None:
            return False
        self.problem, self.s = problem, s.to(self.dtype)
        q: DiagonalNormal = problem.q
        self.mean, self.deviation, self.half = q.mean, q.stddev, 0.5 * sum_latent(q.log_variance.double())
        self.single = len(problem) == 1
        if self.single:
            torch.mul(self.dense.matrices[-1], self.s.to(self.signed.dtype), out=self.signed)
        return True

    def __call__(self, noise: Tensor) -> Tensor:
        """Log weights of noise (rows, samples, latent): (rows, samples), float64, nats."""
        rows, samples, width = noise.shape
        n = rows * samples
        noise = noise.to(self.mean)
        z = self.z[:n].view(rows, samples, -1)[..., :width]
        torch.addcmul(self.mean.unsqueeze(1), self.deviation.unsqueeze(1), noise, out=z)
        total = self._decode(n, rows)
        if not bool(total.isfinite().all()):
            return self._plainly(z, noise)
        squares = torch.linalg.vector_norm(noise, dim=-1).double().square_()
        if type(self.problem.model.prior) is StandardNormal:
            squares -= torch.linalg.vector_norm(self.z[:n], dim=-1).double().square_().view(rows, samples) - 1
        else:
            squares += 2 * self.problem.log_prior(z).double() + width * LOG_2PI
        return squares.add_(2 * self.half.unsqueeze(1)).mul_(0.5).sub_(total.view(rows, samples))

    def _decode(self, n: int, rows: int) -> Tensor:
        """-log p(x|z) of the first n codes: (n,)."""
        h = self.seen[:n]
        if self.seen is not self.z:
            h.copy_(self.z[:n])
        for m, activation, out in zip(self.dense.matrices, self.dense.activations, self.hidden, strict=False):
            h = activation(times(h, m, out[:n]))
        samples = n // rows
        step = self.block if rows == 1 else max(1, self.block // samples) * samples
        return torch.cat([self._cost(part, i * step // samples, samples) for i, part in enumerate(h.split(step))])

    def _cost(self, h: Tensor, row: int, samples: int) -> Tensor:
        """-log p(x|z) of a block of last hidden units, the first of which belongs to example ``row``."""
        last = self.signed if self.single else self.dense.matrices[-1]
        l = times(h, last, self.out[: len(h)])
        if self.logits is not self.out:
            l = self.logits[: len(h)].copy_(l)
        if not self.single:
            rows = len(h) // samples
            l.view(rows, samples, -1).mul_(self.s[row : row + rows].unsqueeze(1))
        return sum_softplus_of_bits_(l)

    def _plainly(self, z: Tensor, noise: Tensor) -> Tensor:
        """The same by the model's own densities, where a product has overflowed."""
        z = z.transpose(0, 1)
        p, q = self.problem, self.problem.q
        log_prob = p.model.likelihood.log_prob(p.model.outputs(z, p.c, p.target), p.target).double()
        return (log_prob + p.log_prior(z).double() - q.log_prob(z).double()).T
