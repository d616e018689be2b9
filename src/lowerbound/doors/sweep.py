"""``lowerbound sweep``: many betas in one program, and the rate-distortion plane of what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import options, output, run_flags, settings
from lowerbound.doors.run_flags import MODEL, RUN, text
from lowerbound.doors.signals import Clock, Stop
from lowerbound.doors.train import described, next_free, refuse_settings
from lowerbound.errors import InputError, Interrupted

if TYPE_CHECKING:
    from lowerbound.data.dataset import Data
    from lowerbound.readers.rate_distortion import Curve
    from lowerbound.training.run import Run

NAME = "rate-distortion"
"""The files that a finished sweep adds: NAME.svg, NAME.png, NAME.json."""
SECONDS = 60.0
"""Between two checkpoints, each of which holds every member."""


def sweep(
    source: Annotated[
        str | None,
        typer.Argument(
            help="Data set by name, a file or a folder of images, as for train; digits if left out.",
            metavar="SOURCE",
            autocompletion=options.complete_source,
        ),
    ] = None,
    beta: Annotated[
        str | None,
        text("--beta", "Weights of the rate: low:high:count, spaced by factors, or a,b,c.", "BETAS", MODEL),
    ] = None,
    recipe: run_flags.Recipe = None,
    latent: run_flags.Latent = None,
    sets: run_flags.Settings = None,
    epochs: run_flags.Epochs = None,
    batch: run_flags.Batch = None,
    lr: run_flags.Rate = None,
    seed: run_flags.Seed = None,
    device: run_flags.Device = None,
    precision: run_flags.Precision = None,
    threads: options.Threads = None,
    data_dir: options.DataDir = None,
    binarise: run_flags.Binarise = None,
    kind: run_flags.Kind = None,
    array: run_flags.Array = None,
    labels: run_flags.Labels = None,
    valid: run_flags.Valid = None,
    test: run_flags.Test = None,
    samples: Annotated[
        int, typer.Option(help="Latent samples an example when the plane is measured.", metavar="N", min=1)
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="New folder of the sweep (default: the next free runs/NAME-sweep-1).",
            metavar="DIR",
            rich_help_panel=RUN,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Go on with a stopped sweep.", metavar="SWEEP", rich_help_panel=RUN),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train one model for each beta, all in one program, and draw the rate-distortion plane.

    Parameters are stacked, so that a step of all members is one pass. Each member starts from the same weights and sees
    the same rows and the same noise, and is the run that train would make of that beta: its folder SWEEP/beta-... can
    be evaluated, compared, reported and resumed like any other. Beside them: the plane as rate-distortion.svg, .png
    and .json.
    """
    flags = {
        "--latent": latent, "--epochs": epochs, "--batch": batch, "--lr": lr, "--seed": seed, "--device": device,
        "--precision": precision, "--binarise": binarise, "--kind": kind, "--array": array, "--labels": labels,
        "--valid": valid, "--test": test,
    }  # fmt: skip
    options.existing_folder(data_dir, "--data-dir")
    if resume is not None:
        refuse_settings(source, recipe, out, flags | {"--beta": beta}, sets)
        path, (runs, data) = resume, go_on(resume, data_dir, threads)
    else:
        path, runs, data = begin(source, beta, recipe, flags, sets or [], out, data_dir, threads)
    conclude(path, runs, data, samples, as_json)


