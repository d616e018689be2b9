"""``lowerbound train``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.doors import options, output, run_flags, settings
from lowerbound.doors.run_flags import MODEL, RUN, text
from lowerbound.doors.signals import Clock, Stop
from lowerbound.errors import InputError, Interrupted

if TYPE_CHECKING:
    from lowerbound.training.run import Run


def train(
    source: Annotated[
        str | None,
        typer.Argument(
            help="Data set by name (digits, mnist, ...), a file (.npy .npz .csv .parquet idx) or a folder of images; "
            "digits if left out.",
            metavar="SOURCE",
            autocompletion=options.complete_source,
        ),
    ] = None,
    recipe: run_flags.Recipe = None,
    latent: run_flags.Latent = None,
    beta: Annotated[
        str | None, text("--beta", "Weight of the rate in the objective; 1 is the bound itself.", "X", MODEL)
    ] = None,
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
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="New folder of the run (default: the next free runs/NAME-1).",
            metavar="DIR",
            rich_help_panel=RUN,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            help="Go on with a stopped run, bitwise as if never stopped.",
            metavar="RUN",
            rich_help_panel=RUN,
            autocompletion=options.complete_run,
        ),
    ] = None,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Write no report.html at the end.", rich_help_panel=RUN)
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Train a variational autoencoder and write a report.

    Prints what is optimised and how strongly the KL really counts, then a bar with the bound and its two
    terms in nats; raises alarms with cause and cures; keeps the weights with the best held-out bound. Ctrl-C writes a
    checkpoint first.
    """
    flags = {
        "--latent": latent, "--beta": beta, "--epochs": epochs, "--batch": batch, "--lr": lr, "--seed": seed,
        "--device": device, "--precision": precision, "--binarise": binarise, "--kind": kind, "--array": array,
        "--labels": labels, "--valid": valid, "--test": test,
    }  # fmt: skip
    options.existing_folder(data_dir, "--data-dir")
    if resume is not None:
        refuse_settings(source, recipe, out, flags, sets)
        run = go_on(resume, data_dir, threads)
    else:
        run = begin(source, recipe, flags, sets or [], out, data_dir, threads)
    report = None if no_report else write_report(run, data_dir)
    conclude(run, report, as_json)


def begin(
    source: str | None,
    recipe: str | None,
    flags: dict[str, str | None],
    sets: list[str],
    out: Path | None,
    data_dir: Path | None,
    threads: int | None,
) -> Run:
    """A new run: everything is checked before anything is written."""
    if out is not None:
        options.writable(out, "--out")
    spec = settings.spec_of(source, recipe, flags, sets)
    from lowerbound import data as data_floor
    from lowerbound.training import loop
    from lowerbound.training.run import Run

    path = out or next_free(spec.data.source)
    Run(path).refuse_existing()
    options.use_threads(threads)
    choices = spec.data.model_dump()
    data = data_floor.load(choices.pop("source"), data_dir=data_dir, **choices)
    headline = f"data {data.name}: {described(data)}; recipe {spec.recipe}; run folder {path}"
    return watched(path, headline, lambda **hooks: loop.train(spec, data, path, **hooks))


def go_on(path: Path, data_dir: Path | None, threads: int | None) -> Run:
    """A stopped run, taken up where its newest checkpoint left it."""
    from lowerbound import data as data_floor
    from lowerbound.training import loop
    from lowerbound.training.run import Run

    header = Run(path).header()
    spec = Run(path).spec()
    options.use_threads(threads or header.get("environment", {}).get("threads"))
    if Run(path).record().get("source") == "memory":
        mend = "resume it in Python: training.loop.resume(run, data)"
        raise InputError("was trained on an array in memory, which a run folder does not keep", where=path, mend=mend)
    choices = spec.data.model_dump()
    data = data_floor.load(choices.pop("source"), data_dir=data_dir, **choices)
    return watched(path, f"going on with {path}", lambda **hooks: loop.resume(path, data, **hooks))


