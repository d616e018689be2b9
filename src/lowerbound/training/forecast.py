r"""Collapse forecast, before training: how many latent dimensions linear theory lets live.

A decoder that ignores z sits at the marginal of the data, with variance v_i per value. Around that point a latent
dimension lowers the objective only along directions in which the data vary more than the weight on the KL allows:

.. math:: \lambda_k\left(V^{-1/2}\,\mathrm{Cov}(x)\,V^{-1/2}\right) > \beta, \qquad V = \mathrm{diag}(v_i),

which for a Normal decoder of fixed variance is the rule :math:`\lambda_k(\mathrm{Cov}(x)) > \beta\sigma^2`.

Source: Lucas et al. 2019 (1911.02469), theorem 1 and corollary 1; Tipping & Bishop 1999 for the linear model.
It is a theory of the linear model near collapse: a forecast, not a proof, for a deep one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowerbound.data.dataset import Data, Summary

ROWS = 4000


@dataclass(frozen=True)
class Forecast:
    """The largest eigenvalues, in units of the decoder's variance, against the weight on the KL.

    ``can_live`` counts eigenvalues above ``beta`` among the first ``latent``.
    """

    eigenvalues: Tensor
    beta: float
    latent: int

    @property
    def can_live(self) -> int:
        """How many of the model's dimensions can live at this beta."""
        return int((self.eigenvalues[: self.latent] > self.beta).sum())

    def words(self) -> str:
        """The forecast in one sentence."""
        top = float(self.eigenvalues[0])
        against = f"largest eigenvalue in units of the decoder's variance {top:.4g}, beta {self.beta:.4g}"
        if self.can_live == 0:
            return f"Forecast: total collapse, no latent dimension can live ({against})."
        return f"Forecast: {self.can_live} of {self.latent} latent dimensions can live ({against})."


def spectrum(x: Tensor, variance: Tensor) -> Tensor:
    """Eigenvalues, largest first, of the covariance of x (n, parts) scaled by the decoder's variance (parts,)."""
    x = x.double()
    centred = x - x.mean(0)  # not nats: the mean example
    keep = (variance > 0) & (centred.abs().amax(0) > 0)
    scaled = centred[:, keep] / variance.double()[keep].sqrt()
    n, parts = scaled.shape
    if parts == 0:
        return torch.zeros(1, dtype=torch.float64)
    gram = scaled.T @ scaled if parts <= n else scaled @ scaled.T
    return (torch.linalg.eigvalsh(gram / n).flip(0)).clamp(min=0)


def collapse_forecast(data: Data, summary: Summary, likelihood: Any, *, beta: float, latent: int) -> Forecast:
    """The forecast for this data, likelihood and effective beta, from up to 4,000 training rows."""
    n = len(data.splits["train"])
    rows = torch.linspace(0, n - 1, min(n, ROWS)).long()
    x = data.batch("train", rows).flatten(1)
    x = torch.where(torch.isnan(x), summary.mean.flatten().to(x), x)
    variance = likelihood.marginal_variance(summary).flatten()
    return Forecast(spectrum(x, variance), beta, latent)
