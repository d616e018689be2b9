"""``lowerbound reproduce``: published results again, one command a suite, resumable, as a table."""

from __future__ import annotations

import json
import math
import statistics
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from lowerbound.doors import options, output, recipes
from lowerbound.doors.signals import Stopped
from lowerbound.errors import InputError, Interrupted, nearest

FOLDER = Path(__file__).parent.parent / "recipes" / "suites"


def names() -> list[str]:
    """Every suite that comes with the library."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def reproduce(
    suite: Annotated[
        str | None, typer.Argument(help="Which results; left out, the suites are listed.", metavar="[SUITE]")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this row; may be repeated.", metavar="ROW")
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds a row.", metavar="N", min=1)] = 1,
    scale: Annotated[
        float, typer.Option(help="Share of each row's epochs: 0.02 is a rehearsal.", metavar="X", min=0.0, max=1.0)
    ] = 1.0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of runs and table (default: runs/SUITE); finished runs are kept."),
    ] = None,
    finished: Annotated[
        bool, typer.Option("--finished", help="Train nothing: the table of the rows that are finished.")
    ] = False,
    threads: options.Threads = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Reproduce published results: train each row, measure its figures, lay them beside what was published.

    A suite may be stopped at any moment and started again with the same command: finished runs are kept, a stopped
    one goes on. The table is written as SUITE.md and SUITE.json after every row.
    """
    if suite is None:
        output.show_columns([(name, str(read(name).get("about", ""))) for name in names()])
        return
    if not scale > 0:
        raise InputError(f"{scale:g} of a row's epochs", where="--scale", mend="give a share above 0 and up to 1")
    table = read(suite)
    wanted = chosen(rows_of(table), only)
    folder = out or Path("runs") / suite
    options.use_threads(threads)
    if finished:
        wanted = [row for row in wanted if all(done(folder / f"{row['name']}-{seed}") for seed in range(seeds))]
        if not wanted:
            raise InputError("no row is finished", where=folder, mend="leave --finished out, and they are trained")
    results: list[dict[str, Any]] = []
    for row in wanted:
        with going_on(folder):
            runs = [run_of(row, seed, scale, folder, data_dir) for seed in range(seeds)]
            results.append(summed(row, [measured(row, run, data_dir) for run in runs], seeds, scale))
        folder.mkdir(parents=True, exist_ok=True)
        options.write(folder / f"{suite}.json", (json.dumps(output.plain(results), indent=2) + "\n").encode(), "--out")
        options.write(folder / f"{suite}.md", markdown(table, results).encode(), "--out")
    if as_json:
        output.show_json(results)
    else:
        output.show(markdown(table, results))


def read(suite: str) -> dict[str, Any]:
    """A suite by name: what it is about, what its rows have in common, and the rows."""
    if suite not in names():
        raise InputError(f"unknown suite {suite!r}", where="reproduce", mend=nearest(suite, names()))
    return tomllib.loads((FOLDER / f"{suite}.toml").read_text(encoding="utf-8"))


