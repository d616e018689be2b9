"""The report: one self-contained page that opens offline and tells a run to someone who has never seen the project."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
import torch

from lowerbound.errors import InputError
from lowerbound.maths.units import bits
from lowerbound.readers import figures, pictures
from lowerbound.readers.evaluate import Evaluation, evaluate
from lowerbound.readers.explain_run import RunExplanation, explain_run
from lowerbound.readers.latent.manifold import manifold
from lowerbound.readers.two_sample import section
from lowerbound.training.load import Trained
from lowerbound.training.measure import ACTIVE

POINTS = 1500
"""Examples shown in the latent plane."""


def report(trained: Trained, *, split: str | None = None) -> Path:
    """Write RUN/report.html and RUN/evaluation.json; returns the page's path.

    Args:
        split: what the large figure is measured on: by default the test split, else validation, else training.
    """
    chosen = split or next(name for name in ("test", "valid", "train") if len(trained.data.splits[name]))
    evaluation = evaluated(trained, chosen)
    if evaluation is not None:
        trained.run.write_json("evaluation.json", evaluation.json())
    return trained.run.write_file("report.html", page(trained, evaluation, chosen).encode())


def evaluated(trained: Trained, split: str) -> Evaluation | None:
    """The figures of a split; None of a model without an encoder."""
    return evaluate(trained, split) if trained.model.encoder is not None or not trained.spec.latent else None


def page(trained: Trained, evaluation: Evaluation | None, split: str) -> str:
    """The page as text; a section that the model has nothing for says why."""
    bounded = evaluation is not None and evaluation.elbo is not None
    sections = (
        headline(trained, evaluation) if evaluation is not None else no_bound(trained, evaluation),
        alarms(trained),
        dimensions(trained, evaluation) if evaluation is not None and bounded else "",
        training(trained),
        *(willing(part, trained, split) for part in (reconstructions, samples, latent_plane, matching, interpolations)),
        repeat(trained, evaluation),
    )
    template = Template(resources.files("lowerbound.readers").joinpath("report.html").read_text("utf-8"))
    return template.substitute(
        title=html.escape(titled(trained, evaluation)),
        light=figures.theme("light"),
        dark=figures.theme("dark"),
        body="\n".join(section for section in sections if section),
    )


def titled(trained: Trained, e: Evaluation | None) -> str:
    """The title of the page: the run and its bound."""
    figure = f"{e.elbo.value:.2f} nats" if e is not None and e.elbo is not None else "no bound"
    return f"{trained.run.path.name}: {figure}"


def matching(trained: Trained, split: str) -> str:
    """Whether codes match the prior, for a model that was trained to make them match or that has no rate to tell."""
    wanted = trained.spec.regulariser.name in ("adversary", "mmd") or not trained.model.has_bound
    return section(trained, split) if wanted else ""


def willing(part: Callable[[Trained, str], str], trained: Trained, split: str) -> str:
    """A section, or why this model has none."""
    try:
        return part(trained, split)
    except InputError as error:
        return f"<h2>{text(part.__name__.replace('_', ' ').capitalize())}</h2>" + paragraph(f"None: {error}.")


def text(value: object) -> str:
    """Escaped for HTML."""
    return html.escape(str(value))


def paragraph(*sentences: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{text(' '.join(s for s in sentences if s))}</p>"


def figure(drawing: str, caption: str, kind: str = "") -> str:
    """A figure with its caption."""
    return f'<figure class="{kind}">{drawing}<figcaption>{text(caption)}</figcaption></figure>'


def table(head: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> str:
    """A table behind a disclosure: what a figure shows, for those who read and do not see."""
    cells = "".join("<tr>" + "".join(f"<td>{text(c)}</td>" for c in row) + "</tr>" for row in rows)
    top = "".join(f'<th scope="col">{text(h)}</th>' for h in head)
    return (
        f"<details><summary>{text(caption)}</summary><div class='scroll'><table><thead><tr>{top}</tr></thead>"
        f"<tbody>{cells}</tbody></table></div></details>"
    )


def headline(trained: Trained, e: Evaluation) -> str:
    """The bound in large type, what it is, and how it splits."""
    elbo, rate = e.elbo, e.rate
    if elbo is None or rate is None:
        return no_bound(trained, e)
    record = trained.run.record()
    share = rate.value / max(rate.value + e.distortion.value, 1e-12)
    words = (
        f"A lower bound on log p(x) at beta = 1, averaged over {e.examples:,} {e.split} examples "
        f"(± is the standard error). Higher is better. It is minus the sum of the distortion, what the decoder still "
        f"has to guess once it knows z, and the rate, what z itself costs."
    )
    code = (
        f"As a code, an example takes {bits(-elbo.value):.1f} bits: {bits(rate.value):.1f} for z and "
        f"{bits(e.distortion.value):.1f} for x given z, {bits(-elbo.value) / e.parts:.3f} bits a {e.part}."
        if e.discrete
        else "The values are real numbers, so this bounds a density: it may be positive, and it is no code length."
    )
    bar = (
        f'<div class="split" role="img" aria-label="rate is {100 * share:.0f} percent of the sum">'
        f'<i class="r" style="width:{100 * share:.2f}%"></i><i class="d" style="flex:1"></i></div>'
        if 0 < share < 1
        else ""
    )
    tiles = "".join(
        (
            tile(f"{rate.value:.2f} ± {rate.stderr:.2f}", "rate (KL), nats", "blue"),
            tile(f"{e.distortion.value:.2f} ± {e.distortion.stderr:.2f}", "distortion, nats", "grey"),
            tile(f"{e.active_dimensions} of {len(e.rate_per_dimension)}", f"active latents (above {ACTIVE} nats)"),
            tile(f"{effective_beta(trained):.4g}", "effective beta"),
        )
    )
    size = " x ".join(str(n) for n in record["shape"])
    about = f"{record['name']} · {size} · {record['kind']}" + (
        f" ({record['binarisation']} binarisation)" if record["binarisation"] != "none" else ""
    )
    name = trained.run.path.name
    return (
        f"<h1>{text(name)} · {text(about)}</h1>"
        f'<p class="bound">{minus(elbo.value)} <small>± {elbo.stderr:.2f} nats per example</small></p>'
        f'<p class="lead">{text(words)} {text(code)}</p>{bar}<div class="tiles">{tiles}</div>'
        f"<p>{text(trained.objective_words)}</p>"
    )


def no_bound(trained: Trained, e: Evaluation | None) -> str:
    """The head of a page about a model without a bound: that it has none, why, and what can be said instead."""
    record = trained.run.record()
    size = " x ".join(str(n) for n in record["shape"])
    if e is None:
        why = "It has no encoder, and its training maximises no likelihood: there is no bound on log p(x) to report."
        tiles = ""
    else:
        why = (
            "Its codes have no density, so the KL to any prior is infinite, and there is no bound on log p(x) to "
            f"report. The distortion, {e.distortion} on {e.split} examples, is what the decoder still has to guess "
            "once it knows the code; what the code costs is not in it, so it compares with no bound."
        )
        tiles = tile(f"{e.distortion.value:.2f} ± {e.distortion.stderr:.2f}", "distortion, nats", "grey")
    return (
        f"<h1>{text(trained.run.path.name)} · {text(record['name'])} · {size} · {text(record['kind'])}</h1>"
        f'<p class="bound">no bound</p><p class="lead">{text(why)}</p><div class="tiles">{tiles}</div>'
        f"<p>{text(trained.objective_words)}</p>"
    )


def minus(value: float) -> str:
    """Two decimals with a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def tile(value: str, name: str, swatch: str = "") -> str:
    """One figure on a card."""
    mark = f'<i class="swatch" style="background:var(--{swatch})"></i>' if swatch else ""
    return f'<div class="tile"><b>{text(value)}</b><span>{mark}{text(name)}</span></div>'


