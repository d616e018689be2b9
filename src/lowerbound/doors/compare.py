"""``compare``: runs side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import options, output
from lowerbound.doors.evaluate import METHODS, OF, checked, complete_method, keep, shown
from lowerbound.doors.read import Split, open_run, split_of
from lowerbound.errors import InputError

if TYPE_CHECKING:
    from lowerbound.readers.compare import Figure
    from lowerbound.training.load import Trained


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Two or more run folders.", metavar="RUN...", autocompletion=options.complete_run),
    ],
    split: Split = None,
    method: Annotated[
        str,
        typer.Option(help=f"What to compare: {', '.join(METHODS)}.", metavar="NAME", autocompletion=complete_method),
    ] = "bound",
    samples: Annotated[
        int | None,
        typer.Option(help="Samples an example (default: 1; of a method, as evaluate).", metavar="N", min=1),
    ] = None,
    temperatures: Annotated[
        int | None, typer.Option(help="With annealed: how many (default 500).", metavar="N", min=1)
    ] = None,
    memory: Annotated[
        float | None, typer.Option(help="With a method: MiB to work in (default 256).", metavar="MIB", min=1)
    ] = None,
    against: Annotated[
        str, typer.Option(help="Hold each run against the first, or the best.", metavar="NAME")
    ] = "first",
    picture: Annotated[
        Path | None, typer.Option(help="Draw the rate-distortion plane and the differences: .svg.", metavar="FILE")
    ] = None,
    arrays: Annotated[
        Path | None, typer.Option(help="Write the per-example numbers and differences, NumPy .npz.", metavar="FILE")
    ] = None,
    seed: options.Seed = 0,
    batch: Annotated[int, typer.Option(help="Examples at a time; changes no figure.", metavar="N", min=1)] = 1000,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Compare runs: bound, rate, distortion, and paired differences with their standard errors.

    All runs are measured on the same examples with the same noise, and differences are taken example by example. With
    --method they are differences of log p(x), by that method of evaluate; the bound stands beside it, a dash in a run
    that has none (all chains of annealed then start from the prior). Runs that differ in data, split, binarisation,
    kind of data or in what is bounded are refused, with the reason.
    """
    checked(method, {"--samples": samples, "--temperatures": temperatures, "--memory": memory}, arrays)
    if picture is not None:
        drawable(picture)
    options.use_threads(threads)
    opened = [open_run(path, data_dir, device) for path in runs]
    from lowerbound.readers.compare import compare as compared

    times = [seconds_an_epoch(path) for path in runs]
    chosen: dict[str, Any] = {"seed": seed, "batch": batch, "against": against, "seconds": times}
    part = split_of(opened[0], split)
    if method == "bound":
        chosen["samples"] = samples or 1
    else:
        given: dict[str, Any] = {"samples": samples, "temperatures": temperatures, "memory": memory}
        mixed = any(not trained.model.has_bound for trained in opened)
        given["start"] = "prior" if method in OF["--start"] and mixed else None
        told = {name: value for name, value in given.items() if value is not None} | {"seed": seed}
        words = ", ".join([method, *(f"{name} {value}" for name, value in told.items() if name != "memory")])
        chosen |= {"estimator": words, "estimate": estimator(part, method, told)}
    found = compared(opened, part, **chosen)
    keep(found.arrays(), arrays)
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


def estimator(split: str, method: str, told: dict[str, Any]) -> Callable[[Trained], Figure]:
    """What gives log p(x) of each example of the split, of any run."""
    from lowerbound.readers.compare import Figure
    from lowerbound.readers.log_likelihood import log_likelihood

    def estimate(trained: Trained) -> Figure:
        with shown(f"log p(x) of {trained.run.path.name}, {method}") as progress:
            found = log_likelihood(trained, split, method, progress=progress, **told)
        for note in found.notes:
            output.remark(f"{trained.run.path.name}: {note}")
        return Figure(found.log_p, found.bounded, found.what, found.notes)

    return estimate


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
