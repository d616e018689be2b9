"""The report: whole, self-contained, escaped, readable without sight."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.readers import figures, pictures
from lowerbound.readers.report import found, report
from lowerbound.readers.report.health import health
from lowerbound.readers.report.plane import latent_plane
from readers.conftest import ONE, finished


class Page(HTMLParser):
    """What a browser would fetch, and what a screen reader would miss."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.fetched, self.silent, self.scripts = [], [], 0
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.scripts += tag == "script"
        for name in ("src", "href", "xlink:href"):
            if given.get(name, "#")[:1] != "#" and not given[name].startswith("data:"):
                self.fetched.append((tag, given[name]))
        if (tag == "img" and not given.get("alt")) or (tag == "svg" and not given.get("aria-label")):
            self.silent.append(tag)


@pytest.mark.parametrize("kind", ["digits", "wide", "table"])
def test_a_page_is_whole_and_alone(kind, request):
    trained = request.getfixturevalue(kind)
    source = report(trained).read_text("utf-8")
    page = Page(source)
    assert not page.fetched
    assert not page.silent
    assert page.scripts == 0
    for heading in ("What the KL term did", "Training", "Reconstructions", "Samples", "To repeat this run"):
        assert heading in source
    assert "nats per example" in source
    assert "nan" not in re.sub(r"data:[^\"]*", "", source).lower().split()
    assert trained.run.read_json("evaluation.json")["elbo"]["unit"] == "nats"


def test_names_are_text_never_markup(table):
    source = report(table).read_text("utf-8")
    assert "<script>" not in source
    assert "people &lt;script&gt;" in source


def told(request, kind: str) -> str:
    """The page of a run, its pictures left out."""
    source = report(request.getfixturevalue(kind)).read_text("utf-8")
    assert not Page(source).silent
    return re.sub(r"data:[^\"]*", "", source)


SAID = {
    "conditional": ["A lower bound on log p(x | label)", "the prior under the condition", "under each label in turn"],
    "regressor": ["Exactly log p(rest | middle column)", "without latents nothing is left out"],
    "semi": ["classification error, test", "50 labels used in training", "The bar called label", "the likeliest"],
    "grey": ["No bound on log p(x)", "likelihood of nothing", "circles are one and two deviations"],
    "clusters": ["each of the 10 clusters is named after", "loss of the critic", "Do the codes match the prior?"],
    "heads": ["the head of the class, a cross", "head + style, 0", "draws of the prior (class-and-style)"],
    "mixture": ["latents, one rate", "grey, as many draws of the prior (mixture)"],
    "rival": [
        *("maximises no likelihood", "loss of the critic", "loss of the generator", "Alarms watch rate and dist"),
        *("None: the model has no encoder", '<figure class="pair">'),
    ],
}
UNSAID = {
    "conditional": ["A lower bound on log p(x) ", "circles are", "toward N(0, 1)", "No pulls are shown"],
    "regressor": ["What the KL term did", "0 of 0", "rate, nats per example", "A lower bound"],
    "semi": ["3 of 3"],
    "grey": ["this is of a density", "this bounds a density", "A lower bound"],
    "clusters": [],
    "heads": ["circles are"],
    "mixture": ["1 of 1", "circles are"],
    "rival": ["objective, nats per example", "looked unhealthy"],
}


@pytest.mark.parametrize("kind", SAID)
def test_a_page_says_what_is_true_of_its_model_and_nothing_else(kind, request):
    source = told(request, kind)
    assert [words for words in SAID[kind] if words not in source] == []
    assert [words for words in UNSAID[kind] if words in source] == []


def test_pulls_that_cannot_be_shown_say_why(table, monkeypatch):
    def refused(trained):
        raise InputError("a deterministic code has no KL")

    monkeypatch.setattr("lowerbound.readers.report.kl.explain_run", refused)
    assert "No pulls are shown: a deterministic code has no KL." in report(table).read_text("utf-8")


@pytest.mark.parametrize("differs", [True, False])
def test_codes_that_do_not_match_are_not_called_healthy(clusters, differs):
    findings = found(clusters, "test")
    seen, drawing = findings.match
    seen = replace(seen, p_value=0.002 if differs else 0.5)
    said = health(clusters, replace(findings, match=(seen, drawing)))
    assert ("The codes do not match the prior (p = 0.002)" in said) is differs
    assert ("looked unhealthy" in said) is not differs


def test_samples_that_are_all_alike_are_told(rival, monkeypatch):
    monkeypatch.setattr("lowerbound.readers.pictures.sample", lambda trained, n: torch.ones(n, 1, 8, 8))
    assert "Its samples are nearly alike" in health(rival, found(rival, "test"))


def test_monte_carlo_em_maximises_a_likelihood():
    from lowerbound.objective import GAMES

    assert "maximises log p(x)" in GAMES.build("mcem", 64, 2).without
    assert "maximises no likelihood" in GAMES.build("gan", 64, 2).without


def test_the_plane_of_two_latents_has_the_axes_of_the_one_decoded_below(digits, monkeypatch):
    seen = []
    monkeypatch.setattr(figures, "plane", lambda points, labels, names, axes, **more: seen.append(axes) or "")
    monkeypatch.setattr(pictures, "encode", lambda trained, x, y: torch.randn(len(x), 2) * torch.tensor([0.1, 9.0]))
    assert "z0 (to the right) and z1 (upward)" in latent_plane(digits, "test")
    assert seen == [("mean of z0", "mean of z1")]