def effective_beta(trained: Trained) -> float:
    """The effective beta in force at the end of training."""
    rows = trained.run.metrics()
    return rows[-1]["effective_beta"] if rows else math.nan


def alarms(trained: Trained) -> str:
    """Every alarm with its cause and its cures, or that there was none."""
    found = trained.run.alarms()
    if not found:
        return '<h2>No alarms</h2><p class="calm">Nothing in this run looked unhealthy.</p>'
    cards = []
    for a in found:
        cures = "".join(f"<li>{text(cure)}</li>" for cure in a["cures"])
        when = "before training" if a["epoch"] == 0 else f"epoch {a['epoch']}"
        cards.append(
            f'<div class="alarm" role="note"><h3>{text(a["name"].replace("-", " ").capitalize())} · {when}</h3>'
            f"<p>{text(a['message'])} {text(a['cause'])}</p>Usual cures:<ul>{cures}</ul></div>"
        )
    return f"<h2>{len(found)} alarm{'s' if len(found) > 1 else ''}</h2>" + "".join(cards)


def dimensions(trained: Trained, e: Evaluation) -> str:
    """What the KL term did: nats per dimension, the pull and its balance, information against gap."""
    if len(e.rate_per_dimension) == 1 and trained.spec.latent > 1:
        return "<h2>What the KL term did</h2>" + paragraph(
            "Its posterior and prior are not both independent over dimensions, so the rate is one number for the code."
        )
    explained = explanation(trained)
    order = np.argsort(e.rate_per_dimension)[::-1]
    rows = [
        (
            int(i),
            f"{e.rate_per_dimension[i]:.3f}",
            f"{bits(e.rate_per_dimension[i]):.3f}",
            "active" if e.rate_per_dimension[i] > ACTIVE else "collapsed",
        )
        for i in order
    ]
    caption = (
        "The KL term pulls each posterior N(mu, sigma²) toward N(0, 1). A dimension pays nats to differ from the prior "
        "only if that saves the decoder more; one that saves nothing collapses onto the prior and costs nothing."
    )
    return (
        "<h2>What the KL term did</h2>"
        + paragraph(*(explained.words() if explained else ()))
        + figure(figures.rates(e.rate_per_dimension), caption)
        + table(("dimension", "nats", "bits", "state"), rows, "The same as a table")
        + (pulls(explained) if explained else "")
    )


