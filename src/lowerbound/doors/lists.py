"""``lowerbound list`` and ``lowerbound data``: what there is to choose from, and what a data set is taken to be."""

from __future__ import annotations

import inspect
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from lowerbound.doors import options, output, recipes
from lowerbound.errors import InputError, nearest

TOPICS = ("recipes", "data", "parts")


def list_(
    topic: Annotated[
        str, typer.Argument(help="recipes, data or parts.", metavar="TOPIC", autocompletion=lambda: list(TOPICS))
    ],
    name: Annotated[
        str | None, typer.Argument(help="One recipe, or one kind of part (encoder, likelihood, ...).", metavar="NAME")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List what there is to choose from.

    Recipes are short commented files; with a NAME the file itself is shown, to copy and change. Parts are what a model
    and its objective are made of; every option shown is set with -s part.option=value, in a recipe, or in Python.
    """
    if topic not in TOPICS:
        raise InputError(f"unknown topic {topic!r}", where="list", mend=nearest(topic, TOPICS))
    {"recipes": list_recipes, "data": list_data, "parts": list_parts}[topic](name, as_json)


def list_recipes(name: str | None, as_json: bool) -> None:
    """All recipes, or the text of one."""
    if name is not None:
        path = recipes.path_of(name)
        if not path.is_file():
            raise InputError("no such recipe file", where=path, mend="see: lowerbound list recipes")
        text = path.read_text(encoding="utf-8")
        output.show_json({"name": name, "text": text}) if as_json else output.show(text.rstrip())
        return
    abouts = recipes.abouts()
    if as_json:
        output.show_json(abouts)
        return
    output.show_columns(list(abouts.items()))
    output.show("\nuse one:  lowerbound train SOURCE --recipe NAME      see one:  lowerbound list recipes NAME")


def list_data(name: str | None, as_json: bool) -> None:
    """All named data sets, or one."""
    from lowerbound.data import NAMES

    if name is not None and name not in NAMES:
        raise InputError(f"unknown data set {name!r}", where="list data", mend=nearest(name, NAMES))
    found = {n: about for n, about in NAMES.items() if name in (None, n)}
    if as_json:
        output.show_json(found)
        return
    output.show_columns(list(found.items()))
    output.show(
        "\nor a file of your own: .npy .npz .csv .parquet idx, or a folder of images; see: lowerbound data FILE"
    )


def list_parts(name: str | None, as_json: bool) -> None:
    """Every member of every registry with its options, their defaults and its first sentence."""
    from lowerbound.training.spec import PARTS

    if name is not None and name not in PARTS:
        raise InputError(f"unknown kind of part {name!r}", where="list parts", mend=nearest(name, PARTS))
    found = {kind: members(registry) for kind, registry in PARTS.items() if name in (None, kind)}
    if as_json:
        output.show_json(found)
        return
    for kind, parts in found.items():
        output.show(f"{kind}:")
        for member in parts:
            output.show(f"  {member['name']}  {member['about']}")
            rows = [(f"-s {kind}.{o['name']}={o['default']}", o["values"]) for o in member["options"]]
            output.show("\n".join(output.columns(rows, margin="      "))) if rows else None
        output.show("")


def members(registry: Any) -> list[dict[str, Any]]:
    """The members of a registry, JSON-ready."""
    return [
        {
            "name": name,
            "about": sentence(registry[name]),
            "options": [
                {"name": option, "default": written(default), "values": words_of(annotation)}
                for option, (annotation, default) in registry.options(name).items()
            ],
        }
        for name in registry
    ]


def sentence(member: type) -> str:
    """The first sentence of a member's docstring."""
    return " ".join((inspect.getdoc(member) or "").split("\n\n")[0].split())


def written(default: Any) -> str:
    """A default as it is written after the equals sign.

    >>> written((500, 200)), written(True), written("tanh"), written(1.0)
    ('[500,200]', 'true', 'tanh', '1.0')
    """
    if isinstance(default, (tuple, list)):
        return "[" + ",".join(written(item) for item in default) + "]"
    return str(default).lower() if isinstance(default, bool) else str(default)


def words_of(annotation: Any) -> str:
    """What values an annotation allows, in words.

    >>> from pydantic import Field
    >>> words_of(Annotated[float, Field(ge=0)]), words_of(Literal["a", "b"]), words_of(tuple[int, ...])
    ('number >= 0', 'a | b', 'list of whole number')
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = " and ".join(text for extra in inner[1:] for text in limits_of(extra))
        return f"{words_of(inner[0])} {limits}".strip()
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(words_of(one) for one in inner)
    if origin in (tuple, list):
        return f"list of {words_of(inner[0])}" if inner else "list"
    names: dict[Any, str] = {
        int: "whole number",
        float: "number",
        bool: "true or false",
        str: "text",
        type(None): "none",
    }
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def limits_of(extra: Any) -> list[str]:
    """The limits that pydantic's Field, or annotated_types, hold."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = [extra, *getattr(extra, "metadata", ())]
    return [f"{sign} {getattr(one, key):g}" for one in found for key, sign in signs.items() if hasattr(one, key)]


def data(
    source: Annotated[
        str,
        typer.Argument(
            help="Data set by name, a file, or a folder of images.",
            metavar="SOURCE",
            autocompletion=options.complete_source,
        ),
    ],
    data_dir: options.DataDir = None,
    binarise: Annotated[str, typer.Option(help="default, none, threshold, fixed or fresh.", metavar="HOW")] = "default",
    kind: Annotated[str, typer.Option(help="What a value is; auto guesses and says why.", metavar="KIND")] = "auto",
    array: Annotated[str | None, typer.Option(help="Which array of an .npz file.", metavar="NAME")] = None,
    labels: Annotated[str | None, typer.Option(help="Column of a table to use as labels.", metavar="NAME")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Write the first 100 training examples as a PNG (images only).", metavar="FILE")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Describe a data set before training on it: kind and why, shape, splits, hash, likelihood.

    The SHA-256 is of the numbers themselves and is what a run remembers its data by.
    """
    options.existing_folder(data_dir, "--data-dir")
    from lowerbound import data as data_floor

    loaded = data_floor.load(
        source,
        data_dir=data_dir,
        binarise=binarise,
        kind=kind,
        array=array,
        labels=labels,  # type: ignore[arg-type]
    )
    from lowerbound.model.likelihoods import choose

    likelihood, why = choose(data_floor.summary(loaded))
    if picture is not None:
        save_sheet(loaded, picture)
    found = {**loaded.record, "likelihood": likelihood, "likelihood_why": why, "recipe": recipes.suited(source)}
    if as_json:
        output.show_json(found)
    else:
        output.show_columns(lines_about(found))


def lines_about(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """A record as rows to print."""
    examples = ", ".join(f"{n:,} {split}" for split, n in found["examples"].items())
    lines: list[tuple[str, Any]] = [
        ("name", found["name"]),
        ("kind", found.get("kind_why") or found["kind"]),
        ("shape", " x ".join(map(str, found["shape"]))),
        ("examples", f"{examples} ({found['split']['how']})"),
        ("binarisation", found["binarisation"]),
        ("likelihood", found["likelihood_why"]),
        ("recipe", f"{found['recipe']} (unless --recipe says otherwise)"),
        ("sha256", found["sha256"]),
    ]
    columns = [("column", f"{c['name']} ({c['kind']}{levels_of(c)})") for c in found.get("columns", ())]
    return [*lines, *columns, *(("note", note) for note in found.get("notes", ()))]


def levels_of(column: dict[str, Any]) -> str:
    """The levels of a category, as a phrase."""
    levels = list(column.get("levels", ()))
    return f": {', '.join(levels[:6])}{', ...' if levels[6:] else ''}" if levels else ""


def save_sheet(loaded: Any, path: Path) -> None:
    """Write a sheet of training examples, ten to a row."""
    if path.suffix.lower() != ".png":
        raise InputError("cannot be written", where=f"--picture {path}", mend="give a name that ends in .png")
    import torch

    from lowerbound.doors.files import as_png

    rows = torch.arange(min(100, len(loaded.splits["train"])))
    stand_in: Any = types.SimpleNamespace(run=types.SimpleNamespace(record=lambda: loaded.record))
    options.write(path, as_png(stand_in, loaded.batch("train", rows), 10), "--picture")
