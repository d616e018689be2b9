"""``encode`` and ``decode``: from examples to latent codes and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import files, options, output
from lowerbound.doors.read import Split, open_run, split_of
from lowerbound.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from lowerbound.data.dataset import Data
    from lowerbound.training.load import Trained

Other = Annotated[
    str | None,
    typer.Argument(
        help="Other data like those of training: a name, file or folder (default: the run's own).",
        metavar="[SOURCE]",
        autocompletion=options.complete_source,
    ),
]


def encode(
    run: options.RunFolder,
    source: Other = None,
    split: Split = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help=".npy (means), .npz or .csv (default: the screen).", metavar="FILE"),
    ] = None,
    active: Annotated[
        bool, typer.Option("--active", help="Only the dimensions that carry more than 0.01 nats.")
    ] = False,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Encode examples: the posterior mean and deviation of each.

    The mean is the best single code; the deviation says how much of it is known. An .npz file holds both, and labels.
    With --split all an .npz holds x_train, y_train, x_valid, ...: data to train another model on (recipe m2).
    """
    files.checked(out, (".npy", ".npz", ".csv"))
    trained = open_run(run, data_dir, device)
    if split == "all":
        shapes = every_split(trained, out, active)
        if as_json:
            output.show_json({"written": out, "arrays": shapes})
        else:
            output.show(f"{out}: {', '.join(shapes)}")
        return
    data, name = examples(trained, source, split, data_dir)
    mean, deviation = posterior(trained, data, name)
    kept = living(trained, active)
    mean, deviation = mean[:, kept], None if deviation is None else deviation[:, kept]
    labels = own_labels(data, name)
    if out is not None:
        options.write(out, packed(out, mean, deviation, labels), "--out")
    if as_json:
        found = {"mean": mean, "deviation": deviation, "labels": labels}
        output.show_json({"written": out, "split": name, **{k: v for k, v in found.items() if v is not None}})
    elif out is not None:
        output.show(f"{out}: {mean.shape[0]:,} codes of {mean.shape[1]} dimensions")
    else:
        print(table(mean, deviation, labels), end="")


def every_split(trained: Trained, out: Path | None, active: bool) -> dict[str, list[int]]:
    """Write the codes of every split into one .npz, as data for another model; the shape of each array in it."""
    import io

    import numpy as np

    if out is None or out.suffix.lower() != ".npz":
        raise InputError("all splits go into one .npz file", where="--split all", mend="give --out codes.npz")
    kept, arrays = living(trained, active), {}
    for name, part in trained.data.splits.items():
        if len(part):
            arrays[f"x_{name}"] = posterior(trained, trained.data, name)[0][:, kept].astype("float32")
            labels = own_labels(trained.data, name)
            arrays |= {} if labels is None else {f"y_{name}": labels}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    options.write(out, content.getvalue(), "--out")
    return {name: list(array.shape) for name, array in arrays.items()}


def own_labels(data: Data, split: str) -> Any:
    """The labels of a split as the person gave them, (n,); None where there are none."""
    from lowerbound.data.labels import spoken

    codes = data.splits[split].labels
    return None if codes is None else spoken(codes, data.label_names)


def living(trained: Trained, active: bool) -> list[int]:
    """The dimensions to keep: all, or those that carry more than the threshold on held-out examples."""
    from lowerbound.training.measure import ACTIVE, measure

    every = list(range(trained.model.width))
    if not active:
        return every
    if trained.model.rate_width != trained.model.width:
        raise InputError("its rate does not split by dimension", where="--active", mend="leave --active out")
    rate = measure(trained.model, trained.data, split_of(trained, None)).rate_per_dimension()
    return [j for j in every if rate[j] > ACTIVE]


def examples(trained: Trained, source: str | None, split: str | None, data_dir: Path | None) -> tuple[Data, str]:
    """The run's own data and split, or all of other data, read as those of training were."""
    if source is None:
        return trained.data, split_of(trained, split)
    if split is not None:
        raise InputError("has no meaning for other data", where="--split", mend="leave it out: all of it is read")
    from lowerbound import data as data_floor

    return data_floor.load(source, data_dir=data_dir, like=trained.run.record()), "train"


def posterior(trained: Trained, data: Data, split: str, batch: int = 1000) -> tuple[Any, Any]:
    """Means and deviations (n, width) of a split, as arrays; None for deviations where a code has none."""
    import torch

    from lowerbound.maths.normal import DiagonalNormal, FullNormal
    from lowerbound.readers.pictures import refuse_codeless
    from lowerbound.training.measure import evaluating, labels_for

    refuse_codeless(trained)
    means, deviations, n = [], [], len(data.splits[split])
    like = next(trained.model.parameters())
    with evaluating(trained.model):
        for first in range(0, n, batch):
            rows = torch.arange(first, min(first + batch, n))
            q = trained.model.encode(data.batch(split, rows).to(like), labels_for(trained.model, data, split, rows))
            means.append(q.mean.double().cpu())
            deviations += [q.stddev.double().cpu()] if isinstance(q, DiagonalNormal | FullNormal) else []
    return torch.cat(means).numpy(), torch.cat(deviations).numpy() if deviations else None


