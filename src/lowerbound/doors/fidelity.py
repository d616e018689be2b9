"""``fidelity``: samples held against data, and looked over for copies: of one run, or of several side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import files, options, output
from lowerbound.doors.read import Split, open_run, split_of
from lowerbound.errors import InputError

if TYPE_CHECKING:
    from lowerbound.readers.fidelity import Column, Fidelity, SideBySide
    from lowerbound.training.load import Trained

SAME = ("data", "rows of the split", "binarisation", "kind of data")
"""What runs must share for their samples to be held against the same examples, in the same features."""

MEANT = ("what is bounded", "unit of the likelihood")
"""What they must share for their nats to be of one thing."""


def fidelity(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="A run folder, or several to lay side by side.", metavar="RUN...", autocompletion=options.complete_run
        ),
    ],
    split: Split = None,
    features: Annotated[str, typer.Option(help="What to compare in: pca, classifier or raw.", metavar="NAME")] = "pca",
    n: Annotated[int, typer.Option("--n", "-n", help="Samples at most.", metavar="N", min=100, max=100_000)] = 2000,
    expected: Annotated[
        bool, typer.Option("--expected", help="Expected values of x, as papers show them, in place of draws.")
    ] = False,
    parzen: Annotated[
        int | None,
        typer.Option(
            help="Show the Parzen figure of the GAN papers too, beside AIS on so many examples.", metavar="N", min=2
        ),
    ] = None,
    temperatures: Annotated[int, typer.Option(help="With --parzen: temperatures of AIS.", metavar="N", min=1)] = 500,
    seed: options.Seed = 0,
    out: files.Out = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Hold samples against held-out data: Frechet distance, precision and recall, coverage, and a test for copies.

    Each figure names the features it was computed in and stands beside what training examples reach in the samples'
    place. The picture shows the samples nearest to a training example above that example, and the same of held-out
    examples below. What none of these figures says is printed with them.

    Several runs of the same data stand side by side in one table, with distortion, bound and the test of codes against
    the prior where a model has them: so a VAE, an adversarial autoencoder and a GAN can be compared. The picture then
    shows a row of samples of each under a row of held-out examples.
    """
    files.checked(out)
    if len(runs) > 1 and parzen is not None:
        raise InputError("is for one run", where="--parzen", mend="leave it out, or give one run")
    options.use_threads(threads)
    opened = [open_run(run, data_dir, device) for run in runs]
    part = split_of(opened[0], split)
    how = {"features": features, "n": n, "expected": expected, "seed": seed}
    if len(opened) > 1:
        several(opened, part, how, out, as_json)
        return
    trained = opened[0]
    from lowerbound.readers.fidelity import fidelity as measured

    found = measured(trained, part, **how)  # type: ignore[arg-type]
    beside = None if parzen is None else window(trained, part, parzen, temperatures, seed)
    written = neighbours(trained, found, out, as_json)
    if as_json:
        output.show_json(found.json() | {"parzen": beside.json() if beside else None, "written": written})
        return
    for line in [*found.lines(), *(beside.lines() if beside else [])]:
        output.show(line)
    if written is not None:
        output.show(str(written))


def several(opened: Sequence[Trained], split: str, how: dict[str, Any], out: Path | None, as_json: bool) -> None:
    """Runs side by side, as one table and one picture."""
    from lowerbound.readers.compare import names
    from lowerbound.readers.fidelity import SideBySide

    cautions = agreed(opened, split)
    columns = [column(trained, name, split, how) for trained, name in zip(opened, names(opened), strict=True)]
    found = SideBySide(columns, cautions)
    written = in_rows(opened[0], found, out, as_json)
    if as_json:
        output.show_json(found.json() | {"written": written})
        return
    first, *rest = found.lines()
    output.show(first)
    output.show_columns(found.rows())
    for line in [*rest, *([str(written)] if written else [])]:
        output.show(line)


