"""The head of the page: the bound in large type, what it is, and how it splits; or why there is none."""

from __future__ import annotations

from lowerbound.maths.units import Estimate, bits, with_error
from lowerbound.readers.evaluate import Evaluation
from lowerbound.readers.report.findings import Findings
from lowerbound.readers.report.markup import minus, text, tile
from lowerbound.readers.words import several
from lowerbound.training.load import Trained
from lowerbound.training.measure import ACTIVE
from lowerbound.training.setup import game_of


def titled(trained: Trained, e: Evaluation | None) -> str:
    """The title of the page: the run and its bound."""
    figure = f"{e.elbo.value:.2f} nats" if e is not None and e.elbo is not None else "no bound"
    return f"{trained.run.path.name}: {figure}"


def head(trained: Trained, findings: Findings) -> str:
    """The figure of the run, tiles of its parts, and what was minimised."""
    e = findings.evaluation
    if e is None or e.elbo is None or e.rate is None:
        large, lead, bar = "no bound", without(trained, e), ""
        tiles = [] if e is None else [tile(two(e.distortion), "distortion, nats", "grey")]
    else:
        spread = with_error(e.elbo.value, e.elbo.stderr, 2).partition(" ")[2]
        large = f"{minus(e.elbo.value)} <small>{spread} nats per example</small>"
        lead = " ".join((what(e), code(e, e.elbo, e.rate)))
        bar, tiles = split_bar(e, e.rate), terms(trained, e, e.rate)
    return (
        f"<h1>{text(trained.run.path.name)} · {text(about(trained))}</h1>"
        f'<p class="bound">{large}</p><p class="lead">{text(lead)}</p>{bar}'
        f'<div class="tiles">{"".join([*tiles, *classes(findings)])}</div>{naming(findings)}'
        f"<p>{text(trained.objective_words)}</p>"
    )


def two(figure: Estimate) -> str:
    """A figure with two decimals."""
    return with_error(figure.value, figure.stderr, 2)


def about(trained: Trained) -> str:
    """The data in a few words."""
    record = trained.run.record()
    size = " x ".join(str(n) for n in record["shape"])
    made = f" ({record['binarisation']} binarisation)" if record["binarisation"] != "none" else ""
    return f"{record['name']} · {size} · {record['kind']}{made}"


def what(e: Evaluation) -> str:
    """What the large figure is."""
    of = f"averaged over {several(e.examples, f'{e.split} example')} (± is the standard error)"
    if e.exact:
        sentence = e.what[0].upper() + e.what[1:]
        return f"{sentence}, {of}: without latents nothing is left out. Higher is better."
    terms = "the distortion, what the decoder still has to guess once it knows z, and the rate, what z itself costs."
    if not e.normalised:
        return f"No bound on {e.bounded}, but minus the sum, {of}, of {terms}"
    return f"A {e.what} at beta = 1, {of}. Higher is better. It is minus the sum of {terms}"


def code(e: Evaluation, elbo: Estimate, rate: Estimate) -> str:
    """The same as a code length, or why it is none."""
    if e.warning:
        return e.warning
    if not e.discrete:
        return "The values are real numbers, so this is of a density: it may be positive, and it is no code length."
    parts = "" if e.exact else f": {bits(rate.value):.1f} for z and {bits(e.distortion.value):.1f} for x given z"
    each = f"{bits(-elbo.value) / e.parts:.3f} bits a {e.part}"
    return f"As a code, an example takes {bits(-elbo.value):.1f} bits{parts}, {each}."


def split_bar(e: Evaluation, rate: Estimate) -> str:
    """Rate and distortion as shares of their sum."""
    share = rate.value / max(rate.value + e.distortion.value, 1e-12)
    if not 0 < share < 1:
        return ""
    return (
        f'<div class="split" role="img" aria-label="rate is {100 * share:.0f} percent of the sum">'
        f'<i class="r" style="width:{100 * share:.2f}%"></i><i class="d" style="flex:1"></i></div>'
    )


def terms(trained: Trained, e: Evaluation, rate: Estimate) -> list[str]:
    """The tiles of a bound: its terms, the latents in use, the weight of the rate; of an exact figure none."""
    if e.exact:
        return []
    used = "" if e.active_dimensions is None else f"{e.active_dimensions} of {e.latent}"
    rows = trained.run.metrics()
    beta = [tile(f"{rows[-1]['effective_beta']:.4g}", "effective beta")] if rows else []
    return [
        tile(two(rate), "rate (KL), nats", "blue"),
        tile(two(e.distortion), "distortion, nats", "grey"),
        *(
            [tile(used, f"active latents (above {ACTIVE} nats)")]
            if used
            else [tile(str(e.latent), "latents, one rate")]
        ),
        *beta,
    ]


def classes(findings: Findings) -> list[str]:
    """The classification error, of a model that names classes."""
    found = findings.classes
    return [] if found is None else [tile(f"{two(found.error)} %", f"classification error, {found.split}")]


def naming(findings: Findings) -> str:
    """Where the names of the classes come from."""
    found = findings.classes
    return "" if found is None else f"<p>{text(f'Of the classes: {found.how()}; {found.accuracy.n:,} examples.')}</p>"


def without(trained: Trained, e: Evaluation | None) -> str:
    """Why there is no bound, and what can be said instead."""
    if e is None:
        return game_of(trained.spec, trained.model).without
    return " ".join(
        (
            "Its codes have no density, so the KL to any prior is infinite, and there is no bound on "
            f"{e.bounded} to report. The distortion, {e.distortion} on {e.split} examples, is what the decoder still "
            "has to guess once it knows the code; what the code costs is not in it, so it compares with no bound.",
            *([e.warning] if e.warning else []),
        )
    )
