"""Which latents can live at this beta and decoder scale, on these data: linear-Gaussian theory, before training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Forecast:
    """``eigenvalues`` of the data in the likelihood's own units; a direction lives above ``threshold``."""

    eigenvalues: tuple[float, ...]
    threshold: float
    live: int
    latents: int
    rates: tuple[float, ...]

    @property
    def sentence(self) -> str:
        """In words."""
        total = sum(self.rates)
        words = f"{self.live} of {self.latents} latents can live at threshold {self.threshold:.4g}"
        words += f", with {total:.4g} nats together"
        return words if self.live else words + ": collapse is the optimum"


def forecast(data: Array, beta: float, latents: int, likelihood: str = "gaussian_mse") -> Forecast:
    """Probabilistic PCA at a fixed scale: direction j lives when lambda_j > beta (at sigma = 1).

    It then carries log(lambda_j / beta) / 2 nats.

    For a Gaussian, eigenvalues of the covariance; for a Bernoulli, of the data divided by sqrt(p (1 - p)) per pixel
    (small signals). ``data`` is (examples, parts); ``beta`` is the effective beta that an audit reports.
    """
    flat = np.asarray(data, dtype=float).reshape(len(data), -1)
    centre = np.sum(flat, axis=0) / len(flat)  # not nats: the mean example
    flat = flat - centre
    if likelihood.startswith("bernoulli"):
        flat = flat / np.sqrt(np.clip(centre * (1 - centre), 1e-3, None))
    rows = flat if flat.shape[0] >= flat.shape[1] else flat.T
    eigenvalues = np.sort(np.linalg.eigvalsh(rows.T @ rows / len(flat)))[::-1]
    top = eigenvalues[:latents]
    rates = [0.5 * float(np.log(v / beta)) if v > beta > 0 else 0.0 for v in top]
    return Forecast(tuple(float(v) for v in top), beta, sum(r > 0 for r in rates), latents, tuple(rates))
