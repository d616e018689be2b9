"""A sweep of 12 betas in one program against the same 12 runs one after another.

    python benchmarks/sweep.py [--betas 0.1:10:12] [--batch 100] [--steps 200] [--rounds 5] [--threads 2] [--json FILE]

The network is 784-512-20-512-784 (ReLU, Bernoulli, Adam at 1e-3, float32) on binary images; ledger, alarms, gradient
norms and non-finite checks are on in both. A round trains all members for ``--steps`` steps, first as a sweep, then one
by one, so that a drift of the machine's speed falls on both. Counted is the time from the first step to the end of the
epoch; building models and writing folders is not. Beside the wall clock stands the processor time of all threads, which
other people's load disturbs less. With a CUDA device both run there (--device cuda).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from lowerbound import data as lb_data
from lowerbound.training.loop import train
from lowerbound.training.spec import Spec, complete
from lowerbound.training.sweep import betas_of, sweep
from lowerbound.training.sweep.members import member
from lowerbound.training.watch import Watch


class Stopwatch(Watch):
    """Wall and processor seconds from the start of training to the end of the epoch."""

    def on_start(self, words: list[str], epochs: int, steps: int) -> None:
        self.began = self.now()

    def on_epoch(self, row: dict[str, Any]) -> None:
        self.took = tuple(b - a for a, b in zip(self.began, self.now(), strict=True))

    def now(self) -> tuple[float, float]:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


def images(n: int) -> lb_data.Data:
    """Binary 28x28 images with MNIST's share of ink; speed does not depend on their content."""
    x = (torch.rand(n, 784, generator=torch.Generator().manual_seed(0)) < 0.13).float()
    return lb_data.from_array(x.numpy(), valid=0.0, test=0.0)


def spec_of(batch: int, device: str) -> Spec:
    settings = {
        "latent": 20,
        "encoder": {"hidden": [512]},
        "training": {"epochs": 1, "batch": batch, "device": device},
    }
    return Spec.of(complete(settings))


def together(spec: Spec, betas: list[float], data: lb_data.Data) -> tuple[float, ...]:
    """Seconds of the sweep."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        sweep(spec, betas, data, Path(folder) / "sweep", watch=watch)
    return watch.took


def apart(spec: Spec, betas: list[float], data: lb_data.Data) -> tuple[float, ...]:
    """Seconds of the same runs, one after another."""
    took = []
    for beta in betas:
        watch = Stopwatch()
        with tempfile.TemporaryDirectory() as folder:
            train(member(spec, beta), data, Path(folder) / "run", watch=watch)
        took.append(watch.took)
    return tuple(map(sum, zip(*took, strict=True)))


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--betas", default="0.1:10:12")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    betas, data = betas_of(options.betas), images(options.steps * options.batch)
    spec = spec_of(options.batch, options.device)
    warm = images(5 * options.batch)
    together(spec, betas, warm), apart(spec, betas[:1], warm)
    found: dict[str, list[float]] = {name: [] for name in ("sweep", "runs", "ratio", "processor ratio")}
    for _ in range(options.rounds):
        one, many = together(spec, betas, data), apart(spec, betas, data)
        steps = 1e-3 * options.steps
        found["sweep"].append(one[0] / steps)
        found["runs"].append(many[0] / steps)
        found["ratio"].append(many[0] / one[0])
        found["processor ratio"].append(many[1] / one[1])
    result = {name: spread(values) for name, values in found.items()}
    about = {"betas": len(betas), "batch": options.batch, "threads": options.threads, "device": options.device}
    print(", ".join(f"{k} {v}" for k, v in about.items()) + f", torch {torch.__version__}")
    for name, unit in (("sweep", " ms"), ("runs", " ms"), ("ratio", "x"), ("processor ratio", "x")):
        r = result[name]
        print(f"  {name:16s} {r['median']:8.2f}{unit} ({r['min']:.2f}-{r['max']:.2f})")
    if options.json:
        options.json.write_text(json.dumps(about | result, indent=2) + "\n")


if __name__ == "__main__":
    main()
