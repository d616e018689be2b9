"""A small finished run, trained once for the tests of this floor."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowerbound.doors.cli import main


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    settings = ["--latent", "2", "-s", "encoder.hidden=[16]", "--epochs", "2", "--no-report"]
    assert main(["train", "digits", "--out", str(folder), *settings]) == 0
    return folder