def agreed(opened: Sequence[Trained], split: str) -> list[str]:
    """Refuses runs of different data; cautions where nats are not of one thing."""
    from lowerbound.readers.compare import agree, facts

    for part in dict.fromkeys((split, "train")):
        known = [facts(trained, part, "samples") for trained in opened]
        agree([str(trained.run.path) for trained in opened], [{fact: one[fact] for fact in SAME} for one in known])
    said = []
    for fact in MEANT:
        kinds = dict.fromkeys(one[fact] for one, trained in zip(known, opened, strict=True) if encodes(trained))
        if len(kinds) > 1:
            words = f"{fact}: {', '.join(kinds)}"
            said.append(f"The nats of these runs are not of one thing ({words}): do not order runs by them.")
    return said


def encodes(trained: Trained) -> bool:
    """Whether it says something of an example that is given: by an encoder, or without latents."""
    return trained.model.encoder is not None or not trained.spec.latent


def column(trained: Trained, name: str, split: str, how: dict[str, Any]) -> Column:
    """One run: its samples, and of the rest what its model has."""
    from lowerbound.readers.evaluate import evaluate
    from lowerbound.readers.fidelity import Column
    from lowerbound.readers.fidelity import fidelity as measured
    from lowerbound.readers.two_sample import codes_match_prior

    found = measured(trained, split, **how)
    nats = evaluate(trained, split, seed=how["seed"]) if encodes(trained) else None
    codes = None if trained.model.encoder is None else codes_match_prior(trained, split, seed=how["seed"])
    distortion, bound = (nats.distortion, nats.elbo) if nats else (None, None)
    return Column(name, trained.spec.recipe, found, distortion, bound, codes)


def in_rows(trained: Trained, found: SideBySide, out: Path | None, as_json: bool) -> Path | None:
    """Write a row of samples of each run under a row of examples: where asked, else as a picture in the first run."""
    import torch

    from lowerbound.readers import pictures
    from lowerbound.readers.latent import canvas

    first = [one.samples.first for one in found.columns]
    x = torch.stack([first[0][0], *(one[1] for one in first)])

    def drawing() -> bytes:
        split = found.columns[0].samples.split
        left = [f"{split} examples", *(one.name for one in found.columns)]
        said = dict.fromkeys(one.samples.samples for one in found.columns)
        distance = [f"{one.samples.figures[0].value:.4g}" for one in found.columns]
        words = f"The first samples of each run, not chosen: {'; '.join(said)}. At the right their Frechet distance."
        return canvas.png(pictures.grey(trained, x), left=left, right=["", *distance], caption=words, gap=2)

    if out is None:
        if as_json or not pictures.is_picture(trained):
            return None
        return trained.run.write_file("figures/side-by-side.png", drawing())
    content: dict[str, Callable[[], bytes]] = {
        ".png": drawing,
        ".npy": lambda: files.as_npy(x.numpy()),
        ".csv": lambda: files.as_csv(*found.table()).encode(),
    }
    options.write(out, content[out.suffix.lower()](), "--out")
    return out


def window(trained: Trained, split: str, examples: int, temperatures: int, seed: int) -> Any:
    """The Parzen figure of some examples of a split, beside annealed importance sampling of the same."""
    from lowerbound.readers.log_likelihood import log_likelihood
    from lowerbound.readers.parzen import parzen_beside

    options_of = {"temperatures": temperatures, "seed": seed, "examples": examples}
    real = log_likelihood(trained, split, "annealed", **options_of)  # type: ignore[arg-type]
    return parzen_beside(trained, real.estimate, real.what, split, rows=real.rows, seed=seed)


def neighbours(trained: Trained, found: Fidelity, out: Path | None, as_json: bool) -> Path | None:
    """Write the nearest samples and their training examples: where asked, else as a picture in the run folder."""
    from lowerbound.readers import pictures

    columns = len(found.shown) // 4
    if out is None:
        if as_json or not pictures.is_picture(trained):
            return None
        sheet = files.as_png(trained, found.shown, columns)
        return trained.run.write_file("figures/nearest-neighbours.png", sheet)
    content = {
        ".png": lambda: files.as_png(trained, found.shown, columns),
        ".npy": lambda: files.as_npy(found.shown.numpy()),
        ".csv": lambda: files.as_csv(files.value_names(trained), found.shown.flatten(1).tolist()).encode(),
    }[out.suffix.lower()]()
    options.write(out, content, "--out")
    return out
