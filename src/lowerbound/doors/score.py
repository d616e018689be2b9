"""``score``: the bound of each example, with its error, and what each of its values costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowerbound.doors import files, options, output
from lowerbound.doors.codes import Other, examples
from lowerbound.doors.read import Split, open_run
from lowerbound.readers.words import several

if TYPE_CHECKING:
    from lowerbound.readers.score import Scores

SUFFIXES = (".csv", ".npz")


def score(
    run: options.RunFolder,
    source: Other = None,
    split: Split = None,
    samples: Annotated[int, typer.Option(help="Latent samples an example.", metavar="N", min=1, max=10_000)] = 16,
    estimator: Annotated[
        str, typer.Option(help="elbo, or iwae: importance weighted, closer to log p(x).", metavar="NAME")
    ] = "elbo",
    out: Annotated[
        Path | None, typer.Option("--out", help=".csv or .npz: a line or entry an example.", metavar="FILE")
    ] = None,
    features: Annotated[
        bool, typer.Option("--features/--no-features", help="Say what each value of an example costs.")
    ] = True,
    top: Annotated[int, typer.Option(help="How many of the strangest to show.", metavar="N", min=1)] = 10,
    seed: options.Seed = 0,
    batch: Annotated[int, typer.Option(help="Examples at a time; changes no figure.", metavar="N", min=1)] = 500,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Score examples: how many nats each costs, with the error of that figure, and the strangest first.

    The score is the bound on log p(x): the lower, the stranger. Beside it stands what each value of the example costs,
    so that an anomaly can be explained.
    """
    files.checked(out, SUFFIXES)
    options.use_threads(threads)
    trained = open_run(run, data_dir, device)
    data, name = examples(trained, source, split, data_dir)
    from lowerbound.readers.score import score as scored

    chosen = {"split": name, "samples": samples, "estimator": estimator, "seed": seed, "batch": batch}
    found = scored(trained, data if source is not None else None, features=features, **chosen)  # type: ignore[arg-type]
    for note in data.notes if source is not None else ():
        output.remark(note)
    if out is not None:
        options.write(out, packed(out, found), "--out")
    if as_json:
        output.show_json(found.json(top) | {"written": out})
        return
    for line in found.lines(top):
        output.show(line)
    if out is not None:
        output.show(f"{out}: {several(len(found.bound), 'example')}")


def packed(out: Path, found: Scores) -> bytes:
    """The content of the file."""
    import io

    import numpy as np

    columns = found.columns()
    if out.suffix.lower() == ".csv":
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return files.as_csv(list(columns), list(rows)).encode()
    content = io.BytesIO()
    arrays = {name: column for name, column in columns.items() if not name.startswith("distortion:")}
    if found.features is not None:
        arrays["features"] = found.features
    np.savez(content, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return content.getvalue()
