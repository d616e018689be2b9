"""A sweep over beta in one program: M ordinary runs, moved through the one loop as one player.

Every member is a :class:`~lowerbound.training.loop.Training` with a run folder of its own, whose model is a view of
the stack. The sweep is one more, whose only player is the stack; what the loop does once a step it does for all of
them, and what a run does once an epoch each member does for itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowerbound import __version__
from lowerbound.data import summary
from lowerbound.data.dataset import Data
from lowerbound.errors import InputError, NonFiniteError
from lowerbound.objective import Minimised, Player
from lowerbound.training.alarms import Alarm
from lowerbound.training.compiled import wanted
from lowerbound.training.loop import Training
from lowerbound.training.optimise import device_of, is_weight, make_optimiser
from lowerbound.training.randomness import STEP, borrowed, reseed
from lowerbound.training.run import Run, to_json
from lowerbound.training.setup import environment, refuse_other_data
from lowerbound.training.spec import Spec
from lowerbound.training.sweep.compiled import CompiledSweep, MemberStep
from lowerbound.training.sweep.members import checked, member, name_of, refuse
from lowerbound.training.sweep.stack import Stack, StackedLedger, hand_out, take_in
from lowerbound.training.watch import Watch

FILE = "sweep.json"
FORMAT = 1
PARTS = ("encoder", "posterior", "prior", "likelihood", "condition")
TRIAL = 4
"""Rows on which the stack is held against its members before the first step."""


class Member(Watch):
    """Passes a member's alarms on, with its beta."""

    def __init__(self, watch: Watch, beta: float) -> None:
        self.watch, self.beta = watch, beta

    def on_alarm(self, alarm: Alarm) -> None:
        self.watch.on_alarm(replace(alarm, message=f"beta {self.beta:g}: {alarm.message}"))


class Sweep(Training):
    """The state of a sweep in progress. ``members`` are its runs; those in ``going`` still learn."""

    ledger: StackedLedger  # type: ignore[assignment]

    def __init__(
        self,
        spec: Spec,
        betas: Sequence[float],
        data: Data,
        path: str | os.PathLike[str],
        watch: Watch,
        stop: Callable[[], int | None],
        due: Callable[[], bool],
        device: torch.device,
    ) -> None:
        refuse(spec)
        self.betas, where = checked(betas), Path(path)
        known = summary(data)
        self.members = [
            Training(member(spec, b), data, Run(where / name_of(b)), None, Member(watch, b), stop, due, device, known)
            for b in self.betas
        ]
        self.going = list(range(len(self.members)))
        super().__init__(spec, data, Run(where), None, watch, stop, due, device, known)
        runs = len(self.betas)
        self.compiled = device.type == "cpu" and wanted(spec, self.players, known.kind, self.n, device, runs)
        self.model.train()
        minimised = Minimised(self.model, self.objective, self.bound, samples=spec.training.samples)
        self.stack = Stack(minimised, [m.model for m in self.members], self.betas)
        self.players = [Player("sweep", self.stack.parameters, self.stack)]  # type: ignore[arg-type]
        weights = {id(p) for name, p in self.stack.state.items() if is_weight(name, p.dim() - 1)}
        self.optimisers = [make_optimiser(self.stack.parameters, spec.training, weights)]
        self._check()

    def _check(self) -> None:
        """Before anything is written: the stack computes what its members compute."""
        for m in self.members:
            m.model.train()
        with borrowed(self.device):
            start = partial(reseed, self.device, STEP, self.spec.training.seed, 0)
            batch = self._batch(torch.arange(min(self.n, TRIAL)))
            wrong = self.stack.check(batch, [m.players[0].loss for m in self.members], start)
        if wrong:
            names = ", ".join(f"{part} {getattr(self.spec, part).name}" for part in PARTS)
            what = f"a model of {names} cannot be trained as one stack: {wrong}"
            raise InputError(what, where="sweep", mend="train its betas one by one: lowerbound train --beta")

    def _graph(self, kind: Any) -> Any:
        """The step of the first member, which does for all."""
        first = self.members[0]
        return CompiledSweep(first._graph(MemberStep), self.stack, self.optimisers[0], self.betas)

    def _empty_ledger(self) -> Any:
        return StackedLedger(len(self.members), self.model.rate_width, self.device)

    def _forecast(self) -> None:
        """Each member has its own."""

    def _baseline(self) -> None:
        """Each member has its own."""

    def words(self) -> list[str]:
        """What is swept and what the members share, in sentences."""
        shown = ", ".join(f"{beta:g}" for beta in self.betas)
        sweep = f"A sweep of objective = distortion + beta x rate over beta = {shown}, as one stack."
        shared = "All members start from the same weights and see the same rows and the same noise."
        said = [*self.model.words(self.summary), sweep, shared]
        one = "A member's step is one compiled graph, which all share; compiling takes some ten seconds."
        return [*said, one] if self.compiled else said

    def begin(self) -> None:
        """Announce the sweep, and raise what is known of each member before the first step."""
        self.watch.on_start(self.words(), self.spec.training.epochs, self.steps)
        for m in self.members:
            m.begin()

    def _gradient_norm(self, parameters: list[torch.nn.Parameter]) -> Tensor:
        """Clips each member's gradient by its own norm; returns the norm of all of them."""
        norms = self.stack.gradient_norms()
        self.ledger.norms = norms.double()
        clip = self.spec.training.clip
        if clip is not None:
            self.stack.scale_gradients((clip / (norms + 1e-6)).clamp(max=1.0))
        return torch.linalg.vector_norm(norms)

    def _non_finite(self, terms: Any, loss: Tensor, rows: Tensor) -> None:
        """Name the member at fault; all keep their last good weights."""
        finite = torch.isfinite(terms.losses) & torch.isfinite(self.ledger.norms)
        at_fault = int((~finite).nonzero()[0]) if not finite.all() else 0
        self._share_out()
        self._gradients_of(at_fault)
        for i in set(self.going) - {at_fault}:
            self.members[i].finish()
        try:
            self.members[at_fault]._non_finite(terms.of(at_fault), terms.losses[at_fault], rows)
        except NonFiniteError as error:
            raise NonFiniteError(f"beta {self.betas[at_fault]:g}: {error}") from None

    def _gradients_of(self, i: int) -> None:
        for whole, alone in zip(self.stack.parameters, self.members[i].players[0].parameters, strict=True):
            alone.grad = None if whole.grad is None else whole.grad[i]

    def _share_out(self) -> None:
        """Give every member that still learns its place in the epoch, its ledger and its optimiser's memory."""
        for i in self.going:
            m = self.members[i]
            m.epoch, m.position, m.step = self.epoch, self.position, self.step
            m.ledger = self.ledger.of(i)
            hand_out(self.optimisers[0], m.optimisers[0], i)

    def _close_epoch(self) -> None:
        self._share_out()
        for i in self.going:
            self.members[i]._close_epoch()
        self.epoch, self.position = self.epoch + 1, 0
        self.ledger = self._empty_ledger()
        self.watch.on_epoch({"epoch": self.epoch, "rows": [self.members[i].rows[-1] for i in self.going]})
        self._let_go()

    def _let_go(self) -> None:
        """Finish the members whose patience is over: the stack carries them on, nobody looks."""
        over = [i for i in self.going if self.members[i]._patience_is_over()]
        for i in over:
            hand_out(self.optimisers[0], self.members[i].optimisers[0], i)
            self.members[i].finish()
        self.going = [i for i in self.going if i not in over]

    def _patience_is_over(self) -> bool:
        return not self.going

    def checkpoint(self) -> None:
        """A checkpoint of every member: each can be taken up alone, or all together."""
        self._share_out()
        for i in self.going:
            self.members[i].checkpoint()

    def finish(self) -> None:
        self._share_out()
        for i in self.going:
            self.members[i].finish()

    def recall(self) -> bool:
        """Take up the newest step of which every member has a checkpoint; False if all are finished."""
        runs = [m.run for m in self.members]
        newest = [max((int(c.name) for c in run.checkpoints()), default=0) for run in runs]
        if all(run.sealed() for run in runs):
            return False
        unsealed = [i for i, run in enumerate(runs) if not run.sealed()]
        common = min(newest[i] for i in unsealed)
        for i in unsealed:
            runs[i].forget_checkpoints_after(common)
            self.members[i].recall()
        self.going = unsealed
        first = self.members[unsealed[0]]
        self.epoch, self.position, self.step = first.epoch, first.position, first.step
        for i in unsealed:
            self.ledger.put(i, self.members[i].ledger)
        if self.step:
            of = [self.members[i if i in unsealed else unsealed[0]].optimisers[0] for i in range(len(runs))]
            take_in(self.optimisers[0], of)
        self.watch.on_start(self.words(), self.spec.training.epochs, self.steps)
        return True


