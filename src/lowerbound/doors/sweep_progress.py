"""What a person sees of a sweep in progress: the bounds of its members."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from lowerbound.doors.progress import REFRESH, Bar, Spoken, clock

SHOWN = 12
"""Members whose bounds stand in a line."""
REST = 65
"""Columns of the terminal that the bar needs beside the bounds; each takes 7."""


def bounds_line(bounds: list[float], most: int = SHOWN) -> str:
    """The members' bounds, in the order of their betas; of more than ``most``, the lowest and the highest.

    >>> bounds_line([-101.25, -99.5])
    'bounds -101.2 -99.5 nats'
    """
    some = bounds if len(bounds) <= most else [min(bounds), max(bounds)]
    joint = " " if len(bounds) <= most else " to "
    return f"bounds {joint.join(f'{bound:.1f}' for bound in some)} nats"


class SpokenSweep(Spoken):
    """Plain lines: one an epoch with the held-out bound of every member."""

    def on_epoch(self, row: dict[str, Any]) -> None:
        now = time.monotonic()
        seconds, self.timer.epoch_begun = now - self.timer.epoch_begun, now
        speed = self.timer.examples / seconds if seconds > 0 else 0.0
        self._keep(row["epoch"], seconds, speed)
        if now - self.last_line >= 1.0 or row["epoch"] in (1, self.timer.epochs):
            self.last_line = now
            self.say(epoch_line(row, self.timer.epochs, speed, self.timer.left()))


class SweepBar(SpokenSweep, Bar):
    """The bar of a terminal, with the running bounds of the members."""

    def on_step(self, step: int, ledger: Any) -> None:
        Spoken.on_step(self, step, ledger)
        now = time.monotonic()
        if now - self.last_reading < REFRESH or self.task is None:
            return
        self.last_reading = now
        speed = ledger.examples / max(now - self.timer.epoch_begun, 1e-9)
        epoch = f"{(step - 1) // self.timer.steps + 1}/{self.timer.epochs}"
        said = bounds_line(ledger.bounds(), (self.console.width - REST) // 7)
        figures = f"{said}, {speed:,.0f}/s each, {clock(self.timer.left())} left"
        self.progress.update(self.task, completed=step, epoch=epoch, figures=figures)


def epoch_line(row: dict[str, Any], epochs: int, speed: float, left: float) -> str:
    """One epoch in one line."""
    held_out = all(member["valid"] for member in row["rows"])
    part, name = ("valid", "held-out ") if held_out else ("train", "")
    bounds = [member[part]["bound"] for member in row["rows"]]
    first = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  {name}{bounds_line(bounds)}"
    return f"{first}  {speed:,.0f} examples/s each  {clock(left)} left"


def watch_for(sweep: Path, headline: str) -> SpokenSweep:
    """The bar on a terminal, plain lines elsewhere."""
    return SweepBar(sweep, headline) if sys.stderr.isatty() else SpokenSweep(sweep, headline)