def explanation(trained: Trained) -> RunExplanation | None:
    """The explanation of the run on training rows, where its posterior allows one."""
    try:
        return explain_run(trained)
    except InputError:
        return None


def pulls(explained: RunExplanation) -> str:
    """The table of pulls."""
    rows = [
        (
            d.index,
            *(f"{v:+.3f}" for v in (d.prior_on_mean, d.data_on_mean, d.prior_on_log_variance, d.data_on_log_variance)),
        )
        for d in sorted(explained.dimensions, key=lambda d: -d.nats)
    ]
    head = ("dimension", "along mu: prior", "data", "on log variance: prior", "data")
    return table(head, rows, "The pull of the prior against the pull of the data, nats, averaged over training rows")


def training(trained: Trained) -> str:
    """Curves, and what they say in a sentence."""
    rows = trained.run.metrics()
    if not rows:
        return ""
    first, last = rows[min(1, len(rows) - 1)], rows[-1]
    term = "valid" if last["valid"] else "train"
    bounded = last[term]["rate"] is not None
    change = last[term]["rate"] - first[term]["rate"] if bounded else 0.0
    words = ""
    if change > 0.1 and last[term]["distortion"] < first[term]["distortion"]:
        saved = first[term]["distortion"] - last[term]["distortion"]
        words = (
            f"The rate rose by {change:.2f} nats, which is no fault: more of x is encoded in z, and it saved "
            f"{saved:.2f} nats of distortion."
        )
    best = [row for row in rows if row["best"]]
    worth = "bound" if bounded else "distortion"
    kept = f"The weights of epoch {best[-1]['epoch']}, with the best held-out {worth}, were kept." if best else ""
    shown = rows if len(rows) <= 25 else [rows[i] for i in np.linspace(0, len(rows) - 1, 25).astype(int)]
    cells = [
        (
            r["epoch"],
            *(
                f"{r[p][t]:.3f}" if r[p] and r[p][t] is not None else ""
                for p in ("train", "valid")
                for t in ("bound", "rate", "distortion")
            ),
        )
        for r in shown
    ]
    head = ("epoch", "bound", "rate", "distortion", "held-out bound", "rate", "distortion")
    caption = (
        "Training figures are averages over an epoch while the weights move, with dropout and corruption, if any;"
        " held-out ones are taken at its end, without."
    )
    return (
        "<h2>Training</h2>"
        + paragraph(words, kept)
        + figure(figures.curves(rows), caption)
        + table(head, cells, "The same as a table, nats per example")
    )


