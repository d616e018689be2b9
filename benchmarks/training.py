"""Training speed, side by side in one process: ours, pythae, PyTorch three ways, and JAX that scans a whole epoch.

    python benchmarks/training.py [--network mlp conv28 conv32] [--batch 20 100 512] [--rounds 5] [--threads 2]
        [--clock wall|processor] [--quick] [--json FILE]

All train the same network (ReLU, Bernoulli, 20 latents, float32) with Adam at 1e-3 on the same binary images, one epoch
a round, in alternating rounds, so that a drift of the machine's speed falls on all. Ours runs with its ledger, alarms,
metrics, gradient norm and non-finite checks on; the others compute a loss and step. The figures are examples a second
and ratios, round by round: median, minimum, maximum. What is compiled is compiled before the first round; what that
took, and after how many examples it is paid back, is given beside. The machine's matrix-multiply rate is measured after
each round on the network's largest product; the share of it counts the multiplications of the network alone. On a
machine that others use too, ``--threads 1 --clock processor`` counts the processor time of one core, which their load
disturbs little; what compiling takes is always by the wall clock.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rivals import LATENT, NETWORKS, Network, by_hand, pythae, tutorial
from timing import Round, alternate, machine, matmul_rate, now, ratio, spread, told

from lowerbound import data as lb_data
from lowerbound.training.loop import Training
from lowerbound.training.randomness import borrowed
from lowerbound.training.run import Run
from lowerbound.training.spec import Spec, complete
from lowerbound.training.watch import Watch

SHORT = {"mlp": "784-512-20-512-784", "conv28": "convolutional 1x28x28", "conv32": "convolutional 3x32x32"}
BATCHES = {"mlp": (20, 100, 512), "conv28": (100,), "conv32": (100,)}
EXAMPLES = {"mlp": 25_600, "conv28": 12_000, "conv32": 9_000}
"""Whole batches of every size, also with --quick: not everyone takes the rows that are left over."""
QUICK = {"mlp": 2, "conv28": 3, "conv32": 3}
"""What these are divided by then."""
CPU = torch.device("cpu")
OTHER = "ours, not compiled"
"""Beside what a long run gets unasked."""


def ours(network: Network, data: lb_data.Data, batch: int, folder: str, **training: Any) -> Round:
    """The library's own loop, an epoch a round, with everything on."""
    settings = {
        "latent": LATENT,
        "encoder": network.ours(),
        "training": {"epochs": 10**6, "batch": batch, "device": "cpu", **training},
    }
    spec = Spec.of(complete(settings))
    name = "-".join(str(part) for part in (batch, *training.values()))
    run = Training(spec, data, Run(Path(folder) / name), None, Watch(), lambda: None, lambda: False, CPU)
    run.run.create(spec, data.record, {}, "0")

    def epoch() -> float:
        with borrowed(CPU):
            if run.compiled and run.whole is None:
                run.model.train()
                run.whole = run._compile()
            start = now()
            run._epoch()
            return now() - start

    return epoch


def images(n: int, shape: tuple[int, ...]) -> lb_data.Data:
    """Binary images with MNIST's share of ink; speed does not depend on their content."""
    x = (torch.rand(n, *shape, generator=torch.Generator().manual_seed(0)) < 0.13).float()
    return lb_data.from_array(x.numpy(), valid=0.0, test=0.0)


