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
from lowerbound.training.measure import ACTIVE
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
    between 0 and log ``examples`` and never above the rate.
    """

    dimensions: list[Dimension]
    rate: float
    information: float
    gap: float
    examples: int
    split: str

    def json(self) -> dict[str, Any]:
        """JSON-ready figures."""
        return {
            "split": self.split,
            "examples": self.examples,
            "unit": "nats",
            "rate": self.rate,
            "information": self.information,
            "information_at_most": math.log(self.examples),
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
        sentences.append(
            f"Of the rate of {self.rate:.2f} nats, at least {self.information:.2f} say which x it is "
            f"({self.examples} examples can show at most log N = {math.log(self.examples):.2f}), and at most "
            f"{self.gap:.2f} are the distance of all the codes together from the prior."
        )
        if active:
            prior, data = sum(d.prior_on_mean for d in active), sum(d.data_on_mean for d in active)
            sentences.append(
                f"Along mu the prior pulls with {prior:+.2f} nats and the data with {data:+.2f}, over the active "
                "dimensions: equal and opposite at an optimum of the bound."
            )
        return sentences

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
    """Explain a run on up to ``examples`` rows of a split.

    Raises:
        InputError: the split is empty, or the posterior is not a Normal with independent dimensions.
    """
    data, model = trained.data, trained.model
    n = min(examples, len(data.splits[split])) if split in data.splits else 0
    if n < 2:
        raise InputError(f"the run has no examples in split {split!r}", where="split", mend="give train, valid or test")
    x = data.batch(split, torch.arange(n))
    with torch.no_grad():
        q = model.encode(x)
    if not isinstance(q, DiagonalNormal):
        what = f"its posterior is {type(q).__name__}, whose rate does not split by dimension"
        raise InputError(what, where=trained.run.path, mend="explain a run with posterior normal")
    m, l = q.mean.detach(), q.log_variance.detach()
    prior, data_pull = _pulls(trained, x, m, l, seed)
    nats = mean_examples(kl_normal(m.double(), l.double())).tolist()
    dimensions = [
        Dimension(
            j, nats[j], nats[j] > ACTIVE, *(float(pull[j]) for pull in (prior[0], data_pull[0], prior[1], data_pull[1]))
        )
        for j in range(model.latent)
    ]
    information, gap = _surgery(m.double(), l.double(), seed)
    return RunExplanation(dimensions, sum(nats), information, gap, n, split)


def _pulls(trained: Trained, x: Tensor, m: Tensor, l: Tensor, seed: int) -> tuple[list[Tensor], list[Tensor]]:
    """Average pulls of the prior and of the data, along mu and on log variance: two pairs of (latent,)."""
    model = trained.model
    a, b = m.clone().requires_grad_(), l.clone().requires_grad_()
    prior = torch.autograd.grad(kl_normal(a, b).sum(), (a, b))
    z = DiagonalNormal(a, b).transform(noise(seed, 0, len(x), SAMPLES, model.latent).to(m))
    distortion = -mean_samples(model.likelihood.log_prob(model.outputs(z), x)).sum()
    data = torch.autograd.grad(distortion, (a, b))
    return tuple(
        [mean_examples((m * on_mean).double()), mean_examples(on_log.double())] for on_mean, on_log in (prior, data)
    )  # type: ignore[return-value]


def _surgery(m: Tensor, l: Tensor, seed: int) -> tuple[float, float]:
    """I(x; z) and KL(q(z) || p(z)), with q(z) the mixture of the n posteriors, from one z an example."""
    n = len(m)
    z = DiagonalNormal(m, l).transform(noise(seed + 1, 0, n, 1, m.shape[1])[0])
    log_q = torch.stack([sum_latent(log_normal(z[i], m, l)) for i in range(n)])
    own = torch.diagonal(log_q)
    mixture = torch.logsumexp(log_q, 1) - math.log(n)
    rate = float(mean_examples(sum_latent(kl_normal(m, l))))
    information = float(mean_examples(own - mixture))
    information = min(max(information, 0.0), math.log(n), rate)
    return information, rate - information
