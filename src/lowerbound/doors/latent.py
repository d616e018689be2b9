"""``morph``, ``traverse``, ``manifold``, ``plane``: reading a latent space, as pictures, tables or numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import files, options, output
from lowerbound.doors.read import Split, open_run, split_of
from lowerbound.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from lowerbound.training.load import Trained

KINDS = ("linear", "spherical")
MOVING = (".gif", ".webp", ".apng")
Label = Annotated[
    str | None,
    typer.Option("--label", help="In a model that knows labels: the class to hold fixed.", metavar="CLASS"),
]
Given = Annotated[
    int | None,
    typer.Option("--given", help="In a model conditioned on a part: the row whose part is held fixed.", metavar="ROW"),
]
Dims = Annotated[str | None, typer.Option("--dims", help="Which latent dimensions, as 3,0.", metavar="I,J")]
Kind = Annotated[str, typer.Option(help="linear, or spherical: along the shell where codes lie.")]


def morph(
    run: options.RunFolder,
    through: Annotated[
        str,
        typer.Option(help="Examples: rows of the split, or class:9 for the one nearest to its class's mean code."),
    ],
    frames: Annotated[int, typer.Option(help="Frames from one example to the next.", metavar="N", min=1)] = 10,
    kind: Kind = "linear",
    loop: Annotated[bool, typer.Option("--loop/--no-loop", help="Come back to the first.")] = True,
    split: Split = None,
    label: Label = None,
    given: Given = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="A .gif, .webp or .apng with a contact sheet beside it; .png: the sheet alone; .npy, .csv: numbers.",
            metavar="FILE",
        ),
    ] = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """A way through the codes of several examples, as an animation and as a contact sheet.

    Give rows, or class:9 for the example that is nearest to the mean code of its class. The way comes back to where it
    began, so that the animation runs on without a jump. For tables: a row of CSV for each frame.
    """
    files.checked(out, (*MOVING, *files.SUFFIXES))
    kind_of(kind)
    trained = open_run(run, data_dir)
    from lowerbound.readers.latent import morph as reader

    made = reader.morph(
        trained,
        [word.strip() for word in through.split(",")],
        frames=frames,
        kind=kind,  # type: ignore[arg-type]
        loop=loop,
        split=split_of(trained, split),
        label=label,
        given=given,
    )
    moving = out.suffix.lower() if out is not None and out.suffix.lower() in MOVING else None
    if moving is None and (out is not None or as_json or not picture(trained)):
        hand(trained, out, "morph", as_json, made, made.x, lambda: reader.sheet(trained, made))
        return
    run_on(trained, out, "morph", as_json, made, reader.animation(trained, made, moving or ".gif"), reader.sheet)


def run_on(
    trained: Trained,
    out: Path | None,
    name: str,
    as_json: bool,
    made: Any,
    animation: bytes,
    sheet: Callable[..., bytes],
) -> None:
    """Hand over a moving picture and the sheet that lies beside it: where asked, else in the run folder."""
    still = sheet(trained, made)
    if out is None:
        written = [
            trained.run.write_file(f"figures/{n}", c) for n, c in ((f"{name}.gif", animation), (f"{name}.png", still))
        ]
    else:
        written = [out, out.with_name(f"{out.stem}-sheet.png")]
        for path, content in zip(written, (animation, still), strict=True):
            options.write(path, content, "--out")
    if as_json:
        output.show_json({"written": written, **made.json()})
        return
    for path in written:
        output.show(str(path))


def picture(trained: Trained) -> bool:
    """Whether examples are pictures."""
    from lowerbound.readers import pictures

    return pictures.is_picture(trained)


def kind_of(kind: str) -> str:
    """A kind of way that exists."""
    if kind not in KINDS:
        raise InputError(f"unknown kind {kind!r}", where="--kind", mend=nearest(kind, KINDS))
    return kind


def traverse(
    run: options.RunFolder,
    row: Annotated[
        int | None,
        typer.Option(help="Hold the others at the code of this row (default: the prior's mean).", metavar="ROW"),
    ] = None,
    dims: Dims = None,
    steps: Annotated[int, typer.Option(help="Steps along each dimension.", metavar="N", min=2)] = 11,
    tail: Annotated[float, typer.Option(help="From this quantile of the prior to 1 minus it.", metavar="U")] = 0.01,
    top: Annotated[int, typer.Option(help="How many dimensions at most.", metavar="N", min=1)] = 20,
    split: Split = None,
    label: Label = None,
    given: Given = None,
    out: files.Out = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Each active latent dimension alone, from quantile to quantile of the prior, the highest rate first.

    One row a dimension, its nats at the left. The others stay at the prior's mean, or with --row at an example's code.
    """
    files.checked(out)
    trained = open_run(run, data_dir)
    from lowerbound.readers.latent import traverse as reader

    made = reader.traverse(
        trained,
        row=row,
        dimensions=numbers(dims, "--dims"),
        steps=steps,
        tail=tail,
        top=top,
        split=split_of(trained, split),
        label=label,
        given=given,
    )
    hand(trained, out, "traversal", as_json, made, made.x.flatten(0, 1), lambda: reader.sheet(trained, made))


