"""The command line: what starts fast, what each command prints, how it stops and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lowerbound import __version__
from lowerbound.data import NAMES
from lowerbound.doors import cli, recipes, settings
from lowerbound.doors.cli import COMMANDS, main
from lowerbound.doors.progress import Spoken
from lowerbound.training.alarms import alarm
from lowerbound.training.spec import DataSpec, Spec, TrainingSpec


def spoken(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints."""
    code = main(list(arguments))
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def figures(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command prints with --json."""
    return json.loads(spoken(capsys, *arguments, "--json"))


def width(picture: Path | str) -> int:
    """The width of a picture file."""
    with Image.open(picture) as image:
        return image.size[0]


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line as a process of its own; says on standard error whether torch was imported."""
    code = (
        "import sys, lowerbound.doors.cli as c; r = c.main(); "
        "print('torch' in sys.modules, file=sys.stderr); sys.exit(r)"
    )
    environ = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environ, check=False
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["train", "--help"], ["list", "recipes"]])
def test_starts_without_torch(arguments: list[str]) -> None:
    done = process(*arguments)
    assert done.returncode == 0 and done.stderr.strip() == "False"


def test_completion_without_torch() -> None:
    done = process(_LOWERBOUND_COMPLETE="complete_bash", COMP_WORDS="lowerbound train --recipe ae", COMP_CWORD="3")
    assert "aevb" in done.stdout and "True" not in done.stderr


def test_help_imports_nothing_heavy() -> None:
    """How long it takes is measured in benchmarks/start.py; what made it long would be one of these."""
    code = "import sys; from lowerbound.doors import cli; cli.main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "scipy", "sklearn", "matplotlib", "pydantic", "PIL", "zuko", "pooch"}
    assert heavy & set(done.stderr.split()) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = spoken(capsys, command, "--help")
    assert "Examples" in text and f"lowerbound {command}" in " ".join(text.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert spoken(capsys, "--version") == f"lowerbound {__version__}\n"


def test_names_known_without_torch_are_the_real_ones() -> None:
    assert set(recipes.SUITED) == set(NAMES)
    assert set(recipes.SUITED.values()) | {"table", "convolutional", recipes.PLAIN} <= set(recipes.names())
    known = {*Spec.model_fields, *(f"training.{k}" for k in TrainingSpec.model_fields)}
    known |= {f"data.{k}" for k in DataSpec.model_fields} | {"objective.beta"}
    assert known >= settings.WORDS and set(settings.FLAGS.values()) <= known
    assert set(settings.PARTS) <= set(Spec.model_fields)


@pytest.mark.parametrize("name", recipes.names())
def test_recipe_is_short_commented_and_cites_its_source(name: str) -> None:
    text = recipes.path_of(name).read_text(encoding="utf-8")
    assert text.startswith("#") and "# Source: " in text and "about = " in text
    assert len(text.splitlines()) < 40
    recipes.settings_of(name)


def test_flags_lie_on_the_recipe_and_the_recipe_on_the_defaults() -> None:
    flags = {"--latent": "3", "--lr": "0.01"}
    spec = settings.spec_of("digits", "aevb", flags, ["encoder.hidden=[30, 20]", "objective=free-bits"])
    assert (spec.latent, spec.training.learning_rate, spec.training.batch) == (3, 0.01, 100)
    assert spec.part("encoder") == {"name": "mlp", "hidden": [30, 20], "activation": "tanh"}
    assert (spec.recipe, spec.objective.name, spec.likelihood.name) == ("aevb", "free-bits", "bernoulli")


def test_train_leaves_a_run(run: Path) -> None:
    names = {"spec.json", "metrics.jsonl", "weights.safetensors", "alarms.json", "manifest.json", "timing.jsonl"}
    assert names <= {path.name for path in run.iterdir()}
    lines = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2] and all(line["examples_per_second"] > 0 for line in lines)


def test_train_says_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "digits", "--recipe", "thread", "--epochs", "1", "--out", str(tmp_path / "run"), "--json"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["unit"] == "nats per example" and found["alarms"] == ["collapse-forecast"]
    assert Path(found["report"]).read_text(encoding="utf-8").startswith("<!doctype html>".upper()[:2])
    assert "Effective beta 32" in err and "Forecast: total collapse" in err and "try: " in err


def test_the_default_folder_is_the_next_free_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        found = figures(capsys, "train", "--epochs", "1", "-s", "encoder.hidden=[8]", "--no-report")
        assert found["run"] == f"runs/digits-{number}" and found["report"] is None


