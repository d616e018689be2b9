"""``disentangle``: a run's code held against the true factors of its data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import files, options, output
from lowerbound.doors.read import open_run, split_of

if TYPE_CHECKING:
    import numpy as np

    from lowerbound.readers.disentangle import Disentanglement


def disentangle(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders; several that differ in the seed give the spread that counts.",
            metavar="RUN...",
            autocompletion=options.complete_run,
        ),
    ],
    factors: Annotated[
        Path | None,
        typer.Option(help="Levels of the true factors, .npy, a row an example: for data of your own.", metavar="FILE"),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="test, valid or train (default: all examples together).")
    ] = None,
    draws: Annotated[bool, typer.Option("--draws", help="Score draws of q(z|x) in place of posterior means.")] = False,
    halves: Annotated[
        int, typer.Option(help="Random halves that the standard errors come from.", metavar="N", min=2, max=100)
    ] = 8,
    seed: options.Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Draw which latent knows which factor: .svg.", metavar="FILE")
    ] = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Score disentanglement where the true factors are known: MIG, DCI and the FactorVAE score.

    The set `factors` knows its own; for other data give --factors. Each score stands beside its standard error and
    beside what the same code scores by chance. Over several runs the average and the spread are given.
    """
    files.checked(out, (".svg",))
    options.use_threads(threads)
    known = levels(factors)
    from lowerbound.readers import disentangle as reader

    found = []
    for path in runs:
        trained = open_run(path, data_dir, device)
        chosen = None if split is None else split_of(trained, split)
        found.append(reader.disentangle(trained, split=chosen, factors=known, draws=draws, seed=seed, halves=halves))
    if out is not None:
        from lowerbound.readers import figures

        drawn = figures.page(reader.picture(found), "What each latent knows of each factor")
        options.write(out, drawn.encode(), "--out")
    if as_json:
        output.show_json(as_fields(found) | {"written": out})
        return
    for line in lines(found):
        output.show(line)


def levels(path: Path | None) -> np.ndarray | None:
    """The factors in a file."""
    if path is None:
        return None
    import numpy as np

    from lowerbound.data.formats import npy

    return np.asarray(npy.read(path))


def lines(found: list[Disentanglement]) -> list[str]:
    """What a person reads: each run, then the average over runs, then the warning."""
    from lowerbound.readers.disentangle import WARNING, several

    out: list[str] = []
    for one in found:
        out += ([f"{one.run}:"] if len(found) > 1 else []) + one.lines()
    if len(found) > 1:
        table = several(found)
        width = max(len(name) for name, _, _ in table)
        out.append(f"over {len(found)} runs (± is their spread, the deviation of one):")
        out += [f"{name:<{width}}  {average:.3f} ± {deviation:.3f}" for name, average, deviation in table]
    return [*out, WARNING]


def as_fields(found: list[Disentanglement]) -> dict[str, Any]:
    """What a program reads."""
    from lowerbound.readers.disentangle import several

    if len(found) == 1:
        return found[0].json()
    over = {name: {"value": average, "deviation": deviation} for name, average, deviation in several(found)}
    return {"runs": [one.json() for one in found], "over_runs": over}
