"""SIGINT and SIGTERM: in training, the first asks the loop to write a checkpoint and stop, the second ends it at once.

Elsewhere they end the command with one line; what it was writing is not there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

HEARD = (signal.SIGINT, signal.SIGTERM)
SECONDS = 15.0
"""Between two checkpoints."""


class Stopped(BaseException):
    """A signal came where nothing waits for it. ``signal`` is its number."""

    def __init__(self, signal: int) -> None:
        self.signal = signal
        super().__init__("stopped")


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


@contextmanager
def raising() -> Iterator[None]:
    """SIGINT and SIGTERM raise :class:`Stopped`, unless the program that runs this hears or ignores them itself."""
    plain = (signal.default_int_handler, signal.SIG_DFL)
    mine = threading.current_thread() is threading.main_thread()
    before = {n: handler for n in HEARD if mine and (handler := signal.getsignal(n)) in plain}
    for number in before:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stop:
    """A context in which signals are only noted; calling it gives the number of the signal heard, or None."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __call__(self) -> int | None:
        return self.number

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in HEARD}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            show_cursor = b"\x1b[?25h\n" if sys.stderr.isatty() else b""
            os.write(2, show_cursor)
            os._exit(128 + number)
        self.number = number
        os.write(2, b"\nstopping after this step, with a checkpoint; once more ends it at once\n")


class Clock:
    """True once every so many seconds: time for a checkpoint."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds, self.last = seconds, time.monotonic()

    def __call__(self) -> bool:
        now = time.monotonic()
        if now - self.last < self.seconds:
            return False
        self.last = now
        return True
