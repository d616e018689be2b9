"""``sample``, ``reconstruct``, ``interpolate``: what a model does, as pictures (or as numbers)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import files, options, output
from lowerbound.doors.codes import Other, examples
from lowerbound.doors.latent import hand, numbers
from lowerbound.doors.read import Split, open_run, split_of
from lowerbound.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from lowerbound.data.dataset import Data

KINDS = ("linear", "spherical")


def sample(
    run: options.RunFolder,
    n: Annotated[
        int | None, typer.Option("--n", "-n", help="How many (default: 100).", metavar="N", min=1, max=100_000)
    ] = None,
    seed: options.Seed = 0,
    draw: Annotated[
        bool, typer.Option("--draw", help="Draw x from p(x|z) too, instead of showing its expected value.")
    ] = False,
    label: Annotated[
        str | None, typer.Option(help="In a model conditioned on labels: of this class alone.", metavar="CLASS")
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(help="In a conditional model: complete what is given of these rows.", metavar="ROW[,ROW...]"),
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="With --given: completions of each (default: 8).", metavar="K", min=1, max=1000)
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="With --given: test, valid or train, where the rows are.")
    ] = None,
    out: files.Out = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """New examples from the model: z from the prior, then what the decoder expects there.

    With --given, in a model of one part of x given another, or given the class: several completions of the same part,
    each row beside the true example. A model without latents has one answer, and shows that.
    """
    if given is not None:
        free(n is None, "-n", "with --given, say how many completions of each: --count")
        free(label is None, "--label", "with --given, the class is that of the row")
        files.checked(out)
        completed(run, given, count or 8, split, out, data_dir, as_json, seed=seed, draw=draw)
        return
    free(count is None, "--count", "it counts the completions of --given ROW; say -n")
    free(split is None, "--split", "it is where the rows of --given are")
    files.checked(out, files.EXAMPLES)
    trained, n = open_run(run, data_dir), n or 100
    from lowerbound.readers import pictures

    files.give(
        trained, pictures.sample(trained, n, seed=seed, draw=draw, label=label), out, "samples", columns_for(n), as_json
    )


def free(good: bool, flag: str, mend: str) -> None:
    """Refuses a flag that would have no effect."""
    if not good:
        raise InputError("has no meaning here", where=flag, mend=mend)


def completed(
    run: Path,
    given: str,
    count: int,
    split: str | None,
    out: Path | None,
    data_dir: Path | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Completions of what is given of some rows, beside the true examples."""
    rows = numbers(given, "--given")
    trained = open_run(run, data_dir)
    name = split_of(trained, split)
    import torch

    from lowerbound.readers import completions as reader
    from lowerbound.readers.latent import canvas

    x = picked(trained.data, name, list(rows), "--given")
    labels = trained.data.labels(name, torch.tensor(rows))
    made = reader.completions(trained, x, labels, rows, name, count, **how)

    def drawing() -> bytes:
        cells, top = reader.cells(trained, made)
        return canvas.png(cells, left=made.names, top=top, caption=made.sentence(), gap=2, most=84)

    flat = made.x.flatten(0, 1)
    hand(trained, out, "completions", as_json, made, flat, drawing, files.values(trained, flat))


def columns_for(n: int) -> int:
    """Columns of a sheet of n pictures: a square, up to twenty."""
    return max(1, min(20, round(n**0.5)))


def reconstruct(
    run: options.RunFolder,
    source: Other = None,
    split: Split = None,
    n: Annotated[int, typer.Option("--n", "-n", help="How many.", metavar="N", min=1)] = 20,
    codes: Annotated[bool, typer.Option("--codes", help="Under them the code of each, folded to a picture.")] = False,
    out: files.Out = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Originals above their reconstructions, with --codes their codes too; for tables, the reconstructions as CSV."""
    files.checked(out, files.EXAMPLES)
    trained = open_run(run, data_dir)
    data, name = examples(trained, source, split, data_dir)
    import torch

    from lowerbound.readers import pictures

    rows = pictures.some_of_each(data.splits[name].labels, n, len(data.splits[name]))
    x = data.batch(name, rows)
    y = pictures.reconstruct(trained, x, data.labels(name, rows))
    picture = pictures.is_picture(trained) and not as_json and (out is None or out.suffix.lower() == ".png")
    if codes:
        free(picture and trained.model.width > 0, "--codes", "codes are drawn under pictures; as numbers: encode")
        from lowerbound.readers import figures

        z = pictures.encode(trained, x, data.labels(name, rows))
        drawn = figures.png(pictures.above_codes(trained, x, y, z))
        if out is None:
            out = trained.run.write_file("figures/codes.png", drawn)
        else:
            options.write(out, drawn, "--out")
        output.show(f"{out}: each code {pictures.words_of_codes(z)}")
        return
    files.give(trained, torch.cat([x, y]) if picture else y, out, "reconstructions", len(x), as_json)


def interpolate(
    run: options.RunFolder,
    first: Annotated[int | None, typer.Option("--from", help="Row of the split to start from.", metavar="ROW")] = None,
    last: Annotated[int | None, typer.Option("--to", help="Row of the split to end at.", metavar="ROW")] = None,
    steps: Annotated[int, typer.Option(help="Points on the way, both ends included.", metavar="N", min=2)] = 12,
    kind: Annotated[str, typer.Option(help="linear, or spherical: along the shell where codes lie.")] = "linear",
    split: Split = None,
    out: files.Out = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """The way from one example to another through latent space; without rows, five pairs of different classes."""
    files.checked(out, files.EXAMPLES)
    if kind not in KINDS:
        raise InputError(f"unknown kind {kind!r}", where="--kind", mend=nearest(kind, KINDS))
    if (first is None) != (last is None):
        raise InputError("one end of the way is missing", where="interpolate", mend="give both --from and --to")
    trained = open_run(run, data_dir)
    name = split_of(trained, split)
    import torch

    from lowerbound.readers import pictures

    ways = []
    for a, b in [(first, last)] if first is not None else pairs(trained.data, name):
        x = picked(trained.data, name, [a, b], "--from, --to")
        labels = trained.data.labels(name, torch.tensor([a, b]))
        ways.append(pictures.interpolate(trained, x[0], x[1], steps, kind, labels))
    files.give(trained, torch.cat(ways), out, "interpolations", steps, as_json)


def pairs(data: Data, split: str) -> list[tuple[int, int]]:
    """Up to five pairs of rows of a split, of different classes as far as there are any.

    Raises:
        InputError: the split has one example.
    """
    from lowerbound.readers import pictures

    part = data.splits[split]
    chosen = pictures.some_of_each(part.labels, 10, len(part)).tolist()
    if len(chosen) < 2:
        what = f"the {split} split has one example, and a way needs two"
        raise InputError(what, where="interpolate", mend="choose another --split")
    return list(zip(chosen, reversed(chosen), strict=True))[: len(chosen) // 2]


def picked(data: Data, split: str, rows: list[Any], where: str) -> Tensor:
    """The examples of these rows, which must exist."""
    import torch

    n = len(data.splits[split])
    wrong = [row for row in rows if not 0 <= row < n]
    if wrong:
        what = f"row {wrong[0]} is not in the {split} split"
        raise InputError(what, where=where, mend=f"rows go from 0 to {n - 1}")
    return data.batch(split, torch.tensor(rows))
