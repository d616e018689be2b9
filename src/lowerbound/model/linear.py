r"""The exact oracle: a linear-Gaussian autoencoder, whose log p(x) is known.

With :math:`p(z) = N(0, I)` and :math:`p(x|z) = N(Wz + b, \sigma^2 I)`,

.. math:: p(x) = N(b,\; WW^T + \sigma^2 I), \qquad
          p(z|x) = N(M^{-1}W^T(x - b),\; \sigma^2 M^{-1}), \quad M = W^TW + \sigma^2 I.

The likelihood of the data is highest at :math:`W = U(\Lambda - \sigma^2 I)^{1/2}` with the first principal directions U
and sigma^2 the average of the other eigenvalues. M is then diagonal, so a diagonal q(z|x) is exact and the ELBO is
log p(x).

Source: Tipping & Bishop 1999 (probabilistic PCA), eq. 6 to 8; Lucas et al. 2019 (1911.02469), section 4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.maths.normal import FullNormal
from lowerbound.model.assemble import assemble
from lowerbound.model.autoencoder import Autoencoder
from lowerbound.model.likelihoods import Normal
from lowerbound.model.networks import MLP


class LinearAutoencoder(Autoencoder):
    """An autoencoder whose encoder and decoder are linear and whose likelihood is a Normal of one deviation.

    >>> from lowerbound.data import from_array, summary
    >>> data = from_array(torch.randn(50, 3) @ torch.randn(3, 3), valid=0, test=0)
    >>> model = LinearAutoencoder.build(summary(data), latent=2).double()
    >>> x = data.splits["train"].x.double()
    >>> bool(torch.allclose(model.solve(x).exact_elbo(x), model.log_evidence(x), atol=1e-9, rtol=0))
    True
    """

    @classmethod
    def build(cls, summary: Summary, latent: int) -> LinearAutoencoder:
        """A linear model for such data, with a learned deviation."""
        parts = {"name": "mlp", "hidden": ()}
        return cls.of(assemble(summary, latent=latent, encoder=parts, likelihood={"name": "normal"}))

    @classmethod
    def of(cls, model: Autoencoder) -> LinearAutoencoder:
        """The same model (the same parameters), with the exact figures beside it."""
        linear = all(isinstance(m, MLP) and _is_linear(m) for m in (model.encoder, model.decoder))
        linear = linear and model.features.kind not in ("count", "table")
        if not (linear and isinstance(model.likelihood, Normal) and model.likelihood.start.dim() == 0):
            raise InputError("is not linear with a Normal of one deviation", where="model", mend="use hidden=[]")
        parts = (model.features, model.encoder, model.posterior, model.prior, model.decoder, model.likelihood)
        return cls(*parts, why=model.why)  # type: ignore

    def loading(self) -> tuple[Tensor, Tensor, Tensor]:
        """W (parts, latent), b (parts,) and sigma^2 of p(x|z), in data units."""
        last, likelihood = self.decoder.layers[-1], self.likelihood  # type: ignore
        weight = likelihood.scale * last.weight  # type: ignore
        return weight, likelihood.centre + likelihood.scale * last.bias, likelihood.log_variance.exp()  # type: ignore

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x), exact, nats per example: (batch,)."""
        W, b, variance = self.loading()
        covariance = W @ W.T + variance * torch.eye(len(b), dtype=W.dtype, device=W.device)
        return MultivariateNormal(b, covariance, validate_args=False).log_prob(x.flatten(1))

    def exact_posterior(self, x: Tensor) -> FullNormal:
        """p(z|x), exact."""
        W, b, variance = self.loading()
        M = W.T @ W + variance * torch.eye(self.latent, dtype=W.dtype, device=W.device)
        mean = torch.linalg.solve(M, W.T @ (x.flatten(1) - b).T).T
        return FullNormal(mean, torch.linalg.cholesky(variance * torch.linalg.inv(M)).expand(len(x), -1, -1))

    def exact_elbo(self, x: Tensor) -> Tensor:
        """The ELBO without sampling error, nats per example: (batch,). log p(x|z) is quadratic in z, so the average
        over the sigma points of q, which have its mean and covariance, is the expectation."""
        noise = sigma_points(self.latent).to(x).unsqueeze(1)
        return self(x, noise=noise.expand(-1, len(x), -1)).elbo()

    def solve(self, x: Tensor) -> LinearAutoencoder:
        """Put the parameters where the likelihood of x (n, *shape) is highest and the posterior is exact."""
        rows = x.flatten(1).double().to(self.features.mean.device)
        if self.latent >= rows.shape[1]:
            what = f"{self.latent} latent dimensions leave no variance over of {rows.shape[1]} values"
            raise InputError(what, where="latent", mend="give fewer latent dimensions than values")
        b = rows.mean(0)  # not nats: the mean example
        values, directions = torch.linalg.eigh((rows - b).T @ (rows - b) / len(rows))
        values, directions = values.flip(0).clamp(min=0), directions.flip(1)
        variance = values[self.latent :].sum() / (len(values) - self.latent)  # not nats: eigenvalues
        W = directions[:, : self.latent] * (values[: self.latent] - variance).clamp(min=0).sqrt()
        self._put(W, b, variance)
        return self

    def _put(self, W: Tensor, b: Tensor, variance: Tensor) -> None:
        M = W.T @ W + variance * torch.eye(self.latent, dtype=W.dtype, device=W.device)
        V = torch.linalg.solve(M, W.T)
        mean, scale = (a.flatten().double() for a in (self.features.mean, self.features.scale))
        likelihood, last, head = self.likelihood, self.decoder.layers[-1], self.posterior.head  # type: ignore
        with torch.no_grad():
            head.weight.copy_(torch.cat([V * scale, torch.zeros_like(V)]))  # type: ignore
            log_variance = torch.log(variance / torch.diagonal(M))
            head.bias.copy_(torch.cat([V @ (mean - b), log_variance]))  # type: ignore
            last.weight.copy_(W / likelihood.scale)  # type: ignore
            last.bias.copy_((b - likelihood.centre) / likelihood.scale)  # type: ignore
            likelihood.set_variance(variance)  # type: ignore


def sigma_points(latent: int) -> Tensor:
    """2 latent points (2 latent, latent) whose average is 0 and whose covariance is the identity."""
    points = math.sqrt(latent) * torch.eye(latent, dtype=torch.float64)
    return torch.cat([points, -points])


def _is_linear(network: MLP) -> bool:
    return len(network.layers) == (0 if network.outputs is None else 1)
