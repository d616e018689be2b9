"""Throughput of the family's members beside the plain VAE's, in one launch, as ratios.

    python benchmarks/family.py [--rounds 20] [--steps 10] [--threads 2] [--latent 20]
        [--only mmd ...] [--json out.json]

Every member trains a 784-500-20-500-784 network on batches of 100 binary pictures through the library's own loop,
ledger and all: step by step as a short run does, and as one compiled graph, which a run of 10,000 steps gets unasked,
where that can be. Each member is timed right before and right after a plain VAE that has taken as
many steps, so that what else the machine does falls on both alike; the ratio is the median of the plain VAE's time by
the member's: 1 is as fast, 0.5 takes twice as long. Medians of many short turns repeat better than those of a few long
ones of as many steps: to some 0.03.

A full covariance and categorical codes have wider layers than the plain VAE of as many latents. They stand in the table
beside that one, and once more beside a plain VAE with as many weights, whose latents are more: what its own arithmetic
costs a member is then apart from what its layers cost.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lowerbound.data import from_array
from lowerbound.errors import InputError
from lowerbound.training.loop import Training
from lowerbound.training.run import Run
from lowerbound.training.spec import Spec, complete
from lowerbound.training.watch import Watch

MEMBERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "elbo, sampled rate": {"bound": {"name": "elbo", "estimator": "sampled"}},
    "iwae k=1": {"bound": {"name": "iwae", "k": 1}},
    "stl k=1": {"bound": {"name": "iwae", "k": 1, "gradient": "stl"}},
    "dreg k=1": {"bound": {"name": "iwae", "k": 1, "gradient": "dreg"}},
    "cyclical": {"schedule": {"name": "cyclical"}},
    "free bits": {"objective": {"name": "free-bits"}},
    "capacity": {"objective": {"name": "capacity"}},
    "geco": {"objective": {"name": "geco"}},
    "deterministic": {"posterior": {"name": "deterministic"}, "objective": {"name": "reconstruction"}},
    "full-normal": {"posterior": {"name": "full-normal"}},
    "class and style": {
        "posterior": {"name": "class-and-style"},
        "prior": {"name": "class-and-style"},
        "objective": {"name": "reconstruction"},
    },
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
    "part condition": {"condition": {"name": "part", "known": "top"}},
}

AS_LARGE: dict[str, Callable[[int], int]] = {
    "full-normal": lambda n: round((2 * n + n * (n - 1) / 2 + n) / 3),
    "categorical": lambda n: round((2 * n + 2 * n) / 3),
}
"""Latents of the plain VAE, 3 rows of weights each, that has as many weights as the member with n of them."""
BESIDE = ", as many weights"
MEMBERS |= {name + BESIDE: MEMBERS[name] for name in AS_LARGE}


def member(settings: dict[str, Any], data: Any, folder: Path, how: str = "off", latent: int = 20) -> Training | None:
    """The state of a run that takes these settings; None where its step cannot be one graph."""
    training = {"epochs": 1, "batch": 100, "compile": how}
    network = {"latent": latent, "encoder": {"name": "mlp", "hidden": [500]}}
    spec = Spec.of(complete(network | {"training": training} | settings))
    stop = (lambda: None, lambda: False)
    try:
        run = Training(spec, data, Run(folder / "run"), None, Watch(), *stop, torch.device("cpu"))
        run.model.train()
        run.whole = run._compile() if how == "on" else None
    except InputError:
        return None
    return run


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
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--latent", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=list(MEMBERS), metavar="MEMBER", help="these members alone")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    x = (torch.rand(1000, 1, 28, 28) > 0.8).float().numpy()
    data = from_array(x, (torch.arange(1000) % 10).numpy(), valid=0, test=0)
    with tempfile.TemporaryDirectory() as folder:
        names = arguments.only or list(MEMBERS)
        make = partial(member, data=data, folder=Path(folder), latent=arguments.latent)
        found = {how: race(names, partial(make, how=how), arguments) for how in ("off", "on")}
    lines = ["| member | step by step | spread | one graph | spread |", "| --- | --- | --- | --- | --- |"]
    for name in names:
        cells = [cell for how in ("off", "on") for cell in told(found[how].get(name))]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    print("\n".join(lines))
    if arguments.json:
        arguments.json.write_text(json.dumps({"step by step": found["off"], "one graph": found["on"]}, indent=2) + "\n")


def race(names: Sequence[str], make: Callable[..., Any], asked: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Each member's speed beside a plain VAE's."""
    rounds, count = asked.rounds, asked.steps
    running = {name: run for name in names if (run := make(MEMBERS[name]))}
    one = make({})
    beside = {name: one if one.whole else make({}) for name in running}
    for name in (n for n in running if n.endswith(BESIDE)):
        beside[name] = make({}, latent=AS_LARGE[name.removesuffix(BESIDE)](asked.latent))
    for run in (*running.values(), *beside.values()):
        steps(run, 5)
    ratios: dict[str, list[float]] = {name: [] for name in running}
    for turn in range(2 * rounds):
        for name, run in running.items():
            pair = [beside[name], run]
            times = [steps(each, count) for each in (pair if turn % 2 else reversed(pair))]
            ratios[name].append(times[0] / times[1] if turn % 2 else times[1] / times[0])
    return {n: {"median": statistics.median(r), "low": min(r), "high": max(r)} for n, r in ratios.items()}


def told(found: dict[str, float] | None) -> list[str]:
    """Two cells of the table."""
    return ["-", ""] if found is None else [f"{found['median']:.2f}", f"{found['low']:.2f} to {found['high']:.2f}"]


if __name__ == "__main__":
    main()
