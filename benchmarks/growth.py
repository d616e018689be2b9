"""What grows with the data, with the epochs and with the ledger: time of an example, time of an epoch's end, memory.

    python benchmarks/growth.py [--rows 10000 100000 1000000 10000000] [--quick] [--json FILE]

Each number of rows is a process of its own, so that its peak memory is its own: it writes N rows of 64 binary values
to a .npy file, loads them memory-mapped (whatever their number), and trains 64-128-8-128-64 at batch 100. Reported:
seconds to load them (reading, checking, hashing, splitting, moments), microseconds an example of a step (processor time
of the process over 400 steps spread over the whole set, and its share of the epoch's order), and the peak memory, which
counts the pages of the file that were read. Then, in one process: the end of an epoch after 0 and after 10,000 earlier
epochs, and a step with 2 and with 256 latent dimensions in the ledger.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

PARTS, BATCH, STEPS = 64, 100, 400


def trainer(data: Any, folder: str, latent: int = 8) -> Any:
    """A run that is about to take its first step."""
    import torch

    from lowerbound.training.loop import Training
    from lowerbound.training.run import Run
    from lowerbound.training.spec import Spec, complete
    from lowerbound.training.watch import Watch

    training = {"epochs": 10**6, "batch": BATCH, "compile": "off", "device": "cpu"}
    spec = Spec.of(complete({"latent": latent, "encoder": {"hidden": [128]}, "training": training}))
    cpu, run = torch.device("cpu"), Run(Path(folder) / f"run-{latent}")
    found = Training(spec, data, run, None, Watch(), lambda: None, lambda: False, cpu)
    run.create(spec, data.record, {}, "0")
    found.model.train()
    return found


def write(path: Path, rows: int) -> None:
    """Rows of binary values, a million at a time."""
    array = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, PARTS))
    random = np.random.default_rng(0)
    for start in range(0, rows, 2**20):
        array[start : start + 2**20] = random.random((min(2**20, rows - start), PARTS), np.float32) < 0.3
    array.flush()


def of_rows(rows: int) -> dict[str, float]:
    """Time and memory with this many rows; in a process of its own."""
    from lowerbound.data import load
    from lowerbound.training.randomness import order

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "rows.npy", rows)
        start = time.process_time()
        data = load(Path(folder) / "rows.npy", valid=0.0, test=0.0, limit=0)
        training = trainer(data, folder)
        loaded = time.process_time() - start
        before = time.process_time()
        taken = order(0, 0, training.n)
        ordering = (time.process_time() - before) / training.n
        batches = taken[: training.n // BATCH * BATCH].reshape(-1, BATCH)
        batches = batches[:: max(1, len(batches) // STEPS)]
        for batch in batches[:20]:
            training._step(batch)
        before = time.process_time()
        for batch in batches:
            training._step(batch)
        step = (time.process_time() - before) / (len(batches) * BATCH)
    return {
        "rows": rows,
        "load_seconds": loaded,
        "microseconds_per_example": (step + ordering) * 1e6,
        "peak_mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def of_ledger() -> dict[str, float]:
    """Milliseconds of an epoch's end after many epochs, and of a step with many latent dimensions."""
    from lowerbound.data import from_array
    from lowerbound.training.randomness import order

    x = (np.random.default_rng(0).random((4000, PARTS)) < 0.3).astype(np.float32)
    data, found = from_array(x, valid=0.1, test=0.0), {}
    with tempfile.TemporaryDirectory() as folder:
        for latent in (2, 256):
            training = trainer(data, folder, latent)
            taken = order(0, 0, training.n)[: 30 * BATCH].reshape(-1, BATCH)
            for _ in range(2):
                before = time.process_time()
                for batch in taken:
                    training._step(batch)
                found[f"step_with_{latent}_latents"] = (time.process_time() - before) / len(taken) * 1e3
        for earlier in (0, 10_000):
            training.ledger.add_sums(training.ledger.rate.new_ones(4 + latent), 100)
            before = time.process_time()
            training._close_epoch()
            found[f"end_after_{earlier}_epochs"] = (time.process_time() - before) * 1e3
            training.rows = [deepcopy(training.rows[-1]) | {"best": False} for _ in range(10_000)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--quick", action="store_true", help="up to a million rows")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(of_rows(options.one)))
        return
    results = []
    for rows in [n for n in options.rows if n <= 10**6 or not options.quick]:
        done = subprocess.run([sys.executable, __file__, "--one", str(rows)], stdout=subprocess.PIPE, check=True)
        results.append(json.loads(done.stdout))
        r = results[-1]
        cost, peak = r["microseconds_per_example"], r["peak_mebibytes"]
        print(f"{rows:>11,} rows: {cost:6.1f} us an example, peak {peak:6.0f} MiB, {r['load_seconds']:5.1f} s to load")
    ledger = of_ledger()
    for name, value in ledger.items():
        print(f"{name.replace('_', ' ')}: {value:.2f} ms")
    if options.json:
        options.json.write_text(json.dumps({"growth": results, "ledger_milliseconds": ledger}, indent=2) + "\n")


if __name__ == "__main__":
    main()
