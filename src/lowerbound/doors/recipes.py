"""Recipes: short commented TOML files that choose the parts, and which of them suits a data set."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowerbound.errors import InputError, nearest

if TYPE_CHECKING:
    from lowerbound.training.spec import Spec

FOLDER = Path(__file__).parent.parent / "recipes"
SUITED = {
    "digits": "digits",
    "mnist": "mnist",
    "fashion-mnist": "mnist",
    "binarized-mnist": "mnist",
    "frey": "frey",
    "factors": "factors",
    "dates": "sequence",
}
"""Named data set -> the recipe used when none is asked for."""
TABLES = (".csv", ".tsv", ".parquet", ".pq")
PLAIN = "plain"


def names() -> list[str]:
    """Every recipe that comes with the library."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def abouts() -> dict[str, str]:
    """Name -> the sentence that a recipe says about itself."""
    return {name: str(tomllib.loads(path_of(name).read_text(encoding="utf-8")).get("about", "")) for name in names()}


def path_of(recipe: str) -> Path:
    """The file of a recipe: one of ours by name, or a person's own by its path."""
    if recipe.endswith(".toml") or "/" in recipe:
        return Path(recipe)
    if recipe not in names():
        mend = f"{nearest(recipe, names())}; or give a file: my-recipe.toml"
        raise InputError(f"unknown recipe {recipe!r}", where="--recipe", mend=mend)
    return FOLDER / f"{recipe}.toml"


def suited(source: str) -> str:
    """The recipe for a data set when none is asked for.

    >>> suited("digits"), suited("people.csv"), suited("x.npy")
    ('digits', 'table', 'plain')
    """
    if source in SUITED:
        return SUITED[source]
    if source.lower().removesuffix(".gz").endswith(TABLES):
        return "table"
    try:
        if source.lower().endswith(".txt") and Path(source).is_file():
            return "sequence" if is_text(Path(source)) else "table"
        return "convolutional" if Path(source).is_dir() else PLAIN
    except (OSError, ValueError):
        return PLAIN


def is_text(path: Path) -> bool:
    """Whether the lines of a .txt file are read as sequences of characters."""
    from lowerbound.data.formats import sequences

    return not sequences.is_table(sequences.text_lines(path))


def settings_of(recipe: str) -> dict[str, Any]:
    """The settings of a recipe with its name, checked on their own, so that a mistake is laid at its door."""
    from lowerbound.training.spec import Spec, complete

    path = path_of(recipe)
    settings = read_toml(path)
    Spec.of(complete(settings), where=path)
    return {"recipe": recipe, **settings}


def recipe(name: str = PLAIN, **settings: Any) -> Spec:
    """The spec of a recipe (a name, or a TOML file) with settings laid on it, as ``lowerbound train`` makes it.

    A part is a name, or {"name": ..., option: ...}; ``training`` and ``data`` hold what the command line calls so.

    >>> spec = recipe("aevb", latent=2, prior="mixture", training={"epochs": 1})
    >>> spec.latent, spec.prior.name, spec.training.epochs, spec.training.batch
    (2, 'mixture', 1, 100)
    """
    from lowerbound.training.spec import PARTS, Spec, complete, merge

    given = {key: {"name": part} if key in PARTS and isinstance(part, str) else part for key, part in settings.items()}
    return Spec.of(merge(complete(settings_of(name)), given), where=name)


def read_toml(path: str | Path) -> dict[str, Any]:
    """A recipe file as nested settings, or an InputError that names the line."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such recipe file", where=path, mend="see: lowerbound list recipes") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=path, mend="give a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not valid TOML: {error}", where=path, mend="mend that line") from None
