"""Passive audit of any training loop: record a few batches, then regress the loss on likelihoods and KLs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lowerbound.audit.heads import PLAIN, Head
from lowerbound.audit.likelihoods import FIXED, Family
from lowerbound.errors import InputError

Array = np.ndarray


@dataclass
class Snapshot:
    """One forward pass: data, outputs of the leaf modules, and the loss that was backpropagated."""

    x: Array
    outputs: dict[int, Array] = field(default_factory=dict)
    loss: float | None = None


@dataclass(frozen=True)
class Observed:
    """loss = r NLL + k KL + c over the batches seen; ``residual`` is relative; ``confident`` when it is rounding."""

    parametrisation: str
    likelihood: str
    likelihood_weight: float
    kl_weight: float
    beta: float
    terms: dict[str, float]
    residual: float
    batches: int

    @property
    def confident(self) -> bool:
        """The regression explains the losses to float32's rounding."""
        return self.residual < 1e-3


class Watch:
    """Context manager; use through :func:`watch`."""

    def __init__(self, model: nn.Module, keep: int = 64) -> None:
        self.model, self.keep = model, keep
        self.leaves = [m for m in model.modules() if not list(m.children())]
        self.snapshots: list[Snapshot] = []
        self._current: dict[int, Array] = {}
        self._handles: list[Any] = []
        self._backward: Any = None

    def __enter__(self) -> Watch:
        for i, leaf in enumerate(self.leaves):
            self._handles.append(leaf.register_forward_hook(self._leaf(i)))
        self._handles.append(self.model.register_forward_pre_hook(self._start, with_kwargs=True))
        self._backward = torch.Tensor.backward
        watching = self

        def backward(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            watching.note(tensor)
            return watching._backward(tensor, *args, **kwargs)

        torch.Tensor.backward = backward  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        torch.Tensor.backward = self._backward  # type: ignore[method-assign]
        for handle in self._handles:
            handle.remove()

    def _start(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found = [t for v in (*args, *kwargs.values()) for t in _floats(v)]
        if found and len(self.snapshots) < self.keep:
            x = max(found, key=lambda t: t.numel()).detach()
            self._current = {}
            self.snapshots.append(Snapshot(x.reshape(len(x), -1).double().cpu().numpy().copy(), self._current))

    def _leaf(self, i: int) -> Any:
        def hook(_: nn.Module, __: Any, result: Any) -> None:
            if isinstance(result, Tensor) and result.ndim >= 2:
                self._current[i] = result.detach().reshape(len(result), -1).double().cpu().numpy().copy()

        return hook

    def note(self, loss: Tensor) -> None:
        """Remember the loss of the last forward pass."""
        if self.snapshots and self.snapshots[-1].loss is None and loss.numel() == 1:
            self.snapshots[-1].loss = float(loss.detach())

    def verdict(self) -> Observed:
        """The reading that explains the recorded losses best."""
        seen = [s for s in self.snapshots if s.loss is not None and s.outputs]
        if len(seen) < 7:
            raise InputError(
                f"saw {len(seen)} batches with a loss", where="watch", mend="train at least 7 batches inside the with"
            )
        return regress(seen)


def watch(model: nn.Module, keep: int = 64) -> Watch:
    """Observe a training loop without touching it.

    ``with watch(model) as audit: ...train a few batches...`` then ``audit.verdict()``: which likelihood, which reading
    of the spread, and the weights r and k, by least squares over the batches seen (at most ``keep``). Learning rate and
    batch size are yours; the more the batches differ, the surer the answer.
    """
    return Watch(model, keep)


def _floats(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() and value.ndim > 1 else []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else []
    return [t for v in items for t in _floats(v)]


def regress(seen: list[Snapshot]) -> Observed:
    """Try every pair of heads, every reading and every likelihood."""
    parts, loss = seen[0].x.shape[1], np.array([s.loss for s in seen], dtype=float)
    widths = {i: v.shape[1] for i, v in seen[0].outputs.items() if all(i in s.outputs for s in seen)}
    decoders = [i for i, w in widths.items() if w == parts][-2:]
    nlls = [(f, n) for i in decoders for f in FIXED if (n := _nll(seen, f, i)) is not None]
    best: tuple[float, Observed] | None = None
    for (first, second), head in itertools.product(_pairs(widths, parts), PLAIN):
        terms = _terms(seen, first, second, head)
        if terms is None:
            continue
        for family, nll in nlls:
            found = _fit(loss, nll, terms, head, family, len(seen))
            if found is not None and (best is None or found.residual < best[0]):
                best = found.residual, found
    if best is None:
        raise InputError(
            "no two heads and no output of the data's size", where="watch", mend="use lowerbound.check on the loss"
        )
    return best[1]


Half = tuple[int, int]  # leaf, 0 whole / 1 first half / 2 second half


def _pairs(widths: dict[int, int], parts: int) -> list[tuple[Half, Half]]:
    whole = [(a, b) for a, b in itertools.permutations(widths, 2) if widths[a] == widths[b] and widths[a] < parts]
    near = [((a, 0), (b, 0)) for a, b in whole if abs(a - b) <= 2]
    halves = [((i, 1), (i, 2)) for i, w in widths.items() if w % 2 == 0 and w < parts]
    return near + halves + [(b, a) for a, b in halves]


def _take(outputs: dict[int, Array], half: Half) -> Array:
    value = outputs[half[0]]
    middle = value.shape[1] // 2
    return value if half[1] == 0 else value[:, :middle] if half[1] == 1 else value[:, middle:]


def _nll(seen: list[Snapshot], family: Family, leaf: int) -> Array | None:
    totals = []
    for s in seen:
        if s.outputs[leaf].shape != s.x.shape:
            return None
        with np.errstate(all="ignore"):
            totals.append(float(np.sum(family.nll(s.x, s.outputs[leaf]))) / len(s.x))
    return np.array(totals) if np.all(np.isfinite(totals)) else None


def _terms(seen: list[Snapshot], first: Half, second: Half, head: Head) -> Array | None:
    rows = []
    for s in seen:
        mu, v = _take(s.outputs, first), head(_take(s.outputs, second))
        if mu.shape != v.shape or not np.all(np.isfinite(v)) or np.any(v <= 0):
            return None
        rows.append([np.sum(mu**2) / 2 / len(mu), (np.sum(v) - np.sum(np.log(v)) - v.size) / 2 / len(mu)])
    return np.array(rows)


def _fit(loss: Array, nll: Array, terms: Array, head: Head, family: Family, n: int) -> Observed | None:
    columns = np.stack([nll, terms.sum(1), np.ones_like(nll)], 1)
    scale = np.abs(columns).max(0)
    if np.any(scale == 0):
        return None
    weights, *_ = np.linalg.lstsq(columns / scale, loss, rcond=None)
    weights = weights / scale
    spread = np.ptp(loss) or 1.0
    residual = float(np.abs(columns @ weights - loss).max() / spread)
    r, k = float(weights[0]), float(weights[1])
    if r <= 0:
        return None
    named = {"nll per example": r, "kl per example": k, "constant": float(weights[2])}
    return Observed(head.name, family.name, r, k, k / r, named, residual, n)
