"""The commands that read a latent space: what they write, what they print, how they refuse."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from lowerbound.doors.cli import main


def spoken(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command prints."""
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def opened(path: Path) -> Image.Image:
    """A picture, its file closed."""
    return Image.open(io.BytesIO(path.read_bytes()))


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a command that is wrong."""
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert code == 2 and not out and err.count("\n") == 1
    return err


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a table."""
    folder = tmp_path_factory.mktemp("people")
    lines = [f"{150 + i % 50},{'Ulm' if i % 3 else 'Bonn'}" for i in range(200)]
    (folder / "people.csv").write_text("height,town\n" + "\n".join(lines) + "\n")
    words = ["--latent", "2", "--epochs", "2", "--no-report", "--out", str(folder / "run")]
    assert main(["train", str(folder / "people.csv"), *words]) == 0
    return folder / "run"


def test_pictures_go_into_the_run_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, name in (("traverse", "traversal"), ("manifold", "manifold"), ("plane", "plane")):
        place = Path(spoken(capsys, command, run).strip())
        assert place == run / "figures" / f"{name}.png"
        assert opened(place).size[0] > 300
    moving, still = map(Path, spoken(capsys, "morph", run, "--through", "class:9,class:8,7").split())
    assert opened(moving).n_frames == 30
    assert opened(still).size[0] > 300


def test_a_morph_goes_where_it_is_asked_for(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "way.webp"
    printed = spoken(capsys, "morph", run, "--through", "1,2", "--frames", "3", "--no-loop", "--out", out)
    assert printed.split() == [str(out), str(tmp_path / "way-sheet.png")]
    assert opened(out).n_frames == 4
    spoken(capsys, "morph", run, "--through", "1,2", "--out", tmp_path / "sheet.png")
    assert not getattr(opened(tmp_path / "sheet.png"), "is_animated", False)


def test_json_holds_codes_and_facts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(spoken(capsys, "traverse", run, "--steps", "3", "--json"))
    assert len(found["dimensions"][0]["z"]) == 3
    assert found["dimensions"][0]["nats"] >= found["dimensions"][1]["nats"]
    assert json.loads(spoken(capsys, "morph", run, "--through", "1,2", "--json"))["frames"] == 20
    assert json.loads(spoken(capsys, "manifold", run, "-n", "3", "--linear=-2:2", "--json"))["z"][0][0] == [-2, 2]
    assert json.loads(spoken(capsys, "plane", run, "--json"))["examples"] == 180


def test_codes_are_drawn_under_their_examples(
    run: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "each code 2 numbers as 1 x 2" in spoken(capsys, "reconstruct", run, "--codes", "-n", "4")
    assert opened(run / "figures" / "codes.png").size == (4 * 88 + 3 * 4, 3 * 88 + 2 * 4)
    for words in ([people], [run, "--json"], [run, "--out", tmp_path / "a.csv"]):
        assert "drawn under pictures" in refused(capsys, "reconstruct", *words, "--codes")


def test_a_film_lies_beside_its_strip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--latent", "2", "--epochs", "1", "-s", "training.snapshots=true", "-s", "training.batch=400"]
    spoken(capsys, "train", "digits", *settings, "--no-report", "--out", tmp_path / "run")
    moving, still = map(Path, spoken(capsys, "plane", tmp_path / "run", "--film", "-n", "3").split())
    assert (moving.name, still.name) == ("film.gif", "film.png")
    assert opened(moving).n_frames == 4
    assert opened(still).size[0] > opened(still).size[1]


def test_an_attribute_is_counted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = spoken(capsys, "arithmetic", run, "--from", "class:0", "--to", "class:1")
    for words in ("direction: mean code", "moved along", "at random", "judge: 5 nearest", "standard errors", ".png"):
        assert words in printed
    found = json.loads(spoken(capsys, "arithmetic", run, "--from", "class:0", "--to", "class:1", "--json"))
    assert found["after"]["stderr"] > 0 and found["judge"]["accuracy"]["n"] == 180
    summed = json.loads(spoken(capsys, "arithmetic", run, "class:8", "3,4", "class:1", "--json"))
    assert summed["shape"] == [4, 1, 8, 8] and summed["check"]["to"] == "class:1"
    assert json.loads(spoken(capsys, "arithmetic", run, "1", "2", "3", "--json"))["check"] is None


def test_tables_give_rows(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["morph", people, "--through", "0,1,2", "--frames", "2"],
        ["manifold", people, "-n", "3"],
        ["traverse", people, "--dims", "0,1", "--steps", "3"],
    ):
        head, *rows = csv.reader(io.StringIO(spoken(capsys, *words)))
        assert head[-2:] == ["height", "town"]
        assert len(rows) in (6, 9)
    printed = spoken(capsys, "arithmetic", people, "--from", "town=Ulm", "--to", "town=Bonn")
    assert "the column itself" in printed
    spoken(capsys, "arithmetic", people, "--from", "town=Ulm", "--to", "town=Bonn", "--out", tmp_path / "way.csv")
    assert (tmp_path / "way.csv").read_text().startswith("example,t,height,town\n")
    assert "no pictures" in refused(capsys, "manifold", people, "--out", tmp_path / "a.png")


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["morph", "--through", "3"], "two examples or more"),
        (["morph", "--through", "3,x"], "not a list of rows"),
        (["morph", "--through", "1,2", "--kind", "sperical"], "did you mean spherical?"),
        (["morph", "--through", "1,2", "--out", "a.mp4"], "cannot write .mp4"),
        (["morph", "--through", "1,2", "--label", "3"], "not conditioned on labels"),
        (["traverse", "--dims", "one"], "whole numbers"),
        (["traverse", "--dims", "9"], "no latent dimension 9"),
        (["traverse", "--tail", "0.7"], "0 < tail < 0.5"),
        (["manifold", "--dims", "0"], "2 are needed"),
        (["manifold", "--linear=4"], "is no range"),
        (["manifold", "--linear=4:-4"], "is no range"),
        (["plane", "--by", "pac"], "did you mean pca?"),
        (["plane", "--by", "pca", "--dims", "0,1"], "no meaning beside --by"),
        (["plane", "--film"], "kept no weights on the way"),
        (["plane", "--film", "--by", "pca"], "no meaning beside --film"),
        (["plane", "--film", "--out", "a.png"], "cannot write .png"),
        (["plane", "--seed", "3"], "it is of --by tsne"),
        (["arithmetic", "class:1"], "three words"),
        (["arithmetic", "--from", "class:1"], "three words"),
        (["arithmetic", "--from", "class:1", "--to", "3"], "no attribute in common"),
        (["arithmetic", "--from", "class:1", "--to", "class:2", "--judge", "oracle"], "unknown judge"),
        (["arithmetic", "--from", "class:1", "--to", "class:2", "--split", "train"], "neither the direction"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused_in_one_line(run: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in refused(capsys, words[0], run, *words[1:])
