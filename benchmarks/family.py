"""Throughput of the family's members beside the plain VAE's, in one launch, as ratios.

    python benchmarks/family.py [--rounds 5] [--steps 60] [--threads 2] [--json out.json]

Every member trains a 784-500-20-500-784 network on batches of 100 binary pictures through the library's own loop,
ledger and all. Rounds alternate, so that what else the machine does falls on all alike; the ratio is the median over
rounds of the plain VAE's time by the member's: 1 is as fast, 0.5 takes twice as long.
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

from lowerbound.data import from_array
from lowerbound.training.loop import Training
from lowerbound.training.run import Run
from lowerbound.training.spec import Spec, complete
from lowerbound.training.watch import Watch

MEMBERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "elbo, sampled rate": {"bound": {"name": "elbo", "estimator": "sampled"}},
    "iwae k=1": {"bound": {"name": "iwae", "k": 1}},
    "free bits": {"objective": {"name": "free-bits"}},
    "capacity": {"objective": {"name": "capacity"}},
    "geco": {"objective": {"name": "geco"}},
    "deterministic": {"posterior": {"name": "deterministic"}, "objective": {"name": "reconstruction"}},
    "categorical": {"posterior": {"name": "categorical", "classes": 2}, "prior": {"name": "categorical", "classes": 2}},
    "learned-normal prior": {"prior": {"name": "learned-normal"}},
    "mixture prior": {"prior": {"name": "mixture"}},
    "student-t prior": {"prior": {"name": "student-t"}},
    "gaussian corruption": {"corruption": {"name": "gaussian"}},
    "masking corruption": {"corruption": {"name": "masking"}},
    "l1": {"regulariser": {"name": "l1"}},
    "dip": {"regulariser": {"name": "dip"}},
    "mmd": {"regulariser": {"name": "mmd"}},
    "total correlation": {"regulariser": {"name": "total-correlation"}},
    "label condition": {"condition": {"name": "labels"}},
}


def member(settings: dict[str, Any], data: Any, folder: Path) -> Training:
    """The state of a run that takes these settings."""
    base = {"latent": 20, "encoder": {"name": "mlp", "hidden": [500]}, "training": {"epochs": 1, "batch": 100}}
    spec = Spec.of(complete(base | settings))
    return Training(spec, data, Run(folder / "run"), None, Watch(), lambda: None, lambda: False, torch.device("cpu"))


def steps(training: Training, count: int) -> float:
    """Seconds of so many steps."""
    rows = torch.arange(100)
    for _ in range(5):  # what another member left in the caches is not this one's cost
        training._step(rows)
    begun = time.perf_counter()
    for _ in range(count):
        training._step(rows)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    x = (torch.rand(1000, 1, 28, 28) > 0.8).float().numpy()
    data = from_array(x, (torch.arange(1000) % 10).numpy(), valid=0, test=0)
    with tempfile.TemporaryDirectory() as folder:
        running = {name: member(settings, data, Path(folder)) for name, settings in MEMBERS.items()}
        for training in running.values():
            steps(training, 5)
        ratios: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(arguments.rounds):
            for name, training in running.items():
                plain = steps(running["plain"], arguments.steps)
                ratios[name].append(plain / steps(training, arguments.steps))
    print("| member | speed beside the plain VAE | spread over rounds |\n| --- | --- | --- |")
    rows = {}
    for name, found in ratios.items():
        rows[name] = {"median": statistics.median(found), "low": min(found), "high": max(found)}
        print(f"| {name} | {rows[name]['median']:.2f} | {min(found):.2f} to {max(found):.2f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
