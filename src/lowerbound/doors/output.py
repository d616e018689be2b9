"""What a person reads (aligned text) or a program reads (JSON), on standard output; remarks go to standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

MARGIN = "  "


def remark(text: str) -> None:
    """A line on standard error: progress and advice, never a result."""
    print(text, file=sys.stderr, flush=True)


def show(text: str) -> None:
    """A line of the result."""
    print(text)


def show_json(value: Any) -> None:
    """The result as JSON: infinite and undefined numbers become null, which every parser reads."""
    print(json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False))


def plain(value: Any) -> Any:
    """A value as JSON knows it.

    >>> plain({"a": (1, float("nan")), "b": Path("x")})
    {'a': [1, None], 'b': 'x'}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def columns(rows: Iterable[Sequence[object]], margin: str = MARGIN) -> list[str]:
    """Rows as lines with aligned columns; the last column may run on.

    >>> columns([("rate", 1.5), ("distortion", 90)], margin="")
    ['rate        1.5', 'distortion  90']
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in cells), strict=True)]
    lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in cells]
    return [(margin + line).rstrip() for line in lines]


def show_columns(rows: Iterable[Sequence[object]]) -> None:
    """Print aligned rows."""
    for line in columns(rows):
        show(line)


def estimate(value: float, stderr: float | None, unit: str) -> str:
    """A figure with its uncertainty and its unit.

    >>> estimate(-104.25, 0.5, "nats per example")
    '-104.25 ± 0.50 nats per example'
    """
    spread = f" ± {stderr:.2f}" if stderr is not None and math.isfinite(stderr) else ""
    return f"{value:.2f}{spread} {unit}"
