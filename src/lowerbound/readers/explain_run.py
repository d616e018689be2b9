r"""Explain a trained run, dimension by dimension: what each costs, what pulls at it, and what the rate is made of.

The encoder's last layer is linear, so where the objective is stationary (over the training split, at beta 1) two pulls
cancel on average for every dimension: along mu, and on log variance,

.. math:: E_x\!\left[\mu_j \frac{\partial\,\text{rate}}{\partial\mu_j}\right] =
          -E_x\!\left[\mu_j \frac{\partial\,\text{distortion}}{\partial\mu_j}\right], \qquad
          E_x\!\left[\frac{\partial\,\text{rate}}{\partial\ell_j}\right] =
          -E_x\!\left[\frac{\partial\,\text{distortion}}{\partial\ell_j}\right].

Their sums are what training has left undone. Over the data the rate splits into what z says of x and how far the
aggregate posterior q(z) is from the prior:

.. math:: E_x[KL(q(z|x)\|p(z))] = I_q(x; z) + KL(q(z)\|p(z)).

With a condition c, posterior and prior are those given c; where the prior itself changes with c, the rate is not split.

Source: Hoffman & Johnson 2016 (ELBO surgery), eq. 9; Kingma & Welling 2014 (1312.6114), appendix B for the pull.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.divergence import kl_normal
from lowerbound.maths.normal import DiagonalNormal, log_normal
from lowerbound.maths.units import bits, mean_examples, mean_samples, sum_latent
from lowerbound.training.load import Trained
from lowerbound.training.measure import ACTIVE, labels_for
from lowerbound.training.randomness import noise

SAMPLES = 16


@dataclass(frozen=True)
class Dimension:
    """One latent dimension of a run.

    ``nats`` is its average rate. The pulls are averages over examples, in nats: along mu, mu times the gradient in mu;
    on log variance, the gradient in it. Positive toward N(0, 1) for the mean, negative for a log variance below 0.
    """

    index: int
    nats: float
    active: bool
    prior_on_mean: float
    data_on_mean: float
    prior_on_log_variance: float
    data_on_log_variance: float

    @property
    def bits(self) -> float:
        """The rate in bits."""
        return bits(self.nats)

    @property
    def left_on_mean(self) -> float:
        """What the two pulls along mu leave: 0 at an optimum."""
        return self.prior_on_mean + self.data_on_mean

    @property
    def left_on_log_variance(self) -> float:
        """What the two pulls on log variance leave: 0 at an optimum."""
        return self.prior_on_log_variance + self.data_on_log_variance


@dataclass(frozen=True)
class RunExplanation:
    """Where a run's nats go. ``information`` + ``gap`` = ``rate``, nats per example over ``examples`` examples.

    ``information`` is estimated against the mixture of all the posteriors, which bounds it from below: it lies
    between 0 and log ``examples`` and never above the rate. Both are None where the prior changes with the condition:
    there is then no one prior for all the codes together. ``guessed`` says that each example stands under its likeliest
    label.
    """

    dimensions: list[Dimension]
    rate: float
    information: float | None
    examples: int
    split: str
    guessed: bool = False

    @property
    def gap(self) -> float | None:
        """The distance of all the codes together from the prior."""
        return None if self.information is None else self.rate - self.information

    def json(self) -> dict[str, Any]:
        """JSON-ready figures."""
        return {
            "split": self.split,
            "examples": self.examples,
            "unit": "nats",
            "rate": self.rate,
            "information": self.information,
            "information_at_most": None if self.information is None else math.log(self.examples),
            "marginal_gap": self.gap,
            "dimensions": [vars(d) | {"bits": d.bits} for d in self.dimensions],
        }

    def words(self) -> list[str]:
        """What the figures mean, in sentences."""
        active = [d for d in self.dimensions if d.active]
        dead = [d for d in self.dimensions if not d.active]
        used, idle = sum(d.nats for d in active), sum(d.nats for d in dead)
        sentences = [
            f"{len(active)} of {len(self.dimensions)} latent dimensions carry {used:.2f} nats ({bits(used):.2f} bits) "
            "an example" + (f"; the other {len(dead)} cost {idle:.3f} nats together." if dead else ".")
        ]
        if self.guessed:
            sentences.append("The label of each example is taken for the likeliest; what inferring it costs is apart.")
        if self.information is None:
            sentences.append("The prior changes with the condition: no one distance of all the codes from it is told.")
        else:
            sentences.append(self.split_up(self.information))
        if active:
            prior, data = sum(d.prior_on_mean for d in active), sum(d.data_on_mean for d in active)
            sentences.append(
                f"Along mu the prior pulls with {prior:+.2f} nats and the data with {data:+.2f}, over the active "
                "dimensions: equal and opposite at an optimum of the bound."
            )
        return sentences

    def split_up(self, information: float) -> str:
        """What the rate is made of."""
        return (
            f"Of the rate of {self.rate:.2f} nats, at least {information:.2f} say which x it is "
            f"({self.examples} examples can show at most log N = {math.log(self.examples):.2f}), and at most "
            f"{self.rate - information:.2f} are the distance of all the codes together from the prior."
        )

    def lines(self) -> list[str]:
        """The table and its sentences for people."""
        head = f"{'dim':>4} {'nats':>8} {'bits':>8}   {'along mu: prior':>15} {'data':>9} {'left':>8}   "
        head += f"{'on log variance: prior':>22} {'data':>9} {'left':>8}"
        rows = [
            f"{d.index:>4} {d.nats:8.3f} {d.bits:8.3f}   {d.prior_on_mean:+15.4f} {d.data_on_mean:+9.4f} "
            f"{d.left_on_mean:+8.4f}   {d.prior_on_log_variance:+22.4f} {d.data_on_log_variance:+9.4f} "
            f"{d.left_on_log_variance:+8.4f}" + ("" if d.active else "   collapsed")
            for d in sorted(self.dimensions, key=lambda d: -d.nats)
        ]
        legend = "pulls: averages over examples, nats; prior and data are equal and opposite at an optimum of the bound"
        return [head, *rows, legend, "", *self.words()]


def explain_run(trained: Trained, split: str = "train", *, examples: int = 1000, seed: int = 0) -> RunExplanation:
    """Explain a run on up to ``examples`` rows of a split, each under its own condition where the model has one.

    Raises:
        InputError: the split is empty, or posterior or prior is no Normal with independent dimensions.
    """
    data, model = trained.data, trained.model
    n = min(examples, len(data.splits[split])) if split in data.splits else 0
    if n < 2:
        what = f"the run has fewer than two examples in split {split!r}"
        raise InputError(what, where="split", mend="give train, valid or test")
    refuse(trained)
    rows = torch.arange(n)
    x, y = data.batch(split, rows), labels_for(model, data, split, rows)
    with torch.no_grad():
        target, c = model.given(x, y)
        q, p = model.encode(x, y), model.prior_at(c)
    if not (isinstance(q, DiagonalNormal) and isinstance(p, DiagonalNormal)):
        raise unsplit(trained, q)
    seen = Seen(
        q.mean.detach(), q.log_variance.detach(), p.mean.detach(), p.log_variance.detach(), target=target, condition=c
    )
    prior, data_pull = _pulls(trained, seen, seed)
    nats = mean_examples(kl_normal(*(a.double() for a in seen.normals))).tolist()
    dimensions = [
        Dimension(
            j, nats[j], nats[j] > ACTIVE, *(float(pull[j]) for pull in (prior[0], data_pull[0], prior[1], data_pull[1]))
        )
        for j in range(model.latent)
    ]
    information = None if model.prior.conditional else _information(seen, sum(nats), seed)
    inferred = model.condition.inferred
    return RunExplanation(dimensions, sum(nats), information, n, split, inferred)


@dataclass(frozen=True)
class Seen:
    """Posterior and prior of some examples, mean and log variance (n, latent) or (latent,), and what is decoded."""

    mean: Tensor
    log_variance: Tensor
    prior_mean: Tensor
    prior_log_variance: Tensor
    target: Tensor
    condition: Tensor

    @property
    def normals(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What :func:`kl_normal` takes."""
        return self.mean, self.log_variance, self.prior_mean, self.prior_log_variance


