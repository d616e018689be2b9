"""``fidelity``: a run's samples held against its data, and looked over for copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import files, options, output
from lowerbound.doors.read import Split, open_run, split_of

if TYPE_CHECKING:
    from pathlib import Path

    from lowerbound.readers.fidelity import Fidelity
    from lowerbound.training.load import Trained


def fidelity(
    run: options.RunFolder,
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
    """
    files.checked(out)
    options.use_threads(threads)
    trained = open_run(run, data_dir, device)
    part = split_of(trained, split)
    from lowerbound.readers.fidelity import fidelity as measured

    found = measured(trained, part, features=features, n=n, expected=expected, seed=seed)
    beside = None if parzen is None else window(trained, part, parzen, temperatures, seed)
    written = neighbours(trained, found, out, as_json)
    if as_json:
        output.show_json(found.json() | {"parzen": beside.json() if beside else None, "written": written})
        return
    for line in [*found.lines(), *(beside.lines() if beside else [])]:
        output.show(line)
    if written is not None:
        output.show(str(written))


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
