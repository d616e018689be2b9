"""What the encoder sees of an example: the same numbers in units that a network likes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowerbound.data.dataset import Summary


class Features(nn.Module):
    """x (batch, *shape) in data units -> (batch, *output_shape), centred and scaled by the data's kind.

    Binary and [0, 1] values are passed as they are; levels are laid on [-1, 1]; real values are standardised; counts
    become log(1 + x). A table's row becomes a flat vector: its numbers so treated, 0 where a cell is missing; its
    categories one-hot, all 0 where missing; and for each column 1 where the cell is missing. Sequences and series
    become steps (T, numbers + 1): symbols one-hot, measurements standardised, then 1 where the step is there; after
    the end all 0.

    >>> s = Summary("levels", (2,), torch.ones(2), torch.ones(2), levels=17)
    >>> Features(s)(torch.tensor([[0.0, 12.0]]))
    tensor([[-1.0000,  0.5000]])
    """

    mean: Tensor
    scale: Tensor
    codes: Tensor
    of: Tensor

    def __init__(self, summary: Summary) -> None:
        super().__init__()
        self.kind, self.output_shape = summary.kind, tuple(summary.shape)
        self.in_steps = summary.kind in ("sequence", "series")
        self.register_buffer("mean", summary.mean.clone().nan_to_num())
        self.register_buffer("scale", torch.where(summary.std > 0, summary.std, 1.0))
        if summary.kind == "levels":
            self.mean.fill_((summary.levels - 1) / 2)
            self.scale.copy_(self.mean)
        if summary.kind in ("binary", "unit", "count"):
            self.mean.zero_()
            self.scale.fill_(1)
        if summary.kind == "table":
            self._table(summary)
        if self.in_steps:
            self._steps_of(summary)

    def _table(self, summary: Summary) -> None:
        """Which columns are numbers, which are counts, and which code of which column each one-hot place stands for."""
        kinds = [column.kind for column in summary.columns]
        places = [
            (j, code) for j, c in enumerate(summary.columns) if c.kind == "category" for code in range(len(c.levels))
        ]
        self.register_buffer("of", torch.tensor([j for j, _ in places], dtype=torch.long), persistent=False)
        self.register_buffer("codes", torch.tensor([float(code) for _, code in places]), persistent=False)
        self.numbers = [j for j, kind in enumerate(kinds) if kind != "category"]
        self.counts = [j for j, kind in enumerate(kinds) if kind == "count"]
        plain = [j for j, kind in enumerate(kinds) if kind in ("count", "binary")]
        self.mean[plain], self.scale[plain] = 0.0, 1.0
        self.output_shape = (len(self.numbers) + len(places) + len(kinds),)

    def _steps_of(self, summary: Summary) -> None:
        self.register_buffer("codes", torch.arange(float(summary.levels)), persistent=False)
        numbers = summary.levels if summary.kind == "sequence" else summary.shape[1]
        self.output_shape = (summary.shape[0], numbers + 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.in_steps:
            return self._steps(x)
        if self.kind in ("binary", "unit"):
            return x
        if self.kind == "count":
            return torch.log1p(x)
        scaled = (x - self.mean) / self.scale
        return scaled if self.kind != "table" else self._row(x, scaled)

    def undo(self, scaled: Tensor) -> Tensor:
        """Back to data units, of anything but steps."""
        if self.kind == "table":
            return self._undo_row(scaled)
        if self.kind in ("binary", "unit"):
            return scaled
        return torch.expm1(scaled) if self.kind == "count" else scaled * self.scale + self.mean

    def _steps(self, x: Tensor) -> Tensor:
        if self.kind == "sequence":
            numbers, there = (x.unsqueeze(-1) == self.codes).to(x.dtype), ~torch.isnan(x)
        else:
            numbers, there = ((x - self.mean) / self.scale).nan_to_num(), ~torch.isnan(x).any(-1)
        return torch.cat([numbers, there.to(x.dtype).unsqueeze(-1)], -1)

    def ended(self, changed: Tensor, features: Tensor) -> Tensor:
        """Features that were ``changed``, with the ends that they had: of steps, those not there are 0 again."""
        if not self.in_steps or changed is features:
            return changed
        there = features[..., -1:]
        return torch.cat([changed[..., :-1] * there, there], -1)

    def _row(self, x: Tensor, scaled: Tensor) -> Tensor:
        scaled = scaled.clone()
        scaled[:, self.counts] = torch.log1p(x[:, self.counts])
        hot = x[:, self.of] == self.codes
        return torch.cat([scaled[:, self.numbers].nan_to_num(), hot.to(x.dtype), torch.isnan(x).to(x.dtype)], -1)

    def _undo_row(self, row: Tensor) -> Tensor:
        """A table's row (n, columns) of its flat vector (n, numbers), NaN where a cell was missing."""
        columns = len(self.mean)
        numbers, hot, missing = row.split([len(self.numbers), len(self.of), columns], -1)
        x = row.new_zeros(len(row), columns)
        x[:, self.numbers] = numbers
        x = x * self.scale + self.mean
        x[:, self.counts] = torch.expm1(x[:, self.counts])
        categories = [j for j in range(columns) if j not in self.numbers]
        x[:, categories] = x.new_zeros(len(row), columns).index_add_(-1, self.of, hot * self.codes)[:, categories]
        return torch.where(missing > 0, torch.nan, x)