def watched(path: Path, headline: str, job: Any) -> Run:
    """Do the job with a progress bar, a clock for checkpoints and an ear for signals."""
    from lowerbound.doors.progress import watch_for

    watch = watch_for(path, headline)
    with Stop() as stop:
        try:
            run: Run = job(watch=watch, stop=stop, due=Clock())
        finally:
            watch.close()
    if stop.number is not None:
        raise Interrupted(stop.number, path)
    return run


def refuse_settings(
    source: str | None, recipe: str | None, out: Path | None, flags: dict[str, str | None], sets: list[str] | None
) -> None:
    """A resumed run keeps its own settings: others are refused rather than ignored."""
    given = [flag for flag, value in flags.items() if value is not None]
    given += [name for name, value in (("SOURCE", source), ("--recipe", recipe), ("--out", out)) if value is not None]
    given += ["-s"] if sets else []
    if given:
        raise InputError("a resumed run keeps its own settings", where="--resume", mend=f"leave out {', '.join(given)}")


def next_free(source: str) -> Path:
    """The first of runs/NAME-1, runs/NAME-2, ... that does not exist."""
    name = Path(source.rstrip("/")).name.split(".")[0] or "run"
    number = 1
    while (path := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return options.writable(path, "--out")


def described(data: Any) -> str:
    """A data set in one phrase."""
    shape = " x ".join(map(str, data.shape))
    counts = ", ".join(f"{len(split):,} {name}" for name, split in data.splits.items())
    drawn = "" if data.binarisation == "none" else f", binarised: {data.binarisation}"
    return f"{counts} examples of {shape} ({data.kind}{drawn})"


def write_report(run: Run, data_dir: Path | None) -> Path | None:
    """The report of a finished run."""
    from lowerbound.doors.read import make_report

    output.remark("writing the report ...")
    return make_report(run.path, data_dir)


def figures_of(held_out: dict[str, Any], split: str, epoch: int) -> list[tuple[str, str]]:
    """Bound, rate and distortion in words, as far as the model has them."""
    if held_out["distortion"] is None:
        return [("bound", "none: this model has no encoder, and nothing in its training is a likelihood")]
    distortion = ("distortion", f"{held_out['distortion']:.2f} nats: what remains unsaid")
    where = f"{split} split, epoch {epoch}"
    if held_out["bound"] is None:
        return [
            ("bound", "none: the model has no density over its codes"),
            (distortion[0], f"{distortion[1]} ({where})"),
        ]
    bound = output.estimate(held_out["bound"], held_out.get("bound_stderr"), "nats per example")
    rate = ("rate", f"{held_out['rate']:.2f} nats: what the latents say about x")
    return [("bound", f"{bound} ({where}; higher is better)"), rate, distortion]


def conclude(run: Run, report: Path | None, as_json: bool) -> None:
    """Say what came out: the best held-out bound, or the last one, and where everything lies."""
    rows = run.metrics()
    row = next((row for row in reversed(rows) if row["best"]), rows[-1])
    held_out = row["valid"] or row["train"]
    split = "valid" if row["valid"] else "train"
    found = {
        "run": run.path,
        "report": report,
        "epoch": row["epoch"],
        "split": split,
        "unit": "nats per example",
        "bound": held_out["bound"],
        "bound_stderr": held_out.get("bound_stderr"),
        "rate": held_out["rate"],
        "distortion": held_out["distortion"],
        "active_dimensions": held_out.get("active_dimensions"),
        "alarms": [alarm["name"] for alarm in run.alarms()],
    }
    if as_json:
        output.show_json(found)
        return
    rows_ = [
        *figures_of(held_out, split, row["epoch"]),
        ("alarms", ", ".join(found["alarms"]) or "none"),
        ("run", run.path),
    ]
    output.show_columns([*rows_, *([("report", report)] if report else [])])
