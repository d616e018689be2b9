"""``surgery``, ``compare``, ``score`` and ``impute`` as a person meets them: tables, files, one line for a mistake."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from lowerbound.doors.cli import main


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A run on a table, and a file like its data with cells missing and a column that the model does not know."""
    folder = tmp_path_factory.mktemp("people")
    random = np.random.default_rng(0)
    z = random.normal(size=300)
    with (folder / "people.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "visits", "town", "team"])
        for a, b, c in zip(z, random.poisson(2, 300), random.choice(["a", "b", "c"], 300), strict=True):
            writer.writerow([f"{170 + 9 * a:.1f}", b, "Ulm" if a > 0 else "Köln, am Rhein", c])
    (folder / "gaps.csv").write_text(
        'draw,size,visits,town,team\nAnn,,8,Ulm,a\nBob,151.00,,?,zz\nEve,160.50,1,"Köln, am Rhein",NA\n', "utf-8"
    )
    few = ["--latent", "2", "--epochs", "2", "-s", "encoder.hidden=[16]", "--no-report"]
    assert main(["train", str(folder / "people.csv"), "--out", str(folder / "run"), *few]) == 0
    return folder


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_table_is_filled_and_keeps_its_names_and_known_cells(people, capsys):
    out = people / "filled.csv"
    line = ["impute", str(people / "run"), str(people / "gaps.csv"), "--draws", "6", "--steps", "5", "--out", str(out)]
    assert main(line) == 0
    assert "5 missing cells" in capsys.readouterr().err
    rows = read(out)
    assert list(rows[0]) == ["_draw", "row", "draw", "size", "visits", "town", "team"]
    assert [row["_draw"] for row in rows] == [str(d) for d in range(6) for _ in range(3)]
    for ann, bob, eve in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        assert (ann["draw"], ann["visits"], ann["town"], ann["team"]) == ("Ann", "8", "Ulm", "a")
        assert (bob["size"], bob["team"]) == ("151.00", "zz")
        assert bob["visits"].isdigit() and bob["town"] in ("Ulm", "Köln, am Rhein")
        assert eve["size"] == "160.50" and eve["team"] in ("a", "b", "c")
        assert 100 < float(ann["size"]) < 240
    assert len({row["size"] for row in rows[::3]}) == 6


def test_the_draws_as_an_array_and_on_the_screen(people, capsys):
    out = people / "filled.npz"
    line = ["impute", str(people / "run"), str(people / "gaps.csv"), "--draws", "3", "--steps", "2"]
    assert main([*line, "--out", str(out)]) == 0
    held = np.load(out)
    assert held["draws"].shape == (3, 3, 4) and list(held["columns"]) == ["size", "visits", "town", "team"]
    assert held["missing"].sum() == 5
    capsys.readouterr()
    assert main(line) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_a_file_that_cannot_be_filled_leaves_nothing(people, capsys):
    (people / "bad.csv").write_text("size,visits,town,team\n1,2,Ulm,a\nx,2,Ulm,a\n", "utf-8")
    out = people / "never.csv"
    assert main(["impute", str(people / "run"), str(people / "bad.csv"), "--out", str(out)]) == 2
    assert "line 3, column 'size'" in capsys.readouterr().err
    assert not out.exists() and not list(people.glob(".never*"))


@pytest.mark.parametrize(
    "words, said",
    [
        (["impute", "RUN"], "either a file or --check"),
        (["impute", "RUN", "GAPS", "--check"], "either a file or --check"),
        (["impute", "RUN", "GAPS", "--out", "a.txt"], "ends in .csv, .npz"),
        (["impute", "RUN", "GAPS", "--method", "magic"], "unknown method"),
        (["impute", "RUN", "--check", "--hidden", "2"], "shares between 0 and 1"),
        (["score", "RUN", "--estimator", "elb"], "did you mean elbo"),
        (["score", "RUN", "--out", "a.png"], "ends in .csv, .npz"),
        (["compare", "RUN"], "needs two runs"),
        (["compare", "RUN", "RUN", "--against", "worst"], "unknown reference"),
        (["compare", "RUN", "RUN", "--picture", "a.png"], "ends in .svg"),
        (["compare", "RUN", "nowhere"], "no such run folder"),
        (["surgery", "RUN", "--split", "exam"], "no examples in 'exam'"),
    ],
)
def test_a_mistake_is_one_line(people, capsys, words, said):
    places = {"RUN": people / "run", "GAPS": people / "gaps.csv"}
    assert main([str(places.get(word, word)) for word in words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and len(captured.err.splitlines()) == 1 and not captured.out


def test_coverage_is_a_table(people, capsys):
    line = [
        "impute",
        str(people / "run"),
        "--check",
        "--split",
        "train",
        "--rows",
        "40",
        "--draws",
        "19",
        "--steps",
        "5",
    ]
    assert main(line) == 0
    assert "nominal" in capsys.readouterr().out
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["nominal"] == 0.9 and {c["name"] for c in found["columns"]} == {"size", "visits", "town", "team"}


def test_pictures_with_holes_are_filled(run, tmp_path, capsys):
    x = np.random.default_rng(0).integers(0, 17, (4, 8, 8)).astype(np.float64)
    x[:, 4:] = np.nan
    np.save(tmp_path / "holes.npy", x)
    out = tmp_path / "filled.npz"
    assert (
        main(["impute", str(run), str(tmp_path / "holes.npy"), "--draws", "2", "--steps", "2", "--out", str(out)]) == 0
    )
    draws = np.load(out)["draws"]
    assert draws.shape == (2, 4, 1, 8, 8) and (draws[:, :, 0, :4] == x[:, :4]).all()


def test_scores_are_a_table_and_an_array(people, capsys):
    for suffix in ("csv", "npz"):
        line = ["score", str(people / "run"), "--samples", "4", "--out", str(people / f"scores.{suffix}")]
        assert main(line) == 0
    rows, held = read(people / "scores.csv"), np.load(people / "scores.npz")
    assert len(rows) == 30 and held["features"].shape == (30, 4)
    assert list(rows[0])[-4:] == [f"distortion:{name}" for name in ("size", "visits", "town", "team")]
    np.testing.assert_allclose([float(row["bound"]) for row in rows], held["bound"], rtol=1e-8)
    capsys.readouterr()
    assert main(["score", str(people / "run"), str(people / "gaps.csv"), "--json", "--top", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["examples"] == 3 and len(found["strangest"]) == 1


def test_a_score_says_which_words_it_does_not_know_and_refuses_what_is_no_count(people, capsys):
    """A word that training did not see is no evidence of anything; a number that no count can be has no log p(x)."""
    strange, wrong = people / "strange.csv", people / "wrong.csv"
    strange.write_text("size,visits,town,team\n170,1,Oslo,a\n", "utf-8")
    assert main(["score", str(people / "run"), str(strange)]) == 0
    assert "'Oslo' was not seen in training and counts as missing" in capsys.readouterr().err
    for number in ("-1", "1.5"):
        wrong.write_text(f"size,visits,town,team\n170,,Ulm,a\n170,{number},Ulm,a\n", "utf-8")
        assert main(["score", str(people / "run"), str(wrong)]) == 2
        assert f"line 3, column 'visits': {number} does not fit" in capsys.readouterr().err


def test_the_nats_of_a_table_with_numbers_are_of_a_density(people, capsys):
    assert main(["compare", str(people / "run"), str(people / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same"]["unit of the likelihood"] == "density"


def test_surgery_and_compare_speak_json(people, capsys):
    assert main(["surgery", str(people / "run"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    parts = [found[name]["value"] for name in ("information", "total_correlation", "dimension_wise_kl")]
    assert sum(parts) == pytest.approx(found["rate"]["value"], abs=1e-9)
    assert main(["surgery", str(people / "run")]) == 0
    assert "information" in capsys.readouterr().out
    shutil.copytree(people / "run", people / "again", dirs_exist_ok=True)
    picture = people / "runs.svg"
    line = ["compare", str(people / "run"), str(people / "again"), "--picture", str(picture)]
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["runs"][1]["difference"]["value"] == 0 and found["runs"][0]["seconds_per_epoch"] > 0
    assert "<svg" in picture.read_text("utf-8")
    assert main(line) == 0
    assert "reference" in capsys.readouterr().out


def test_runs_of_other_data_are_refused(people, run, capsys):
    assert main(["compare", str(people / "run"), str(run)]) == 2
    line = capsys.readouterr().err
    assert "cannot be compared with" in line and "its data is SHA-256" in line
