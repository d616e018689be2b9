"""What every benchmark shares: alternating rounds, ratios with their spread, and the machine's own rates."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import torch

PROCESSOR = "--clock" in sys.argv and "processor" in sys.argv
"""Whether seconds are those of the processor, in all threads of the process: what other people's load disturbs less."""
now: Callable[[], float] = time.process_time if PROCESSOR else time.perf_counter
Round = Callable[[], float]
"""One round of a contestant: the seconds it took."""


def alternate(contestants: Mapping[str, Round], rounds: int, beside: Round | None = None) -> dict[str, list[float]]:
    """Seconds of every contestant in ``rounds`` alternating rounds; the first, in which things warm up, is not counted.

    ``beside`` is measured after each round: a rate of the machine, under the name "beside".
    """
    found: dict[str, list[float]] = {name: [] for name in (*contestants, *(["beside"] if beside else []))}
    for turn in range(rounds + 1):
        for name, contestant in [*contestants.items(), *([("beside", beside)] if beside else [])]:
            seconds = contestant()
            if turn:
                found[name].append(seconds)
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(a: list[float], b: list[float]) -> dict[str, float]:
    """a over b, round by round."""
    return spread([x / y for x, y in zip(a, b, strict=True)])


def told(s: Mapping[str, float], digits: int = 2) -> str:
    """A spread in words: median (minimum-maximum)."""
    return f"{s['median']:.{digits}f} ({s['min']:.{digits}f}-{s['max']:.{digits}f})"


def matmul_rate(rows: int, inner: int = 784, columns: int = 512) -> float:
    """Multiplications and additions a second of one matrix product, float32, in as many threads as training has."""
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    out = torch.empty(rows, columns)
    work = 2 * rows * inner * columns
    repeats = max(1, int(2e10 / work))
    torch.mm(a, b, out=out)
    start = now()
    for _ in range(repeats):
        torch.mm(a, b, out=out)
    return work * repeats / (now() - start)


def copy_rate(megabytes: int = 64) -> float:
    """Bytes read and written a second by a copy too large for the near caches."""
    a = torch.ones(megabytes * 2**18)
    b = torch.empty_like(a)
    b.copy_(a)
    start = now()
    for _ in range(20):
        b.copy_(a)
    return 20 * 2 * 4 * a.numel() / (now() - start)


def machine() -> dict[str, Any]:
    """Where and when the figures were taken, and how busy the machine was."""
    return {
        "date": date.today().isoformat(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "copy_gigabytes_per_second": copy_rate() / 1e9,
        "matmul_gflops": {rows: matmul_rate(rows) / 1e9 for rows in (20, 100, 512)},
    }
