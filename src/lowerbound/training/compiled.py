r"""A whole step as one compiled graph: forward, gradient, its norm, Adam, and the sums of the ledger.

.. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
          \theta \leftarrow \theta - \eta \frac{\sqrt{c_2}}{c_1} \frac{m}{\sqrt v + \epsilon \sqrt{c_2}},
          \qquad c_i = 1 - \beta_i^t

which is Adam (Kingma & Ba 2015, section 2, its efficient order) with one division an element. The graph is that of the
library's own eager step, traced, so that there is one definition of every term. What eager code draws, it draws, from
torch's generator, but for the many numbers of a corruption or a dropout: these are others of the same law
(:mod:`lowerbound.maths.draws`). A step whose loss or gradient is not finite changes no weight, nor does any after it
until someone has looked.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lowerbound.errors import InputError
from lowerbound.maths.terms import Terms
from lowerbound.maths.tracing import spelt_out
from lowerbound.maths.units import mean_samples
from lowerbound.objective import Batch, Objective, Player
from lowerbound.objective.schedules import Given
from lowerbound.training.graphs import (
    OPTIONS,
    Captured,
    call_without_python,
    copies,
    inductor,
    quick_products,
    traced,
)
from lowerbound.training.ledger import Ledger
from lowerbound.training.randomness import borrowed
from lowerbound.training.spec import Spec

PAYS = 10_000
"""Steps from which a run is compiled unasked: compiling takes ten to twenty seconds, a step gains one to three
milliseconds where the processor is one that MKL does not favour, half a millisecond where it is."""
PAYS_LATER = 30_000
"""The same for networks that are not fully connected, whose step gains a twentieth to a fourth."""
COARSE = 1e-10
"""Gradients and first moments are rounded to multiples of 7e-18, the spacing of float32 here, to 0 below half of that.
That moves no weight beside Adam's eps of 1e-8; but squares of smaller ones leave the range of float32, where arithmetic
is a hundred times slower."""
LOOK = {"cpu": 1, "cuda": 64}
"""Steps after which a look whether all were finite; on CUDA each waits for the device."""


class _Loss(nn.Module):
    """A player's loss as a module over its model, so that its weights can be given from outside."""

    def __init__(self, model: nn.Module, loss: Callable[[Batch], tuple[Tensor, Terms | None]]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch) -> tuple[Tensor, Terms | None]:
        return self.loss(batch)


