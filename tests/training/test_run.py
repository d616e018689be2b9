"""The run folder: every byte is watched, a newer format is refused, nothing is half written."""

from __future__ import annotations

import json
import shutil

import pytest

from lowerbound.errors import InputError
from lowerbound.training.load import load
from lowerbound.training.loop import train
from lowerbound.training.run import Run

from .small import spec, stripes


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run"
    train(spec(), stripes(), path)
    return path


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_it_holds_what_it_promises(finished):
    names = {p.name for p in finished.iterdir()}
    assert {"spec.json", "metrics.jsonl", "weights.safetensors", "alarms.json", "manifest.json", "checkpoints"} <= names
    assert not list(finished.rglob("*.part"))
    row = Run(finished).metrics()[-1]
    assert row["epoch"] == 3
    assert len(row["train"]["rate_per_dimension"]) == 2
    assert row["train"]["bound"] == pytest.approx(-(row["train"]["rate"] + row["train"]["distortion"]), abs=1e-9)


@pytest.mark.parametrize("name", ["weights.safetensors", "metrics.jsonl", "spec.json"])
def test_any_flipped_bit_is_noticed(copy, name):
    content = (copy / name).read_bytes()
    for at in range(0, len(content), max(1, len(content) // 60)):
        (copy / name).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(InputError, match=name):
            Run(copy).verify()
    (copy / name).write_bytes(content)
    Run(copy).verify()


def test_a_damaged_checkpoint_is_named_with_the_good_one(copy):
    newest = Run(copy).checkpoints()[-1]
    content = (newest / "state.safetensors").read_bytes()
    for at in range(0, len(content), max(1, len(content) // 40)):
        (newest / "state.safetensors").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(InputError, match=r"state\.safetensors: was altered"):
            Run(copy).read_checkpoint()


@pytest.mark.parametrize("name", ["spec.json", "weights.safetensors", "manifest.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(InputError, match=name):
        load(copy)


def test_a_newer_format_is_refused(copy):
    header = json.loads((copy / "spec.json").read_text())
    (copy / "spec.json").write_text(json.dumps(header | {"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        load(copy)


def test_a_folder_that_exists_is_refused(finished):
    with pytest.raises(InputError, match="exists already"):
        train(spec(), stripes(), finished)


def test_loading_needs_the_data_only_when_they_are_asked_for(finished):
    trained = load(finished)
    assert trained.model.latent == 2
    with pytest.raises(InputError, match="memory"):
        _ = trained.data
    assert load(finished, stripes()).data.name == "stripes"


def test_a_run_in_double_precision_is_loaded_in_double(tmp_path):
    run = train(spec(training={"precision": "float64", "epochs": 1}), stripes(), tmp_path / "run")
    loaded = load(tmp_path / "run").model.state_dict()
    for name, tensor in run.weights().items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].equal(tensor)
