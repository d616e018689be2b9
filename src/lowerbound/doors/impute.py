"""``impute``: missing cells of a table (or values of pictures) drawn by a model, several times each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import files, options, output
from lowerbound.doors.read import Split, open_run, split_of
from lowerbound.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from lowerbound.training.load import Trained

SUFFIXES = (".csv", ".npz")


def impute(
    run: options.RunFolder,
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Rows like those of training, cells missing: .csv, .tsv, .parquet or .npy.", metavar="[FILE]"
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of each row.", metavar="N", min=1, max=10_000)] = 20,
    steps: Annotated[int, typer.Option(help="Steps of each chain.", metavar="N", min=0)] = 100,
    method: Annotated[str, typer.Option(help="metropolis, gibbs or resampling.", metavar="NAME")] = "metropolis",
    out: Annotated[
        Path | None, typer.Option("--out", help=".csv or .npz (default: CSV on the screen).", metavar="FILE")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Hide known cells of the run's own data, and see if draws cover them.")
    ] = False,
    split: Split = None,
    hidden: Annotated[float, typer.Option(help="With --check: the share of cells to hide.", metavar="X")] = 0.2,
    rows: Annotated[int, typer.Option(help="With --check: how many rows.", metavar="N", min=1)] = 500,
    seed: options.Seed = 0,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Fill missing cells with draws from what the model expects given the rest of the row.

    A missing cell has no one right value: each draw is one that is possible, and their spread is the uncertainty. The
    table that is written holds every row as often as there are draws, with all its columns, known cells as they were.
    With --check no file is read: known cells are hidden, and the table says which share an interval of 90 %
    covers, or of as near to 90 % as so many draws allow.
    """
    files.checked(out, SUFFIXES)
    if check == (source is not None):
        raise InputError("give either a file or --check", where="impute", mend="as in: impute RUN rows.csv --out a.csv")
    options.use_threads(threads)
    trained = open_run(run, data_dir, device)
    if check:
        show_coverage(trained, split_of(trained, split), hidden, rows, draws, steps, method, seed, as_json)
        return
    from lowerbound.readers.impute import impute as drawn

    given = read(trained, source)  # type: ignore[arg-type]
    found = drawn(trained, given.values, draws=draws, steps=steps, method=method, seed=seed)  # type: ignore[arg-type]
    for note in (*given.notes, *found.words()):
        output.remark(note)
    if out is not None:
        options.write(out, packed(trained, out, given, found.draws), "--out")
    if as_json:
        cells = {"missing": int(found.missing.sum()), "draws": draws, "rows": len(given.values)}
        output.show_json({"written": out, **cells, "columns": given.names, "values": None if out else found.draws})
    elif out is not None:
        output.show(str(out))
    else:
        print(as_csv(trained, given, found.draws), end="")


def show_coverage(
    trained: Trained,
    split: str,
    hidden: float,
    rows: int,
    draws: int,
    steps: int,
    method: str,
    seed: int,
    as_json: bool,
) -> None:
    """The table of covered cells."""
    from lowerbound.readers.impute import coverage

    chosen: dict[str, Any] = {"hidden": hidden, "rows": rows, "draws": draws, "steps": steps, "method": method}
    found = coverage(trained, split, seed=seed, **chosen)
    if as_json:
        output.show_json(found.json())
        return
    for line in found.lines():
        output.show(line)


@dataclass
class Given:
    """Rows as they were read: ``values`` (n, *shape) for the model, NaN where missing; of a table also its ``cells``
    (name -> words or numbers, None or NaN where missing), in the order of the file."""

    values: np.ndarray
    names: list[str]
    cells: dict[str, np.ndarray]
    notes: list[str]


def read(trained: Trained, path: Path) -> Given:
    """The rows of a file."""
    from lowerbound.data.formats import parquet, text
    from lowerbound.data.formats.detect import detect
    from lowerbound.data.load import existing

    found = detect(existing(path))
    if found in ("text", "parquet"):
        cells, line = text.read(path) if found == "text" else (parquet.read(path), 0)
        return of_table(trained, cells, str(path), line)
    if found != "npy":
        raise InputError(f"is {found}", where=path, mend="give .csv, .tsv, .parquet or .npy with NaN where missing")
    return of_array(trained, path)


def of_table(trained: Trained, cells: dict[str, np.ndarray], where: str, line: int) -> Given:
    """Columns by name, coded as in training."""
    import numpy as np

    from lowerbound.data.table import again

    encoded = again(cells, trained.run.record(), where, line)
    values = np.stack(encoded.cells, 1)
    shape = tuple(trained.run.record()["shape"])
    if values.shape[1:] != shape:
        raise InputError(f"has {values.shape[1]} columns", where=where, mend=f"the run was trained on {shape}")
    return Given(values, [column.name for column in encoded.columns], cells, encoded.notes)


def of_array(trained: Trained, path: Path) -> Given:
    """An array in the units of training's source, NaN where missing."""
    import numpy as np

    from lowerbound.data.formats import npy
    from lowerbound.data.load import from_array

    held = np.asarray(npy.read(path))
    missing = np.isnan(held) if held.dtype.kind == "f" else np.zeros(held.shape, bool)
    if missing.all():
        raise InputError("holds no known value", where=path, mend="give rows with some cells known")
    record, filled = trained.run.record(), np.where(missing, held[~missing].min(), held)
    if record["kind"] == "table":
        raise InputError("is no table with names", where=path, mend="give a .csv or .parquet with the columns' names")
    x = from_array(filled, name=str(path), like=record).splits["train"].x.double().numpy()
    x[missing.reshape(x.shape)] = np.nan
    return Given(x, files.value_names(trained), {}, [])


def packed(trained: Trained, out: Path, given: Given, draws: np.ndarray) -> bytes:
    """The content of the file."""
    import io

    import numpy as np

    if out.suffix.lower() == ".csv":
        return as_csv(trained, given, draws).encode()
    content = io.BytesIO()
    arrays = {"draws": draws, "missing": np.isnan(given.values), "columns": np.array(given.names)}
    np.savez(content, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def as_csv(trained: Trained, given: Given, draws: np.ndarray) -> str:
    """Every draw of every row: the number of the draw, the number of the row, then the columns as they were given."""
    columns = {column["name"]: column for column in trained.run.record().get("columns", ())}
    place = {name: j for j, name in enumerate(given.names)}
    names = list(given.cells) or given.names
    lead = [unused(word, names) for word in ("draw", "row")]
    flat = draws.reshape(*draws.shape[:2], -1)
    rows = []
    for d in range(len(flat)):
        for i in range(flat.shape[1]):
            cells = [cell(given, columns.get(n), n, i, flat[d, i, place[n]] if n in place else None) for n in names]
            rows.append([d, i, *cells])
    return files.as_csv([*lead, *names], rows)


def unused(word: str, names: list[str]) -> str:
    """``word``, with lines before it as long as a column has that name."""
    while word in names:
        word = f"_{word}"
    return word


def cell(given: Given, column: dict[str, Any] | None, name: str, row: int, drawn: float | None) -> Any:
    """One cell of the table: as it was given if it was known, else drawn and written as its kind is."""
    known = given.cells[name][row] if name in given.cells else None
    if known is not None and known == known:
        return known
    if drawn is None:
        return ""
    if column is not None and column["levels"]:
        return column["levels"][int(drawn)]
    whole = column is not None and column["kind"] in ("count", "binary")
    return int(drawn) if whole or float(drawn).is_integer() else float(drawn)
