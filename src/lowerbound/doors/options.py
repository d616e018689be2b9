"""The arguments and flags that several commands share, and what shell completion offers for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lowerbound.doors import recipes
from lowerbound.errors import InputError


def complete_run(incomplete: str) -> list[str]:
    """Run folders here and in runs/."""
    found = [*Path().glob("*/spec.json"), *Path("runs").glob("*/spec.json")]
    return sorted(str(path.parent) for path in found if str(path.parent).startswith(incomplete))


def complete_explained(incomplete: str) -> list[str]:
    """The word kl, and run folders."""
    return [*(["kl"] if "kl".startswith(incomplete) else []), *complete_run(incomplete)]


def complete_source(incomplete: str) -> list[str]:
    """Named data sets; the shell itself offers files."""
    return [name for name in recipes.SUITED if name.startswith(incomplete)]


def complete_recipe(incomplete: str) -> list[tuple[str, str]]:
    """Recipes with what they say about themselves."""
    return [(name, about) for name, about in recipes.abouts().items() if name.startswith(incomplete)]


RunFolder = Annotated[
    Path, typer.Argument(help="Run folder, as train wrote it.", metavar="RUN", autocompletion=complete_run)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder where named data sets lie (default: $LOWERBOUND_DATA).", metavar="DIR"),
]
Threads = Annotated[int | None, typer.Option("--threads", help="CPU threads to use.", metavar="N")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the noise.", metavar="N")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.", metavar="NAME")]


def use_threads(threads: int | None) -> None:
    """Set the number of CPU threads, once it is known to make sense."""
    if threads is None:
        return
    if not 1 <= threads <= 1024:
        raise InputError(f"{threads} is not a number of threads", where="--threads", mend="give a whole number from 1")
    import torch

    torch.set_num_threads(threads)


def existing_folder(path: Path | None, flag: str) -> Path | None:
    """The folder, if it is one."""
    if path is not None and not path.is_dir():
        raise InputError(f"no such folder: {path}", where=flag, mend="give a folder that exists")
    return path


def writable(path: Path, flag: str) -> Path:
    """``path``, if something can be written there: its nearest parent that exists is a folder open to us."""
    try:
        parent = next(p for p in [path, *path.absolute().parents] if p.exists())
        good = os.access(parent, os.W_OK) and (parent.is_dir() or parent == path)
    except OSError:
        parent, good = path, False
    if not good:
        raise InputError(
            f"cannot be written ({parent} is not open to you, or no folder)",
            where=f"{flag} {path}",
            mend=f"choose another {flag}",
        )
    return path


def write(path: Path, content: bytes, flag: str) -> None:
    """Write a file all at once; a system that refuses is told of in one line."""
    neighbour = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        neighbour.write_bytes(content)
        neighbour.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})", where=f"{flag} {path}", mend="choose another"
        ) from None
