"""``evaluate``: the bound of a run, or log p(x) of its examples by a better estimate."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import options, output
from lowerbound.doors.read import Split, bars, open_run, split_of
from lowerbound.errors import InputError

if TYPE_CHECKING:
    from lowerbound.training.load import Trained

METHODS = ("bound", "importance", "annealed", "appendix-d", "quadrature", "exact")
OF = {
    "--batch": ("bound",),
    "--samples": ("bound", "importance", "annealed", "appendix-d"),
    "--memory": ("importance", "annealed", "appendix-d", "quadrature"),
    "--start": ("annealed", "appendix-d"),
    "--precision": ("importance", "annealed", "appendix-d"),
    "--temperatures": ("annealed",),
    "--reverse": ("annealed",),
    "--fit": ("appendix-d",),
    "--examples": METHODS[1:],
}
"""Flags that only some methods take."""


def complete_method(incomplete: str) -> list[str]:
    """The methods."""
    return [name for name in METHODS if name.startswith(incomplete)]


def evaluate(
    run: options.RunFolder,
    split: Split = None,
    method: Annotated[
        str,
        typer.Option(help=f"What to measure: {', '.join(METHODS)}.", metavar="NAME", autocompletion=complete_method),
    ] = "bound",
    samples: Annotated[
        int | None,
        typer.Option(
            help="Samples, chains or draws an example (default: 1; importance 5000, annealed 16, appendix-d 1000).",
            metavar="N",
            min=1,
        ),
    ] = None,
    seed: options.Seed = 0,
    batch: Annotated[
        int | None,
        typer.Option(help="With bound: examples at a time (default 1000); changes no figure.", metavar="N", min=1),
    ] = None,
    examples: Annotated[int | None, typer.Option(help="Only the first so many examples.", metavar="N", min=1)] = None,
    memory: Annotated[
        float | None, typer.Option(help="MiB to work in (default 256); changes no figure.", metavar="MIB", min=1)
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Of the decoder: float32, float64, bfloat16 (its error is measured).", metavar="NAME"),
    ] = None,
    temperatures: Annotated[
        int | None, typer.Option(help="With annealed: how many (default 500).", metavar="N", min=1)
    ] = None,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="With annealed: on examples drawn from the model, from both sides.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            help="With annealed and appendix-d: chains start from the posterior of the encoder, or the prior.",
            metavar="NAME",
        ),
    ] = None,
    fit: Annotated[
        str | None, typer.Option(help="With appendix-d: full, diagonal or kernel (default full).", metavar="NAME")
    ] = None,
    arrays: Annotated[
        Path | None, typer.Option(help="Write the per-example numbers, NumPy .npz.", metavar="FILE")
    ] = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Measure the bound of a run on held-out examples, or log p(x) itself, with its uncertainty.

    The bound is that at beta 1, whatever the run optimised. Rate and distortion are its two terms; the rate per
    dimension says which latents are in use (more than 0.01 nats). A model that names a class tells its error too.

    With --method: importance is a lower bound in expectation that rises to log p(x) with more samples; annealed is a
    tighter one; appendix-d is the estimate of the AEVB paper, for a few latents; quadrature is exact up to 3 latents;
    exact is the closed form of a linear model. Each figure says what it is.
    """
    given: dict[str, Any] = {
        "--precision": precision,
        "--temperatures": temperatures,
        "--reverse": reverse or None,
        "--fit": fit,
    }
    given |= {"--examples": examples, "--batch": batch, "--samples": samples, "--memory": memory, "--start": start}
    checked(method, given, arrays)
    if reverse and split is not None:
        raise InputError(
            "its examples are drawn from the model, of no split", where="--reverse", mend="leave --split out"
        )
    options.use_threads(threads)
    trained = open_run(run, data_dir, device)
    if method == "bound":
        found: Any = bound(trained, split_of(trained, split), samples or 1, seed, batch or 1000, arrays)
    else:
        chosen = {"temperatures": temperatures, "fit": fit, "start": start, "memory": memory}
        shared: dict[str, Any] = {"samples": samples, "seed": seed, "precision": precision}
        shared |= {k: v for k, v in chosen.items() if v is not None}
        found = estimated(trained, split, method, examples, reverse, shared)
        keep(found.arrays(), arrays)
    named = classes(trained, found.split) if method == "bound" else None
    if as_json:
        output.show_json(found.json() | ({"classes": named.json()} if named else {}))
        return
    for line in [*found.lines(), *(named.lines() if named else [])]:
        output.show(line)
    if method == "bound" and found.rate_per_dimension:
        output.show("rate per latent dimension, nats:")
        for line in bars(found.rate_per_dimension, found.names):
            output.show(line)


def checked(method: str, given: dict[str, Any], arrays: Path | None) -> None:
    """An InputError where a name is unknown, or a flag is not for this method."""
    from lowerbound.errors import nearest

    if method not in METHODS:
        raise InputError(f"unknown method {method!r}", where="--method", mend=nearest(method, METHODS))
    for flag, methods in OF.items():
        if given.get(flag) is not None and method not in methods:
            raise InputError(f"not for method {method}", where=flag, mend=f"it is for {', '.join(methods)}")
    if arrays is not None:
        if arrays.suffix.lower() != ".npz":
            raise InputError("give a name that ends in .npz", where=f"--arrays {arrays}")
        options.writable(arrays, "--arrays")


def bound(trained: Trained, split: str, samples: int, seed: int, batch: int, arrays: Path | None) -> Any:
    """The bound of a split, and its terms an example where they are asked for."""
    from lowerbound.readers.evaluate import refuse, summarise
    from lowerbound.training.measure import measure

    refuse(trained)
    measured = measure(trained.model, trained.data, split, samples=samples, seed=seed, batch=batch)
    terms = {"distortion": measured.distortion.numpy(), "rate": measured.rate.numpy()}
    keep(terms | ({"elbo": measured.elbo.numpy()} if trained.model.has_bound else {}), arrays)
    return summarise(trained, measured, split, samples, seed)


def classes(trained: Trained, split: str) -> Any:
    """How well the model names the classes of the split, where it names any."""
    from lowerbound.readers.classes import classified

    return classified(trained, split)


def estimated(
    trained: Trained, split: str | None, method: str, examples: int | None, reverse: bool, shared: dict[str, Any]
) -> Any:
    """log p(x) of a split, or of examples drawn from the model."""
    from lowerbound.readers.log_likelihood import SAMPLES, bracket, log_likelihood

    with shown(f"log p(x), {method}") as progress:
        if reverse:
            shared["samples"] = shared["samples"] or SAMPLES["annealed"]
            return bracket(trained, examples or 100, progress=progress, **shared)
        part = split_of(trained, split)
        return log_likelihood(trained, part, method, examples=examples, progress=progress, **shared)


def keep(arrays: dict[str, Any], path: Path | None) -> None:
    """Write arrays as .npz, if they are asked for."""
    if path is None:
        return
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    options.write(path, buffer.getvalue(), "--arrays")


@contextmanager
def shown(words: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal that tells how many examples are done; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