def packed(out: Path, mean: Any, deviation: Any, labels: Any) -> bytes:
    """The content of the file."""
    import io

    import numpy as np

    if out.suffix.lower() == ".npy":
        return files.as_npy(mean)
    if out.suffix.lower() == ".csv":
        return table(mean, deviation, labels).encode()
    content = io.BytesIO()
    arrays = {"mean": mean, "deviation": deviation, "labels": labels}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def table(mean: Any, deviation: Any, labels: Any) -> str:
    """Codes as CSV."""
    latent = mean.shape[1]
    names, rows = [f"mean{j}" for j in range(latent)], mean.tolist()
    if deviation is not None:
        names += [f"deviation{j}" for j in range(latent)]
        rows = [[*m, *d] for m, d in zip(rows, deviation.tolist(), strict=True)]
    if labels is not None:
        names, rows = ["label", *names], [[y, *row] for y, row in zip(labels.tolist(), rows, strict=True)]
    return files.as_csv(names, rows)


def decode(
    run: options.RunFolder,
    codes: Annotated[
        Path | None, typer.Argument(help="Codes (n, latent): .npy, .npz with mean, or .csv.", metavar="[CODES]")
    ] = None,
    z: Annotated[
        list[str] | None,
        typer.Option("--z", help="One code: numbers with commas; may be repeated.", metavar="X,X,..."),
    ] = None,
    out: files.Out = None,
    as_json: options.Json = False,
) -> None:
    """Decode latent codes: the expected example of each, in the units of the data."""
    files.checked(out, files.EXAMPLES)
    if (codes is None) == (z is None):
        raise InputError("give either a file of codes or --z", where="decode", mend="as in: decode RUN --z=0.5,-1")
    trained = open_run(run)
    latent = trained.model.width
    found = from_file(codes, latent) if codes is not None else from_words(z or [], latent)
    from lowerbound.readers import pictures

    files.give(trained, pictures.decode(trained, found), out, "decoded", min(len(found), 20), as_json)


def from_words(words: list[str], latent: int) -> Tensor:
    """Codes written on the command line."""
    import torch

    rows = []
    for word in words:
        try:
            row = [float(number) for number in word.split(",")]
        except ValueError:
            raise InputError(f"{word!r} is not numbers with commas", where="--z", mend="as in --z=0.5,-1") from None
        if len(row) != latent:
            raise InputError(f"{word!r} has {len(row)} numbers", where="--z", mend=f"the run has {latent} latents")
        rows.append(row)
    return finite(torch.tensor(rows, dtype=torch.float64), "--z")


def from_file(path: Path, latent: int) -> Tensor:
    """Codes in a file: an array, the means of ``encode``, or a table of numbers."""
    import torch

    from lowerbound.data.formats import npy
    from lowerbound.data.guard import guarded, plain_file

    plain_file(path)
    if path.suffix.lower() == ".npz":
        from lowerbound.data.formats import npz

        array = npz.arrays(path, ("mean",))["mean"]
    elif path.suffix.lower() == ".csv":
        with guarded(path, "a table of codes", "give numbers under names such as mean0, mean1"):
            array = means_of_csv(path)
    else:
        array = npy.read(path)
    if array.ndim != 2 or array.shape[1] != latent:
        raise InputError(f"holds an array of shape {tuple(array.shape)}", where=path, mend=f"give (n, {latent})")
    if array.dtype.kind not in "fiu":
        raise InputError(f"holds {array.dtype}, not numbers", where=path, mend="give numbers")
    return finite(torch.as_tensor(array.astype("float64")), path)


def means_of_csv(path: Path) -> Any:
    """The columns mean0, mean1, ... of a CSV, or all of its columns."""
    import csv

    import numpy as np

    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = list(csv.reader(file))
    chosen = [j for j, name in enumerate(head) if name.startswith("mean")] or list(range(len(head)))
    return np.array([[float(row[j]) for j in chosen] for row in rows])


def finite(codes: Tensor, where: object) -> Tensor:
    """Codes without infinite or undefined numbers."""
    import torch

    if not torch.isfinite(codes).all():
        raise InputError("holds a number that is not finite", where=where, mend="remove it")
    return codes
