"""``explain`` and ``report``: what a finished run says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowerbound.doors import options, output
from lowerbound.errors import InputError

if TYPE_CHECKING:
    from lowerbound.training.load import Trained


def open_run(path: Path, data_dir: Path | None = None, device: str = "auto") -> Trained:
    """A finished run, every file of it held against its manifest."""
    options.existing_folder(data_dir, "--data-dir")
    from lowerbound.training.load import load
    from lowerbound.training.optimise import device_of
    from lowerbound.training.run import Run

    run = Run(path)
    run.header()
    run.verify()
    place = device_of(device)
    trained = load(path, data_dir=data_dir)
    trained.model.to(place)
    return trained


def split_of(trained: Trained, split: str | None) -> str:
    """The split asked for, or by default test, else valid, else train; refused if it is empty."""
    full = [name for name in ("test", "valid", "train") if len(trained.data.splits[name])]
    if split is not None and split not in full:
        raise InputError(f"the run has no examples in {split!r}", where="--split", mend=f"it has: {', '.join(full)}")
    return split or full[0]


Split = Annotated[
    str | None, typer.Option("--split", help="test, valid or train (default: the first that is not empty).")
]


def bars(rates: list[float], names: Sequence[str], width: int = 40) -> list[str]:
    """Rates as a bar chart, largest first, each with its name.

    >>> bars([0.5, 1.0], ("z0", "z1"), width=4)
    ['  z1  1.000  ████', '  z0  0.500  ██']
    """
    top = max([*rates, 1e-12])
    order = sorted(range(len(rates)), key=lambda j: -rates[j])
    label = max(len(name) for name in names)
    return [f"  {names[j]:<{label}}  {rates[j]:.3f}  {'█' * round(width * rates[j] / top)}".rstrip() for j in order]


def explain(
    what: Annotated[
        str,
        typer.Argument(help="kl, or a run folder.", metavar="kl|RUN", autocompletion=options.complete_explained),
    ],
    mean: Annotated[float, typer.Option(help="With kl: the mean of q.", metavar="X")] = 1.0,
    log_variance: Annotated[float, typer.Option(help="With kl: the log variance of q.", metavar="X")] = -1.0,
    picture: Annotated[
        Path | None, typer.Option(help="With kl: write the landscape as an SVG file.", metavar="FILE")
    ] = None,
    split: Annotated[str, typer.Option(help="With a run: train, valid or test.", metavar="NAME")] = "train",
    examples: Annotated[int, typer.Option(help="With a run: how many examples to read.", metavar="N", min=2)] = 1000,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Explain the KL term itself, or what it did in a run.

    With kl: the KL of N(mean, exp(log variance)) from N(0, 1) in nats and bits, what is paid for the mean and what for
    the spread, the two pulls, the landscape, and the derivation step by step. With a run, for each latent dimension:
    nats and bits, and the pull of the prior against the pull of the data, equal and opposite at the optimum.
    """
    if what == "kl":
        explain_term(mean, log_variance, picture, as_json)
    else:
        explain_folder(Path(what), split, examples, data_dir, as_json)


def explain_term(mean: float, log_variance: float, picture: Path | None, as_json: bool) -> None:
    """The KL of one Normal."""
    from lowerbound.readers.explain_kl import explain_kl

    found = explain_kl(mean, log_variance)
    if picture is not None:
        draw_landscape(mean, log_variance, picture)
    if as_json:
        output.show_json(found.json())
        return
    from lowerbound.doors.landscape import landscape

    lines = found.lines()
    rest = lines[len(found.figures()) :]
    for line in [*found.figures(), "", *landscape(mean, log_variance), *rest]:
        output.show(line)


def draw_landscape(mean: float, log_variance: float, picture: Path) -> None:
    """Write the landscape as a picture."""
    if picture.suffix.lower() != ".svg":
        raise InputError(
            f"cannot draw {picture.suffix or 'a file without suffix'}",
            where=f"--picture {picture}",
            mend="give a name that ends in .svg",
        )
    options.writable(picture, "--picture")
    from lowerbound.readers import figures

    words = f"KL of N({mean:g}, exp({log_variance:g})) from N(0, 1)"
    options.write(picture, figures.page(figures.landscape(mean, log_variance), words).encode(), "--picture")


def explain_folder(path: Path, split: str, examples: int, data_dir: Path | None, as_json: bool) -> None:
    """A trained run, dimension by dimension."""
    trained = open_run(path, data_dir)
    from lowerbound.readers.explain_run import explain_run

    found = explain_run(trained, split_of(trained, split), examples=examples)
    if as_json:
        output.show_json(found.json())
        return
    output.show(trained.objective_words)
    for line in found.lines():
        output.show(line)


def report(
    run: options.RunFolder,
    split: Split = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Write the report of a run again: one HTML file that opens offline, RUN/report.html."""
    trained = open_run(run, data_dir)
    from lowerbound.readers.report import report as write

    path = write(trained, split=split_of(trained, split))
    if as_json:
        output.show_json({"report": path, **trained.run.read_json("evaluation.json")})
    else:
        output.show(str(path))


def make_report(path: Path, data_dir: Path | None) -> Path:
    """The report of a run just trained."""
    trained = open_run(path, data_dir)
    from lowerbound.readers.report import report as write

    return write(trained)


def report_bytes(trained: Trained) -> bytes:
    """The report as the content of a file."""
    from lowerbound.readers.report import found, page

    return page(trained, found(trained, split_of(trained, None))).encode()
