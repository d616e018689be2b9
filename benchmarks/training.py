"""Training speed, side by side in one process: our loop, pythae's, and a plain PyTorch DataLoader loop.

    python benchmarks/training.py [--batch 100 512] [--rounds 5] [--examples 20000] [--json FILE]

All train 784-512-20-512-784 (ReLU, Bernoulli) with Adam at 1e-3 on the same binary images, one epoch a round, in
alternating rounds, so that a drift of the machine's speed falls on all. Ours runs with its ledger, alarms and
non-finite checks on. The figures are examples a second: median, minimum and maximum over rounds, and the ratio of ours
to each, round by round. The machine's own matrix-multiply rate is measured between rounds, at the sizes of the
network's largest product; the share of it is ours counting only the multiplications of the network.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lowerbound import data as lb_data
from lowerbound.training.loop import train
from lowerbound.training.spec import Spec, complete
from lowerbound.training.watch import Watch

WIDTHS = (784, 512, 20)
LINEAR = WIDTHS[0] * WIDTHS[1], WIDTHS[1] * 2 * WIDTHS[2], WIDTHS[2] * WIDTHS[1], WIDTHS[1] * WIDTHS[0]
FLOPS = 3 * 2 * sum(LINEAR) - 2 * LINEAR[0]
"""Multiply-adds of forward and backward an example; the first layer needs no gradient of its input."""


class Plain(nn.Module):
    """The network as one would write it in a tutorial."""

    def __init__(self) -> None:
        super().__init__()
        x, h, z = WIDTHS
        self.encoder = nn.Sequential(nn.Linear(x, h), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(h, z), nn.Linear(h, z)
        self.decoder = nn.Sequential(nn.Linear(z, h), nn.ReLU(), nn.Linear(h, x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean.square() - log_variance.exp())
        return (nll + kl) / len(x)


def plain_epoch(x: torch.Tensor, batch: int) -> Callable[[], float]:
    model = Plain()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=batch, shuffle=True)

    def epoch() -> float:
        start = time.perf_counter()
        total = 0.0
        for (rows,) in loader:
            optimiser.zero_grad()
            loss = model(rows)
            loss.backward()
            optimiser.step()
            total += loss.item()
        return time.perf_counter() - start

    return epoch


def pythae_epoch(x: torch.Tensor, batch: int) -> Callable[[], float]:
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(WIDTHS[0], WIDTHS[1]), nn.ReLU())
            self.mean, self.log_variance = nn.Linear(WIDTHS[1], WIDTHS[2]), nn.Linear(WIDTHS[1], WIDTHS[2])

        def forward(self, x: torch.Tensor) -> Any:
            h = self.layers(x.reshape(len(x), -1))
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            first, last = nn.Linear(WIDTHS[2], WIDTHS[1]), nn.Linear(WIDTHS[1], WIDTHS[0])
            self.layers = nn.Sequential(first, nn.ReLU(), last, nn.Sigmoid())

        def forward(self, z: torch.Tensor) -> Any:
            return ModelOutput(reconstruction=self.layers(z))

    config = VAEConfig(input_dim=(WIDTHS[0],), latent_dim=WIDTHS[2], reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    labels = torch.zeros(len(x))

    def epoch() -> float:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settings = BaseTrainerConfig(
                output_dir=folder, num_epochs=1, per_device_train_batch_size=batch, learning_rate=1e-3, no_cuda=True
            )
            trainer = BaseTrainer(model, BaseDataset(x, labels), training_config=settings)
            trainer.prepare_training()
            start = time.perf_counter()
            trainer.train_step(epoch=1)
            return time.perf_counter() - start

    return epoch


def our_epoch(data: lb_data.Data, batch: int, precision: str) -> Callable[[], float]:
    class Clock(Watch):
        began, took = 0.0, 0.0

        def on_start(self, words: list[str], epochs: int, steps: int) -> None:
            self.began = time.perf_counter()

        def on_epoch(self, row: dict[str, Any]) -> None:
            self.took = time.perf_counter() - self.began

    settings = {
        "latent": WIDTHS[2],
        "encoder": {"hidden": [WIDTHS[1]]},
        "training": {"epochs": 1, "batch": batch, "precision": precision},
    }
    spec = Spec.of(complete(settings))

    def epoch() -> float:
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            train(spec, data, Path(folder) / "run", watch=clock)
        return clock.took

    return epoch


def matmul_rate(batch: int) -> float:
    """Multiply-add operations a second of the network's largest product at this batch size."""
    a, b = torch.randn(batch, WIDTHS[0]), torch.randn(WIDTHS[0], WIDTHS[1])
    repeats = max(1, int(2e10 / (2 * a.numel() * WIDTHS[1])))
    torch.mm(a, b)
    start = time.perf_counter()
    for _ in range(repeats):
        torch.mm(a, b)
    return 2 * a.numel() * WIDTHS[1] * repeats / (time.perf_counter() - start)


def images(n: int) -> lb_data.Data:
    """Binary 28x28 images with MNIST's share of ink; speed does not depend on their content."""
    x = (torch.rand(n, 784, generator=torch.Generator().manual_seed(0)) < 0.13).float()
    return lb_data.from_array(x.numpy(), valid=0.0, test=0.0)


def compare(data: lb_data.Data, batch: int, rounds: int) -> dict[str, Any]:
    x = data.splits["train"].x
    contestants = {
        "ours float32": our_epoch(data, batch, "float32"),
        "ours bfloat16": our_epoch(data, batch, "bfloat16"),
        "plain loop": plain_epoch(x, batch),
    }
    try:
        contestants["pythae"] = pythae_epoch(x, batch)
    except ImportError as error:
        print(f"pythae is left out ({error}); to have it: pip install --no-deps pythae", file=sys.stderr)
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    product: list[float] = []
    for turn in range(rounds + 1):
        for name, epoch in contestants.items():
            rate = len(x) / epoch()
            if turn:
                rates[name].append(rate)
        if turn:
            product.append(matmul_rate(batch))
    ours = rates["ours float32"]
    return {
        "batch": batch,
        "examples_per_second": {name: spread(values) for name, values in rates.items()},
        "ours_over": {n: ratio(ours, v) for n, v in rates.items() if n != "ours float32"},
        "matmul_gflops": spread([p / 1e9 for p in product]),
        "share_of_matmul_rate": spread([FLOPS * a / p for a, p in zip(ours, product, strict=True)]),
    }


def ratio(a: list[float], b: list[float]) -> dict[str, float]:
    return spread([x / y for x, y in zip(a, b, strict=True)])


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[100, 512])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=20000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data = images(options.examples)
    results = [compare(data, batch, options.rounds) for batch in options.batch]
    for result in results:
        print(f"\nbatch {result['batch']}, {torch.get_num_threads()} threads, torch {torch.__version__}")
        for name, rate in result["examples_per_second"].items():
            over = result["ours_over"].get(name)
            against = f"   ours is {over['median']:.2f}x ({over['min']:.2f}-{over['max']:.2f})" if over else ""
            print(f"  {name:14s} {rate['median']:9.0f} examples/s ({rate['min']:.0f}-{rate['max']:.0f}){against}")
        share, product = result["share_of_matmul_rate"], result["matmul_gflops"]
        reached = f"{100 * share['median']:.0f}% of it ({100 * share['min']:.0f}-{100 * share['max']:.0f}%)"
        print(f"  matrix product {product['median']:9.1f} GFLOP/s; ours reaches {reached}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
