"""``lowerbound reproduce``: every suite's rows fit their recipes, and a rehearsal keeps what is finished."""

from __future__ import annotations

import json
import signal

import pytest

from lowerbound.doors import recipes, reproduce, train
from lowerbound.doors.cli import main
from lowerbound.doors.figures_of import FIGURES
from lowerbound.doors.read import open_run
from lowerbound.doors.settings import spec_of
from lowerbound.doors.signals import Stopped
from lowerbound.training.spec import Spec, complete, merge

SUITES = {name: reproduce.rows_of(reproduce.read(name)) for name in reproduce.names()}
ROWS = [pytest.param(row, id=f"{suite}/{row['name']}") for suite, rows in SUITES.items() for row in rows]
TINY = """
about = "two rows on the digits"

[[row]]
name = "plain"
recipe = "digits"
source = "digits"
figures = ["bound", "rate", "active", "forecast"]
published = "nothing"

[[row]]
name = "codes"
recipe = "m2"
source = "digits"
codes_of = "plain"
figures = ["error"]
settings = { latent = 2, training = { labelled = 50, epochs = 40 } }
"""


@pytest.mark.parametrize("row", ROWS)
def test_a_row_fits_its_recipe_and_its_figures_are_known(row):
    settings = merge(complete(recipes.settings_of(row["recipe"])), row.get("settings", {}))
    spec = Spec.of(settings, where=row["name"])
    assert set(row["figures"]) <= set(FIGURES) and isinstance(row.get("published", ""), str)
    flags = {"--epochs": str(spec.training.epochs), "--seed": str(spec.training.seed)}
    given = spec_of(None, row["recipe"], flags, reproduce.told(row))
    assert given.settings() | {"recipe": ""} == spec.settings() | {"recipe": ""}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "tiny.toml").write_text(TINY)
    monkeypatch.setattr(reproduce, "FOLDER", tmp_path / "suites")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_rehearsal_keeps_what_is_finished(tiny, capsys):
    arguments = ["reproduce", "tiny", "--scale", "0.02", "--seeds", "2", "--json"]
    assert main(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in first] == ["plain", "codes"] and first[0]["bound"]["spread"] > 0
    assert first[0]["forecast"]["unit"] == "dimensions" and 0 <= first[1]["error"]["value"] <= 100
    weights = tiny / "runs" / "tiny" / "plain-0" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == first and weights.stat().st_mtime_ns == before
    table = (tiny / "runs" / "tiny" / "tiny.md").read_text()
    assert "| plain | digits | bound -" in table and "A rehearsal: 2 %" in table


@pytest.mark.parametrize("where", ["training", "measuring"])
def test_a_stopped_suite_names_itself_as_the_way_to_go_on(where, tiny, monkeypatch, capsys):
    class Heard(train.Stop):
        def __call__(self):
            self.number = signal.SIGTERM
            return self.number

    def killed(row, run, data_dir):
        raise Stopped(signal.SIGTERM)

    arguments = ["reproduce", "tiny", "--scale", "0.02", "--only", "plain"]
    with monkeypatch.context() as patch:
        patch.setattr(*((train, "Stop", Heard) if where == "training" else (reproduce, "measured", killed)))
        assert main(arguments) == 143
    said = capsys.readouterr().err
    assert "stopped by signal 15; resume with: the same command; what is finished is kept" in said
    assert "--resume" not in said
    assert main(arguments) == 0
    assert "| plain | digits | bound -" in capsys.readouterr().out


def test_a_row_brings_the_one_it_learns_from(tiny, capsys):
    assert main(["reproduce", "tiny", "--scale", "0.02", "--only", "codes", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["plain", "codes"]


def test_what_is_finished_is_tabled_without_training(tiny, capsys):
    assert main(["reproduce", "tiny", "--finished"]) == 2
    assert "no row is finished" in capsys.readouterr().err
    assert main(["reproduce", "tiny", "--scale", "0.02", "--only", "plain", "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert main(["reproduce", "tiny", "--scale", "0.02", "--finished", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == trained
    assert not (tiny / "runs" / "tiny" / "codes-0").exists()


def test_a_run_of_other_settings_does_not_count_for_a_row(tiny, capsys):
    assert main(["reproduce", "tiny", "--scale", "0.02", "--only", "plain"]) == 0
    capsys.readouterr()
    assert main(["reproduce", "tiny", "--scale", "0.04", "--only", "plain"]) == 2
    said = capsys.readouterr().err
    assert "its training.epochs is 2, that of the row 4" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tutorial"], "did you mean tutorials?"),
        (["tutorials", "--only", "keras-simpel"], "did you mean keras-simple?"),
        (["tutorials", "--seeds", "0"], "greater than or equal to 1"),
        (["tutorials", "--scale", "2"], "less than or equal to 1"),
        (["tutorials", "--scale", "0"], "give a share above 0"),
        (["tutorials", "--scale", "nan"], "less than or equal to 1"),
    ],
)
def test_a_bad_request_is_a_line(arguments, words, capsys):
    assert main(["reproduce", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_suites_are_listed(capsys):
    assert main(["reproduce"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in SUITES)


def test_the_distance_of_samples_is_that_of_the_command(tmp_path, capsys):
    few = ["--epochs", "1", "--no-report", "-s", "decoder.hidden=[16]", "-s", "game.hidden=[8]"]
    assert main(["train", "digits", "--recipe", "gan", *few, "--out", str(tmp_path / "gan")]) == 0
    capsys.readouterr()
    assert main(["fidelity", str(tmp_path / "gan"), "--json"]) == 0
    distance = json.loads(capsys.readouterr().out)["figures"]["Frechet distance"]
    found = FIGURES["fidelity"](open_run(tmp_path / "gan"))
    assert (found.value, found.stderr) == (distance["value"], distance["stderr"]) and found.n == 180


def test_a_figure_that_a_run_does_not_have_is_a_dash():
    """The rate of a mixture prior does not split, so that no dimension can be counted."""
    from lowerbound.doors.reproduce import markdown, summed

    row = {"name": "a", "recipe": "vampprior", "figures": ["active"]}
    found = [{"active": {"value": v, "stderr": 0.0, "unit": "dimensions", "n": 9}, "seconds": 2.0} for v in (None, 3.0)]
    told = summed(row, found, 2, 1.0)
    assert told["active"]["value"] is None and told["active"]["values"] == [None, 3.0]
    assert "| active - |" in markdown({}, [told])
