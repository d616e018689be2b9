"""What a function's own arguments do to its KL: steps, modes and weights with a default value."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from lowerbound.audit.probe import Probe, Sizes
from lowerbound.audit.roles import KNOBS, MODES, STEPS, options
from lowerbound.audit.verdict import Finding


def kl_part(loss: Callable[..., Any], probe: Probe, sizes: Sizes) -> float:
    """How much the loss grows when mu does."""
    trial = Probe(loss, probe.x_space, probe.out_space)
    trial.positive, trial.dtype, trial.pick = probe.positive, probe.dtype, probe.pick
    p = trial.point(sizes, 3.0)
    return trial.value(p.but(mu=1.5 * p.mu)) - trial.value(p)


def setting_findings(
    fn: Callable[..., Any], adapted: Callable[..., Callable[..., Any]], probe: Probe, sizes: Sizes
) -> list[Finding]:
    """Vary every argument that has a default; ``adapted`` makes ``loss(x, out, mu, s)`` of a changed function."""
    found = []
    for name, value in options(fn).items():
        tries = (
            [not value]
            if isinstance(value, bool)
            else [0, 10 * (value or 1), 10**7]
            if name in STEPS
            else [2 * value + 0.5]
        )
        weights = []
        for t in [value, *tries]:
            try:
                weights.append(kl_part(adapted(functools.partial(fn, **{name: t})), probe, sizes))
            except Exception:
                weights.append(math.nan)
        found += _say(name, value, tries, weights)
    return found


def _say(name: str, value: Any, tries: list[Any], weights: list[float]) -> list[Finding]:
    home = weights[0]
    if any(not math.isfinite(w) for w in weights):
        return []
    moved = any(abs(w - home) > 1e-9 * abs(home) for w in weights)
    numbers = {
        "argument": name,
        "values": [value, *tries],
        "relative weight": [w / home if home else w for w in weights],
    }
    if name in MODES and moved:
        return [Finding("T1", f"The KL has another weight when {name} is {tries[0]}.", numbers, severity="warn")]
    if name in STEPS and moved:
        return [Finding("M3", f"The KL's weight changes with {name}.", numbers, severity="info")]
    if name in KNOBS and not moved:
        words = f"{name} changes nothing: the KL's weight does not depend on it."
        return [Finding("M4", words, numbers, f"multiply the KL by {name}", "warn")]
    return []
