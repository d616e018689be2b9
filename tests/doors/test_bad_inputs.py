"""Every bad input is answered with one line on standard error and exit code 2; nothing is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lowerbound.doors.cli import main

from .bad_inputs import BAD, Bad

AS_PROCESSES = ("latent 0", "no such command", "existing run", "weights altered", "file npy-with-nan")


def state(*folders: Path) -> dict[Path, tuple[int, int]]:
    """What lies in the folders, and when it was changed."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in paths}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_one_line(
    case: Bad, tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOWERBOUND_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    arguments = case.build(tmp_path, run)
    before = state(tmp_path, run)
    code = main(arguments)
    out, err = capsys.readouterr()
    assert code == 2, err
    assert out == ""
    assert err.count("\n") == 1 and err.startswith("lowerbound: ") and err.endswith("\n"), err
    assert case.words in err or case.name.startswith("file "), err
    assert ";" in err, f"it must say how to mend it: {err}"
    assert state(tmp_path, run) == before, "nothing may be written"


@pytest.mark.parametrize("name", AS_PROCESSES)
def test_as_a_process(name: str, tmp_path: Path, run: Path) -> None:
    case = next(case for case in BAD if case.name == name)
    arguments = case.build(tmp_path, run)
    done = subprocess.run(
        [sys.executable, "-m", "lowerbound", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert case.words in done.stderr


def test_there_are_enough() -> None:
    assert len(BAD) >= 60
    assert len({case.name for case in BAD}) == len(BAD)