def field(network: Network, data: lb_data.Data, batch: int, folder: str) -> dict[str, Round]:
    """Everyone who is at hand; who is not is named on the error stream."""
    x = data.splits["train"].x.reshape(-1, *network.shape)
    contestants = {
        "ours": ours(network, data, batch, folder, compile="on"),
        OTHER: ours(network, data, batch, folder, compile="off"),
        "PyTorch, a tutorial's loop": tutorial(network, x, batch),
        "PyTorch, by hand": by_hand(network, x, batch),
        "PyTorch, compiled": by_hand(network, x, batch, compiled=True),
    }
    try:
        contestants["pythae"] = pythae(network, x, batch)
    except ImportError as error:
        print(f"pythae is left out ({error}); to have it: pip install --no-deps pythae", file=sys.stderr)
    try:
        from rival_jax import scan

        name = "JAX, a step at a time" if network.spatial else "JAX, an epoch scanned"  # each where it is faster
        contestants[name] = scan(network, x.numpy(), batch, whole_epoch=not network.spatial)
    except ImportError as error:
        print(f"JAX is left out ({error}); to have it: pip install jax", file=sys.stderr)
    return contestants


def compare(name: str, batch: int, rounds: int, examples: int) -> dict[str, Any]:
    """One network at one batch size."""
    network = NETWORKS[SHORT[name]]
    data = images(examples, network.shape)
    with tempfile.TemporaryDirectory() as folder:
        contestants = field(network, data, batch, folder)
        first = {who: _first(epoch) for who, epoch in contestants.items()}
        seconds = alternate(contestants, rounds, lambda: matmul_rate(batch))
    product = seconds.pop("beside")
    rates = {who: [examples / s for s in took] for who, took in seconds.items()}
    found = {
        "network": network.name,
        "batch": batch,
        "examples": examples,
        "examples_per_second": {who: spread(values) for who, values in rates.items()},
        "ours_over": {who: ratio(rates["ours"], v) for who, v in rates.items() if who != "ours"},
        "first_epoch_extra_seconds": {who: first[who] - statistics.median(seconds[who]) for who in first},
        "matmul_gflops": spread([p / 1e9 for p in product]),
    }
    gain = statistics.median(seconds[OTHER]) - statistics.median(seconds["ours"])
    paid = found["first_epoch_extra_seconds"]["ours"] / gain * examples if gain > 0 else None
    found["compiling_is_paid_back_after_examples"] = paid
    if not network.spatial:
        share = [network.flops() * a / p for a, p in zip(rates["ours"], product, strict=True)]
        found["share_of_matmul_rate"] = spread(share)
    return found


def _first(epoch: Round) -> float:
    start = time.perf_counter()
    epoch()
    return time.perf_counter() - start


def tell(result: dict[str, Any]) -> None:
    """The result as lines for people."""
    print(f"\n{result['network']}, batch {result['batch']}, epochs of {result['examples']} examples")
    for who, rate in result["examples_per_second"].items():
        over = result["ours_over"].get(who)
        extra = f", first epoch {result['first_epoch_extra_seconds'][who]:+.1f} s"
        print(f"  {who:27s} {told(rate, 0):>24s} examples/s{extra}" + (f"; ours is {told(over)} x" if over else ""))
    if "share_of_matmul_rate" in result:
        share = {k: 100 * v for k, v in result["share_of_matmul_rate"].items()}
        print(f"  matrix product {told(result['matmul_gflops'], 0)} GFLOP/s; ours reaches {told(share, 0)} % of it")
    paid = result["compiling_is_paid_back_after_examples"]
    print("  compiling does not pay here" if paid is None else f"  compiling is paid back after {paid:,.0f} examples")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", nargs="+", choices=list(SHORT), default=list(SHORT))
    parser.add_argument("--batch", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of PyTorch, and cores for everyone")
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall", help="processor: with --threads 1")
    parser.add_argument("--quick", action="store_true", help="3 rounds, epochs of fewer examples")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    rounds = min(options.rounds, 3) if options.quick else options.rounds
    results = []
    for name in options.network:
        for batch in options.batch or BATCHES[name]:
            examples = EXAMPLES[name] // (QUICK[name] if options.quick else 1)
            results.append(compare(name, batch, rounds, examples))
            tell(results[-1])
    if options.json:
        options.json.write_text(
            json.dumps({"machine": machine(), "clock": options.clock, "training": results}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
