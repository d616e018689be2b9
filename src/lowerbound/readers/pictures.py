"""Pictures of what a model does: samples, reconstructions, interpolations, arithmetic, the manifold; as arrays."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.training.load import Trained
from lowerbound.training.randomness import generator

SAMPLE = 11


def is_picture(trained: Trained) -> bool:
    """Whether an example is a picture with one or three channels."""
    shape = trained.run.record()["shape"]
    return len(shape) == 3 and shape[0] in (1, 3)


def grey(trained: Trained, x: Tensor) -> np.ndarray:
    """Examples (..., channels, height, width) in data units as numbers in [0, 1], (..., height, width[, 3])."""
    record = trained.run.record()
    if not is_picture(trained):
        raise InputError(f"examples of shape {record['shape']} are no pictures", where="data", mend="use --json or CSV")
    top = record["levels"] - 1 if record["levels"] else 1.0
    if record["kind"] in ("real", "count"):
        low, high = float(x.min()), float(x.max())
        scaled = (x - low) / max(high - low, 1e-12)
    else:
        scaled = x / top
    channels_last = scaled.clamp(0, 1).movedim(-3, -1).double().numpy()
    return channels_last[..., 0] if channels_last.shape[-1] == 1 else channels_last


def sheet(pictures: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Pictures (n, height, width[, 3]) laid on one sheet, ``columns`` to a row, on white."""
    n, height, width = pictures.shape[:3]
    rows = math.ceil(n / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *pictures.shape[3:])
    out = np.ones(shape)
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        out[top : top + height, left : left + width] = picture
    return out


def decode(trained: Trained, z: Tensor) -> Tensor:
    """Expected x of z (n, latent), data units, on the CPU."""
    with torch.no_grad():
        return trained.model.decode_mean(z.to(next(trained.model.parameters()))).float().cpu()


def encode(trained: Trained, x: Tensor) -> Tensor:
    """Posterior means of x (n, *shape)."""
    with torch.no_grad():
        return trained.model.encode(x.to(next(trained.model.parameters()))).mean.float().cpu()


def sample(trained: Trained, n: int = 25, *, seed: int = 0, draw: bool = False) -> Tensor:
    """n examples from the model, z ~ p(z): their expected values, or with ``draw`` values drawn from p(x|z)."""
    if n < 1:
        raise InputError(f"must be at least 1, got {n}", where="--n", mend="give a positive number")
    z = torch.randn(n, trained.model.latent, generator=generator(SAMPLE, seed))
    if not draw:
        return decode(trained, z)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return trained.model.decode(z).sample().float()


def reconstruct(trained: Trained, x: Tensor) -> Tensor:
    """Expected values of x from its own posterior mean, (n, *shape)."""
    return decode(trained, encode(trained, x))


def path(a: Tensor, b: Tensor, steps: int, kind: Literal["linear", "spherical"] = "linear") -> Tensor:
    """Points from a to b (latent,), both included: (steps, latent). Spherical keeps to the shell where codes lie."""
    t = torch.linspace(0, 1, steps)[:, None]
    if kind == "linear":
        return (1 - t) * a + t * b
    cosine = torch.dot(a, b) / (a.norm() * b.norm()).clamp(min=1e-12)
    angle = torch.arccos(cosine.clamp(-1, 1))
    if angle < 1e-4:
        return (1 - t) * a + t * b
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def interpolate(trained: Trained, x: Tensor, y: Tensor, steps: int = 10, kind: Any = "linear") -> Tensor:
    """Decoded path between the codes of two examples (*shape): (steps, *shape)."""
    if steps < 2:
        raise InputError(f"must be at least 2, got {steps}", where="--steps", mend="give 2 or more")
    a, b = encode(trained, torch.stack([x, y]))
    return decode(trained, path(a, b, steps, kind))


def arithmetic(trained: Trained, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a - b + c on codes, each the average of the codes of some examples (n, *shape): decoded, (*shape)."""
    codes = [encode(trained, part).sum(0) / len(part) for part in (a, b, c)]  # not nats: average codes
    return decode(trained, (codes[0] - codes[1] + codes[2])[None])[0]


def manifold(trained: Trained, side: int = 20) -> Tensor:
    """The plane of a 2-latent model through the inverse Gaussian CDF, equal prior mass a cell: (side^2, *shape)."""
    if trained.model.latent != 2:
        raise InputError(
            f"has {trained.model.latent} latents, a manifold needs 2", where=trained.run.path, mend="train 2"
        )
    u = (torch.arange(side) + 0.5) / side
    axis = torch.special.ndtri(u)
    first, second = torch.meshgrid(axis, axis.flip(0), indexing="xy")
    return decode(trained, torch.stack([first.flatten(), second.flatten()], -1))


def some_of_each(labels: np.ndarray | None, n: int, length: int) -> Tensor:
    """Rows of n examples: one of each class in turn where there are labels, else the first."""
    if labels is None or len(labels) < n:
        return torch.arange(min(n, length))
    ranks = np.zeros(len(labels), dtype=np.int64)
    for value in np.unique(labels):
        at = np.flatnonzero(labels == value)
        ranks[at] = np.arange(len(at))
    chosen = np.lexsort((labels, ranks))[:n]
    return torch.from_numpy(chosen)
