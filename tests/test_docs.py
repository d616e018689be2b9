"""The documentation is true: its code runs and prints what it says, its commands run, its links lead somewhere.

Blocks marked ``python`` run, ``pycon`` print what stands under them, ``sh`` and ``console`` hold commands; ``py`` and
``text`` are read by people only.
"""

from __future__ import annotations

import doctest
import inspect
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import typer

import lowerbound
from lowerbound import data as data_floor
from lowerbound.doors import cli, settings
from lowerbound.doors.recipes import read_toml
from lowerbound.maths import forms
from lowerbound.training.alarms import CAUSES
from lowerbound.training.loop import train
from lowerbound.training.spec import PARTS, Spec, complete, merge

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
RECIPES = sorted(Path(str(resources.files("lowerbound"))).joinpath("recipes").glob("*.toml"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


SNIPPETS = [(page.name, i, code) for page in PAGES for i, code in enumerate(blocks(page, "python"))]
SESSIONS = [page for page in PAGES if blocks(page, "pycon")]
PRINTED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def commands() -> list[tuple[str, str, str | None]]:
    """Every documented command: its page, its line, and what the page says it prints (None where it does not)."""
    found: list[tuple[str, str, str | None]] = []
    for page in PAGES:
        lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
        found += [(page.name, line.split("  #")[0].strip(), None) for line in lines if line.startswith("lowerbound ")]
        for block in blocks(page, "console"):
            for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
                line, _, output = part.partition("\n")
                found.append((page.name, line, output))
    return list(dict.fromkeys(found))


COMMANDS = commands()
READERS = {"evaluate", "explain", "report", "sample", "encode", "decode", "reconstruct", "interpolate", "arithmetic"}
READERS |= {"morph", "traverse", "manifold", "plane"}
CHEAP = {"list", "--version", "--help"}


def reads(line: str) -> bool:
    """Whether a command reads a run and nothing else that a reader of the page must bring."""
    words = shlex.split(line)
    return words[1] in READERS and "runs/" in line and not any(w.endswith((".npy", ".npz")) for w in words[2:4])


def cheap(line: str) -> bool:
    """Whether a command needs no run and takes no time."""
    return line.split()[1] in CHEAP or line.startswith(("lowerbound explain kl", "lowerbound data digits"))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """What a page registers is forgotten after it."""
    monkeypatch.setattr(forms, "_FORMULAS", dict(forms._FORMULAS))
    for registry in {id(r): r for r in PARTS.values()}.values():
        monkeypatch.setattr(registry, "_members", dict(registry._members))


@pytest.mark.parametrize("page, number, code", SNIPPETS, ids=[f"{p}-{i}" for p, i, _ in SNIPPETS])
def test_python_runs(page, number, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"{page}[{number}]", "exec"), {"__name__": "__docs__"})


@pytest.mark.parametrize("page", SESSIONS, ids=lambda p: p.name)
def test_sessions_print_what_the_page_says(page, tmp_path, monkeypatch):
    """The ``pycon`` blocks of a page are one session."""
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks(page, "pycon")), {}, page.name, str(page), 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=PRINTED, verbose=False).run(test, out=said.append)
    assert not said, "".join(said)


def parsed(line: str) -> Any:
    """The command's context, its words parsed and converted; nothing is run."""
    words = shlex.split(line)[1:]
    node: Any = typer.main.get_command(cli.app)
    while hasattr(node, "get_command") and words and not words[0].startswith("-"):
        found = node.get_command(node.context_class(node), words[0])
        assert found is not None, f"no command {words[0]}"
        node, words = found, words[1:]
    return None if {"--help", "--version"} & set(words) else node.make_context(node.name, words)


