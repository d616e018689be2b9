r"""Explain a trained run, dimension by dimension: what each costs, what pulls at it, and what the rate is made of.

At the optimum of the ELBO the pull of the prior and the pull of the data cancel for every example,

.. math:: \frac{\partial\,\text{rate}}{\partial\mu_j} = -\frac{\partial\,\text{distortion}}{\partial\mu_j},

so the two columns are equal and opposite there, and their sum is what training has left undone. Over the data the rate
splits into what z says of x and how far the aggregate posterior q(z) is from the prior:

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

    ``nats`` is its average rate. The pulls are root mean squares over examples of the gradient of rate and of
    distortion in mu and in log variance (nats per unit); ``left`` is that of their sum.
    """

    index: int
    nats: float
    active: bool
    prior_on_mean: float
    data_on_mean: float
    left_on_mean: float
    prior_on_log_variance: float
    data_on_log_variance: float
    left_on_log_variance: float

    @property
    def bits(self) -> float:
        """The rate in bits."""
        return bits(self.nats)


@dataclass(frozen=True)
class RunExplanation:
    """Where a run's nats go. ``information`` + ``gap`` = ``rate``, nats per example over ``examples`` examples.

    ``information`` is estimated against the mixture of all the posteriors: an estimate that lies between 0 and
    log ``examples`` and never above the rate.
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
            f"{len(active)} of {len(self.dimensions)} latent dimensions carry {used:.2f} nats ({bits(used):.2f} bits) an "
            f"example" + (f"; the other {len(dead)} cost {idle:.3f} nats together." if dead else ".")
        ]
        sentences.append(
            f"Of the rate of {self.rate:.2f} nats, {self.information:.2f} say which x it is (at most log N = "
            f"{math.log(self.examples):.2f} could be seen with {self.examples} examples), and {self.gap:.2f} are the "
            "distance of all the codes together from the prior."
        )
        if active:
            left = max(d.left_on_mean / max(d.prior_on_mean, 1e-12) for d in active)
            sentences.append(
                f"The prior's pull on mu and the data's are opposite; what is left of it is at most {100 * left:.0f}% of "
                "the pull (0% at an exact optimum of the bound)."
            )
        return sentences

    def lines(self) -> list[str]:
        """The table and its sentences for people."""
        head = f"{'dim':>4} {'nats':>8} {'bits':>8}   {'prior on mu':>11} {'data on mu':>11} {'left':>8}   " + (
            f"{'prior on l':>11} {'data on l':>11} {'left':>8}"
        )
        rows = [
            f"{d.index:>4} {d.nats:8.3f} {d.bits:8.3f}   {d.prior_on_mean:11.4f} {-d.data_on_mean:11.4f} "
            f"{d.left_on_mean:8.4f}   {d.prior_on_log_variance:11.4f} {-d.data_on_log_variance:11.4f} "
            f"{d.left_on_log_variance:8.4f}" + ("" if d.active else "   collapsed")
            for d in sorted(self.dimensions, key=lambda d: -d.nats)
        ]
        legend = "pulls: root mean square over examples, nats per unit of mu and of l = log variance; opposite signs"
        return [head, *rows, legend, "", *self.words()]


def explain_run(trained: Trained, split: str = "test", *, examples: int = 1000, seed: int = 0) -> RunExplanation:
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
    prior, pulled = _pulls(trained, x, m, l, seed)
    nats = mean_examples(kl_normal(m.double(), l.double())).tolist()
    dimensions = [
        Dimension(j, nats[j], nats[j] > ACTIVE, *(_rms(a[:, j]) for a in _columns(prior, pulled)))
        for j in range(model.latent)
    ]
    information, gap = _surgery(m.double(), l.double(), seed)
    return RunExplanation(dimensions, sum(nats), information, gap, n, split)


def _pulls(trained: Trained, x: Tensor, m: Tensor, l: Tensor, seed: int) -> tuple[list[Tensor], list[Tensor]]:
    """Gradients of rate and of distortion in mu and log variance, per example: two pairs of (n, latent)."""
    model = trained.model
    m, l = m.requires_grad_(), l.requires_grad_()
    rate = kl_normal(m, l).sum()
    prior = list(torch.autograd.grad(rate, (m, l)))
    z = DiagonalNormal(m, l).transform(noise(seed, 0, len(x), SAMPLES, model.latent).to(m))
    distortion = -mean_samples(model.likelihood.log_prob(model.outputs(z), x)).sum()
    return prior, list(torch.autograd.grad(distortion, (m, l)))


def _columns(prior: list[Tensor], pulled: list[Tensor]) -> list[Tensor]:
    return [prior[0], pulled[0], prior[0] + pulled[0], prior[1], pulled[1], prior[1] + pulled[1]]


def _rms(a: Tensor) -> float:
    return float((a.double().square().sum() / len(a)).sqrt())


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
