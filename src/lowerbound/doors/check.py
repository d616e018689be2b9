"""``lowerbound check``: convict or acquit a VAE loss, a module or a log."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.errors import InputError

if TYPE_CHECKING:
    from lowerbound.audit.log import LogVerdict
    from lowerbound.audit.verdict import Finding, Verdict


MOST = 1_000_000
"""Seconds, or GiB, that a limit may be."""


def check(
    target: Annotated[
        str | None, typer.Argument(help="FILE:NAME of a loss function, or of a module with step and batch beside it.")
    ] = None,
    x: Annotated[str | None, typer.Option("--x", help="Name of the parameter with the data.", metavar="NAME")] = None,
    recon: Annotated[
        str | None, typer.Option("--recon", help="Name of the parameter with the decoder's output.", metavar="NAME")
    ] = None,
    mean: Annotated[
        str | None, typer.Option("--mean", help="Name of the parameter with the posterior mean.", metavar="NAME")
    ] = None,
    spread: Annotated[
        str | None, typer.Option("--spread", help="Name of the parameter with the posterior spread.", metavar="NAME")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option("--sampler", help="Name of sampler(mu, s, eps) in the same file.", metavar="NAME")
    ] = None,
    sizes: Annotated[
        str, typer.Option("--sizes", help="Examples a batch, parts of an example, latent dimensions.", metavar="N,N,N")
    ] = "128,784,20",
    x_space: Annotated[
        str, typer.Option("--x-space", help="What x is: unit, binary, real, onehot, count or adj.", metavar="NAME")
    ] = "unit",
    out_space: Annotated[
        str,
        typer.Option("--out-space", help="What the decoder gives: prob, logit, real, rate or none.", metavar="NAME"),
    ] = "prob",
    framework: Annotated[
        str, typer.Option("--framework", help="Of the loss: torch, numpy, jax or keras.", metavar="NAME")
    ] = "torch",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Examples (.npy, .npz or .csv) for a forecast of collapse.", metavar="FILE"),
    ] = None,
    log: Annotated[
        Path | None, typer.Option("--log", help="A CSV of metrics to audit instead of a function.", metavar="FILE")
    ] = None,
    examples: Annotated[
        int | None, typer.Option("--examples", help="With --log: examples in the training set.", metavar="N")
    ] = None,
    bernoulli: Annotated[bool, typer.Option("--bernoulli", help="With --log: the likelihood is Bernoulli.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture", help="Draw the KL of the loss over the true one: .png, .svg or .pdf.", metavar="FILE"
        ),
    ] = None,
    limit: Annotated[
        float, typer.Option("--limit", help="Seconds that the audited code may take.", metavar="SECONDS")
    ] = 60.0,
    memory: Annotated[
        float, typer.Option("--memory", help="GiB of memory that the audited code may take.", metavar="GIB")
    ] = 8.0,
    json_: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Audit a VAE loss: exit code 0 acquitted, 1 convicted, 2 unusable input."""
    try:
        if log is not None:
            report = audit_log(log, examples, bernoulli)
            typer.echo(report.to_json() if json_ else log_text(report))
            raise typer.Exit(0 if report.acquitted else 1)
        names = {"x_name": x, "out_name": recon, "mu_name": mean, "s_name": spread}
        spec = {"target": target, "x": x_space, "out": out_space, "sampler": sampler, "framework": framework, **names}
        verdict = audit_target(spec, sizes, limit, memory)
        coming = collapse(verdict, data) if data is not None else ""
        if picture is not None:
            from lowerbound.audit.picture import draw

            draw(verdict, picture)
        typer.echo(verdict.to_json() if json_ else text(verdict) + coming)
    except InputError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if verdict.acquitted else 1)


