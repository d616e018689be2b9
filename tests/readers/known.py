"""Models whose log p(x) can be had exactly, as if they had been trained."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from lowerbound import data as data_floor
from lowerbound.data import summary
from lowerbound.model.assemble import assemble
from lowerbound.model.linear import LinearAutoencoder


def finished(model: Any, data: Any) -> Any:
    """What a reader asks of a trained run."""
    record = dict(data.record) | {"kind": data.kind, "shape": list(data.shape), "binarisation": data.binarisation}
    record |= {"sha256": data.record.get("sha256", "0" * 64)}
    spec = SimpleNamespace(game=SimpleNamespace(name="alone"))
    run = SimpleNamespace(record=lambda: record, path="memory")
    return SimpleNamespace(model=model.eval(), data=data, spec=spec, run=run)


def linear(latent: int = 3, parts: int = 7, n: int = 200, off: float = 0.0, seed: int = 0) -> Any:
    """A linear-Gaussian model in float64 at its optimum; its posterior is exact but for ``off`` in every parameter."""
    random = np.random.default_rng(seed)
    scales = np.array([5.0, 3, 2, 1, 0.5, 0.4, 0.3])[:parts, None]
    x = random.normal(size=(n, parts)) @ (random.normal(size=(parts, parts)) * scales) + 3
    data = data_floor.from_array(x.astype(np.float32), valid=0.1, test=0.3)
    torch.manual_seed(seed)
    model = LinearAutoencoder.build(summary(data), latent).double()
    model.solve(data.splits["train"].x.double())
    with torch.no_grad():
        model.posterior.head.bias.add_(off)
    return finished(model, data)


def truth(trained: Any, split: str = "test") -> torch.Tensor:
    """Exact log p(x) of a linear model, (n,)."""
    with torch.no_grad():
        return trained.model.log_evidence(trained.data.splits[split].x.double())


def binary(
    latent: int = 2, parts: int = 30, n: int = 40, gain: float = 2.5, seed: int = 0, fit: int = 0, **settings: Any
) -> Any:
    """A small Bernoulli model in float64 and ``n`` test examples drawn from it; ``fit`` steps train its encoder."""
    torch.manual_seed(seed)
    labels = np.arange(10) % 3 if "condition" in settings else None
    start = data_floor.from_array((np.random.default_rng(seed).random((10, parts)) < 0.5).astype(np.float32), labels)
    network = {"name": "mlp", "hidden": [20], "activation": "tanh"}
    model = assemble(summary(start), latent=latent, **{"encoder": network} | settings).double().eval()
    with torch.no_grad():
        for p in model.decoder.parameters():
            p.mul_(gain)
        y = torch.arange(n) % 3 if labels is not None else None
        x = drawn(model, n, y)
    train_encoder(model, fit)
    test = {"train": 1 - x, "valid": x[:0], "test": x}
    splits = {
        name: data_floor.dataset.Split(part.float(), None if y is None else y.numpy()) for name, part in test.items()
    }
    data = data_floor.dataset.Data("known", "binary", (parts,), splits, start.record)
    return finished(model, data)


def drawn(model: Any, n: int, y: torch.Tensor | None = None) -> torch.Tensor:
    """x (n, parts) of the model itself, under labels y where it is given them."""
    if y is None:
        return model.decode(model.prior_at().sample((n,)).double()).sample()
    _, c = model.given(torch.zeros(n, *model.shape).double(), y)
    return model.decode(model.prior_at(c).sample().double(), c).sample()


def train_encoder(model: Any, steps: int) -> None:
    """A few steps on data drawn from the model itself."""
    optimiser = torch.optim.Adam([*model.encoder.parameters(), *model.posterior.parameters()], lr=1e-2)
    for _ in range(steps):
        with torch.no_grad():
            x = model.decode(model.prior_at().sample((64,)).double()).sample()
        optimiser.zero_grad()
        (-model(x).elbo().sum() / 64).backward()
        optimiser.step()
