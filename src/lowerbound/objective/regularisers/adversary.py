"""An adversary on the codes: the adversarial autoencoder's regulariser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowerbound.errors import InputError
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import at_least_float32, mean_examples, mean_samples
from lowerbound.model.networks.base import Widths
from lowerbound.objective.players import Player
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser, Speed, Weight
from lowerbound.objective.regularisers.codes import Critic, codes_of, fresh_codes, prior_codes, prior_of

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch


@REGULARISERS.register("adversary")
class Adversary(Regulariser):
    r"""A critic tells codes from draws of the prior, and the encoder is paid for fooling it (AAE).

    .. math:: R = w\,E_{q(z)}[-\log \mathrm{sigmoid}\,D(z)], \qquad D \approx \log \frac{p(z)}{q(z)}

    A second player trains the logit D on draws of the prior (first source) and codes (second). A prior with several
    ``parts``, such as a class and a style, has a critic for each. With ``labels`` the critic sees the one-hot label
    beside the code (one class more for "unknown"), and the prior's draws are those of that label's region. ``speed`` is
    the critics' learning rate over the model's.

    The paper has three phases a batch: reconstruction, critic, generator. Here the first and third are one player,
    whose one step descends the sum: one pass through the encoder less, and one step size and moment estimate for the
    sum instead of one each; ``weight`` takes the place of the ratio of their learning rates. The gradients summed are
    the paper's own (the non-saturating form); its critic moves between them, here after both.

    *Shapes*: a ledger with codes (samples, batch, width) in, a scalar out. *Units and sign*: nats per example, lower
    is better; log 2 per part where the critic is at chance. *Neutral setting*: ``weight=0``, which builds no critic.
    *Source*: Makhzani et al. 2015 (1511.05644), sections 2 and 2.3; Goodfellow et al. 2014 (1406.2661), section 3.

    >>> Adversary(784, 2, weight=0.0).critics(None)
    []
    """

    codes = True

    def __init__(
        self,
        parts: int,
        width: int,
        *,
        weight: Weight = 1.0,
        hidden: Widths = (500, 500),
        speed: Speed = 1.0,
        labels: bool = False,
    ) -> None:
        super().__init__(parts, width)
        self.weight, self.hidden, self.speed, self.labels = weight, hidden, speed, labels
        self.classes = 0
        self.slices: list[slice] = []
        self.networks = nn.ModuleList()

    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        if self.weight == 0:
            return terms.distortion.new_zeros(())
        self._build(model)
        z = codes_of(terms)
        costs = [F.softplus(-critic.held(seen)) for critic, seen in self._seen(z, batch)]
        return self.weight * mean_examples(mean_samples(torch.stack(costs).sum(0)))

    def critics(self, model: Any) -> list[Player]:
        if self.weight == 0:
            return []
        self._build(model)

        def loss(batch: Batch) -> tuple[Tensor, None]:
            drawn, codes = self._seen(self._drawn(model, batch), batch), self._seen(fresh_codes(model, batch), batch)
            costs = [critic.cross_entropy(p, z) for (critic, p), (_, z) in zip(drawn, codes, strict=True)]
            return torch.stack(costs).sum(0), None

        return [Player("critic", list(self.networks.parameters()), loss, self.speed)]

    def _build(self, model: Any) -> None:
        """Make the critics, one for each part of the prior, where and as precise as the model is."""
        if len(self.networks):
            return
        self.slices = list(model.prior.parts)
        self.classes = regions(model.prior) if self.labels else 0
        more = self.classes + 1 if self.labels else 0
        like = next(model.parameters())
        for part in self.slices:
            width = len(range(*part.indices(self.width)))
            self.networks.append(Critic(width + more, self.hidden).to(like.device, like.dtype))

    def _seen(self, z: Tensor, batch: Batch) -> list[tuple[Critic, Tensor]]:
        """Each critic with what it is shown of codes z (..., batch, width): its part, and the label where one is."""
        shown = [z[..., part] for part in self.slices]
        if self.labels:
            labels = one_hot(labels_of(batch), self.classes).to(z).expand(*z.shape[:-1], -1)
            shown = [torch.cat([part, labels], -1) for part in shown]
        return list(zip(self.networks, shown, strict=True))  # type: ignore[arg-type]

    def _drawn(self, model: Any, batch: Batch) -> Tensor:
        """Draws of the prior (batch, width): of the label's region where the critic knows labels."""
        with torch.no_grad():
            if self.labels:
                return at_least_float32(model.prior.sample_of(labels_of(batch)))
            return prior_codes(prior_of(model, batch), len(batch.x))

    def words(self) -> str:
        told = ", which is told the labels" if self.labels else ""
        return (
            f"Regulariser: + {self.weight:g} x -log sigmoid(critic), against a critic of codes and prior{told} "
            "(a second player): no bound by itself."
        )


def labels_of(batch: Batch) -> Tensor:
    """The labels of a batch (batch,), -1 where unknown."""
    if batch.y is None:
        what = "the critic is to be told the labels, and the data have none"
        raise InputError(what, where="regulariser.labels", mend="give them, or leave regulariser.labels out")
    return batch.y.long()


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(batch,) -> (batch, classes + 1): the last column is "unknown", for -1; a label out of range is refused."""
    if len(labels) and int(labels.max()) >= classes:
        what = f"label {int(labels.max())} is out of range: the prior has regions for {classes} labels"
        raise InputError(what, where="prior", mend="raise its number of classes or components")
    return F.one_hot(torch.where(labels < 0, classes, labels), classes + 1)


def regions(prior: Any) -> int:
    """How many labels have a region of the prior; asking for a draw of one is what refuses a prior without."""
    prior.sample_of(torch.zeros(1, dtype=torch.long, device=next(iter(prior.buffers()), torch.zeros(0)).device))
    return int(getattr(prior, "classes", 0) or prior.components)
