"""A likelihood for tables: each column has its own, and a missing cell is left out of the sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical as CategoricalDistribution
from torch.distributions import Distribution

from lowerbound.data.dataset import Kind, Summary
from lowerbound.errors import InputError
from lowerbound.model.likelihoods.base import LIKELIHOODS, TINY, Likelihood

KINDS: dict[str, Kind] = {"numeric": "real", "count": "count", "binary": "binary"}


class CodesDistribution(CategoricalDistribution):
    """A Categorical over codes; its ``mean`` is the most probable code, for codes have no average."""

    @property
    def mean(self) -> Tensor:
        return self.logits.argmax(-1).to(self.logits.dtype)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return super().sample(sample_shape).to(self.logits.dtype)


class ColumnsDistribution(Distribution):
    """Independent columns, in groups of one kind; ``log_prob`` is per column, 0 where the cell is NaN."""

    arg_constraints: dict[str, Any] = {}

    def __init__(self, groups: Sequence[Distribution], order: Tensor, back: Tensor) -> None:
        self.groups, self.order, self.back = groups, order, back
        super().__init__(torch.Size((*groups[0].batch_shape[:-1], len(order))), validate_args=False)

    def _joined(self, pieces: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(pieces), -1)[..., self.back]

    def log_prob(self, value: Tensor) -> Tensor:
        missing = torch.isnan(value)
        sizes = [group.batch_shape[-1] for group in self.groups]
        filled = torch.where(missing, 0.0, value)[..., self.order].split(sizes, -1)
        pieces = [group.log_prob(x) for group, x in zip(self.groups, filled, strict=True)]
        return torch.where(missing, 0.0, self._joined(pieces))

    @property
    def mean(self) -> Tensor:
        return self._joined([group.mean for group in self.groups])

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = torch.Size(sample_shape)
        return self._joined([group.sample(shape) for group in self.groups])


class Codes(nn.Module):
    """The categorical columns: logits of all their levels in a row, padded to the longest."""

    index: Tensor
    pad: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.output_shape = (sum(levels),)
        first = torch.tensor([sum(levels[:i]) for i in range(len(levels))]).unsqueeze(-1)
        step = torch.arange(max(levels))
        pad = step >= torch.tensor(levels).unsqueeze(-1)
        self.register_buffer("index", torch.where(pad, 0, first + step), persistent=False)
        self.register_buffer("pad", pad, persistent=False)

    def forward(self, out: Tensor) -> CodesDistribution:
        logits = out[..., self.index].masked_fill(self.pad, torch.finfo(out.dtype).min / 4)
        return CodesDistribution(logits=logits, validate_args=False)


@LIKELIHOODS.register("columns")
class Columns(Likelihood):
    r"""A row of a table: Normal (or Laplace) numbers, negative binomial (or Poisson) counts, Bernoulli, categorical.

    .. math:: \log p(x|z) = \sum_{j\ \mathrm{observed}} \log p_j(x_j|z)

    Each numeric column has a learned deviation of its own. A missing cell (NaN) contributes nothing.

    *Shapes*: out (samples, batch, total): one number a column, a category as many as it has levels; x (batch, columns)
    -> (samples, batch). *Units and sign*: nats, higher is better: of a density for numeric columns (in their own
    units), of a probability for the others. *Neutral setting*: a table of one kind is that kind's own likelihood.
    *Source*: Nazábal et al. 2020 (HI-VAE, 1807.03653), eq. 2 and section 2.2.

    >>> from lowerbound.data.dataset import Column
    >>> columns = Column("smokes", "binary"), Column("city", "category", ("A", "B", "C"))
    >>> s = Summary("table", (2,), torch.tensor([0.5, 1.0]), torch.ones(2), columns=columns)
    >>> Columns(s).log_prob(torch.zeros(1, 1, 4), torch.tensor([[1.0, torch.nan]]))
    tensor([[-0.6931]])
    """

    about = "rows of a table"
    kinds = ("table",)
    order: Tensor
    back: Tensor

    def __init__(
        self,
        summary: Summary,
        *,
        numeric: Literal["normal", "laplace"] = "normal",
        count: Literal["negative-binomial", "poisson"] = "negative-binomial",
    ) -> None:
        super().__init__(summary)
        if len(summary.columns) != summary.parts:
            raise InputError("the table's columns are not described", where="likelihood", mend="load it as a table")
        self.members = nn.ModuleDict()
        names = {"numeric": numeric, "count": count, "binary": "bernoulli"}
        where: dict[str, list[int]] = {k: _of_kind(summary, k) for k in (*names, "category")}
        for kind, columns in where.items():
            if columns and kind in names:
                options: dict[str, Any] = {"shared": False} if kind == "numeric" else {}
                self.members[kind] = LIKELIHOODS.build(names[kind], _part(summary, kind, columns), **options)
            elif columns:
                self.members[kind] = Codes([max(len(summary.columns[j].levels), 1) for j in columns])
        self.where = {kind: columns for kind, columns in where.items() if columns}
        order = torch.tensor([j for columns in self.where.values() for j in columns])
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", torch.argsort(order), persistent=False)
        self.output_shape = (sum(self._widths()),)

    def _widths(self) -> list[int]:
        return [int(torch.Size(member.output_shape).numel()) for member in self.members.values()]  # type: ignore[arg-type]

    def forward(self, out: Tensor) -> ColumnsDistribution:
        slices = out.split(self._widths(), -1)
        groups = [
            member(piece if isinstance(member, Codes) else piece.unsqueeze(-2))
            for member, piece in zip(self.members.values(), slices, strict=True)
        ]
        return ColumnsDistribution(groups, self.order, self.back)

    def sigma(self) -> Tensor | None:
        """The deviations of the numeric columns, in their own units."""
        return self.members["numeric"].sigma() if "numeric" in self.members else None  # type: ignore[operator]

    def marginal_variance(self, summary: Summary) -> Tensor:
        """Of categories, the variance of their codes: a stand-in."""
        variance = summary.std.square().clamp(min=TINY)
        for kind, member in self.members.items():
            if isinstance(member, Likelihood):
                columns = self.where[kind]
                variance[columns] = member.marginal_variance(_part(summary, kind, columns))
        return variance

    def output_bias(self, summary: Summary) -> Tensor:
        """Categories start equally probable: a summary does not count them."""
        pieces = [
            member.output_bias(_part(summary, kind, self.where[kind])).flatten()
            if isinstance(member, Likelihood)
            else torch.zeros(width)
            for (kind, member), width in zip(self.members.items(), self._widths(), strict=True)
        ]
        return torch.cat(pieces)


def _of_kind(summary: Summary, kind: str) -> list[int]:
    return [j for j, column in enumerate(summary.columns) if column.kind == kind]


def _part(summary: Summary, kind: str, columns: list[int]) -> Summary:
    mean, std = (torch.nan_to_num(a[columns]) for a in (summary.mean, summary.std))
    return Summary(KINDS[kind], (len(columns),), mean, std)