def rows_of(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a suite, each laid on what they have in common.

    >>> rows_of({"common": {"recipe": "frey", "settings": {"latent": 2}}, "row": [{"name": "a", "settings": {}}]})
    [{'recipe': 'frey', 'settings': {'latent': 2}, 'name': 'a'}]
    """
    from lowerbound.training.spec import merge

    return [merge(table.get("common", {}), row) for row in table["row"]]


def chosen(rows: Sequence[dict[str, Any]], only: Sequence[str] | None) -> list[dict[str, Any]]:
    """The rows asked for, and those whose codes they are trained on."""
    known = [row["name"] for row in rows]
    for name in only or ():
        if name not in known:
            raise InputError(f"unknown row {name!r}", where="--only", mend=nearest(name, known))
    if not only:
        return list(rows)
    needed = {row.get("codes_of") for row in rows if row["name"] in only}
    return [row for row in rows if row["name"] in only or row["name"] in needed]


@contextmanager
def going_on(folder: Path) -> Iterator[None]:
    """A stop is answered with the way to go on with the whole suite, not with the one run that was in progress."""
    try:
        yield
    except (Interrupted, Stopped) as stopped:
        raise Interrupted(stopped.signal, folder, "the same command; what is finished is kept") from None


def done(path: Path) -> bool:
    """Whether a finished run lies there."""
    from lowerbound.training.run import Run

    return path.exists() and Run(path).sealed()


def run_of(row: Mapping[str, Any], seed: int, scale: float, folder: Path, data_dir: Path | None) -> Path:
    """The finished run of a row and a seed: as it lies there, gone on with, or trained now."""
    from lowerbound.doors.train import begin, go_on
    from lowerbound.training.spec import complete, merge

    path = folder / f"{row['name']}-{seed}"
    settings = merge(complete(recipes.settings_of(row["recipe"])), row.get("settings", {}))
    epochs = max(1, math.ceil(scale * settings["training"]["epochs"]))
    if path.exists():
        refuse_other_settings(path, settings, epochs)
        return path if done(path) else go_on(path, data_dir, None).path
    source = row.get("source", "mnist")
    if "codes_of" in row:
        source = str(codes_of(folder / f"{row['codes_of']}-{seed}", data_dir))
    folder.mkdir(parents=True, exist_ok=True)
    flags: dict[str, str | None] = {"--seed": str(seed), "--epochs": str(epochs)}
    output.remark(f"== {row['name']}, seed {seed}: {epochs} epochs")
    return begin(source, row["recipe"], flags, told(row), path, data_dir, None).path


def told(row: Mapping[str, Any]) -> list[str]:
    """A row's settings as ``-s`` takes them, but for the epochs.

    >>> told({"settings": {"latent": 2, "training": {"epochs": 3, "optimiser": "adam"}, "encoder": {"name": "mlp"}}})
    ['latent=2', 'training.optimiser=adam', 'encoder.name="mlp"']
    """
    from lowerbound.doors.settings import WORDS

    found = [(key, value) for key, value in flat(row.get("settings", {})) if key != "training.epochs"]
    return [f"{key}={value if key in WORDS else json.dumps(value)}" for key, value in found]


def refuse_other_settings(path: Path, settings: Mapping[str, Any], epochs: int) -> None:
    """A run that lies there counts for a row only if it was trained as the row says."""
    from lowerbound.training.run import Run
    from lowerbound.training.spec import Spec

    wanted, found = dict(flat(Spec.of(settings).settings())), dict(flat(Run(path).spec().settings()))
    wanted["training.epochs"] = epochs
    free = ("training.seed", "training.device", "about", "recipe", "data.source", "data.array", "data.labels")
    for key in wanted.keys() | found.keys():
        if key not in free and wanted.get(key) != found.get(key):
            what = f"its {key} is {found.get(key)!r}, that of the row {wanted.get(key)!r}"
            raise InputError(what, where=path, mend="give another --out, or remove that folder")


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested settings as (part.option, value).

    >>> flat({"training": {"batch": 20}, "latent": 2})
    [('training.batch', 20), ('latent', 2)]
    """
    found: list[tuple[str, Any]] = []
    for key, value in settings.items():
        path = f"{prefix}{key}"
        found += flat(value, f"{path}.") if isinstance(value, Mapping) else [(path, value)]
    return found


def codes_of(run: Path, data_dir: Path | None) -> Path:
    """The codes of a finished run as data for another."""
    from lowerbound.doors.codes import every_split
    from lowerbound.doors.read import open_run

    target = run / "codes.npz"
    if not target.exists():
        every_split(open_run(run, data_dir), target, True)
    return target


def measured(row: Mapping[str, Any], run: Path, data_dir: Path | None) -> dict[str, Any]:
    """The figures of one run; kept beside it, so that a second call only reads."""
    from lowerbound.doors.figures_of import FIGURES
    from lowerbound.doors.read import open_run

    kept = run / "reproduced.json"
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    missing = [name for name in row["figures"] if name not in found]
    if missing:
        trained = open_run(run, data_dir)
        found |= {name: FIGURES[name](trained).json() for name in missing}
        options.write(kept, (json.dumps(found, indent=2) + "\n").encode(), "reproduce")
    return {name: found[name] for name in row["figures"]} | {"seconds": seconds(run)}


def seconds(run: Path) -> float | None:
    """How long training took, from the run's own timing."""
    try:
        lines = (run / "timing.jsonl").read_text(encoding="utf-8").splitlines()
        return sum(float(json.loads(line)["seconds"]) for line in lines)
    except (OSError, ValueError, KeyError):
        return None


def summed(row: Mapping[str, Any], found: Sequence[dict[str, Any]], seeds: int, scale: float) -> dict[str, Any]:
    """One row of the table: each figure's mean over seeds and its spread."""
    out: dict[str, Any] = {"name": row["name"], "recipe": row["recipe"], "published": row.get("published", "")}
    for name in row["figures"]:
        values = [f[name]["value"] for f in found]
        known = None not in values
        spread = statistics.stdev(values) if known and len(values) > 1 else None
        first = found[0][name]
        out[name] = {"value": sum(values) / len(values) if known else None, "spread": spread, "unit": first["unit"]}
        out[name] |= {"stderr": first["stderr"], "n": first["n"], "values": values}
    times = [f["seconds"] for f in found if f["seconds"] is not None]
    return out | {"seconds": sum(times) / len(times) if times else None, "seeds": seeds, "scale": scale}


def markdown(table: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> str:
    """The table as Markdown; the spread is over seeds, or the standard error over examples where there is one seed."""
    lines = ["| row | recipe | measured | published | seconds |", "| --- | --- | --- | --- | --- |"]
    fixed = {"name", "recipe", "published", "seconds", "seeds", "scale"}
    for r in results:
        cells = "; ".join(shown(name, figure) for name, figure in r.items() if name not in fixed)
        time = "" if r["seconds"] is None else f"{r['seconds']:.0f}"
        lines.append(f"| {r['name']} | {r['recipe']} | {cells} | {r['published']} | {time} |")
    scales = {r["scale"] for r in results}
    note = "" if scales == {1.0} else f"\n\nA rehearsal: {100 * max(scales):g} % of each row's epochs."
    return "\n".join(lines) + note + "\n"


def shown(name: str, figure: Mapping[str, Any]) -> str:
    """One figure in words, small ones with more digits.

    >>> shown("rate", {"value": 5.5, "spread": 0.18, "unit": "nats"})
    'rate 5.50 ± 0.18 nats'
    >>> shown("claimed-kl", {"value": 0.0074, "spread": None, "stderr": 0.0, "unit": "nats"})
    'claimed-kl 0.0074 nats'
    >>> shown("active", {"value": 2.0, "spread": 0.0, "unit": "dimensions"})
    'active 2 dimensions'
    >>> shown("active", {"value": None, "spread": None, "stderr": 0.0, "unit": "dimensions"})
    'active -'
    """
    if figure["value"] is None:
        return f"{name} -"
    spread = figure["spread"] if figure["spread"] is not None else figure["stderr"]
    if figure["unit"] == "dimensions":
        return f"{name} {round(figure['value'], 1):g} dimensions"
    digits = 4 if abs(figure["value"]) < 0.2 else 2
    error = f" ± {spread:.{digits}f}" if spread else ""
    return f"{name} {figure['value']:.{digits}f}{error} {figure['unit']}"
