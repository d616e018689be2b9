"""The documentation is true: its code runs, its commands exist, its links lead somewhere, its recipes train."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import typer

from lowerbound import data as data_floor
from lowerbound.doors import cli
from lowerbound.doors.recipes import read_toml
from lowerbound.training.alarms import CAUSES
from lowerbound.training.loop import train
from lowerbound.training.spec import Spec, complete, merge

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
RECIPES = sorted(Path(str(resources.files("lowerbound"))).joinpath("recipes").glob("*.toml"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


SNIPPETS = [(page.name, i, code) for page in PAGES for i, code in enumerate(blocks(page, "python"))]
COMMANDS = [
    (page.name, line.split("  #")[0].strip())
    for page in PAGES
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if line.startswith("lowerbound ")
]


@pytest.mark.parametrize("page, number, code", SNIPPETS, ids=[f"{p}-{i}" for p, i, _ in SNIPPETS])
def test_python_runs(page, number, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"{page}[{number}]", "exec"), {"__name__": "__docs__"})


@pytest.mark.parametrize("page, line", COMMANDS, ids=[f"{p}: {line}" for p, line in COMMANDS])
def test_commands_exist_with_their_options(page, line):
    """Every word that a documented command uses is one the command line knows; nothing is run."""
    words = shlex.split(line)[1:]
    node: Any = typer.main.get_command(cli.app)
    while hasattr(node, "get_command") and words and not words[0].startswith("-"):
        found = node.get_command(node.context_class(node), words[0])
        assert found is not None, f"{page}: no command {words[0]}"
        node, words = found, words[1:]
    known = {option for parameter in node.params for option in [*parameter.opts, *parameter.secondary_opts]}
    for word in words:
        if word.startswith("-") and not re.fullmatch(r"-\d.*", word):
            assert word.split("=")[0] in known | {"--help", "--json"}, f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_page_names_a_place_on_somebody_s_machine(page):
    assert not re.search(r"(?<![\w.])/(?:home|work|root|Users|tmp|mnt)/", page.read_text("utf-8"))


def test_every_page_is_in_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert all(page.name in nav for page in PAGES if page.name != "README.md")


def test_every_alarm_has_its_row():
    page = (ROOT / "docs" / "alarms.md").read_text("utf-8")
    for name, (cause, cures) in CAUSES.items():
        assert f"| `{name}` |" in page
        assert cause in page
        assert all(cure in page for cure in cures)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_trains_and_cites_its_source(path, tmp_path):
    assert "# Source:" in path.read_text("utf-8")
    table = path.stem == "table"
    few = {"training": {"epochs": 1, "batch": 64, "patience": 0}}
    spec = Spec.of(complete(merge(read_toml(path), few)), where=path)
    rows = {"a": [0.1, 0.7, 0.2, None] * 20, "b": ["x", "y", "x", "x"] * 20, "c": [0, 3, 1, 7] * 20}
    options = {} if spec.data.binarise == "default" else {"binarise": spec.data.binarise}
    if spec.likelihood.name == "bernoulli":
        options.setdefault("binarise", "threshold")
    data = data_floor.from_array(rows) if table else data_floor.load("digits", valid=0.1, test=0.8, **options)
    run = train(spec, data, tmp_path / "run")
    assert run.metrics()[0]["valid"]["bound"] < 1e6


def test_the_site_builds_strictly(tmp_path):
    pytest.importorskip("material", reason="the docs extra is not installed")
    build = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
