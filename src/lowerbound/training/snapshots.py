"""When a run keeps its weights beside its checkpoints, so that its course can be drawn: evenly over the log of time."""

from __future__ import annotations

import math


def on_log_time(step: int) -> bool:
    """Whether a step (from 1) is a power of the root of 2, rounded.

    >>> [step for step in range(1, 50) if on_log_time(step)]
    [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45]
    """
    return step == round(2 ** (round(2 * math.log2(step)) / 2))