def audit_target(spec: dict[str, Any], sizes: str, limit: float, memory: float) -> Verdict:
    """Run the audit in its own process."""
    from lowerbound.audit.sandbox import run

    above_zero("--limit", limit, "seconds")
    above_zero("--memory", memory, "GiB")
    if not spec["target"]:
        raise InputError("nothing to audit", where="lowerbound check", mend="give FILE:NAME, or --log metrics.csv")
    try:
        three = [int(n) for n in sizes.split(",")]
    except ValueError:
        three = []
    if len(three) != 3 or min(three) < 1:
        raise InputError(f"is {sizes!r}", where="--sizes", mend="write three positive integers, as 128,784,20")
    return run({**spec, "sizes": three}, limit, memory)


def above_zero(flag: str, value: float, unit: str) -> None:
    """Refuses a limit that nothing could keep, or that the system cannot count to."""
    if not 0 < value <= MOST:
        raise InputError(f"is {value:g}", where=flag, mend=f"give {unit}: a number above 0 and up to {MOST:,}")


def audit_log(path: Path, examples: int | None, bernoulli: bool) -> LogVerdict:
    """Audit a CSV of metrics."""
    from lowerbound.audit.log import check_log

    if not path.is_file():
        raise InputError("no such file", where=path, mend="give the CSV that training wrote")
    return check_log(path.read_text(errors="replace"), examples=examples, bernoulli=bernoulli)


def collapse(verdict: Verdict, data: Path) -> str:
    """The forecast of collapse on a file of examples."""
    import numpy as np

    from lowerbound.audit.forecast import forecast

    if not data.is_file():
        raise InputError("no such file", where=data, mend="give .npy, .npz or .csv with one example per row")
    if data.suffix == ".csv":
        table = np.genfromtxt(data, delimiter=",", skip_header=1)
    else:
        loaded = np.load(data, allow_pickle=False)
        table = loaded[loaded.files[0]] if hasattr(loaded, "files") else loaded
    if verdict.beta is None or verdict.beta <= 0:
        return "\nforecast: none, beta is undefined"
    return "\nforecast: " + forecast(table, verdict.beta, verdict.sizes[2], verdict.likelihood).sentence


def text(verdict: Verdict) -> str:
    """The sentence, the table, the findings and the patch."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in rows(verdict):
        table.add_row(name, value)
    stream = io.StringIO()
    console = Console(file=stream, width=110, color_system=None)
    console.print(verdict.sentence, markup=False, highlight=False)
    console.print(table)
    for finding in verdict.findings:
        console.print(finding_text(finding), markup=False, highlight=False)
    for word in verdict.unknown:
        console.print(f"unknown: {word}", markup=False, highlight=False)
    console.print("acquitted" if verdict.acquitted else "convicted", markup=False)
    return stream.getvalue().rstrip()


def rows(verdict: Verdict) -> list[tuple[str, str]]:
    """Name and value of the table."""

    def six(value: float | None) -> str:
        return "-" if value is None else f"{value:.6g}"

    return [
        ("bound", verdict.bound),
        ("s is", verdict.parametrisation),
        (
            "likelihood",
            f"{verdict.likelihood}, weight r = {verdict.likelihood_expression} = {six(verdict.likelihood_weight)}",
        ),
        ("KL", f"{verdict.kl_form}, weight k = {verdict.kl_expression} = {six(verdict.kl_weight)}"),
        ("effective beta", f"{verdict.beta_expression} = {six(verdict.beta)}"),
        ("prior variance", six(verdict.prior_variance)),
        ("decoder variance", six(verdict.decoder_variance)),
        ("sampler agrees", {True: "yes", False: "no", None: "unknown"}[verdict.sampler_agrees]),
        ("confidence", f"{verdict.confidence:g}"),
    ]


def finding_text(finding: Finding) -> str:
    """One finding in one or two lines."""
    line = f"{finding.code:<3} {finding.severity:<5} {finding.sentence}"
    return line + (f"\n          mend: {finding.patch}" if finding.patch else "")


def log_text(report: LogVerdict) -> str:
    """A log's findings."""
    lines = [finding_text(f) for f in report.findings]
    return "\n".join([*lines, "acquitted" if report.acquitted else "convicted"])
