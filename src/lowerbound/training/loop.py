"""The one loop. It moves a list of players over batches, keeps the ledger, and knows nothing else about the model.

Batch order is a function of (seed, epoch), noise of (seed, step): a run stopped anywhere and resumed is bitwise equal
to one never stopped, on the same machine and build.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from lowerbound import __version__
from lowerbound.data import summary as summarise
from lowerbound.data.dataset import Data, Summary
from lowerbound.errors import InputError, Interrupted, NonFiniteError
from lowerbound.maths.terms import Terms
from lowerbound.maths.tracing import spelt_out
from lowerbound.maths.units import Estimate
from lowerbound.model.autoencoder import Autoencoder
from lowerbound.objective import Batch, Minimised
from lowerbound.training.alarms import Alarm, Watcher, alarm
from lowerbound.training.compiled import CompiledStep, fused, wanted
from lowerbound.training.forecast import Forecast, collapse_forecast
from lowerbound.training.labelled import Labels
from lowerbound.training.ledger import Ledger, refuse_non_finite
from lowerbound.training.measure import evaluating, labels_for, measure
from lowerbound.training.optimise import device_of, is_weight, learning_rate, make_optimiser, restore, state_tensors
from lowerbound.training.precision import dtype_of, products_in
from lowerbound.training.randomness import INITIAL, STEP, borrowed, order, reseed
from lowerbound.training.rehearsal import telling_rows, unchanged
from lowerbound.training.run import Run
from lowerbound.training.setup import (
    bound_of,
    build,
    environment,
    game_of,
    objective_of,
    players_of,
    refuse_other_data,
    regulariser_of,
)
from lowerbound.training.snapshots import on_log_time
from lowerbound.training.spec import Spec
from lowerbound.training.unread import unnamed, unread
from lowerbound.training.watch import Watch

Graph = TypeVar("Graph", bound=CompiledStep)


def train(
    spec: Spec,
    data: Data,
    path: str | os.PathLike[str],
    *,
    model: Autoencoder | None = None,
    watch: Watch | None = None,
    stop: Callable[[], int | None] = lambda: None,
    due: Callable[[], bool] = lambda: False,
) -> Run:
    """Train the spec's model on ``data`` into the new folder ``path``.

    Args:
        model: a model to train instead of building the spec's.
        stop: the number of a signal that asks to stop, or None; asked at every step.
        due: whether it is time for a checkpoint; asked at every step. One is always written at the end.

    Raises:
        InputError: the folder exists, or the parts do not fit the data.
        NonFiniteError: a term or gradient became infinite or undefined; the run keeps its last good weights.
        Interrupted: ``stop`` asked; a checkpoint was written.
    """
    run = Run(path)
    run.refuse_existing()
    device = device_of(spec.training.device)
    training = Training(spec, data, run, model, watch or Watch(), stop, due, device)
    training.rehearse()
    run.create(spec, data.record, environment(device), __version__)
    with run.lock(), borrowed(device):
        training.begin()
        training.go()
    return run


def resume(
    path: str | os.PathLike[str],
    data: Data,
    *,
    model: Autoencoder | None = None,
    watch: Watch | None = None,
    stop: Callable[[], int | None] = lambda: None,
    due: Callable[[], bool] = lambda: False,
) -> Run:
    """Go on with a stopped run; a finished one is returned as it is. Arguments as in :func:`train`."""
    run = Run(path)
    spec = run.spec()
    refuse_other_data(run, data)
    device = device_of(spec.training.device)
    with run.lock(), borrowed(device):
        training = Training(spec, data, run, model, watch or Watch(), stop, due, device)
        if training.recall():
            training.go()
    return run


class Training:
    """The state of a run in progress; everything that a checkpoint holds is an attribute here."""

    def __init__(
        self,
        spec: Spec,
        data: Data,
        run: Run,
        model: Autoencoder | None,
        watch: Watch,
        stop: Callable[[], int | None],
        due: Callable[[], bool],
        device: torch.device,
        summary: Summary | None = None,
    ) -> None:
        self.spec, self.data, self.run, self.watch, self.stop, self.due = spec, data, run, watch, stop, due
        self.device, self.dtype = device, dtype_of(spec.training.precision, device)
        self.summary = summary or summarise(data)
        self.model = (model or build(spec, self.summary)).to(device, self.dtype)
        self.objective = objective_of(spec, self.summary)
        self.bound, self.game = bound_of(spec), game_of(spec, self.model)
        self.regulariser, self.supervision = (
            regulariser_of(spec, self.model, key) for key in ("regulariser", "supervision")
        )
        self.aside = {"objective": self.objective, "game": self.game, "regulariser": self.regulariser}
        self.aside["supervision"] = self.supervision
        for module in self.aside.values():
            module.to(device, self.dtype)
        regularisers = (self.regulariser, self.supervision)
        minimised = Minimised(
            self.model, self.objective, self.bound, regularisers, spec.training.samples, self.game.minimises
        )
        self.players = players_of(spec, self.model, self.game, minimised)
        named = [pair for module in (self.model, *self.aside.values()) for pair in module.named_parameters()]
        weights = {id(p) for name, p in named if is_weight(name, p.dim())}
        self.optimisers = [make_optimiser(player.parameters, spec.training, weights) for player in self.players]
        self.labels = Labels(data, spec.training.labelled, spec.training.seed)
        self.labels.refuse_missing(self.model.condition)
        self.n = len(data.splits["train"])
        self.near = near(data, device)
        self.rows_at = device if self.near is not data else torch.device("cpu")
        self.steps = math.ceil(self.n / spec.training.batch)
        self.epoch, self.position, self.step = 0, 0, 0
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] | None = None
        self.ledger = self._empty_ledger()
        with borrowed(device):
            reseed(device, INITIAL, spec.training.seed, 3)  # both look at rows, which may be drawn anew each time
            self.forecast = self._forecast()
            self.watcher = self._watcher()
        self.metrics_length = 0
        self.compiled = wanted(spec, self.players, self.summary.kind, self.n, device)
        self.whole: CompiledStep | None = None

    def _empty_ledger(self) -> Ledger:
        return Ledger.empty(self.model.rate_width, self.device, len(self.players) - 1, self.model.has_bound)

    def _forecast(self) -> Forecast | None:
        if not (self.objective.reads_rate and self.model.has_bound and self.spec.latent and not self.bound.weighted):
            return None
        if self.model.condition.width or self.summary.kind in ("sequence", "series"):
            return None
        beta, latent = self.objective.first_nat(), self.spec.latent
        if beta < 0:
            return None
        return collapse_forecast(self.data, self.summary, self.model.likelihood, beta=beta, latent=latent)

    def _watcher(self) -> Watcher:
        deviation = self.model.likelihood.sigma()
        known = deviation is not None and not getattr(self.model.likelihood, "fixed", False)
        scale = float(self.summary.std.double().square().sum().div(self.summary.parts).sqrt())
        ends = self.objective.schedule.ends
        return Watcher(
            self.spec.training.epochs,
            ends,
            self.spec.latent,
            self.model.rate_width == self.spec.latent,
            self._baseline(),
            scale if known else None,
        )

    def _baseline(self) -> float | None:
        """The bound of a decoder that ignores z and emits the marginals of the data, on up to 2,000 held-out rows."""
        if not self.model.has_bound:
            return None
        split = "valid" if len(self.data.splits["valid"]) else "train"
        rows = torch.arange(min(len(self.data.splits[split]), 2000))
        x = self.data.batch(split, rows).to(self.device, self.dtype)
        y = labels_for(self.model, self.data, split, rows)
        x, _ = self.model.given(x, y)
        out = self.model.likelihood.output_bias(self.model.condition.summary_of(self.summary)).to(x)
        with evaluating(self.model):
            log_prob = self.model.likelihood.log_prob(out.expand(1, len(x), *out.shape), x)
        baseline = Estimate.of(log_prob.flatten()).value
        return baseline if math.isfinite(baseline) else None

    def rehearse(self) -> None:
        """Ask every player for its loss on a few rows: an InputError, before there is a folder, where one cannot play.

        Weights, buffers and random numbers are left as they were.
        """
        self.model.train()
        with borrowed(self.device), unchanged(self.model, *self.aside.values()), self._products(), self._precision():
            reseed(self.device, STEP, self.spec.training.seed, 0)
            batch = self._batch(telling_rows(self.data, self.labels.y))
            if batch.labelled is not None and batch.y is not None:
                batch = replace(batch, labelled=(batch.x, batch.y))
            for player in self.players:
                player.loss(batch)

    def begin(self) -> None:
        """Announce a new run and raise what is known before the first step."""
        self.watch.on_start(self.words(), self.spec.training.epochs, self.steps)
        self._raise(self.watcher.before(self.forecast))

    def words(self) -> list[str]:
        """What the run is, in sentences: likelihood and why, objective and effective beta, collapse forecast."""
        said = [*self.model.words(self.summary)]
        said += [self.objective.words()] if self.game.minimises else []
        said += [part.words() for part in (self.bound, self.game)]
        regularisers = [part for part in (self.regulariser, self.supervision) if part.name != "none"]
        said += [part.words() for part in regularisers]
        said += [self.forecast.words()] if self.forecast else []
        said += [unnamed(self.spec, self.labels.y, self.summary.classes), *unread(self.spec, self.model, regularisers)]
        said += ["A step is one compiled graph; compiling takes some ten seconds."] if self.compiled else []
        return [sentence for sentence in said if sentence]

    def go(self) -> None:
        """Train to the end, or to the first reason to stop."""
        self.model.train()
        with self._products():
            while self.epoch < self.spec.training.epochs and not self._patience_is_over():
                self._epoch()
        self.finish()

    def _compile(self) -> CompiledStep | None:
        """The step as one graph, tried on the first rows of the run; None where it fails and nobody insisted."""
        whole = self._graph(CompiledStep)
        rows = order(self.spec.training.seed, 0, self.n)[: self.spec.training.batch]
        wrong = whole.compile(self._batch(rows))
        if not wrong:
            return whole
        if self.spec.training.compile == "on" or self.step:
            what = f"the step cannot be compiled here: {wrong}"
            raise InputError(
                what,
                where="training.compile",
                mend="use the machine the run began on" if self.step else "leave it at auto",
            )
        return None

    def _graph(self, kind: type[Graph]) -> Graph:
        """The step of this run, not compiled yet."""
        return kind(
            self.model,
            self.players[0],
            self.optimisers[0],
            self.spec,
            self.objective,
            self.bound.weighted,
            self._precision,
            self.n,
            fused(self.device),
        )

    def _epoch(self) -> None:
        if self.compiled and self.whole is None:
            self.whole = self._compile()
            self.compiled = self.whole is not None
        rows = order(self.spec.training.seed, self.epoch, self.n).to(self.rows_at)
        while self.position < self.steps:
            signal = self.stop()
            if signal is not None:
                self._settle(rows)
                self.checkpoint()
                raise Interrupted(signal, self.run.path)
            self._step(self._next(rows))
            due = self.due()
            if due or self._to_be_looked_at():
                self._settle(rows)
            if due:
                self.checkpoint()
        self._close_epoch()

    def _next(self, rows: Tensor) -> Tensor:
        """The next batch of an epoch's rows."""
        size = self.spec.training.batch
        return rows[self.position * size : (self.position + 1) * size]

    def _step(self, rows: Tensor, graph: bool = True) -> None:
        time = self.epoch + self.position / self.steps
        if graph and self.whole is not None and len(rows) == self.spec.training.batch:
            reseed(self.device, STEP, self.spec.training.seed, self.step)
            rate = learning_rate(self.spec.training, time)
            self.whole(self._batch(rows, time), rate, self.step + 1, self.ledger)
        else:
            self._move(rows, time)
        self.position += 1
        self.step += 1
        if self.spec.training.snapshots and on_log_time(self.step):
            self.run.write_snapshot(self.step, self.model.state_dict())
        self.watch.on_step(self.step, self.ledger)

    def _to_be_looked_at(self) -> bool:
        """Whether steps of the graph are to be looked at now: many are open, or an eager one may come, or the end."""
        return self.whole is not None and (self.whole.open >= self.whole.look or self.position >= self.steps - 1)

    def _settle(self, rows: Tensor) -> None:
        """Look whether every step of the graph was finite; go back to the first that was not and take it eagerly."""
        back = self.whole.undone(self.step) if self.whole is not None else 0
        if back:
            self.position, self.step = self.position - back, self.step - back
            self.ledger.take_back(back * self.spec.training.batch, back)
            with spelt_out():  # the draws of the graph
                self._step(self._next(rows), graph=False)

    def _products(self) -> AbstractContextManager[None]:
        return products_in(self.spec.training.precision, self.device)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.training.precision == "bfloat16")

    def _move(self, rows: Tensor, time: float) -> None:
        """Each player's move in turn."""
        reseed(self.device, STEP, self.spec.training.seed, self.step)
        batch = self._batch(rows, time)
        for index, player in enumerate(self.players):
            times = player.moves(time)
            for _ in range(times):
                loss, terms, norm = self._moved(index, batch, rows, time)
                if index:
                    self.ledger.add_other(index - 1, loss / times, len(rows))
                else:
                    self.ledger.add(terms, loss, norm, len(rows), self.bound.weighted)

    def _moved(self, index: int, batch: Batch, rows: Tensor, time: float) -> tuple[Tensor, Terms | None, Tensor]:
        """One move of a player: its loss, its ledger and the norm of its gradient, as they were before."""
        player, optimiser = self.players[index], self.optimisers[index]
        with self._precision():
            loss, terms = player.loss(batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = self._gradient_norm(player.parameters)
        if not math.isfinite(loss.item() + norm.item()):
            self._non_finite(terms, loss, rows)
        for group in optimiser.param_groups:
            group["lr"] = player.rate * learning_rate(self.spec.training, time)
        optimiser.step()
        return loss, terms, norm

    def _batch(self, rows: Tensor, time: float = 0.0) -> Batch:
        x, y = self._examples(rows), self._labels(rows)
        beside = None
        if self.supervision.labelled or self.regulariser.labelled:
            some = self.labels.draw(self.spec.training.batch).to(self.rows_at)
            known = self._labels(some)
            beside = None if known is None else (self._examples(some), known)
        return Batch(x, time, y, self.n, rows.to(self.device), beside)

    def _examples(self, rows: Tensor) -> Tensor:
        return self.near.batch("train", rows).to(self.device, self.dtype)

    def _labels(self, rows: Tensor) -> Tensor | None:
        y = self.labels.of(rows)
        return None if y is None else y.to(self.device)

    def _gradient_norm(self, parameters: list[torch.nn.Parameter]) -> Tensor:
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        if self.spec.training.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.spec.training.clip, norm, foreach=True)
        return norm

    def _non_finite(self, terms: Terms | None, loss: Tensor, rows: Tensor) -> None:
        """Keep the last good weights, raise the alarm, stop."""
        try:
            refuse_non_finite(terms, loss, self.model, rows, self.step)
        except NonFiniteError as error:
            self._raise([alarm("non-finite", self.epoch + 1, str(error), "failure")])
            self._seal()
            raise

    def _close_epoch(self) -> None:
        self.epoch, self.position = self.epoch + 1, 0
        row = self._row()
        self.rows.append(row)
        if row["best"]:
            self.best = self._copy()
        row["alarms"] = [a.name for a in self._raise(self.watcher.after(self.rows))]
        self.metrics_length = self.run.append_metrics(row)
        self.ledger = self._empty_ledger()
        self.watch.on_epoch(row)

    def _row(self) -> dict[str, Any]:
        valid = self._validate()
        deviation = self.model.likelihood.sigma()
        weights = self.objective.weights(self.epoch)
        n = max(self.ledger.examples, 1)
        others = {player.name: float(v) / n for player, v in zip(self.players[1:], self.ledger.others, strict=True)}
        row = {"players": others} if others else {}
        return row | {
            "epoch": self.epoch,
            "step": self.step,
            "beta": weights.k / weights.r,
            "effective_beta": weights.beta,
            "learning_rate": learning_rate(self.spec.training, self.epoch),
            "train": self.ledger.row(),
            "valid": valid,
            "best": self._is_best(valid),
            "sigma": None
            if deviation is None
            else float(deviation.detach().double().square().sum().div(deviation.numel()).sqrt()),
        }

    def _validate(self) -> dict[str, Any] | None:
        if not len(self.data.splits["valid"]) or (self.model.encoder is None and self.spec.latent):
            return None
        seed, weighted = self.spec.training.seed, self.bound.weighted
        k = self.bound.samples or 1
        row = measure(self.model, self.data, "valid", samples=k, seed=seed, weighted=weighted).row()
        figures = [row[key] for key in ("bound", "rate", "distortion") if row[key] is not None]
        return row if all(math.isfinite(figure) for figure in figures) else None

    def _is_best(self, valid: dict[str, Any] | None) -> bool:
        """Whether this is the best validation bound so far (without a bound, the least distortion); closed while the
        warm-up lasts."""
        if valid is None or self.epoch < self.objective.schedule.ends:
            return False
        return all(worth(valid) > worth(row["valid"]) for row in self.rows if row["best"])

    def _patience_is_over(self) -> bool:
        patience = self.spec.training.patience
        best = max((row["epoch"] for row in self.rows if row["best"]), default=None)
        return bool(patience) and best is not None and self.epoch - best >= patience

    def _copy(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def _raise(self, new: list[Alarm]) -> list[Alarm]:
        self.watcher.raised.update({a.name: a for a in new})
        if new:
            self._write_alarms()
        for a in new:
            self.watch.on_alarm(a)
        return new

    def _write_alarms(self) -> None:
        self.run.write_json("alarms.json", [a.json() for a in self.watcher.raised.values()])

    def checkpoint(self) -> None:
        """Write all that the run needs to go on bitwise equal."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in (self.best or {}).items()}
        for name, module in self.aside.items():
            tensors |= {f"{name}.{k}": v for k, v in module.state_dict().items()}
        tensors |= {f"ledger.{k}": v for k, v in self.ledger.tensors().items()}
        for player, optimiser in zip(self.players, self.optimisers, strict=True):
            tensors |= state_tensors(optimiser, f"optimiser.{player.name}")
        state = {
            "epoch": self.epoch,
            "position": self.position,
            "step": self.step,
            "examples": self.ledger.examples,
            "ledger_steps": self.ledger.steps,
            "scored": self.ledger.scored,
            "metrics_length": self.metrics_length,
            "compiled": self.compiled,
            "alarms": [a.json() for a in self.watcher.raised.values()],
        }
        self.run.write_checkpoint(self.step, tensors, state)

    def recall(self) -> bool:
        """Take up the newest checkpoint, or begin afresh where none was written; False if the run is finished."""
        if not self.run.checkpoints():
            self.run.truncate_metrics(0)
            self.begin()
            return True
        tensors, state = self.run.read_checkpoint()
        self.epoch, self.position, self.step = state["epoch"], state["position"], state["step"]
        if self.epoch >= self.spec.training.epochs and self.run.sealed():
            return False
        self.compiled = state.get("compiled", False)
        self.model.load_state_dict(_under(tensors, "model"))
        for name, module in self.aside.items():
            module.load_state_dict(_under(tensors, name))
        self.best = _under(tensors, "best") or None
        for player, optimiser in zip(self.players, self.optimisers, strict=True):
            restore(optimiser, tensors, f"optimiser.{player.name}")
        self.run.unseal()  # not before: what is refused stays whole
        self.metrics_length = state["metrics_length"]
        self.run.truncate_metrics(self.metrics_length)
        self.rows = self.run.metrics()
        sums = {k: v.to(self.device) for k, v in _under(tensors, "ledger").items()}
        counts = {"examples": state["examples"], "steps": state["ledger_steps"], "scored": state["scored"]}
        self.ledger = replace(self._empty_ledger(), **sums, **counts)  # type: ignore[arg-type]
        self.watcher.raised = {a["name"]: Alarm(**a | {"cures": tuple(a["cures"])}) for a in state["alarms"]}
        self.watch.on_start(self.words(), self.spec.training.epochs, self.steps)
        return True

    def finish(self) -> None:
        """Write the last checkpoint, the best weights and the manifest."""
        self.checkpoint()
        self._seal()

    def _seal(self) -> None:
        self.run.truncate_metrics(self.metrics_length)
        self.run.write_weights(self.best or self._copy())
        self._write_alarms()
        self.run.write_manifest()


def near(data: Data, device: torch.device) -> Data:
    """The data with their training split on CUDA where half of what is free there holds it; else as they are."""
    x = data.splits["train"].x
    if device.type != "cuda" or not isinstance(x, Tensor) or 2 * x.nbytes > torch.cuda.mem_get_info(device)[0]:
        return data
    return replace(data, splits={**data.splits, "train": replace(data.splits["train"], x=x.to(device))})


def worth(row: dict[str, Any]) -> float:
    """What the best checkpoint has most of: the bound, or where there is none, less distortion."""
    return row["bound"] if row["bound"] is not None else -row["distortion"]


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(prefix + ".")}