def refuse(trained: Trained) -> None:
    """An InputError for a model that has no KL to explain."""
    model = trained.model
    if not model.latent:
        raise InputError("it has no latents, and so no KL", where=trained.run.path, mend="use evaluate")
    if model.encoder is None:
        raise InputError("it has no encoder, and so no KL", where=trained.run.path, mend="use sample or fidelity")
    if not model.has_bound:
        raise InputError(
            "a deterministic code has no KL", where=trained.run.path, mend="use match, or posterior normal"
        )


def unsplit(trained: Trained, q: Any) -> InputError:
    """The error of a rate that does not split by dimension into pulls of one Normal on another."""
    model = trained.model
    part, name = ("prior", model.prior.name) if isinstance(q, DiagonalNormal) else ("posterior", model.posterior.name)
    what = f"its {part} is {name}, no Normal with independent dimensions: the rate has no pulls by dimension"
    return InputError(what, where=trained.run.path, mend="use surgery, or a run with posterior and prior normal")


def _pulls(trained: Trained, seen: Seen, seed: int) -> tuple[list[Tensor], list[Tensor]]:
    """Average pulls of the prior and of the data, along mu and on log variance: two pairs of (latent,).

    Every draw comes with its mirror image, so that what is linear in the noise, most of it, is gone from the mean.
    """
    model, m = trained.model, seen.mean
    a, b = m.clone().requires_grad_(), seen.log_variance.clone().requires_grad_()
    prior = torch.autograd.grad(kl_normal(a, b, seen.prior_mean, seen.prior_log_variance).sum(), (a, b))
    half = noise(seed, 0, len(m), SAMPLES // 2, model.latent).to(m)
    z = DiagonalNormal(a, b).transform(torch.cat([half, -half]))
    out = model.outputs(z, seen.condition, seen.target)
    distortion = -mean_samples(model.likelihood.log_prob(out, seen.target)).sum()
    data = torch.autograd.grad(distortion, (a, b))
    return tuple(
        [mean_examples((m * on_mean).double()), mean_examples(on_log.double())] for on_mean, on_log in (prior, data)
    )  # type: ignore[return-value]


def _information(seen: Seen, rate: float, seed: int) -> float:
    """I(x; z), with q(z) the mixture of the n posteriors, from one z an example."""
    m, l = seen.mean.double(), seen.log_variance.double()
    n = len(m)
    z = DiagonalNormal(m, l).transform(noise(seed + 1, 0, n, 1, m.shape[1])[0])
    log_q = torch.stack([sum_latent(log_normal(z[i], m, l)) for i in range(n)])
    own = torch.diagonal(log_q)
    mixture = torch.logsumexp(log_q, 1) - math.log(n)
    return min(max(float(mean_examples(own - mixture)), 0.0), math.log(n), rate)