def examples_of(trained: Trained, split: str, n: int) -> tuple[torch.Tensor, np.ndarray | None]:
    """n examples of a split, of each class in turn where there are labels."""
    part = trained.data.splits[split]
    rows = pictures.some_of_each(part.labels, n, len(part))
    return trained.data.batch(split, rows), None if part.labels is None else np.asarray(part.labels)[rows.numpy()]


def reconstructions(trained: Trained, split: str) -> str:
    """Originals above their reconstructions; for tables and vectors, numbers."""
    x, labels = examples_of(trained, split, 20)
    y = pictures.reconstruct(trained, x, None if labels is None else torch.from_numpy(labels))
    if pictures.is_text(trained):
        pairs = list(zip(pictures.texts(trained, x[:8]), pictures.texts(trained, y[:8]), strict=True))
        made = table(("original", "decoded"), pairs, "Texts, and the likeliest text at the posterior mean of each")
        return "<h2>Reconstructions</h2>" + opened(made)
    if not pictures.is_picture(trained):
        return "<h2>Reconstructions</h2>" + numbers(trained, x[:6].flatten(1), y[:6].flatten(1))
    half = (len(x) + 1) // 2
    a, b = pictures.grey(trained, x), pictures.grey(trained, y)
    laid = np.concatenate([a[:half], b[:half], a[half:], b[half:]])
    sheet = pictures.sheet(laid, half)
    alt = f"{len(x)} held-out examples in rows, each row of originals above a row of their reconstructions"
    caption = "Rows of originals, each above the expected value of x decoded from its posterior mean."
    return "<h2>Reconstructions</h2>" + figure(figures.image(sheet, alt, scale(sheet)), caption)


def opened(made: str) -> str:
    """A table that is shown without being asked for."""
    return made.replace("<details>", "<details open>")


