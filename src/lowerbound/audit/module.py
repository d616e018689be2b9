"""A module with its training step: heads, output, data and noise replaced through hooks, then the same probes."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lowerbound.audit.core import audit_function
from lowerbound.audit.noise import seeded
from lowerbound.audit.probe import Probe, Sizes, first_tensor
from lowerbound.audit.sampler import fit_sampler
from lowerbound.audit.settings import kl_part
from lowerbound.audit.verdict import Finding, Verdict
from lowerbound.errors import InputError

Step = Callable[[nn.Module, Any], Any]


def default_step(module: nn.Module, batch: Any) -> Any:
    """``training_step(batch, 0)`` where there is one, else ``module(batch)``."""
    step = getattr(module, "training_step", None)
    return step(batch, 0) if callable(step) else module(batch)


@dataclass
class Wiring:
    """Which leaf modules carry what: their order numbers in one run, and the shapes per example."""

    leaves: list[nn.Module]
    order: list[int] = field(default_factory=list)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    inputs: dict[int, Tensor] = field(default_factory=dict)
    outputs: dict[int, Tensor] = field(default_factory=dict)
    replace: dict[int, Tensor] = field(default_factory=dict)
    watching: bool = True

    def hooks(self) -> list[Any]:
        """Attach to every leaf; a leaf that runs twice counts at its last run."""
        return [leaf.register_forward_hook(self._hook(i)) for i, leaf in enumerate(self.leaves)]

    def _hook(self, i: int) -> Callable[..., Any]:
        def hook(_: nn.Module, given: tuple[Any, ...], result: Any) -> Any:
            if not isinstance(result, Tensor) or result.ndim < 2:
                return None
            if self.watching:
                self.order = [j for j in self.order if j != i] + [i]
                self.shapes[i] = tuple(result.shape[1:])
                self.outputs[i] = result.detach()
            if given and isinstance(given[0], Tensor):
                self.inputs[i] = given[0].detach()
            new = self.replace.get(i)
            if new is None:
                return None
            times = result.numel() // max(new.numel(), 1)  # several samples of z per example
            new = new.repeat_interleave(times, 0) if times > 1 else new
            return new.reshape(result.shape).to(result.dtype)

        return hook


class Stand:
    """A copy of a module on the test stand, in float64."""

    def __init__(self, module: nn.Module, step: Step | None, batch: Any) -> None:
        self.module = copy.deepcopy(module).double().train()
        self.step, self.batch = step or default_step, _cast(batch)
        leaves = [m for m in self.module.modules() if not list(m.children())]
        self.wiring = Wiring(leaves)
        self.hooks = self.wiring.hooks()
        self.data = _largest(self.batch)
        self.size = self.data.shape[0]
        self.run(self.batch)
        self.wiring.watching = False
        self.decoder = self._decoder()
        self.heads, self.chunked = self._heads()

    def run(self, batch: Any) -> Tensor:
        """The loss of a batch with whatever is replaced."""
        with seeded(0):
            value = self.step(self.module, batch)
        value = first_tensor(value)
        if not isinstance(value, Tensor):
            raise InputError(
                "the step returns no tensor", where="step", mend="return the loss, or a dict with key 'loss'"
            )
        return value

    def _decoder(self) -> int:
        parts = self.data[0].numel()
        fits = [i for i in self.wiring.order if _numel(self.wiring.shapes[i]) == parts]
        if not fits:
            raise InputError(
                "no layer's output is as large as the data", where="module", mend="check the bare loss function"
            )
        return fits[-1]

    def _responds(self, i: int) -> bool:
        w = self.wiring
        before = float(self.run(self.batch).detach().sum())
        kept = w.replace.get(i)
        gen = torch.Generator().manual_seed(i)
        noise = 0.3 * torch.randn(w.outputs[i].shape, generator=gen, dtype=torch.float64)
        w.replace[i] = w.outputs[i] + noise
        after = float(self.run(self.batch).detach().sum())
        w.replace.pop(i)
        if kept is not None:
            w.replace[i] = kept
        return abs(after - before) > 1e-12 * (1 + abs(before))

    def _heads(self) -> tuple[list[int], bool]:
        """Walk back from the decoder: the last layers that still move the loss when the output is held."""
        w = self.wiring
        w.replace[self.decoder] = w.outputs[self.decoder]
        found: list[int] = []
        for i in reversed(w.order):
            if i == self.decoder or len(found) == 2 or not self._responds(i):
                continue
            found.append(i)
            w.replace[i] = w.outputs[i]
        w.replace.clear()
        if not found:  # nothing but the decoder's output moves the loss: no KL, or a dead one
            return [], False
        if len(found) == 2 and w.shapes[found[0]] != w.shapes[found[1]]:
            found = found[:1]
        return found, len(found) == 1

    def latents(self) -> int:
        """Dz (2 where no layer holds a posterior)."""
        if not self.heads:
            return 2
        n = _numel(self.wiring.shapes[self.heads[0]])
        return n // 2 if self.chunked else n

    def loss(self, swap: bool) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """``loss(x, out, mu, s)`` of the training step; ``swap``: the heads the other way round."""

        def call(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Tensor:
            w = self.wiring
            if mu.shape[1] != self.latents() or x.shape[1] != self.data[0].numel():
                raise ValueError("a module has one Dx and one Dz")
            a, b = (s, mu) if swap else (mu, s)
            w.replace = {self.decoder: out}
            if not self.heads:
                pass
            elif self.chunked:
                w.replace[self.heads[0]] = self._join(a, b)
            else:
                w.replace |= {self.heads[0]: a, self.heads[1]: b}
            try:
                return self.run(_with_rows(self.batch, self.data, x.reshape(-1, *self.data.shape[1:])))
            finally:
                w.replace = {}

        return call

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b], dim=1)

    def sampler(self, swap: bool) -> Callable[[Tensor, Tensor], Tensor] | None:
        """z as the decoder's first layer receives it."""
        w, dz = self.wiring, self.latents()
        if not self.heads:
            return None
        last = max(w.order.index(h) for h in self.heads)
        entry = next((i for i in w.order[last + 1 :] if i in w.inputs and w.inputs[i].shape[-1] == dz), None)
        if entry is None:
            return None
        loss = self.loss(swap)

        def sample(mu: Tensor, s: Tensor) -> Tensor:
            columns = []
            for start in range(0, mu.shape[1], dz):
                m, t = mu[:, start : start + dz], s[:, start : start + dz]
                wide = m.shape[1]
                m, t = (nn.functional.pad(v, (0, dz - wide), value=0.5) for v in (m, t))
                rows = self.data.repeat(-(-len(m) // len(self.data)), *[1] * (self.data.ndim - 1))[: len(m)]
                with torch.no_grad():
                    loss(rows.reshape(len(m), -1), rows.reshape(len(m), -1) * 0 + 0.5, m, t)
                columns.append(w.inputs[entry].reshape(len(m), -1, dz)[:, 0, :wide])
            return torch.cat(columns, 1)

        return sample


def _numel(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def _cast(batch: Any) -> Any:
    if isinstance(batch, Tensor):
        return batch.double() if batch.is_floating_point() else batch
    if isinstance(batch, dict):
        return type(batch)({k: _cast(v) for k, v in batch.items()})
    return type(batch)(_cast(v) for v in batch) if isinstance(batch, (tuple, list)) else batch


def _tensors(batch: Any) -> list[Tensor]:
    if isinstance(batch, Tensor):
        return [batch] if batch.is_floating_point() else []
    values = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, (tuple, list)) else []
    return [t for v in values for t in _tensors(v)]


def _largest(batch: Any) -> Tensor:
    found = _tensors(batch)
    if not found:
        raise InputError(
            "holds no tensor of floats", where="batch", mend="give one batch that the training step accepts"
        )
    return max(found, key=lambda t: t.numel())


def _with_rows(batch: Any, data: Tensor, rows: Tensor) -> Any:
    """The batch with its data replaced and everything else cut or repeated to as many rows."""
    if batch is data:
        return rows
    if isinstance(batch, Tensor):
        if batch.ndim == 0 or batch.shape[0] != data.shape[0]:
            return batch
        return batch.repeat(-(-len(rows) // len(batch)), *[1] * (batch.ndim - 1))[: len(rows)]
    if isinstance(batch, dict):
        return type(batch)({k: _with_rows(v, data, rows) for k, v in batch.items()})
    return type(batch)(_with_rows(v, data, rows) for v in batch) if isinstance(batch, (tuple, list)) else batch


def check_module(
    module: nn.Module,
    *,
    step: Step | None = None,
    batch: Any,
    x: str = "unit",
    out: str = "auto",
    optimizer: Any = None,
) -> Verdict:
    """The verdict on a module's training step. Only B can be varied: exponents of Dx and Dz are guessed from values."""
    if batch is None:
        raise InputError("no batch", where="batch", mend="give one batch that the training step accepts")
    stand = Stand(module, step, batch)
    space = out if out in ("prob", "logit", "real", "rate") and out != "auto" else _space(stand)
    sizes = Sizes(stand.size, stand.data[0].numel(), stand.latents())
    swap = _mean_is_second(stand, x, space, sizes)
    fits = [
        fit_sampler(s, np.array([-0.5, 0.1, 0.6]), False)
        for s in (stand.sampler(False), stand.sampler(True))
        if s is not None
    ]
    if len(fits) == 2 and fits[0] is not None and fits[1] is not None and fits[0].centred != fits[1].centred:
        swap = fits[1].centred
    loss = stand.loss(swap)
    verdict = audit_function(loss, stand.sampler(swap), x, space, (sizes.B, sizes.Dx, sizes.Dz))
    return dataclasses.replace(
        verdict, findings=(*verdict.findings, *_modes(stand, loss, x, space), *_orphans(module, stand, optimizer))
    )


def _space(stand: Stand) -> str:
    leaf = stand.wiring.leaves[stand.decoder]
    if isinstance(leaf, (nn.Sigmoid, nn.Softmax)):
        return "prob"
    return "rate" if isinstance(leaf, (nn.Softplus, nn.ReLU)) else "logit"


def _mean_is_second(stand: Stand, x: str, out: str, sizes: Sizes) -> bool:
    """The mean is the head in which the loss is even."""
    gaps = []
    for swap in (False, True):
        trial = Probe(stand.loss(swap), x, out)
        p = trial.point(sizes.but(B=3))
        try:
            gaps.append(abs(trial.value(p.but(mu=-p.mu)) - trial.value(p)))
        except Exception:
            gaps.append(float("inf"))
    return gaps[1] < gaps[0]


def _modes(stand: Stand, loss: Callable[..., Any], x: str, out: str) -> list[Finding]:
    """The KL's weight in training and in evaluation mode."""
    probe, sizes = Probe(loss, x, out), Sizes(4, stand.data[0].numel(), stand.latents())
    weights = []
    for mode in (True, False):
        stand.module.train(mode)
        try:
            weights.append(kl_part(loss, probe, sizes))
        except Exception:
            return []
        finally:
            stand.module.train(True)
    if abs(weights[0] - weights[1]) < 1e-6 * (abs(weights[0]) + abs(weights[1])) + 1e-9:
        return []
    words = "The KL has another weight in evaluation than in training."
    return [Finding("T1", words, {"training": weights[0], "evaluation": weights[1]}, severity="warn")]


def _orphans(module: nn.Module, stand: Stand, optimizer: Any) -> list[Finding]:
    """Parameters that the loss moves and the optimiser does not hold."""
    if optimizer is None:
        return []
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    value = stand.run(stand.batch)
    value = value.sum()
    found = []
    for (name, own), copied in zip(module.named_parameters(), stand.module.parameters(), strict=True):
        (grad,) = torch.autograd.grad(value, copied, retain_graph=True, allow_unused=True)
        if grad is not None and bool((grad != 0).any()) and id(own) not in held:
            found.append(name)
    if not found:
        return []
    words = f"No optimiser holds {', '.join(found)}: it is in the loss and never learned."
    return [Finding("O1", words, {"parameters": found}, "torch.optim.Adam(model.parameters())")]
