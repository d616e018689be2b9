"""Where the real data lie, if they lie anywhere: LOWERBOUND_DATA, or shared/data beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def folder() -> Path | None:
    """The folder with mnist/ and the others in it."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    choices = [Path(os.environ["LOWERBOUND_DATA"])] if os.environ.get("LOWERBOUND_DATA") else []
    return next((path for path in (*choices, beside) if (path / "mnist").is_dir()), None)


FOLDER = folder()
needs_data = pytest.mark.skipif(
    FOLDER is None, reason="no real data: set LOWERBOUND_DATA to a folder with mnist/ in it"
)