def begin(
    source: str | None,
    beta: str | None,
    recipe: str | None,
    flags: dict[str, str | None],
    sets: list[str],
    out: Path | None,
    data_dir: Path | None,
    threads: int | None,
) -> tuple[Path, list[Run], Data]:
    """A new sweep: everything is checked before anything is written."""
    if beta is None:
        raise InputError("is missing", where="--beta", mend="give the betas, as in --beta 0.1:10:12")
    if any(item.replace(" ", "").startswith("objective.beta=") for item in sets):
        raise InputError("is what a sweep varies", where="-s objective.beta", mend="give --beta alone")
    if out is not None:
        options.writable(out, "--out")
    spec = settings.spec_of(source, recipe, flags, sets)
    from lowerbound import data as data_floor
    from lowerbound.training import sweep as floor
    from lowerbound.training.run import Run

    betas = floor.betas_of(beta)
    path = out or next_free(f"{Path(spec.data.source.rstrip('/')).name.split('.')[0]}-sweep")
    Run(path).refuse_existing()
    options.use_threads(threads)
    choices = spec.data.model_dump()
    data = data_floor.load(choices.pop("source"), data_dir=data_dir, **choices)
    headline = f"data {data.name}: {described(data)}; recipe {spec.recipe}; sweep folder {path}"
    return path, watched(path, headline, lambda **hooks: floor.sweep(spec, betas, data, path, **hooks)), data


def go_on(path: Path, data_dir: Path | None, threads: int | None) -> tuple[list[Run], Data]:
    """A stopped sweep, taken up where the newest checkpoints of its members left it."""
    from lowerbound import data as data_floor
    from lowerbound.training import sweep as floor

    if not path.is_dir():
        raise InputError("no such sweep folder", where=path, mend="give the folder that sweep wrote")
    spec, _ = floor.read(path)
    options.use_threads(threads)
    choices = spec.data.model_dump()
    data = data_floor.load(choices.pop("source"), data_dir=data_dir, **choices)
    return watched(path, f"going on with {path}", lambda **hooks: floor.resume(path, data, **hooks)), data


def watched(path: Path, headline: str, job: Any) -> list[Run]:
    """Do the job with a progress bar, a clock for checkpoints and an ear for signals."""
    from lowerbound.doors.sweep_progress import watch_for

    watch = watch_for(path, headline)
    with Stop() as stop:
        try:
            runs: list[Run] = job(watch=watch, stop=stop, due=Clock(SECONDS))
        except Interrupted as stopped:
            raise Interrupted(stopped.signal, path, f"lowerbound sweep --resume {path}") from None
        finally:
            watch.close()
    if stop.number is not None:
        raise Interrupted(stop.number, path, f"lowerbound sweep --resume {path}")
    return runs


def conclude(path: Path, runs: list[Run], data: Data, samples: int, as_json: bool) -> None:
    """Measure every member on one split, draw the plane, and say what came out."""
    from lowerbound.readers import rate_distortion as reader
    from lowerbound.training.load import load

    split = next(name for name in ("test", "valid", "train") if len(data.splits[name]))
    output.remark("measuring rate and distortion of every member ...")
    curve = reader.rate_distortion((load(run.path, data) for run in runs), split, samples=samples)
    files = write(path, curve)
    alarms = {run.path.name: [alarm["name"] for alarm in run.alarms()] for run in runs}
    if as_json:
        output.show_json(curve.json() | {"sweep": path, "files": files, "alarms": alarms})
        return
    output.show_columns(curve.rows())
    output.show(curve.words())
    raised = [f"{name} ({', '.join(names)})" for name, names in alarms.items() if names]
    rows = [("alarms", "; ".join(raised) or "none"), ("sweep", path), ("plane", files[0])]
    output.show_columns(rows)


def write(path: Path, curve: Curve) -> list[Path]:
    """The plane as SVG, PNG and numbers, beside the runs."""
    import json

    from lowerbound.readers import figures
    from lowerbound.readers import rate_distortion as reader

    title = f"Rate and distortion, {curve.data}"
    numbers = json.dumps(output.plain(curve.json()), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    contents = {"svg": figures.page(reader.svg(curve), title).encode(), "png": reader.png(curve)}
    contents["json"] = numbers.encode()
    for suffix, content in contents.items():
        options.write(path / f"{NAME}.{suffix}", content, "--out")
    return [path / f"{NAME}.{suffix}" for suffix in contents]
