"""Modules as people write them: Lightning style, the Keras guide in torch, chunked heads, conv, learned scale."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

D, Z = 36, 5


class Base(nn.Module):
    """Encoder with two heads, decoder without its sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(D, 20), nn.ReLU())
        self.fc_mu, self.fc_s = nn.Linear(20, Z), nn.Linear(20, Z)
        self.dec = nn.Sequential(nn.Linear(Z, 20), nn.ReLU(), nn.Linear(20, D))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.enc(x)
        mu, s = self.fc_mu(h), self.fc_s(h)
        z = mu + torch.exp(0.5 * s) * torch.randn_like(mu)
        return self.dec(z), mu, s


class LightningStyle(Base):
    """training_step(batch, batch_idx) with a dict of losses."""

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        x, _ = batch
        out, mu, s = self(x)
        recon = F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(1).mean()
        kl = -0.5 * (1 + s - mu**2 - s.exp()).sum(1).mean()
        return {"recon": recon, "kl": kl, "loss": recon + kl}


class KerasGuide(Base):
    """Mean squared error over pixels and KL averaged over latents."""

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        out, mu, s = self(batch)
        out = torch.sigmoid(out)
        return F.mse_loss(out, batch) - 0.5 * torch.mean(s - mu**2 - s.exp() + 1)


class Chunked(nn.Module):
    """One head, chunked; softplus deviation; conv decoder; sampled KL."""

    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.Sequential(nn.Flatten(), nn.Linear(D, 16), nn.Tanh(), nn.Linear(16, 2 * Z))
        self.fc = nn.Linear(Z, 4 * 9)
        self.up = nn.ConvTranspose2d(4, 1, 2, stride=2)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        mu, raw = self.enc(batch).chunk(2, dim=1)
        q = torch.distributions.Normal(mu, F.softplus(raw))
        z = q.rsample()
        out = self.up(self.fc(z).reshape(-1, 4, 3, 3))
        nll = F.binary_cross_entropy_with_logits(out, batch, reduction="none").flatten(1).sum(1)
        p = torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
        return (nll + (q.log_prob(z) - p.log_prob(z)).sum(1)).mean()


class ScaleNobodyHolds(Base):
    """A learned log scale beside the modules."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-0.3))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        out, mu, s = self(batch)
        nll = -torch.distributions.Normal(out, self.log_scale.exp()).log_prob(batch).sum(1)
        return (nll - 0.5 * (1 + s - mu**2 - s.exp()).sum(1)).mean()


class EvalWeight(Base):
    """Another KL weight in evaluation."""

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        out, mu, s = self(batch)
        w = 0.00025 if self.training else 1.0
        return F.mse_loss(out, batch) + w * (-0.5 * (1 + s - mu**2 - s.exp())).sum(1).mean()


class DetachedKl(Base):
    """The KL is computed on detached heads, and the noise uses sigma = e^s."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.enc(x)
        mu, s = self.fc_mu(h), self.fc_s(h)
        return self.dec(mu + s.exp() * torch.randn_like(mu)), mu, s

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        out, mu, s = self(batch)
        kl = -0.5 * (1 + s - mu**2 - s.exp()).sum(1).mean()
        return F.binary_cross_entropy_with_logits(out, batch, reduction="sum") / len(batch) + kl.detach()
