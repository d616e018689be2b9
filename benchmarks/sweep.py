"""A sweep of 12 betas in one program against the same 12 runs one after another, each compiled and step by step.

    python benchmarks/sweep.py [--betas 0.1:10:12] [--batch 100] [--steps 200] [--rounds 5] [--threads 2] [--json FILE]

The network is 784-512-20-512-784 (ReLU, Bernoulli, Adam at 1e-3, float32) on binary images; ledger, alarms, gradient
norms and non-finite checks are on in all. A round trains all members for ``--steps`` steps in each of the four ways, so
that a drift of the machine's speed falls on all. Counted is the time from the first step to the end of the epoch;
compiling, building models and writing folders is not. What a person gets unasked depends on the steps of a run: a sweep
of 12 is compiled from 834 on, a run alone from 10,000 on. With a CUDA device both run there, step by step
(--device cuda).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timing import alternate, machine, ratio, spread, told

from lowerbound import data as lb_data
from lowerbound.training.loop import train
from lowerbound.training.spec import Spec, complete
from lowerbound.training.sweep import betas_of, sweep
from lowerbound.training.sweep.members import member
from lowerbound.training.watch import Watch


class Stopwatch(Watch):
    """Seconds from the first step, which follows on compiling, to the end of the epoch."""

    began: float | None = None

    def on_step(self, step: int, ledger: Any) -> None:
        self.began = self.now() if self.began is None else self.began

    def on_epoch(self, row: dict[str, Any]) -> None:
        self.took = self.now() - (self.began or 0.0)

    def now(self) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()


def images(n: int) -> lb_data.Data:
    """Binary 28x28 images with MNIST's share of ink; speed does not depend on their content."""
    x = (torch.rand(n, 784, generator=torch.Generator().manual_seed(0)) < 0.13).float()
    return lb_data.from_array(x.numpy(), valid=0.0, test=0.0)


def spec_of(batch: int, device: str, compiled: str) -> Spec:
    settings = {
        "latent": 20,
        "encoder": {"hidden": [512]},
        "training": {"epochs": 1, "batch": batch, "device": device, "compile": compiled},
    }
    return Spec.of(complete(settings))


def together(spec: Spec, betas: list[float], data: lb_data.Data) -> float:
    """Seconds of the sweep."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        sweep(spec, betas, data, Path(folder) / "sweep", watch=watch)
    return watch.took


def apart(spec: Spec, betas: list[float], data: lb_data.Data) -> float:
    """Seconds of the same runs, one after another."""
    took = []
    for beta in betas:
        watch = Stopwatch()
        with tempfile.TemporaryDirectory() as folder:
            train(member(spec, beta), data, Path(folder) / "run", watch=watch)
        took.append(watch.took)
    return sum(took)


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
    ways = ["step by step"] if options.device == "cuda" else ["step by step", "compiled"]
    specs = [spec_of(options.batch, options.device, "on" if way == "compiled" else "off") for way in ways]
    contestants = {
        f"{who}, {way}": partial(how, spec, betas, data)
        for who, how in (("sweep", together), ("runs", apart))
        for way, spec in zip(ways, specs, strict=True)
    }
    seconds = alternate(contestants, options.rounds)
    times = {name: [1e3 * s / options.steps for s in took] for name, took in seconds.items()}
    pairs = [("step by step", "step by step"), ("compiled", "step by step"), ("compiled", "compiled")][
        : 2 * len(ways) - 1
    ]
    ratios = {
        f"sweep {one} over runs {other}": ratio(times[f"runs, {other}"], times[f"sweep, {one}"]) for one, other in pairs
    }
    about = {"betas": len(betas), "batch": options.batch, "device": options.device} | machine()
    print(f"{len(betas)} betas, batch {options.batch}, {options.threads} threads, torch {torch.__version__}")
    for name, values in times.items():
        print(f"  {name:45s} {told(spread(values), 1)} ms for a step of all")
    for name, found in ratios.items():
        print(f"  {name:45s} {told(found)} times as fast")
    if options.json:
        options.json.write_text(json.dumps(about | {"milliseconds": times, "ratios": ratios}, indent=2) + "\n")


if __name__ == "__main__":
    main()
