"""The latent space of a run: codes, what they decode to, the prior's quantiles, and which dimensions carry most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.readers import pictures
from lowerbound.readers.latent import groups
from lowerbound.training.load import Trained
from lowerbound.training.measure import ACTIVE, measure
from lowerbound.training.randomness import mix

DRAWS = 100_000
"""Draws of a prior whose quantiles have no closed form."""
QUANTILES, EXAMPLES = 23, 24
BATCH = 1000
"""Rows at a time; changes no figure."""
MATCHING = ("adversary", "mmd")
"""Regularisers that make the codes of a model without a rate follow its prior."""
DISTINCT = 32
"""A coordinate of the code with fewer values than this among the draws is a category, not a number."""


@dataclass(frozen=True)
class Order:
    """Latent dimensions, the one that carries most first.

    ``nats`` (width,) is the average rate of each, by its own index, and None where the posterior's rate does not split;
    ``active`` are those above 0.01 nats, or all where there are no nats; ``by`` says what they were sorted by.
    """

    dimensions: tuple[int, ...]
    active: tuple[int, ...]
    nats: tuple[float, ...] | None
    by: str

    def name(self, j: int) -> str:
        """A dimension with its nats.

        >>> Order((0,), (0,), (1.25,), "rate").name(0)
        'z0  1.25 nats'
        """
        return f"z{j}" if self.nats is None else f"z{j}  {self.nats[j]:.2f} nats"


def follows(trained: Trained) -> bool:
    """Whether anything makes codes follow the prior: a rate, a critic, a discrepancy, or that z is only drawn."""
    matched = trained.spec.part("regulariser")["name"] in MATCHING
    return trained.model.has_bound or trained.model.encoder is None or matched


def summed(trained: Trained) -> bool:
    """Whether the decoder sees a class's own head plus the style in place of the code: of fewer numbers than it."""
    return trained.model.posterior.represented < trained.model.width


def represented(trained: Trained, z: Tensor) -> Tensor:
    """What the decoder sees of codes (n, width): (n, represented), as the codes come."""
    with torch.no_grad():
        return trained.model.posterior.represent(z.to(next(trained.model.parameters()))).to(z)


def heads(trained: Trained) -> Tensor:
    """The place of each class, its style at 0: (classes, represented)."""
    posterior: Any = trained.model.posterior
    y = torch.eye(posterior.classes)
    return represented(trained, torch.cat([y, torch.zeros(len(y), posterior.latent)], 1))


def unrepresented(trained: Trained, seen: Tensor) -> Tensor:
    """Codes (n, width) of no class, whose style is what the decoder is to see (n, represented)."""
    return torch.cat([seen.new_zeros(len(seen), trained.model.width - seen.shape[1]), seen], 1)


