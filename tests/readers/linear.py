"""A finished run around a linear-Gaussian model whose every figure is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lowerbound import data as data_floor
from lowerbound.model.linear import LinearAutoencoder
from lowerbound.training.load import Trained
from lowerbound.training.run import Run
from lowerbound.training.spec import Spec


def plane(n: int, parts: int = 5, latent: int = 2, seed: int = 0) -> np.ndarray:
    """Rows (n, parts) on a noisy plane, away from 0."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, latent)) @ random.normal(size=(latent, parts)) + 0.5 * random.normal(size=(n, parts))
    return (x + 1.0).astype(np.float32)


def as_run(path: Path, model: Any, data: Any, latent: int = 2, **settings: Any) -> Trained:
    """``model`` as if it had been trained on ``data`` into the folder ``path``."""
    run, spec = Run(path), Spec.of({"latent": latent, **settings})
    run.create(spec, data.record, {}, "0")
    return Trained(run, spec, model.eval(), data)


def exact(path: Path, x: np.ndarray, latent: int = 2, *, test: float = 0.5) -> tuple[Trained, LinearAutoencoder]:
    """The run of the linear model at its optimum for the training rows of x: its posterior is exact."""
    data = data_floor.from_array(x, valid=0.0, test=test)
    model = LinearAutoencoder.build(data_floor.summary(data), latent).double()
    model.solve(torch.as_tensor(data.splits["train"].x).double())
    return as_run(path, model, data, latent), model