@pytest.mark.parametrize("page, line", [c[:2] for c in COMMANDS], ids=[f"{c[0]}: {c[1]}" for c in COMMANDS])
def test_commands_are_understood(page, line):
    """Every word of a documented command is one that the command line knows; of ``train``, every setting too."""
    context = parsed(line)
    if context is None or context.info_name != "train" or context.params["resume"] is not None:
        return
    given = context.params
    flags = {flag: given[flag[2:]] for flag in settings.FLAGS}
    settings.spec_of(given["source"], given["recipe"], flags, given["sets"] or [])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run, under every name that the pages use."""
    folder = tmp_path_factory.mktemp("docs")
    few = [
        "--epochs",
        "1",
        "--latent",
        "2",
        "-s",
        "training.snapshots=true",
        "--no-report",
        "--out",
        str(folder / "run"),
    ]
    assert cli.main(["train", "digits", *few]) == 0
    for name in {name for _, line, _ in COMMANDS if reads(line) for name in re.findall(r"runs/([\w-]+)", line)}:
        shutil.copytree(folder / "run", folder / "runs" / name)
    return folder


RUN = [c for c in COMMANDS if cheap(c[1]) or reads(c[1])]


@pytest.mark.parametrize("page, line, output", RUN, ids=[f"{c[0]}: {c[1]}" for c in RUN])
def test_commands_run_and_print_what_the_page_says(page, line, output, trained, monkeypatch, capsys):
    """Cheap commands print what stands under them; those that read a run do so on another one, and only run."""
    monkeypatch.chdir(trained)
    assert cli.main(shlex.split(line)[1:]) == 0
    printed = capsys.readouterr().out
    if output and cheap(line):
        assert doctest.OutputChecker().check_output(output, printed, PRINTED), printed


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


def test_the_reference_has_every_name_with_its_arguments():
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    headings = dict(re.findall(r"`(\w+)\(([^`]*)\)`", "\n".join(re.findall(r"^### .*$", page, re.M))))
    assert set(headings) == set(lowerbound.__all__) - {"__version__"}
    for name, written in headings.items():
        if "..." not in written and written:
            given = list(inspect.signature(getattr(lowerbound, name)).parameters)
            assert re.findall(r"(?:^|, )\**(\w+)", re.sub(r"\([^)]*\)", "", written)) == given, name
    assert all(f"`{command}`" in page for command in cli.COMMANDS)


def test_every_dependency_has_its_reason():
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = [re.split(r"[^\w-]", need)[0] for need in project["dependencies"]]
    assert names and all(re.search(rf"^\| {name}\b", page, re.M) for name in names)
    assert all(f"| `{extra}` |" in page for extra in project["optional-dependencies"])


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_trains_and_cites_its_source(path, tmp_path):
    assert "# Source:" in path.read_text("utf-8")
    table = path.stem == "table"
    few = {"training": {"epochs": 1, "batch": 64, "patience": 0}}
    settings = merge(read_toml(path), few)
    if "labelled" in settings["training"]:
        settings["training"]["labelled"] = 20
    spec = Spec.of(complete(settings), where=path)
    rows = {"a": [0.1, 0.7, 0.2, None] * 20, "b": ["x", "y", "x", "x"] * 20, "c": [0, 3, 1, 7] * 20}
    options = {"kind": spec.data.kind} | ({} if spec.data.binarise == "default" else {"binarise": spec.data.binarise})
    if spec.likelihood.name == "bernoulli":
        options.setdefault("binarise", "threshold")
    if spec.data.kind == "series":
        data = data_floor.from_array([[[0.1 * t, n] for t in range(2 + n % 3)] for n in range(40)], kind="series")
    else:
        data = data_floor.from_array(rows) if table else data_floor.load("digits", valid=0.1, test=0.8, **options)
    run = train(spec, data, tmp_path / "run")
    row = run.metrics()[0]
    figures = [row["train"]["objective"], *((row["valid"] or {}).get(k) for k in ("bound", "distortion"))]
    assert all(abs(figure) < 1e6 for figure in figures if figure is not None)


def test_the_site_builds_strictly(tmp_path):
    pytest.importorskip("material", reason="the docs extra is not installed")
    build = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert foreign(tmp_path / "site") == []


def foreign(site: Path) -> list[str]:
    """What the pages of a site would load from elsewhere: none may need a network."""
    loads = re.compile(
        r"<(?:script|img|iframe|source)[^>]+src=\"?(?:https?:)?//[^>]+>|<link[^>]+stylesheet[^>]+//[^>]+>"
    )
    inside = re.compile(r"url\(\s*[\"']?((?:https?:)?//[^)]+)\)|@import[^;]+//[^;]+;")
    found = [hit for page in site.rglob("*.html") for hit in loads.findall(page.read_text("utf-8"))]
    return found + [hit for style in site.rglob("*.css") for hit in inside.findall(style.read_text("utf-8"))]


def test_a_page_that_needs_a_network_is_seen(tmp_path):
    (tmp_path / "a.html").write_text('<script src="https://cdn.example/katex.js"></script>')
    (tmp_path / "a.css").write_text("@font-face{src:url(//fonts.example/a.woff2)}")
    assert len(foreign(tmp_path)) == 2


def test_the_mathematics_is_drawn_from_files_that_are_here():
    folder = ROOT / "docs" / "katex"
    fonts = re.findall(r"url\(([^)]+)\)", (folder / "katex.min.css").read_text("utf-8"))
    assert fonts and all((folder / font).is_file() for font in fonts)
    assert (folder / "katex.min.js").is_file()
