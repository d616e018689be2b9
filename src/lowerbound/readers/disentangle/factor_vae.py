"""The FactorVAE score: hold one factor, let the others vary; the coordinate that varies least should tell which."""

from __future__ import annotations

import numpy as np

VOTES = 800
GROUP = 64
"""Rows behind one vote."""


def votes(codes: np.ndarray, factors: np.ndarray, n: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """n votes: (the coordinate that varied least, the factor that was held), each (n,).

    The rows of a vote are drawn, with replacement, from those where the factor has the level of a row drawn first.
    """
    held = random.integers(factors.shape[1], size=n)
    start = random.integers(len(codes), size=n)
    quietest = np.empty(n, np.int64)
    for i, (k, row) in enumerate(zip(held, start, strict=True)):
        alike = np.flatnonzero(factors[:, k] == factors[row, k])
        quietest[i] = codes[random.choice(alike, GROUP)].var(0).argmin()
    return quietest, held


def factor_vae_score(codes: np.ndarray, factors: np.ndarray, seed: int = 0, n: int = VOTES) -> float:
    """The share of votes from which a majority rule names the factor that was held: 1 at best, 1 / k by chance.

    Args:
        codes: (n, d); each coordinate is divided by its deviation, and those that are constant are left out.
        factors: (n, k) levels.

    *Source*: Kim and Mnih 2018, "Disentangling by factorising", section 4; 800 votes to learn the rule and 800
    others to score it, of 64 rows each. They draw new examples for each vote; here rows of a set are drawn.

    >>> grid = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(-1, 2)
    >>> factor_vae_score(grid.astype(float), grid)
    1.0
    """
    spread = codes.std(0)
    if not (spread > 0).any():
        return 1 / factors.shape[1]
    scaled = codes[:, spread > 0] / spread[spread > 0]
    random = np.random.default_rng(seed)
    table = np.zeros((scaled.shape[1], factors.shape[1]), np.int64)
    np.add.at(table, votes(scaled, factors, n, random), 1)
    quietest, held = votes(scaled, factors, n, random)
    return float(np.mean(table.argmax(1)[quietest] == held))  # not nats: a share of votes
