"""``compare``: runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from lowerbound.doors import options, output
from lowerbound.doors.read import Split, open_run, split_of
from lowerbound.errors import InputError


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Two or more run folders.", metavar="RUN...", autocompletion=options.complete_run),
    ],
    split: Split = None,
    samples: Annotated[int, typer.Option(help="Latent samples an example.", metavar="N", min=1)] = 1,
    against: Annotated[
        str, typer.Option(help="Hold each run against the first, or the best.", metavar="NAME")
    ] = "first",
    picture: Annotated[
        Path | None, typer.Option(help="Draw the rate-distortion plane and the differences: .svg.", metavar="FILE")
    ] = None,
    seed: options.Seed = 0,
    batch: Annotated[int, typer.Option(help="Examples at a time; changes no figure.", metavar="N", min=1)] = 1000,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Compare runs: bound, rate, distortion, and paired differences with their standard errors.

    All runs are measured on the same examples with the same noise, and differences are taken example by example. Runs
    that differ in data, split, binarisation, kind of data or in what is bounded are refused, with the reason.
    """
    if picture is not None:
        drawable(picture)
    options.use_threads(threads)
    opened = [open_run(path, data_dir, device) for path in runs]
    from lowerbound.readers.compare import compare as compared

    times = [seconds_an_epoch(path) for path in runs]
    chosen = {"samples": samples, "seed": seed, "batch": batch, "against": against}
    found = compared(opened, split_of(opened[0], split), seconds=times, **chosen)  # type: ignore[arg-type]
    if picture is not None:
        from lowerbound.readers import compare_picture, figures

        drawn = figures.page(compare_picture.picture(found.json()), "Runs compared")
        options.write(picture, drawn.encode(), "--picture")
    if as_json:
        output.show_json(found.json() | {"picture": picture})
        return
    for line in found.lines():
        output.show(line)
    if picture is not None:
        output.show(str(picture))


def drawable(picture: Path) -> None:
    """Refuses a picture that could not be written."""
    if picture.suffix.lower() != ".svg":
        what = f"cannot draw {picture.suffix or 'a file without suffix'}"
        raise InputError(what, where=f"--picture {picture}", mend="give a name that ends in .svg")
    options.writable(picture, "--picture")


def seconds_an_epoch(run: Path) -> float | None:
    """The median over epochs of what timing.jsonl recorded; None where there is none that can be read."""
    try:
        lines = (run / "timing.jsonl").read_text("utf-8").splitlines()
        found = [float(json.loads(line)["seconds"]) for line in lines]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return median(found) if found else None
