"""Kill a training run with SIGKILL at random moments, resume it, and compare its files with an uninterrupted run's.

    python tests/training/kill.py --kills 50 --folder /tmp/kills

Children are forked from one warm process, so that a trial takes a fraction of a second.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import torch

torch.set_num_threads(1)

from lowerbound.training.loop import resume, train  # noqa: E402
from tests.training.small import contents, spec, stripes  # noqa: E402


def child(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def every(steps: int) -> Callable[[], bool]:
    calls = count(1)
    return lambda: next(calls) % steps == 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    data, settings = stripes(), spec(training={"epochs": 6})
    train(spec(training={"epochs": 1}), data, options.folder / "warm")
    start = time.perf_counter()
    os.waitpid(child(lambda: train(settings, data, options.folder / "whole", due=every(7))), 0)
    length = time.perf_counter() - start
    expected = contents(options.folder / "whole")
    kills = equal = attempt = 0
    while kills < options.kills:
        attempt += 1
        run = options.folder / f"run-{attempt}"
        pid = child(lambda run=run: train(settings, data, run, due=every(7)))
        time.sleep(dice.uniform(0, length))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not (run / "spec.json").exists():
            continue  # killed before there was a run to resume
        if not os.WIFSIGNALED(status):
            continue  # it had finished already
        kills += 1
        _, status = os.waitpid(child(lambda run=run: resume(run, data, due=every(7))), 0)
        equal += os.waitstatus_to_exitcode(status) == 0 and contents(run) == expected
    print(f"{kills} kills, {equal} equal, {attempt} attempts, {length:.2f} s a run")
    return 0 if equal == kills else 1


if __name__ == "__main__":
    sys.exit(main())
