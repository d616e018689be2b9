"""What a person sees of a run in progress, on standard error; only here is the clock read while training.

On a terminal: a bar with rate, distortion, bound, examples a second and the time left. Elsewhere: one plain line an
epoch, at most one a second. Both keep ``timing.jsonl`` in the run folder: how long each epoch took, which is no
business of the metrics, since two equal runs must have equal metrics.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from lowerbound.doors.output import remark
from lowerbound.training.alarms import Alarm
from lowerbound.training.ledger import Ledger
from lowerbound.training.watch import Watch

REFRESH = 0.2
"""Seconds between two readings of the ledger, each of which waits for the device."""


class Timer:
    """Steps done and to do, and the seconds they take."""

    def __init__(self) -> None:
        self.epochs = self.steps = self.step = self.examples = 0
        self.first_step: int | None = None
        self.begun = self.epoch_begun = time.monotonic()

    def start(self, epochs: int, steps: int) -> None:
        """The run begins, or goes on."""
        self.epochs, self.steps, self.first_step = epochs, steps, None
        self.begun = self.epoch_begun = time.monotonic()

    def at(self, step: int, examples: int) -> None:
        """A step is done; ``examples`` are those of the epoch so far."""
        self.first_step = step - 1 if self.first_step is None else self.first_step
        self.step, self.examples = step, examples

    def left(self) -> float:
        """Seconds until the last step, at the speed so far."""
        done = self.step - (self.first_step or 0)
        spent = time.monotonic() - self.begun
        return spent / done * (self.epochs * self.steps - self.step) if done > 0 else float("nan")


class Spoken(Watch):
    """Plain lines: the words at the start, one line an epoch, alarms with cause and cures."""

    def __init__(self, run: Path, headline: str = "") -> None:
        self.run, self.headline = run, headline
        self.timer = Timer()
        self.last_line = 0.0
        self.explained: set[str] = set()

    def say(self, line: str) -> None:
        """Print one line."""
        remark(line)

    def on_start(self, words: list[str], epochs: int, steps: int) -> None:
        for sentence in filter(None, [self.headline, *words]):
            self.say(sentence)
        self.timer.start(epochs, steps)

    def on_step(self, step: int, ledger: Ledger) -> None:
        self.timer.at(step, ledger.examples)

    def on_epoch(self, row: dict[str, Any]) -> None:
        now = time.monotonic()
        seconds, self.timer.epoch_begun = now - self.timer.epoch_begun, now
        speed = self.timer.examples / seconds if seconds > 0 else 0.0
        self._keep(row["epoch"], seconds, speed)
        if now - self.last_line >= 1.0 or row["epoch"] in (1, self.timer.epochs):
            self.last_line = now
            self.say(epoch_line(row, self.timer.epochs, speed, self.timer.left()))

    def _keep(self, epoch: int, seconds: float, speed: float) -> None:
        line = {"epoch": epoch, "seconds": round(seconds, 4), "examples_per_second": round(speed, 1)}
        with (self.run / "timing.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def on_alarm(self, alarm: Alarm) -> None:
        again = alarm.name in self.explained
        self.explained.add(alarm.name)
        if again and self.timer.epochs == 1:
            return
        self.say(f"{alarm.severity}: {alarm.name}: {alarm.message}")
        if again:
            return
        self.say(f"  why: {alarm.cause}")
        for cure in alarm.cures:
            self.say(f"  try: {cure}")

    def close(self) -> None:
        """Nothing more will come."""


class Bar(Spoken):
    """The bar of a terminal, with the lines of :class:`Spoken` above it."""

    def __init__(self, run: Path, headline: str = "") -> None:
        super().__init__(run, headline)
        self.console = Console(stderr=True, highlight=False)
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4, max_width=30)),
            Figures(table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=self.console,
            transient=True,
        )
        self.task: TaskID | None = None
        self.last_reading = 0.0

    def say(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)

    def on_start(self, words: list[str], epochs: int, steps: int) -> None:
        super().on_start(words, epochs, steps)
        self.task = self.progress.add_task("training", total=epochs * steps, epoch=f"1/{epochs}", figures="")
        self.progress.start()

    def on_step(self, step: int, ledger: Ledger) -> None:
        super().on_step(step, ledger)
        now = time.monotonic()
        if now - self.last_reading < REFRESH or self.task is None:
            return
        self.last_reading = now
        speed = ledger.examples / max(now - self.timer.epoch_begun, 1e-9)
        epoch = f"{(step - 1) // self.timer.steps + 1}/{self.timer.epochs}"
        row = ledger.row()
        shown = ("bound", "rate", "distortion", "objective")[: 3 if row["distortion"] is not None else 4]
        figures = " ".join(f"{name} {row[name]:.2f}" for name in shown if row[name] is not None)
        figures += f" nats, {speed:,.0f}/s, {clock(self.timer.left())} left"
        self.progress.update(self.task, completed=step, epoch=epoch, figures=figures)

    def close(self) -> None:
        self.progress.stop()


class Figures(ProgressColumn):
    """The figures beside the bar."""

    def render(self, task: Any) -> Text:
        return Text(task.fields.get("figures", ""))


def watch_for(run: Path, headline: str) -> Spoken:
    """The bar on a terminal, plain lines elsewhere."""
    return Bar(run, headline) if sys.stderr.isatty() else Spoken(run, headline)


def terms(row: dict[str, Any]) -> str:
    """Bound, rate and distortion as one phrase.

    >>> terms({"bound": -101.5, "rate": 20.25, "distortion": 81.25})
    'bound -101.50 = -(rate 20.25 + distortion 81.25) nats'
    """
    if row["distortion"] is None:
        return f"objective {row['objective']:.4f}, no bound"
    if row["bound"] is None:
        return f"distortion {row['distortion']:.2f} nats, no bound"
    above = row["bound"] + row["rate"] + row["distortion"]
    if abs(above) > 1e-6 * abs(row["bound"]):
        return f"bound {row['bound']:.2f} (rate {row['rate']:.2f}, distortion {row['distortion']:.2f}) nats"
    return f"bound {row['bound']:.2f} = -(rate {row['rate']:.2f} + distortion {row['distortion']:.2f}) nats"


def epoch_line(row: dict[str, Any], epochs: int, speed: float, left: float) -> str:
    """One epoch in one line."""
    valid, width = row["valid"], len(str(epochs))
    spread = f" ± {valid['bound_stderr']:.2f}" if valid and valid["bound_stderr"] is not None else ""
    worth = "" if not valid else "bound" if valid["bound"] is not None else "distortion"
    held_out = f"  held out {valid[worth]:.2f}{spread}" if valid else ""
    best = " best" if row["best"] else ""
    first = f"epoch {row['epoch']:>{width}}/{epochs}  {terms(row['train'])}"
    return f"{first}{held_out}{best}  {speed:,.0f} examples/s  {clock(left)} left"


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, or hours.

    >>> clock(75), clock(3700), clock(float("nan"))
    ('1:15', '1:01:40', '-:--')
    """
    if not 0 <= seconds < 1e7:
        return "-:--"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