def test_classes_that_lie_on_each_other_are_named_beside_the_plane_and_others_in_it():
    labels, apart = np.arange(40) % 4, np.array([[0, 0], [0, 3], [3, 0], [3, 3]])
    for middles, legend in ((apart, False), (0.01 * apart, True)):
        drawn = figures.plane(middles[labels], labels, list("abcd"), ("x", "y"), circles=True)
        assert ("legend_1" in drawn) is legend
        assert [drawn.count(f">{name}</text>") for name in "abcd"] == [1] * 4


def test_one_epoch_is_a_point_with_one_tick():
    drawn = figures.curves([1], [figures.Curve("bound, nats per example", [-100.0], [-101.0])], 1)
    assert drawn.count(">1</text>") == 1
    assert drawn.count("<use") >= 2 + 2  # a marker of each part, and its tick


def test_two_latents_show_the_plane_itself(digits):
    assert "inverse Gaussian CDF" in report(digits).read_text("utf-8")


def test_alarms_are_shown_with_cause_and_cures(digits):
    from lowerbound.training.alarms import alarm

    digits.run.write_json("alarms.json", [alarm("total-collapse", 3, "All dimensions have collapsed.").json()])
    source = report(digits).read_text("utf-8")
    digits.run.write_json("alarms.json", [])
    assert "Total collapse · epoch 3" in source
    assert "free-bits" in source


def test_pictures_have_the_shapes_they_should(digits):
    x = digits.data.batch("test", torch.arange(4))
    assert pictures.sample(digits, 5).shape == (5, 1, 8, 8)
    assert pictures.reconstruct(digits, x).shape == (4, 1, 8, 8)
    assert pictures.interpolate(digits, x[0], x[1], 7).shape == (7, 1, 8, 8)
    assert pictures.arithmetic(digits, x[:1], x[1:2], x[2:3]).shape == (1, 8, 8)
    drawn = pictures.sample(digits, 5, draw=True)
    assert torch.equal(drawn, drawn.round())
    assert torch.equal(pictures.sample(digits, 5, seed=3), pictures.sample(digits, 5, seed=3))


def test_a_path_begins_and_ends_where_it_should():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    for kind in ("linear", "spherical"):
        made = pictures.path(a, b, 5, kind)
        assert torch.allclose(made[0], a, atol=1e-6)
        assert torch.allclose(made[-1], b, atol=1e-6)
    assert pictures.path(a, b, 5, "spherical")[2].norm() > pictures.path(a, b, 5)[2].norm()


def test_tables_have_no_pictures(table):
    with pytest.raises(InputError, match="no pictures"):
        pictures.grey(table, torch.zeros(1, 3))


def test_a_sheet_is_laid_row_by_row():
    sheet = pictures.sheet(np.stack([np.full((2, 2), i / 10) for i in range(3)]), 2)
    assert sheet.shape == (5, 5)
    assert (sheet[0, 0], sheet[0, 3], sheet[3, 0]) == (0.0, 0.1, 0.2)
    assert np.isnan(sheet[3, 3]) and np.isnan(sheet[2]).all()


@pytest.mark.parametrize("colours", [(), (3,)])
def test_a_page_shows_between_the_pictures_of_a_sheet_and_a_file_is_white_there(colours):
    sheet = pictures.sheet(np.zeros((3, 2, 2, *colours)), 2)
    clear, file = (Image.open(io.BytesIO(figures.png(sheet, clear=clear))) for clear in (True, False))
    between = np.isnan(sheet.reshape(5, 5, -1)[..., 0])
    assert between.any() and not between.all()
    assert np.array_equal(np.asarray(clear.getchannel("A")), np.where(between, 0, 255))
    assert "A" not in file.getbands()
    assert np.array_equal(np.asarray(file) == 255, np.isnan(sheet))


def test_a_sheet_of_parts_keeps_each_under_its_own():
    parts = [np.full((3, 2, 2), value) + np.arange(3)[:, None, None] / 10 for value in (0.0, 0.5)]
    sheet = pictures.beneath(parts, 2)
    shown = sheet[::3, ::3].astype(object)
    shown[np.isnan(sheet[::3, ::3])] = None
    assert shown.tolist() == [[0.0, 0.1], [0.5, 0.6], [0.2, None], [0.7, None]]


def test_a_deterministic_code_is_drawn_under_its_example(tmp_path):
    settings = {"posterior": {"name": "deterministic"}, "objective": {"name": "reconstruction"}} | ONE
    plain = finished(tmp_path / "run", data_floor.load("digits"), latent=32, **settings)
    x = plain.data.batch("test", torch.arange(3))
    z = pictures.encode(plain, x)
    sheet = pictures.above_codes(plain, x, pictures.reconstruct(plain, x), z)
    times = -(-pictures.BOX // 8)
    assert sheet.shape == (3 * 8 * times + 2 * 4, 3 * 8 * times + 2 * 4)
    code = sheet[2 * (8 * times + 4) :][: 4 * times : times, : 8 * times : times]  # one value of each enlarged cell
    assert np.allclose(code, ((z - z.min()) / (z.max() - z.min()))[0].reshape(4, 8))
    assert "32 numbers as 4 x 8" in report(plain).read_text("utf-8")


def test_figures_follow_the_theme():
    drawn = figures.landscape(1.0, -1.0)
    assert "var(--ink)" in drawn
    assert not any(stand_in in drawn for stand_in in figures.VARIABLES)
    assert figures.page(drawn, "KL").startswith("<?xml")