def wanted(
    spec: Spec,
    players: Sequence[Player],
    kind: str,
    examples: int,
    device: torch.device,
    runs: int = 1,
) -> bool:
    """Whether the step that ``runs`` share is to be compiled: asked for, or worth it.

    Raises:
        InputError: it was asked for and cannot be done; the sentence says why.
    """
    asked, size = spec.training.compile, spec.training.batch
    steps = runs * spec.training.epochs * (examples // size)
    unmeasured = device.type != "cpu"
    if asked == "off" or (asked == "auto" and (unmeasured or steps < (PAYS if dense(spec) else PAYS_LATER))):
        return False
    why = refusal(spec, players, kind, device)
    if why is None and examples < size:
        why = "no batch is whole"
    if why is not None and asked == "on":
        raise InputError(f"the step cannot be compiled: {why}", where="training.compile", mend="leave it at auto")
    return why is None


def fused(device: torch.device) -> bool:
    """Whether the operations of a step are compiled, not only replayed: always on a CPU, on CUDA where Triton is."""
    from torch.utils._triton import has_triton

    return device.type == "cpu" or has_triton()


def dense(spec: Spec) -> bool:
    """Whether the networks are fully connected."""
    return spec.encoder.name == "mlp" and spec.decoder.name in ("mlp", "mirror")


def refusal(spec: Spec, players: Sequence[Player], kind: str, device: torch.device) -> str | None:
    """Why this run's step cannot be one graph; None if it may be."""
    if spec.game.name != "alone" or [player.name for player in players] != ["model"]:
        return "only a model that plays alone has a step that is one graph"
    if spec.regulariser.name == "contractive":
        return "regulariser contractive looks for missing cells at every step"
    if "classify" in (spec.supervision.name, spec.regulariser.name) or kind == "sequence":
        return "labelled examples beside the batch, and batches of unequal shape, are no one graph"
    if spec.objective.name == "geco":
        return "an objective whose weights are learned from step to step is no constant graph"
    if spec.training.optimiser not in ("adam", "adamw"):
        return f"optimiser {spec.training.optimiser} is not written as a graph"
    if "own" in (spec.encoder.name, spec.decoder.name):
        return "a network of a person's own may do anything"
    return None if device.type == "cuda" or find_compiler() else "there is no C++ compiler"


def find_compiler() -> bool:
    """Whether there is a C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        return bool(get_cpp_compiler())
    except Exception:  # whatever torch says, there is none
        return False


class CompiledStep:
    """The step of a run as one graph, for batches of one size; it works on the optimiser's own state and the ledger.

    ``precise`` opens the context that the loss is computed in (autocast, or nothing); ``examples`` is the
    size of the training split. The share of its weights that the ``objective``'s schedule has in force is handed in.
    On CUDA the graph is captured and replayed; without ``fuse`` its operations are torch's own. ``open`` counts the
    steps that nobody has looked at yet, ``look`` says after how many to do it.
    """

    def __init__(
        self,
        model: nn.Module,
        player: Player,
        optimiser: Optimizer,
        spec: Spec,
        objective: Objective,
        weighted: bool,
        precise: Callable[[], AbstractContextManager[Any]],
        examples: int = 0,
        fuse: bool = True,
    ) -> None:
        self.model, self.player, self.spec, self.weighted, self.precise = model, player, spec, weighted, precise
        self.objective, self.examples, self.fuse = objective, examples, fuse
        self.group = optimiser.param_groups[0]
        pulled = {id(p) for group in optimiser.param_groups if group["weight_decay"] for p in group["params"]}
        self.pulled = [id(p) in pulled for p in player.parameters]
        self.weights = [p.detach() for p in player.parameters]
        names = {id(p): f"model.{name}" for name, p in model.named_parameters()}
        self.names = [names[id(p)] for p in player.parameters]
        slots = [started(optimiser, p) for p in player.parameters]
        moments = (slot[key] for key in ("exp_avg", "exp_avg_sq") for slot in slots)
        self.device = self.weights[0].device
        self.taken, self.sound = as_one(slots, "step"), torch.ones((), dtype=torch.bool, device=self.device)
        self.fixed = [*self.weights, *moments, self.taken, self.sound]
        self.loss = _Loss(model, player.loss)
        self.graph: Callable[..., Tensor] | None = None
        self.open, self.look = 0, LOOK[self.device.type]

    def __call__(self, batch: Batch, rate: float, step: int, ledger: Ledger) -> None:
        """Take optimiser step ``step`` (from 1) at learning rate ``rate``; where it is not finite, nothing changes."""
        if self.graph is None:
            raise ValueError("not compiled")
        with torch.no_grad():
            more = () if batch.y is None else (batch.y,)
            sums = self.graph(*self.fixed, batch.x, self.factors(rate, step, batch.epoch), *more)
        ledger.add_sums(sums, len(batch.x))
        self.open += 1

    def undone(self, step: int) -> int:
        """How many of the ``step`` steps so far changed nothing, because the first of them was not finite."""
        taken, self.open = self.open, 0
        if not taken or self.sound.item():
            return 0
        self.sound.fill_(True)
        return step - round(self.taken[0].item())

    def compile(self, batch: Batch) -> str | None:
        """Compile for batches like this one, and try it on copies: what is wrong with the result, or None."""
        factors = self.factors(1e-3, 1, self.objective.schedule.ends).to(self.device)
        given = [batch.x, factors] + ([] if batch.y is None else [batch.y])
        arguments = [*self.fixed, *given]
        before = [b.clone() for b in self.model.buffers()]
        log = logging.getLogger("torch._inductor")
        level = log.level
        log.setLevel(logging.ERROR)
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's compiler warns of torch, here and in its log
                call_without_python()
                plain = quick_products(traced(self._eager, copies(arguments)))
                options = OPTIONS[self.device.type]
                graph = inductor(plain, copies(arguments), options=options) if self.fuse else plain
                wrong = self._wrong(graph, arguments, before)
                self.graph = Captured(graph, self.fixed, given) if self.device.type == "cuda" else graph
                return wrong
        except (RuntimeError, TypeError, NotImplementedError) as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        finally:
            log.setLevel(level)

    def _wrong(self, graph: Callable[..., Tensor], arguments: list[Tensor], before: list[Tensor]) -> str | None:
        """What differs between the compiled step and the library's own."""
        found = []
        for step in (self._eager, graph):
            given = copies(arguments)
            with borrowed(self.device), spelt_out():
                found.append([*given, step(*given)])
        if not all(torch.equal(a, b) for a, b in zip(before, self.model.buffers(), strict=True)):
            return "a step changes the model's buffers"
        if not found[0][len(self.fixed) - 1]:
            return "a step on the first rows is not finite, or its objective reads the epoch past its schedule"
        tolerance = 5e-2 if self.spec.training.precision == "bfloat16" else 1e-3
        near = [agree(a, b, tolerance) for a, b in zip(*found, strict=True)]
        return None if all(near) else "the compiled step gives other numbers than the library's own"

    def factors(self, rate: float, step: int, epoch: float) -> Tensor:
        """What changes from step to step: (rate sqrt(c2) / c1, eps sqrt(c2), rate * weight decay, s(epoch))."""
        b1, b2 = self.group["betas"]
        root = math.sqrt(1 - b2**step)
        decay, share = self.spec.training.weight_decay, self.objective.schedule(epoch)
        found = [rate * root / (1 - b1**step), self.group["eps"] * root, rate * decay, share]
        return torch.tensor(found, dtype=self.weights[0].dtype)

    def _eager(self, *given: Tensor) -> Tensor:
        """The step that is traced, on weights, means and squares of every parameter, the steps of all, whether all was
        finite so far, x, the factors, and y if there are labels: it changes what stands before x where it lies, if all
        is finite.

        What the ledger is to add is what it returns: zeros if not.
        """
        n = len(self.weights)
        weights, means, squares = (given[i * n : (i + 1) * n] for i in range(3))
        steps, before, x, factors, *labels = given[3 * n :]
        y = labels[0] if labels else None
        leaves = [w.detach().requires_grad_() for w in weights]
        own = self.objective.schedule
        schedule = Given(factors[3]) if own.ends else own
        with torch.enable_grad():
            with self.precise(), instead(self.objective, "schedule", schedule):
                batch = Batch(x, math.nan, y, self.examples)  # who reads the epoch himself gives no constant graph
                loss, terms = torch.func.functional_call(
                    self.loss, dict(zip(self.names, leaves, strict=True)), (batch,)
                )
            gradients = torch.autograd.grad(loss, leaves)
        norm = torch.stack([squares_of(g) for g in gradients]).sum().sqrt()
        sound = torch.stack([torch.isfinite(loss + norm), before]).all()
        clip = self.spec.training.clip
        scale = None if clip is None else (clip / (norm + 1e-6)).clamp(max=1.0)
        for w, m, v, g, pulled in zip(weights, means, squares, gradients, self.pulled, strict=True):
            self._adam(w, m, v, g if scale is None else g * scale, factors, sound, pulled)
        steps.add_(sound)
        before.copy_(sound)
        sums = self._sums(terms, loss.detach(), norm, len(x))
        return torch.where(sound, sums, 0.0)

    def _adam(self, w: Tensor, m: Tensor, v: Tensor, g: Tensor, factors: Tensor, sound: Tensor, pulled: bool) -> None:
        b1, b2 = self.group["betas"]
        decay, apart = self.spec.training.weight_decay if pulled else 0.0, self.spec.training.optimiser == "adamw"
        g = g + decay * w if decay and not apart else g
        g = in_range(g)
        mean = in_range(m + (1 - b1) * (g - m))
        square = b2 * v + g * ((1 - b2) * g)
        kept = w - factors[2] * w if decay and apart else w
        moved = kept - mean * factors[0] / (square.sqrt() + factors[1])
        for old, new in ((w, moved), (m, mean), (v, square)):
            old.copy_(torch.where(sound, new, old))

    def _sums(self, terms: Any, loss: Tensor, norm: Tensor, n: int) -> Tensor:
        """What a step adds to the ledger, as :meth:`Ledger.add_sums` takes it."""
        tighter = terms.iwae() - terms.elbo() if self.weighted else loss.new_zeros(1)
        scalars = [mean_samples(terms.distortion).sum(dtype=torch.float64), n * loss, norm]
        scalars.append(tighter.sum(dtype=torch.float64))
        rate = terms.rate.detach().sum(0, dtype=torch.float64)
        return torch.cat([torch.stack([s.detach().double() for s in scalars]), rate])


@contextmanager
def instead(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Let an attribute be another for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def started(optimiser: Optimizer, parameter: nn.Parameter) -> dict[str, Tensor]:
    """Adam's memory of a parameter, begun where it has none."""
    slot = optimiser.state[parameter]
    if not slot:
        slot["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        slot["exp_avg"], slot["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    return slot


def as_one(slots: Sequence[dict[str, Tensor]], key: str) -> Tensor:
    """A vector of the scalars ``key`` of all slots, which become places in it: what changes it changes them."""
    every = torch.stack([slot[key] for slot in slots])
    for slot, place in zip(slots, every.unbind(), strict=True):
        slot[key] = place
    return every


def squares_of(g: Tensor) -> Tensor:
    """The sum of squares, row by row: the compiler keeps the sum of a row in a register, that of a whole in memory."""
    squares = g.square()
    return (squares.flatten(1).sum(1) if g.dim() > 1 else squares).sum()


def in_range(a: Tensor) -> Tensor:
    """``a`` with 0 for what is too small to matter; NaN stays NaN. Two sums are quicker than a comparison a number."""
    return (a + COARSE) - COARSE


def agree(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether two results differ by less than a share of their size."""
    a, b = a.double(), b.double()
    return bool((a - b).norm() <= tolerance * a.norm())
