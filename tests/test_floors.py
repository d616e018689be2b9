"""The house: a folder imports only from floors under it, without cycles; and who may touch disk, clock and console."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator

import pytest

from laws import Source, snippet, sources

FLOORS = ["maths", "data", "model", "objective", "training", "readers", "doors"]
BELOW_ALL = ["errors", "registry"]  # in this order
SIDE = {"audit": {"maths"}}  # stands beside the readers and needs only the maths
TOP = {"", "__init__", "__version__"}  # the lazy front: everyone may read the version, it holds nothing else
SHARED_READERS = {"by_row", "figures", "pictures", "style", "words", "terms"}  # what readers may lend each other
HELPERS = SHARED_READERS | {"__init__"}
BINDERS = {"report"}  # the page binds what the other readers found; none of them reads it

DISK_MODULES = set(
    """os shutil tempfile subprocess socket urllib http ftplib requests pooch fcntl mmap glob zipfile tarfile gzip
    lzma bz2 sqlite3 safetensors""".split()  # noqa: SIM905
)
NAMES_ONLY = {"os.PathLike", "os.fspath"}  # a type and a conversion: neither looks at the disk
DISK_CALLS = set(
    """write_text write_bytes read_text read_bytes mkdir unlink rmdir touch iterdir rglob exists is_file is_dir
    save_file load_file savefig imsave to_csv tofile fromfile memmap""".split()  # noqa: SIM905
)
TOUCHES = {
    "audit/sandbox.py": "runs the loss that a person asked to be checked, in a process of its own",
    "audit/picture.py": "draws into the file that was asked for",
}
CLOCKS = {"time", "datetime", "timeit", "sched"}
STOPS = {"exit", "quit", "sys.exit", "os._exit", "os.abort"}
CONSOLE = {"print", "input", "breakpoint", "sys.stdout.write", "sys.stderr.write", "rich.print"}


def rank(floor: str) -> int:
    return FLOORS.index(floor)


def may(importer: str, imported: str) -> bool:
    """Whether a file on floor ``importer`` may import from ``imported``."""
    if imported in TOP or importer == imported or importer in ("__init__", "__main__"):
        return True
    if importer in BELOW_ALL:
        return imported in BELOW_ALL[: BELOW_ALL.index(importer)]
    if imported in BELOW_ALL:
        return True
    if importer in SIDE:
        return imported in SIDE[importer]
    if imported in SIDE:
        return importer == "doors"
    return importer in FLOORS and imported in FLOORS and rank(imported) < rank(importer)


def ours(file: Source) -> Iterator[tuple[ast.stmt, str]]:
    """Imports of the library by itself, below ``lowerbound``."""
    for node, name, _ in file.imports():
        head, _, rest = name.partition(".")
        if head == "lowerbound":
            yield node, rest


def climbing(files: list[Source]) -> list[str]:
    """Imports that go up, or to an unknown folder."""
    return [
        file.at(node, f"{file.floor} imports {name}")
        for file in files
        for node, name in ours(file)
        if not may(file.floor, name.split(".")[0])
    ]


def sideways(files: list[Source]) -> list[str]:
    """Readers that read each other, but for what they lend."""
    found = []
    for file in files:
        parts = file.module.split(".")
        for node, name in ours(file):
            other = name.split(".")
            both = parts[0] == "readers" == other[0] and len(parts) > 1 and len(other) > 1
            if both and other[1] not in HELPERS | {parts[1]} and (parts[1] not in BINDERS or other[1] in BINDERS):
                found.append(file.at(node, f"reader {parts[1]} imports reader {other[1]}"))
    return found


def cycles(files: list[Source]) -> list[str]:
    """Circles of imports at the top of files, found by taking away what imports nothing any more."""
    modules = {f.module for f in files}
    graph = {f.module: {m for _, n, top in f.imports() if top for m in within(n, modules)} - {f.module} for f in files}
    while free := [m for m, needs in graph.items() if not needs & graph.keys()]:
        for module in free:
            del graph[module]
    return [f"{m} is in a circle with {sorted(needs & graph.keys())}" for m, needs in sorted(graph.items())]


def within(name: str, modules: set[str]) -> set[str]:
    """The modules of ours that importing ``name`` runs: the longest one that exists."""
    head, _, rest = name.partition(".")
    while head == "lowerbound" and rest and rest not in modules:
        rest = rest.rpartition(".")[0]
    return {rest} & modules if head == "lowerbound" and rest else set()


def touching(files: list[Source]) -> list[str]:
    """Disk and network outside data/, training/run and doors/."""
    found = []
    for file in files:
        if file.floor in ("data", "doors") or file.path.startswith("training/run") or file.path in TOUCHES:
            continue
        for node, name, _ in file.imports():
            if name.split(".")[0] in DISK_MODULES and name not in NAMES_ONLY and not only_names(file, name):
                found.append(file.at(node, f"imports {name}"))
        for node, name in file.calls():
            last = name.rpartition(".")[2]
            if "resources.files(" in ast.unparse(node.func):  # a file of the package itself
                continue
            if last == "savefig" and node.args and "buffer" in ast.unparse(node.args[0]).lower():
                continue
            opens = name == "open" or (last == "open" and "." in name) or (last == "glob" and "." in name)
            if (opens or (last in DISK_CALLS and "." in name)) and not file.excused(node, "own code"):
                found.append(file.at(node, f"calls {name}"))
    return found


def only_names(file: Source, module: str) -> bool:
    """``import os`` for ``os.PathLike`` alone."""
    used = {
        f"{n.value.id}.{n.attr}"
        for n in ast.walk(file.tree)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
    }
    mine = {name for name in used if name.startswith(f"{module}.")}
    return bool(mine) and mine <= NAMES_ONLY


def talking(files: list[Source]) -> list[str]:
    """Printing, exiting and reading the clock outside the doors."""
    found = []
    for file in files:
        if file.floor in ("doors", "__main__"):
            continue
        found += [file.at(node, f"imports {name}") for node, name, _ in file.imports() if name.split(".")[0] in CLOCKS]
        found += [file.at(node, f"calls {name}") for node, name in file.calls() if name in STOPS | CONSOLE]
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.unparse(node.exc):
                found.append(file.at(node, "raises SystemExit"))
    return found


def heavy(files: list[Source]) -> list[str]:
    """torch imported when the command line is: it takes seconds, and ``--help`` must not."""
    return [
        file.at(node, f"imports {name} at the top")
        for file in files
        if file.floor == "doors" or file.path in ("__init__.py", "errors.py", "registry.py")
        for node, name, top in file.imports()
        if top and name.split(".")[0] in HEAVY and not file.excused(node, "loaded late")
    ]


HEAVY = {"torch", "sklearn", "matplotlib", "pandas", "pyarrow", "scipy"}
LATE = {"doors/estimator.py", "doors/given.py", "doors/progress.py"}  # imported only when torch is needed anyway


LAWS = {
    "imports go down": climbing,
    "readers do not read each other": sideways,
    "no circles": cycles,
    "who touches the disk": touching,
    "only doors talk": talking,
}


@pytest.mark.parametrize("law", LAWS)
def test_the_house_stands(law):
    assert LAWS[law](sources()) == []


def test_doors_load_late():
    assert heavy([f for f in sources() if f.path not in LATE]) == []


def test_the_command_line_starts_without_torch():
    code = f"import sys, lowerbound, lowerbound.doors.cli; print(sorted({HEAVY} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert out.stdout.strip() == "[]"


def test_every_folder_has_a_floor():
    """A new folder takes a place in the list above before it is used."""
    floors = {f.floor for f in sources() if "/" in f.path} - {"recipes"}
    assert floors <= {*FLOORS, *SIDE}


# Each law, broken on purpose ----------------------------------------------------------------------------------------

BROKEN = {
    "a floor that looks up": (climbing, "maths/a.py", "from lowerbound.model.priors import PRIORS"),
    "a floor that looks up, inside a function": (climbing, "data/a.py", "def f():\n    import lowerbound.training.run"),
    "a relative import upwards": (climbing, "objective/a.py", "from ..training import loop"),
    "the trainer knows a door": (climbing, "training/a.py", "from lowerbound.doors.progress import Bar"),
    "the audit needs the model": (climbing, "audit/a.py", "from lowerbound.model import priors"),
    "a reader needs the audit": (climbing, "readers/a.py", "from lowerbound.audit import check"),
    "errors import": (climbing, "errors.py", "from lowerbound.registry import Registry"),
    "the registry imports a part": (climbing, "registry.py", "from lowerbound.maths import units"),
    "an unknown folder": (climbing, "model/a.py", "from lowerbound.utils import helper"),
    "a lazy name of the top": (climbing, "maths/a.py", "from lowerbound import VAE"),
    "a reader reads a reader": (sideways, "readers/explain_run.py", "from lowerbound.readers.evaluate import evaluate"),
    "the page is read": (sideways, "readers/evaluate/table.py", "from lowerbound.readers import report"),
    "the maths opens a file": (touching, "maths/a.py", "x = open('a')"),
    "the model writes": (touching, "model/a.py", "path.write_text('a')"),
    "the loop looks at the disk": (touching, "training/loop.py", "(run / 'a').exists()"),
    "a reader saves": (touching, "readers/a.py", "figure.savefig(path)"),
    "a reader opens a connection": (touching, "readers/a.py", "from urllib.request import urlopen"),
    "os for more than a name": (touching, "training/loop.py", "import os\nos.environ['A']"),
    "the loop prints": (talking, "training/loop.py", "print(1)"),
    "the data exits": (talking, "data/a.py", "import sys\nsys.exit(2)"),
    "the model raises SystemExit": (talking, "model/a.py", "raise SystemExit(1)"),
    "the loop reads the clock": (talking, "training/loop.py", "from time import perf_counter"),
    "the run writes the date": (talking, "training/run.py", "import datetime"),
    "a door imports torch": (heavy, "doors/cli.py", "import torch"),
    "a door imports torch in a try": (
        heavy,
        "doors/cli.py",
        "try:\n    from torch import nn\nexcept ImportError:\n    pass",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_seen_to_fail(fault):
    law, path, text = BROKEN[fault]
    assert law(snippet(path, text + "\n"))


def test_a_circle_is_seen():
    texts = {
        "maths/a.py": "from lowerbound.maths.b import x",
        "maths/b.py": "from lowerbound.maths import c",
        "maths/c.py": "from . import a",
    }
    planted = [Source(path, text) for path, text in texts.items()]
    assert len(cycles(planted)) == 3
    assert cycles(planted[:2]) == []


FINE = {
    "down": (climbing, "training/a.py", "from lowerbound.maths import units\nfrom lowerbound.errors import InputError"),
    "a relative import": (climbing, "model/networks/mlp.py", "from .base import x\nfrom ..priors import y"),
    "types only": (climbing, "maths/a.py", "if TYPE_CHECKING:\n    from lowerbound.training.run import Run"),
    "the version": (climbing, "training/a.py", "from lowerbound import __version__"),
    "a door on the audit": (climbing, "doors/a.py", "from lowerbound.audit import check"),
    "the page binds": (sideways, "readers/report.py", "from lowerbound.readers.evaluate import evaluate"),
    "a file of the package": (touching, "readers/a.py", "resources.files('a').joinpath('b').read_text('utf-8')"),
    "a figure in memory": (touching, "readers/a.py", "figure.savefig(buffer)"),
    "a reader borrows a figure": (sideways, "readers/report.py", "from lowerbound.readers.figures import bars"),
    "a type of os": (touching, "training/loop.py", "import os\ndef f(path: str | os.PathLike[str]): ..."),
    "replace of a string": (touching, "maths/a.py", "'a'.replace('a', 'b')"),
    "a door prints": (talking, "doors/a.py", "print(1)\nimport time"),
    "torch inside a command": (heavy, "doors/cli.py", "def train():\n    import torch"),
}


@pytest.mark.parametrize("case", FINE)
def test_not_a_false_alarm(case):
    law, path, text = FINE[case]
    assert law(snippet(path, text + "\n")) == []
