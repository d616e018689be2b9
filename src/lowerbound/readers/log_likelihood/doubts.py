"""What is doubtful about an estimate of log p(x), in sentences for people."""

from __future__ import annotations

from collections.abc import Iterator

from lowerbound.readers.log_likelihood.result import DOUBTFUL, LogLikelihood
from lowerbound.readers.words import several

ALLOWED = 0.02
"""Nats that a decoder in bfloat16 may be off before it is said."""
FEWEST = {"importance": 10, "appendix-d": 10, "annealed": 2}
"""Effective samples below which the mean of the weights rests on one or two of them."""
TAILS = {
    "importance": "the true log p(x) is higher; take more samples, or method annealed",
    "appendix-d": "the fitted density reaches past the posterior, and the true log p(x) is lower; take method annealed",
}
MENDS = {
    "importance": "more samples",
    "appendix-d": "more samples, or method annealed",
    "annealed": "more temperatures",
}


def doubts(found: LogLikelihood) -> Iterator[str]:
    """Where a figure is not what it seems, and what to do."""
    n, fewest = len(found.log_p), FEWEST.get(found.method, 0)
    if found.warning:
        yield found.warning
    if found.precision_error is not None:
        verdict = (
            "more than is allowed: use float32" if abs(found.precision_error) > ALLOWED else "within what is allowed"
        )
        yield f"bfloat16 moves log p(x) by {found.precision_error:+.4f} nats ({ALLOWED} are allowed): {verdict}"
    if found.method in TAILS and 2 * found.doubtful > n:
        yield f"most Pareto k are above {DOUBTFUL}: {TAILS[found.method]}"
    few = int((found.effective < fewest).sum())
    if found.samples >= 4 * fewest and 2 * few > n:
        yield f"fewer than {fewest} effective samples in {few} of {several(n, 'example')}: take {MENDS[found.method]}"
    if found.settings.get("grids_differ_at_most", 0.0) > found.settings.get("tolerance", 0.0):
        yield "the finest grids do not agree to the tolerance: the posterior is too uneven for quadrature"
    above = int((found.log_p > 0).sum())
    if found.discrete and above:
        where = f"in {above} of {several(n, 'example')}"
        yield f"log p(x) is above 0 {where}, and no probability is above 1: the estimate has failed"