def numbers(words: str | None, flag: str, count: int | None = None) -> tuple[int, ...]:
    """Whole numbers with commas."""
    if words is None:
        return ()
    try:
        found = tuple(int(word) for word in words.split(","))
    except ValueError:
        raise InputError(f"{words!r} is not whole numbers with commas", where=flag, mend=f"as in {flag} 3,0") from None
    if count is not None and len(found) != count:
        raise InputError(f"{len(found)} numbers, {count} are needed", where=flag, mend=f"as in {flag} 3,0")
    return found


def manifold(
    run: options.RunFolder,
    side: Annotated[int, typer.Option("--side", "-n", help="Cells along each side.", metavar="N", min=2)] = 20,
    dims: Dims = None,
    linear: Annotated[
        str | None,
        typer.Option(help="Evenly spaced from LOW to HIGH instead, as --linear=-4:4.", metavar="LOW:HIGH"),
    ] = None,
    split: Split = None,
    label: Label = None,
    given: Given = None,
    out: files.Out = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """The plane of two latents decoded, in cells of equal prior mass.

    The unit square goes through the prior's inverse distribution function at the centres of the cells, so that no
    border lies at infinity. With more than two latents: the two of the highest rate, the others at the prior's mean.
    """
    files.checked(out)
    trained = open_run(run, data_dir)
    from lowerbound.readers.latent import manifold as reader

    pair: Any = numbers(dims, "--dims", 2) or None
    made = reader.manifold(
        trained, side, dimensions=pair, linear=ends(linear), split=split_of(trained, split), label=label, given=given
    )
    hand(trained, out, "manifold", as_json, made, made.x.flatten(0, 1), lambda: reader.sheet(trained, made))


def ends(words: str | None) -> tuple[float, float] | None:
    """LOW:HIGH."""
    if words is None:
        return None
    try:
        low, high = (float(word) for word in words.split(":"))
    except ValueError:
        raise InputError(f"{words!r} is no range", where="--linear", mend="as in --linear=-4:4") from None
    return low, high


def plane(
    run: options.RunFolder,
    dims: Dims = None,
    by: Annotated[
        str,
        typer.Option(help="rate: two dimensions; pca: principal components; tsne: who is near whom, of 2,000 codes."),
    ] = "rate",
    film: Annotated[
        bool, typer.Option("--film", help="Over log time, as an animation: of a run with training.snapshots.")
    ] = False,
    side: Annotated[
        int | None,
        typer.Option("--side", "-n", help="Pictures along each side (default: 24; --film: 16).", metavar="N", min=2),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of --by tsne (default: 0).", metavar="N")] = None,
    split: Split = None,
    label: Label = None,
    given: Given = None,
    out: files.Out = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """The encoder's view and the decoder's view of two latents, side by side on the same axes.

    Left: the posterior mean of each example, coloured by class. Right: what the decoder expects at each place. With
    more than two latents: the two of the highest rate, in the right half with the others at the prior's mean; or all
    of them, by principal components or by t-SNE, from which nothing leads back to a picture.
    """
    files.checked(out, MOVING if film else (".png", ".csv"))
    pair: Any = numbers(dims, "--dims", 2) or None
    if by != "rate" and pair:
        raise InputError("has no meaning beside --by", where="--dims", mend="give one of the two")
    if by != "rate" and film:
        raise InputError(
            "has no meaning beside --film", where="--by", mend="a film holds two dimensions, as --dims says"
        )
    if by != "tsne" and seed is not None:
        raise InputError("has no meaning here", where="--seed", mend="it is of --by tsne")
    trained = open_run(run, data_dir)
    from lowerbound.readers.latent import plane as reader
    from lowerbound.readers.latent.projection import projection

    how: dict[str, Any] = {"split": split_of(trained, split), "label": label, "given": given}
    if film:
        filmed(trained, out, as_json, dimensions=pair, side=side or 16, **how)
        return
    how["side"] = side or 24
    flat = by == "rate"
    made = reader.plane(trained, dimensions=pair, **how) if flat else projection(trained, by, seed=seed or 0, **how)
    if out is None and not as_json:
        output.show(str(trained.run.write_file("figures/plane.png", reader.drawing(trained, made))))
        return
    hand(trained, out, "plane", as_json, made, None, lambda: reader.drawing(trained, made))


def filmed(trained: Trained, out: Path | None, as_json: bool, **how: Any) -> None:
    """The plane over log time."""
    from lowerbound.readers.latent import film as reader

    made = reader.film(trained, **how)
    moving = reader.animation(trained, made, out.suffix.lower() if out else ".gif")
    run_on(trained, out, "film", as_json, made, moving, reader.strip)


def hand(
    trained: Trained,
    out: Path | None,
    name: str,
    as_json: bool,
    made: Any,
    x: Tensor | None,
    drawn: Callable[[], bytes],
    more: dict[str, Any] | None = None,
) -> None:
    """Hand over what a reader made: where asked, else as a picture in the run folder, else as CSV on the screen.

    ``x`` (n, *shape) are the decoded examples, one for each row of ``made.table()``.
    """
    if out is None and picture(trained) and not as_json:
        output.show(str(trained.run.write_file(f"figures/{name}.png", drawn())))
        return
    if out is not None:
        content: dict[str, Callable[[], bytes]] = {
            ".png": drawn,
            ".npy": lambda: files.as_npy(x.numpy() if x is not None else made.means),
            ".csv": lambda: csv(trained, made, x).encode(),
        }
        options.write(out, content[out.suffix.lower()](), "--out")
    if as_json:
        output.show_json({"written": out, **made.json(), **(more or {})})
    elif out is not None:
        output.show(str(out))
    else:
        print(csv(trained, made, x), end="")


def csv(trained: Trained, made: Any, x: Tensor | None) -> str:
    """The table of what was made, with the decoded values of each row behind it."""
    head, rows = made.table()
    if x is None:
        return files.as_csv(head, rows)
    names, values = files.cells(trained, x)
    return files.as_csv([*head, *names], [[*a, *b] for a, b in zip(rows, values, strict=True)])


Word = "Rows, as 3,17,42, all of a class, class:NAME, or in tables COLUMN=VALUE, COLUMN>X, COLUMN<X."


def arithmetic(
    run: options.RunFolder,
    a: Annotated[str | None, typer.Argument(help=Word, metavar="[A]")] = None,
    b: Annotated[str | None, typer.Argument(help="What to take away.", metavar="[B]")] = None,
    c: Annotated[str | None, typer.Argument(help="What to add.", metavar="[C]")] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="Which examples to move: words as for A.", metavar="WORD")
    ] = None,
    target: Annotated[str | None, typer.Option("--to", help="What they should become.", metavar="WORD")] = None,
    strength: Annotated[float, typer.Option(help="How many times the mean difference.", metavar="X")] = 1.0,
    judge: Annotated[str, typer.Option(help="What tells classes apart: knn or logistic.")] = "knn",
    seed: options.Seed = 0,
    split: Split = None,
    out: files.Out = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Add what makes the difference: a - b + c on codes, or a mean difference with --from and --to; counted.

    The direction is the mean code of one kind of training examples minus that of another. Held-out examples are moved
    along it and decoded; a judge whose accuracy is stated says which share now has the attribute, against the share
    before and the share after a move of the same length at random, each with its standard error.
    """
    files.checked(out)
    words = [word for word in (a, b, c) if word is not None]
    pair = [word for word in (source, target) if word is not None]
    if (len(words), len(pair)) not in ((3, 0), (0, 2)):
        mend = "as in: arithmetic RUN A B C, or arithmetic RUN --from class:3 --to class:8"
        raise InputError("give three words, or both --from and --to", where="arithmetic", mend=mend)
    trained = open_run(run, data_dir)
    name = split_of(trained, split)
    options_of = {"strength": strength, "judge": judge, "split": name, "seed": seed}
    if words:
        summed(trained, words, options_of, out, as_json)
    else:
        moved(trained, pair[0], pair[1], options_of, out, as_json)


def moved(trained: Trained, source: str, target: str, how: dict[str, Any], out: Path | None, as_json: bool) -> None:
    """Examples of ``source`` moved toward ``target``, and the count."""
    from lowerbound.readers.latent import attributes

    made = attributes.change(trained, source, target, **how)
    if not as_json:
        for line in made.lines():
            output.show(line)
    if out is None and not picture(trained) and not as_json:
        return
    hand(trained, out, "attribute", as_json, made, made.x.flatten(0, 1), lambda: attributes.sheet(trained, made))


def summed(trained: Trained, words: list[str], how: dict[str, Any], out: Path | None, as_json: bool) -> None:
    """a - b + c on mean codes, and where c is an attribute, what the move from b to c did to the examples of a."""
    import torch

    from lowerbound.readers.latent import attributes, groups

    a, b, c = words
    made = attributes.sums(trained, a, b, c, split=how["split"], strength=how["strength"])
    found = None
    if groups.attribute(trained.data, c).kind != "rows" and how["split"] != "train":
        found = attributes.change(trained, b, c, start=a, **how)
    if found is not None and not as_json:
        for line in found.lines():
            output.show(line)
    more: dict[str, Any] = {"values": made.x.flatten(1).tolist(), "shape": list(made.x.shape)}
    more["check"] = None if found is None else found.json()
    hand(
        trained,
        out,
        "arithmetic",
        as_json,
        made,
        torch.as_tensor(made.x),
        lambda: attributes.sum_sheet(trained, made),
        more,
    )