def sweep(
    spec: Spec,
    betas: Sequence[float],
    data: Data,
    path: str | os.PathLike[str],
    *,
    watch: Watch | None = None,
    stop: Callable[[], int | None] = lambda: None,
    due: Callable[[], bool] = lambda: False,
) -> list[Run]:
    """Train the spec's model once for every beta, all in one program; returns the runs, in the order of ``betas``.

    Each member is the run that :func:`~lowerbound.training.loop.train` makes of the same spec with that beta, up to
    rounding: the same first weights, the same batches, the same noise. They lie in ``path``/beta-0.1, ...

    Raises:
        InputError: the folder exists, or the parts do not fit the data or a stack.
        NonFiniteError: a member diverged; all members keep their last good weights.
        Interrupted: ``stop`` asked; a checkpoint of every member was written.
    """
    Run(path).refuse_existing()
    device = device_of(spec.training.device)
    job = Sweep(spec, betas, data, path, watch or Watch(), stop, due, device)
    for m in job.members:
        m.run.create(m.spec, data.record, environment(device), __version__)
    head = {
        "format": FORMAT,
        "version": __version__,
        "betas": job.betas,
        "runs": [m.run.path.name for m in job.members],
    }
    job.run.write_file(FILE, to_json(head | {"noise": "the same for all members", "spec": spec.settings()}))
    with _held(job), borrowed(device):
        job.begin()
        job.go()
    return [m.run for m in job.members]


def resume(
    path: str | os.PathLike[str],
    data: Data,
    *,
    watch: Watch | None = None,
    stop: Callable[[], int | None] = lambda: None,
    due: Callable[[], bool] = lambda: False,
) -> list[Run]:
    """Go on with a stopped sweep; a finished one is returned as it is. Arguments as in :func:`sweep`."""
    spec, betas = read(path)
    device = device_of(spec.training.device)
    job = Sweep(spec, betas, data, path, watch or Watch(), stop, due, device)
    refuse_other_data(job.members[0].run, data)
    with _held(job), borrowed(device):
        if job.recall():
            job.go()
    return [m.run for m in job.members]


def read(path: str | os.PathLike[str]) -> tuple[Spec, list[float]]:
    """The spec and the betas of a sweep's folder."""
    head = Run(path).read_json(FILE)
    return Spec.of(head["spec"], where=Path(path) / FILE), checked(head["betas"])


def _held(job: Sweep) -> ExitStack:
    """The locks of the sweep's folder and of all its runs."""
    with ExitStack() as held:
        for run in (job.run, *(m.run for m in job.members)):
            held.enter_context(run.lock())
        return held.pop_all()
