"""``lowerbound sweep``: ordinary runs, the plane beside them, and every mistake in one line."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from lowerbound.doors import sweep as door
from lowerbound.doors.cli import main

SMALL = ["--latent", "2", "-s", "encoder.hidden=[16]", "--epochs", "2"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept") / "sweep"
    assert main(["sweep", "digits", "--beta", "0.5:2:3", "--out", str(folder), *SMALL]) == 0
    return folder


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that is refused."""
    assert main(["sweep", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert len(err.strip().splitlines()) == 1
    return err


def test_every_member_is_a_run_that_the_readers_read(swept, capsys):
    for name in ("beta-0.5", "beta-1", "beta-2"):
        assert main(["evaluate", str(swept / name), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["examples"] == 180
    assert main(["report", str(swept / "beta-1")]) == 0
    assert main(["compare", *(str(swept / f"beta-{b}") for b in ("0.5", "1", "2"))]) == 0


def test_the_plane_is_drawn_and_kept_as_numbers(swept):
    found = json.loads((swept / "rate-distortion.json").read_text())
    assert [point["beta"] for point in found["points"]] == [0.5, 1.0, 2.0]
    assert found["split"] == "test"
    for point in found["points"]:
        total = point["rate"]["value"] + point["distortion"]["value"]
        assert point["elbo"]["value"] == pytest.approx(-total)
        assert point["elbo"]["stderr"] > 0
    assert "slope -beta" in (swept / "rate-distortion.svg").read_text()
    assert (swept / "rate-distortion.png").read_bytes().startswith(b"\x89PNG")
    assert len((swept / "timing.jsonl").read_text().splitlines()) == 2


def test_a_finished_sweep_is_measured_again(swept, capsys):
    assert main(["sweep", "--resume", str(swept), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"] in {"beta-0.5", "beta-1", "beta-2"}
    assert set(found["alarms"]) == {"beta-0.5", "beta-1", "beta-2"}


def test_people_get_a_table_and_the_progress_of_all_members(tmp_path, capsys):
    assert main(["sweep", "digits", "--beta", "1,4", "--out", str(tmp_path / "sweep"), *SMALL]) == 0
    out, err = capsys.readouterr()
    assert "beta" in out.splitlines()[0]
    assert "best" in out
    assert "held-out bounds -" in err
    assert "same weights" in err


def test_ctrl_c_writes_a_checkpoint_of_every_member_and_the_sweep_goes_on(tmp_path, monkeypatch, capsys):
    class Heard(door.Stop):
        def __call__(self):
            self.asked = getattr(self, "asked", 0) + 1
            if self.asked == 5:
                self.number = signal.SIGINT
            return self.number

    folder = tmp_path / "sweep"
    with monkeypatch.context() as patch:
        patch.setattr(door, "Stop", Heard)
        assert main(["sweep", "digits", "--beta", "1,4", "--out", str(folder), *SMALL]) == 130
    assert f"resume with: lowerbound sweep --resume {folder}" in capsys.readouterr().err
    assert not (folder / "rate-distortion.json").exists()
    assert not list(folder.rglob("*.part"))
    for name in ("beta-1", "beta-4"):
        assert len(list((folder / name / "checkpoints").iterdir())) == 1
    assert main(["sweep", "--resume", str(folder)]) == 0
    assert (folder / "rate-distortion.json").exists()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["digits"], "--beta: is missing"),
        (["digits", "--beta", "x"], "--beta"),
        (["digits", "--beta", "1,1"], "twice"),
        (["digits", "--beta", "1,2", "-s", "objective.beta=3"], "objective.beta"),
        (["digits", "--beta", "1,2", "-s", "objective=free-bits"], "free-bits"),
        (["digits", "--beta", "1,2", "-s", "prior=nonsense"], "nonsense"),
        (["digits", "--beta", "1,2", "--epochs", "0"], "--epochs"),
        (["--resume", "nowhere"], "no such sweep folder"),
        (["digits", "--resume", "nowhere"], "leave out SOURCE"),
    ],
)
def test_mistakes_are_one_line(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in failing(capsys, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_run_folder_is_no_sweep(run, capsys):
    assert "sweep.json" in failing(capsys, "--resume", str(run))
