"""Random numbers drawn inside a loss: counted, seeded, or replaced, so that probes see expectations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

NORMAL = ("aten::randn", "aten::normal", "aten::randn_like", "aten::normal_")


def _is_normal(func: Any) -> bool:
    name = func._schema.name
    return name in NORMAL or name.startswith(("aten::randn.", "aten::normal."))


def _own_generator(args: Any, kwargs: Any) -> bool:
    """Whether a draw comes from a generator that the loss owns (then it is the same at every call, or a constant)."""
    return any(isinstance(a, torch.Generator) for a in (*args, *(kwargs or {}).values()))


class NoiseCounter(TorchDispatchMode):
    """Counts the draws of the global generator made while it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.draws = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count and pass on."""
        self.draws += _is_normal(func) and not _own_generator(args, kwargs)
        return func(*args, **(kwargs or {}))


class NoiseRecorder(TorchDispatchMode):
    """Keeps the result of every normal draw, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Record and pass on."""
        result = func(*args, **(kwargs or {}))
        if _is_normal(func):
            self.results.append(result.clone())
        return result


class DesignedNoise(TorchDispatchMode):
    """Replaces standard normal draws by one number: those of the global generator, or those numbered in ``chosen``."""

    def __init__(self, node: float, chosen: frozenset[int] | None = None) -> None:
        super().__init__()
        self.node, self.chosen, self.count = node, chosen, -1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Rescale the draw: mean + std * node."""
        result = func(*args, **(kwargs or {}))
        if not _is_normal(func):
            return result
        self.count += 1
        if _own_generator(args, kwargs) if self.chosen is None else self.count not in self.chosen:
            return result
        name, overload = func._schema.name, func._overloadname
        if name.startswith("aten::randn"):
            return torch.full_like(result, self.node)
        if name == "aten::normal_":
            mean, std = (*args[1:], 0.0, 1.0)[:2] if len(args) > 1 else (0.0, 1.0)
            return args[0].fill_(mean + std * self.node)
        mean = args[0] if args else 0.0
        std = args[1] if len(args) > 1 else (kwargs or {}).get("std", 1.0)
        if "float_float" in overload:
            return torch.full_like(result, float(mean) + float(std) * self.node)
        return torch.zeros_like(result) + mean + std * self.node


def normal_nodes(n: int = 6) -> list[tuple[float, float]]:
    """Gauss-Hermite nodes and weights of N(0, 1): exact for polynomials of degree 2 n - 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return [(float(a), float(w)) for a, w in zip(nodes, weights / weights.sum(), strict=True)]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Fix torch's and numpy's global generators, and put them back."""
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    torch.default_generator.manual_seed(seed)  # torch.manual_seed seeds every device and formats a traceback each time
    np.random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)