def test_evaluate(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(capsys, "evaluate", str(run))
    for key in ("elbo", "rate", "distortion"):
        assert {"value", "stderr", "unit"} <= set(found[key])
    assert found["elbo"]["value"] == pytest.approx(-found["rate"]["value"] - found["distortion"]["value"])
    assert len(found["rate_per_dimension"]) == 2
    assert {"active_dimensions", "examples", "split", "binarisation"} <= set(found) and found["split"] == "test"
    assert "higher is better" in spoken(capsys, "evaluate", str(run), "--split", "valid")


def test_evaluate_does_not_depend_on_the_batch(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (figures(capsys, "evaluate", str(run), "--batch", n)["elbo"]["value"] for n in ("1000", "7"))
    assert one == pytest.approx(other, rel=1e-6)


def test_explain_kl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "kl.svg"
    text = spoken(capsys, "explain", "kl", "--mean", "1", "--log-variance", "-1", "--picture", str(picture))
    assert "0.68394 nats" in text and "●" in text and "Where it comes from" in text
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    assert figures(capsys, "explain", "kl", "--mean", "0", "--log-variance", "0")["kl"]["value"] == 0


@pytest.mark.parametrize("log_variance", ["-1e6", "-30", "0", "30", "1e6"])
def test_explain_kl_far_out(log_variance: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "KL(q || p)" in spoken(capsys, "explain", "kl", "--mean", "1e9", "--log-variance", log_variance)


def test_explain_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Effective beta 1" in spoken(capsys, "explain", str(run))
    assert len(figures(capsys, "explain", str(run))["dimensions"]) == 2


def test_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert spoken(capsys, "report", str(run)) == f"{run}/report.html\n"
    assert figures(capsys, "report", str(run))["split"] == "test"


def test_codes_there_and_back(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(capsys, "encode", str(run), "--out", str(tmp_path / "codes.npz"))
    held = np.load(tmp_path / "codes.npz", allow_pickle=False)
    np.testing.assert_allclose(held["mean"], found["mean"])
    assert held["mean"].shape == held["deviation"].shape == (180, 2) and held["labels"].shape == (180,)
    spoken(capsys, "encode", str(run), "--out", str(tmp_path / "codes.csv"))
    for codes in ("codes.npz", "codes.csv"):
        spoken(capsys, "decode", str(run), str(tmp_path / codes), "--out", str(tmp_path / "x.npy"))
        assert np.load(tmp_path / "x.npy").shape == (180, 1, 8, 8)
    assert figures(capsys, "decode", str(run), "--z=0,0", "--z=1,-1")["shape"] == [2, 1, 8, 8]


def test_other_data_are_read_like_those_of_training(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "one.npy", np.full((1, 8, 8), 3, np.uint8))
    assert np.shape(figures(capsys, "encode", str(run), str(tmp_path / "one.npy"))["mean"]) == (1, 2)


def test_pictures(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "a.png")
    for command in (["sample", "-n", "9"], ["reconstruct", "-n", "4"], ["interpolate", "--from", "0", "--to", "5"]):
        assert spoken(capsys, command[0], str(run), *command[1:], "--out", out) == f"{out}\n"
        assert width(out) > 50
    assert spoken(capsys, "arithmetic", str(run), "class:8", "3,4", "class:1").endswith("figures/arithmetic.png\n")
    assert spoken(capsys, "interpolate", str(run)).endswith("figures/interpolations.png\n")


def test_samples_are_seeded(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, again = (figures(capsys, "sample", str(run), "-n", "3", "--draw")["values"] for _ in range(2))
    assert one == again and len(one) == 3
    assert one != figures(capsys, "sample", str(run), "-n", "3", "--draw", "--seed", "1")["values"]


def test_tables_give_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    rows = [
        f"{a:.3f},{'xyz'[b]},{c}"
        for a, b, c in zip(random.normal(size=90), random.integers(0, 3, 90), random.integers(0, 9, 90), strict=True)
    ]
    (tmp_path / "people.csv").write_text("height,group,count\n" + "\n".join(rows) + "\n")
    run = str(tmp_path / "run")
    spoken(capsys, "train", str(tmp_path / "people.csv"), "--epochs", "2", "--out", run)
    assert spoken(capsys, "sample", run, "-n", "2").splitlines()[0] == "height,group,count"
    described = figures(capsys, "data", str(tmp_path / "people.csv"))
    assert (described["recipe"], described["likelihood"]) == ("table", "columns")


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(figures(capsys, "list", "recipes")) == set(recipes.names())
    assert set(figures(capsys, "list", "data")) == set(NAMES)
    parts = figures(capsys, "list", "parts")
    assert all(member["about"] for members in parts.values() for member in members)
    assert "-s encoder.hidden=[500]" in spoken(capsys, "list", "parts", "encoder")
    assert spoken(capsys, "list", "recipes", "aevb") == recipes.path_of("aevb").read_text(encoding="utf-8")


def test_every_option_listed_can_be_set_to_its_default() -> None:
    from lowerbound.doors.lists import members
    from lowerbound.training.spec import PARTS

    for kind, registry in PARTS.items():
        for member in members(registry):
            options = [f"{kind}.{o['name']}={o['default']}" for o in member["options"] if o["default"] != "None"]
            settings.spec_of("digits", "plain", {}, [f"{kind}={member['name']}", *options])


def test_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(capsys, "data", "digits", "--picture", str(tmp_path / "digits.png"))
    assert found["kind"] == "levels" and len(found["sha256"]) == 64
    assert width(tmp_path / "digits.png") > 80
    assert "because" in spoken(capsys, "data", "digits")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_writes_a_checkpoint_and_the_run_goes_on_bitwise_equal(
    number: int, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    arguments = ["train", "digits", "--epochs", "40", "--no-report", "-s", "encoder.hidden=[8]", "--threads", "1"]
    running = subprocess.Popen(
        [sys.executable, "-m", "lowerbound", *arguments, "--out", str(stopped)], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not (stopped / "timing.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.02)
    running.send_signal(number)
    begun = time.monotonic()
    _, err = running.communicate(timeout=60)
    assert running.returncode == code and time.monotonic() - begun < 5
    assert f"resume with: lowerbound train --resume {stopped}" in err and "Traceback" not in err
    spoken(capsys, "train", "--resume", str(stopped), "--no-report")
    spoken(capsys, *arguments, "--out", str(whole))
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes()


def test_the_second_signal_ends_at_once(tmp_path: Path) -> None:
    lines = ["import time", "from lowerbound.doors.signals import Stop", "with Stop():", " print(flush=True)"]
    code = "\n".join([*lines, " time.sleep(60)", " time.sleep(60)"])
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=10)
    assert running.returncode == 130


def test_a_number_that_is_not_finite_has_a_code_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "digits", "--lr", "1e30", "--epochs", "3", "--no-report", "--out", str(tmp_path / "run")]
    assert main([*arguments, "-s", "training.optimiser=sgd"]) == cli.NON_FINITE
    last = capsys.readouterr().err.splitlines()[-1]
    assert "not finite" in last and last.startswith("lowerbound: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [(OSError(28, "No space left on device", "x"), 1), (type("OutOfMemoryError", (RuntimeError,), {})("cuda"), 1)],
)
def test_failures_of_the_machine_are_one_line(error: Exception, code: int) -> None:
    found = cli.line_of(error)
    assert found is not None and found[0] == code and "\n" not in found[1]
    assert cli.line_of(RuntimeError("a bug")) is None


@pytest.mark.parametrize("epochs", [1, 3])
def test_an_alarm_is_explained_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], epochs: int) -> None:
    """What is said again at the end is one line; of a run of one epoch it says nothing that is not known."""
    watch = Spoken(tmp_path)
    watch.timer.start(epochs, 1)
    for epoch, message in ((0, "is not reached"), (epochs, "ended at beta 0.1")):
        watch.on_alarm(alarm("warm-up-unfinished", epoch, message))
    said = capsys.readouterr().err.splitlines()
    assert sum("why:" in line for line in said) == 1 and sum("warm-up-unfinished" in line for line in said) == min(
        epochs, 2
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_outside_of_training_is_one_line(
    number: int, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command ends with its code, writes nothing, and leaves the handlers as they were."""
    plain = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    inherited = signal.signal(number, plain[signal.Signals(number)])  # a shell's background job ignores SIGINT

    def long(*arguments: Any, **options: Any) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr("lowerbound.data.load", long)
    try:
        assert main(["data", "digits", "--picture", str(tmp_path / "digits.png")]) == code
        assert signal.getsignal(number) == plain[signal.Signals(number)]
    finally:
        signal.signal(number, inherited)
    assert capsys.readouterr() == ("", "lowerbound: stopped\n")
    assert not list(tmp_path.iterdir())