def scale(sheet: np.ndarray) -> int:
    """How often a sheet's pixels are enlarged to fill about 900 points."""
    return max(1, min(8, 900 // sheet.shape[1]))


def numbers(trained: Trained, x: torch.Tensor, y: torch.Tensor) -> str:
    """Original and expected values side by side, up to eight columns."""
    names = trained.run.record()["column_names"] or [f"x{j}" for j in range(x.shape[1])]
    width = min(8, x.shape[1])
    rows = []
    for i in range(len(x)):
        for name, row in (("original", x[i]), ("decoded", y[i])):
            rows.append(
                (f"{i + 1} {name}", *(f"{v:.4g}" if not math.isnan(v) else "missing" for v in row[:width].tolist()))
            )
    made = table(("example", *names[:width]), rows, "Originals and their reconstructions")
    return made.replace("<details>", "<details open>")


def samples(trained: Trained, split: str = "") -> str:
    """Examples from the model."""
    x = pictures.sample(trained, 40)
    if pictures.is_text(trained):
        drawn = enumerate(pictures.texts(trained, pictures.sample(trained, 12, draw=True)), 1)
        return "<h2>Samples</h2>" + opened(
            table(("", "text"), list(drawn), "Texts drawn from p(x|z), z from the prior")
        )
    if not pictures.is_picture(trained):
        x = x[:8].flatten(1)
        names = trained.run.record()["column_names"] or [f"x{j}" for j in range(x.shape[1])]
        rows = [(i + 1, *(f"{v:.4g}" for v in row[:8])) for i, row in enumerate(x.tolist())]
        made = table(("sample", *names[:8]), rows, "Expected values at z drawn from the prior")
        return "<h2>Samples</h2>" + opened(made)
    sheet = pictures.sheet(pictures.grey(trained, x), 20)
    caption = f"Expected values of x at 40 draws of z from the prior ({trained.model.prior.name})."
    return "<h2>Samples</h2>" + figure(figures.image(sheet, "40 samples from the model", scale(sheet)), caption)


def latent_plane(trained: Trained, split: str) -> str:
    """Where examples lie in the two dimensions of the highest rate; for two latents, the decoded plane too."""
    part = trained.data.splits[split]
    rows = torch.arange(min(len(part), POINTS))
    if split == "test" and trained.run.record()["name"] == "binarized-mnist":
        rows = torch.linspace(0, len(part) - 1, min(len(part), POINTS)).long()
    if trained.model.encoder is None:
        return ""
    known = None if part.labels is None else torch.from_numpy(np.asarray(part.labels)[rows.numpy()])
    means = pictures.encode(trained, trained.data.batch(split, rows), known).double().numpy()
    if means.shape[1] < 2:
        return ""
    spread = means.var(0)
    first, second = np.argsort(spread)[::-1][:2]
    labels = None if part.labels is None else np.asarray(part.labels)[rows.numpy()]
    names = trained.data.label_names
    drawing = figures.plane(means[:, [first, second]], labels, names, (int(first), int(second)))
    caption = (
        f"Posterior means of {len(rows):,} {split} examples in the two dimensions whose means vary most; circles are "
        "one and two deviations of the prior."
    )
    made = "<h2>The latent plane</h2>" + figure(drawing, caption, "square")
    if means.shape[1] == 2 and pictures.is_picture(trained) and not trained.model.condition.width:
        made += decoded_plane(trained, split)
    return made


def decoded_plane(trained: Trained, split: str) -> str:
    """The plane of two latents decoded in cells of equal prior mass; nothing where codes are categories."""
    try:
        grid = manifold(trained, split=split)
    except InputError:
        return ""
    sheet = pictures.sheet(pictures.grey(trained, grid.x.flatten(0, 1)), len(grid.x))
    return figure(figures.image(sheet, "the decoded latent plane, 20 by 20", scale(sheet)), grid.sentence())


def interpolations(trained: Trained, split: str) -> str:
    """Paths between pairs of examples."""
    if not pictures.is_picture(trained) and not pictures.is_text(trained):
        return ""
    x, y = examples_of(trained, split, 10)
    pairs = [(i, len(x) - 1 - i) for i in range(len(x) // 2)]
    labels = [None if y is None else torch.from_numpy(y[list(pair)]) for pair in pairs]
    rows = [pictures.interpolate(trained, x[i], x[j], 14, labels=l) for (i, j), l in zip(pairs, labels, strict=True)]
    if not rows:
        return ""
    if pictures.is_text(trained):
        steps = list(zip(*(pictures.texts(trained, way) for way in rows[:3]), strict=True))
        made = table(("first", "second", "third"), steps, "Three ways through latent space, from text to text")
        return "<h2>Interpolations</h2>" + opened(made)
    sheet = pictures.sheet(pictures.grey(trained, torch.cat(rows)), 14)
    caption = "Straight paths in latent space between the codes of two held-out examples, one pair a row."
    return "<h2>Interpolations</h2>" + figure(
        figures.image(sheet, "interpolations between pairs", scale(sheet)), caption
    )


def repeat(trained: Trained, e: Evaluation | None) -> str:
    """Everything needed to repeat the run."""
    header = trained.run.header()
    record, environment = header["data"], header["environment"]
    rows = {
        "data": f"{record['name']}, SHA-256 {record['sha256']}",
        "examples": ", ".join(f"{name} {n:,}" for name, n in record["examples"].items()),
        "split": record["split"]["how"],
        "kind": record["kind_why"],
        "binarisation": record["binarisation"],
        "evaluated on": f"{e.split}, {e.samples} latent sample(s) an example, noise seed {e.seed}" if e else "nothing",
        "seed": trained.spec.training.seed,
        "software": ", ".join(f"{k} {v}" for k, v in environment.items()),
    }
    cells = "".join(f'<tr><th scope="row">{text(k)}</th><td class="text">{text(v)}</td></tr>' for k, v in rows.items())
    spec = json.dumps(header["spec"], indent=2, ensure_ascii=False)
    return (
        f"<h2>To repeat this run</h2><div class='scroll'><table>{cells}</table></div>"
        f"<p>The same spec, data, seed, machine and build give the same weights to the bit.</p>"
        f"<details><summary>spec.json</summary><pre>{text(spec)}</pre></details>"
        f"<footer>lowerbound {text(header['version'])}. All figures are nats unless they say otherwise; "
        f"1 nat = {bits(1.0):.4f} bits.</footer>"
    )
