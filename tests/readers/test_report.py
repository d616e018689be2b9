"""The report: whole, self-contained, escaped, readable without sight."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from lowerbound.errors import InputError
from lowerbound.readers import figures, pictures
from lowerbound.readers.report import report


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
    assert (sheet[0, 0], sheet[0, 3], sheet[3, 0], sheet[3, 3]) == (0.0, 0.1, 0.2, 1.0)


def test_figures_follow_the_theme():
    drawn = figures.landscape(1.0, -1.0)
    assert "var(--ink)" in drawn
    assert not any(stand_in in drawn for stand_in in figures.VARIABLES)
    assert figures.page(drawn, "KL").startswith("<?xml")
