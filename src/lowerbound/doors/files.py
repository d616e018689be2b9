"""Where results go: a picture (.png), an array (.npy), a table (.csv), text (.txt), or standard output."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import options, output
from lowerbound.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from lowerbound.training.load import Trained

SUFFIXES = (".png", ".npy", ".csv")
EXAMPLES = (*SUFFIXES, ".txt")
"""What examples can be written as; .txt where they are texts."""

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Where to write: .png, .npy or .csv (default: RUN/figures for pictures, else CSV on the screen).",
        metavar="FILE",
    ),
]


def checked(out: Path | None, suffixes: Sequence[str] = SUFFIXES) -> Path | None:
    """``out``, if it can be written and its name says how."""
    if out is None:
        return None
    if out.suffix.lower() not in suffixes:
        what = f"cannot write {out.suffix or 'a file without suffix'}"
        raise InputError(what, where=f"--out {out}", mend=f"give a name that ends in {', '.join(suffixes)}")
    if out.is_dir():
        raise InputError("is a folder", where=f"--out {out}", mend="give a file")
    return options.writable(out, "--out")


def as_png(trained: Trained, x: Tensor, columns: int) -> bytes:
    """Examples as one sheet of pictures, enlarged to be seen."""
    import numpy as np

    from lowerbound.readers import figures, pictures

    laid = pictures.sheet(pictures.grey(trained, x), columns)
    factor = max(1, min(8, 900 // laid.shape[1]))
    return figures.png(np.kron(laid, np.ones((factor, factor, *(1,) * (laid.ndim - 2)))))


def as_csv(names: Sequence[str], rows: np.ndarray | Sequence[Sequence[Any]]) -> str:
    """Rows as CSV with a head."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[f"{value:.9g}" if isinstance(value, float) else value for value in row] for row in rows])
    return text.getvalue()


def as_npy(rows: np.ndarray) -> bytes:
    """An array as a .npy file."""
    import numpy as np

    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    return content.getvalue()


def value_names(trained: Trained) -> list[str]:
    """The names of the values of an example."""
    record = trained.run.record()
    parts = 1
    for side in record["shape"]:
        parts *= side
    return list(record.get("column_names") or [f"x{j}" for j in range(parts)])


def cells(trained: Trained, x: Tensor) -> tuple[list[str], Sequence[Sequence[Any]]]:
    """The columns of a table of examples, and its rows; a sequence of symbols is one cell of text."""
    from lowerbound.readers import pictures

    if pictures.is_text(trained):
        return ["text"], [[text] for text in pictures.texts(trained, x)]
    return value_names(trained), x.flatten(1).tolist()


def values(trained: Trained, x: Tensor) -> dict[str, Any]:
    """Examples (n, *shape) as JSON: their values, or their texts."""
    from lowerbound.readers import pictures

    return {"texts": pictures.texts(trained, x)} if pictures.is_text(trained) else {"values": x.flatten(1).tolist()}


def give(trained: Trained, x: Tensor, out: Path | None, name: str, columns: int, as_json: bool) -> None:
    """Hand over decoded examples: where asked, else as a picture in the run folder, else as CSV on the screen."""
    from lowerbound.readers import pictures

    if pictures.is_text(trained):
        give_texts(trained, x, out, as_json)
        return
    if out is None and pictures.is_picture(trained) and not as_json:
        path = trained.run.write_file(f"figures/{name}.png", as_png(trained, x, columns))
        output.show(str(path))
        return
    if out is not None:
        content = {
            ".png": lambda: as_png(trained, x, columns),
            ".npy": lambda: as_npy(x.numpy()),
            ".csv": lambda: as_csv(*cells(trained, x)).encode(),
            ".txt": lambda: no_text(out),
        }[out.suffix.lower()]()
        options.write(out, content, "--out")
    if as_json:
        output.show_json({"written": out, "shape": list(x.shape), **values(trained, x)})
    elif out is not None:
        output.show(str(out))
    else:
        print(as_csv(*cells(trained, x)), end="")


def no_text(out: Path) -> bytes:
    """Refuses to write numbers as text."""
    raise InputError("cannot be written: the examples are no texts", where=f"--out {out}", mend="give .npy or .csv")


def give_texts(trained: Trained, x: Tensor, out: Path | None, as_json: bool) -> None:
    """Hand over sequences of symbols (n, T) as texts, a line each; as .npy the codes, NaN after the end."""
    from lowerbound.readers import pictures

    texts = pictures.texts(trained, x)
    if out is not None:
        if out.suffix.lower() == ".png":
            raise InputError("cannot be written: the examples are texts", where=f"--out {out}", mend="give .txt")
        content = {
            ".npy": lambda: as_npy(x.numpy()),
            ".csv": lambda: as_csv(*cells(trained, x)).encode(),
            ".txt": lambda: "".join(f"{text}\n" for text in texts).encode(),
        }[out.suffix.lower()]()
        options.write(out, content, "--out")
    if as_json:
        output.show_json({"written": out, "shape": list(x.shape), **values(trained, x)})
    elif out is not None:
        output.show(str(out))
    else:
        print("".join(f"{text}\n" for text in texts), end="")