class Space:
    """What every reader of the latent space needs of a run.

    Args:
        trained: the run.
        split: where examples are looked up.
        label: the class to hold fixed, in a model that is conditioned on labels or whose code names a class.
        given: the row whose condition is held fixed, in a model conditioned on a part of x.
        seed: of the draws from a prior whose quantiles have no closed form.
    """

    def __init__(
        self,
        trained: Trained,
        *,
        split: str = "test",
        label: str | None = None,
        given: int | None = None,
        seed: int = 0,
    ) -> None:
        self.trained, self.model, self.split, self.seed = trained, trained.model, split, seed
        self.width: int = trained.model.width
        self.held: int | None = None
        if label is not None and self.mixed and not trained.model.condition.labelled:
            self.held = pictures.class_number(trained, label, self.classes)
            label = None
        self.condition = self.fixed(label, given)

    @property
    def mixed(self) -> bool:
        """Whether a code is a class, one-hot, with numbers of style behind it."""
        return bool(self.model.posterior.support == "one-hot and real")

    @property
    def classes(self) -> int:
        """How many coordinates of the code are its class; 0 where it names none."""
        posterior: Any = self.model.posterior
        return posterior.classes if self.mixed else 0

    def with_class(self, z: Tensor) -> Tensor:
        """Codes (..., width) with the class that is held fixed in place of their own."""
        if self.held is None:
            return z
        y = torch.zeros(self.classes)
        y[self.held] = 1
        return torch.cat([y.to(z).expand(*z.shape[:-1], -1), z[..., len(y) :]], -1)

    def fixed(self, label: str | None, given: int | None) -> Tensor | None:
        """The condition (1, its width) that is held fixed; None in a model without one."""
        condition = self.model.condition
        if label is not None:
            return pictures.condition_of_label(self.trained, label)
        if given is not None:
            rows = groups.rows_of(
                self.trained.data, self.split, groups.attribute(self.trained.data, str(given), "--given")
            )
            found = pictures.conditions(self.trained, *self.examples(self.split, torch.tensor(rows)))
            if found is None:
                raise InputError("the model has no condition", where="--given", mend="leave it out")
            return found
        if condition.width:
            mend = (
                "give --label, the class to hold fixed" if condition.labelled else "give --given, the row whose part is"
            )
            raise InputError(
                "the model is conditional: what is given must be fixed", where=self.trained.run.path, mend=mend
            )
        return None

    def encode(self, split: str, rows: Any) -> Tensor:
        """Posterior means (n, width) of some rows of a split."""
        if self.model.encoder is None:
            raise pictures.codeless(self.trained)
        chosen = torch.as_tensor(rows)
        return torch.cat([pictures.encode(self.trained, *self.examples(split, part)) for part in chosen.split(BATCH)])

    def examples(self, split: str, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Examples (n, *shape) of a split and their labels; where each use draws anew, one draw for the same rows."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(EXAMPLES, self.seed, int(rows[0])))
            return self.trained.data.batch(split, rows), self.trained.data.labels(split, rows)

    def decode(self, z: Tensor) -> Tensor:
        """Expected x (n, *shape) of codes (n, width), data units."""
        parts = [pictures.decode(self.trained, part, self.condition) for part in z.split(BATCH)]
        return torch.cat(parts)

    @cached_property
    def follows(self) -> bool:
        """Whether anything makes codes follow the prior."""
        return follows(self.trained)

    @cached_property
    def normal(self) -> tuple[Tensor, Tensor] | None:
        """Mean and deviation (width,) of a prior that is an independent Normal; None for every other."""
        p = pictures.prior_of(self.trained, self.condition)
        if not isinstance(p, DiagonalNormal) or not self.follows:
            return None
        with torch.no_grad():
            return p.mean.reshape(-1).double().cpu(), p.stddev.reshape(-1).double().cpu()

    @cached_property
    def draws(self) -> Tensor:
        """Draws of the prior (DRAWS, width), float64; where codes follow none, the codes of training rows."""
        if not self.follows:
            return self.encode("train", torch.arange(min(DRAWS, len(self.trained.data.splits["train"])))).double()
        p = pictures.prior_of(self.trained, self.condition)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(QUANTILES, self.seed))
            z = torch.cat([p.sample((DRAWS // 10,)).reshape(-1, self.width).cpu() for _ in range(10)])
        return z.double()

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The coordinates that are numbers; the others are categories, one-hot.

        Raises:
            InputError: all are categories, which have no quantiles and nothing between them.
        """
        if self.normal is not None or self.mixed:
            return tuple(range(self.classes, self.width))
        found = tuple(j for j in range(self.width) if len(self.draws[:, j].unique()) > DISTINCT)
        if not found:
            what = "its codes are categories: there is no way between two and no quantile"
            raise InputError(what, where=self.trained.run.path, mend="use sample, reconstruct or decode")
        return found

    def quantile(self, u: Tensor) -> Tensor:
        """The prior's marginal quantiles: u (n,) in (0, 1) -> (n, width)."""
        u = u.double()
        if self.normal is not None:
            mean, deviation = self.normal
            return mean + deviation * torch.special.ndtri(u)[:, None]
        return torch.stack([torch.quantile(self.draws[:, j], u) for j in range(self.width)], 1)

    @cached_property
    def centre(self) -> Tensor:
        """The prior's mean (width,); categories are held at the first draw's."""
        if self.normal is not None:
            return self.normal[0]
        middle = self.draws.mean(0)  # not nats: a place in latent space
        kept = [j for j in range(self.width) if j not in self.numbers]
        middle[kept] = self.draws[0, kept]
        return self.with_class(middle)

    @property
    def middle(self) -> str:
        """What ``centre`` is, in words."""
        place = "the prior's mean" if self.follows else "the mean of the training examples' codes"
        drawn = ", the class at one draw" if self.mixed and self.held is None else ""
        return place + (drawn or self.words_of_class)

    @property
    def words_of_class(self) -> str:
        """The class that is held in place of a code's own, in words."""
        return "" if self.held is None else f", its class set to {self.held}"

    @property
    def words(self) -> str:
        """Where the quantiles come from."""
        if self.normal is not None:
            return "quantiles of the Normal prior (inverse Gaussian CDF)"
        if not self.follows:
            return f"quantiles of the codes of {len(self.draws):,} training examples (they follow no prior)"
        name = self.trained.spec.part("prior")["name"]
        return f"quantiles of {DRAWS:,} draws of the prior ({name})"

    def order(self, split: str) -> Order:
        """The dimensions by rate over a split; by how much posterior means vary where the rate does not split."""
        numbers = self.numbers
        if self.model.encoder is None:
            return Order(numbers, numbers, None, "index: the model has no encoder")
        found = measure(self.model, self.trained.data, split, means=True)
        inferred = 1 if self.model.condition.inferred else 0  # the class's own column stands last
        if found.rate.shape[1] != self.width + inferred or len(numbers) != self.width:
            assert found.mean is not None
            spread = found.mean.var(0)
            why = "the rate does not split by dimension" if self.model.has_bound else "the model has no rate"
            by = f"how much posterior means vary over {len(found.mean):,} {split} examples ({why})"
            ordered = tuple(sorted(numbers, key=lambda j: -float(spread[j])))
            return Order(ordered, ordered, None, by)
        nats = tuple(found.rate_per_dimension()[: self.width].tolist())
        ordered = tuple(sorted(numbers, key=lambda j: -nats[j]))
        active = tuple(j for j in ordered if nats[j] > ACTIVE)
        return Order(ordered, active, nats, f"rate, nats per example over {len(found.rate):,} {split} examples")

    def dimension(self, j: int, where: str) -> int:
        """A latent dimension that exists and is a number."""
        if j not in self.numbers:
            mend = f"they go from {min(self.numbers)} to {max(self.numbers)}"
            raise InputError(f"no latent dimension {j}", where=where, mend=mend)
        return j
