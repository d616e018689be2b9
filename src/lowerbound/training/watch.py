"""What a door may hear of a run in progress."""

from __future__ import annotations

from typing import Any

from lowerbound.training.alarms import Alarm
from lowerbound.training.ledger import Ledger


class Watch:
    """What a door may hear of a run; every method does nothing here."""

    def on_start(self, words: list[str], epochs: int, steps: int) -> None:
        """Sentences on likelihood, objective and forecast; epochs in all and steps an epoch."""

    def on_step(self, step: int, ledger: Ledger) -> None:
        """After every step; ``ledger.row()`` gives the running averages."""

    def on_epoch(self, row: dict[str, Any]) -> None:
        """The row just written to the metrics."""

    def on_alarm(self, alarm: Alarm) -> None:
        """An alarm, when it is first raised."""
