"""Pictures of what a model does: samples, reconstructions, interpolations, arithmetic; as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.data.sequences import words
from lowerbound.errors import InputError, nearest
from lowerbound.model.conditions import one_hot
from lowerbound.training.load import Trained
from lowerbound.training.randomness import mix

SAMPLE = 11
BOX = 84
"""Pixels of the longer side of a picture above its code, at least."""


def is_picture(trained: Trained) -> bool:
    """Whether an example is a picture with one or three channels."""
    shape = trained.run.record()["shape"]
    return len(shape) == 3 and shape[0] in (1, 3)


def is_text(trained: Trained) -> bool:
    """Whether an example is a sequence of symbols."""
    return bool(trained.run.record()["kind"] == "sequence")


def texts(trained: Trained, x: Tensor) -> list[str]:
    """Sequences of symbols (n, T) as texts."""
    return words(x.numpy(), trained.run.record()["symbols"])


def grey(trained: Trained, x: Tensor) -> np.ndarray:
    """Examples (..., channels, height, width) in data units as numbers in [0, 1], (..., height, width[, 3])."""
    record = trained.run.record()
    if not is_picture(trained):
        raise InputError(f"examples of shape {record['shape']} are no pictures", where="data", mend="use --json or CSV")
    top = record["levels"] - 1 if record["levels"] else 1.0
    if record["kind"] in ("real", "count"):
        low, high = float(x.min()), float(x.max())
        scaled = (x - low) / max(high - low, 1e-12)
    else:
        scaled = x / top
    channels_last = scaled.clamp(0, 1).movedim(-3, -1).double().numpy()
    return channels_last[..., 0] if channels_last.shape[-1] == 1 else channels_last


def sheet(pictures: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Pictures (n, height, width[, 3]) laid on one sheet, ``columns`` to a row; NaN where none lies."""
    n, height, width = pictures.shape[:3]
    rows = math.ceil(n / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *pictures.shape[3:])
    out = np.full(shape, np.nan)
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        out[top : top + height, left : left + width] = picture
    return out


def folded(z: Tensor) -> np.ndarray:
    """Codes (n, width) as pictures (n, high, wide) as near to square as their width divides; in [0, 1], least to most.

    >>> folded(torch.zeros(3, 128)).shape, folded(torch.zeros(3, 32)).shape
    ((3, 8, 16), (3, 4, 8))
    """
    width = z.shape[1]
    high = next(h for h in range(math.isqrt(width), 0, -1) if width % h == 0)
    low, top = z.min(), z.max()
    return ((z - low) / (top - low).clamp(min=1e-12)).reshape(-1, high, width // high).double().numpy()


def boxed(small: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Pictures (n, high, wide) enlarged by a whole factor, at the top of boxes as large as ``like``'s."""
    high, wide = small.shape[1:]
    times = min(like.shape[1] // high, like.shape[2] // wide)
    out, left = np.full((len(small), *like.shape[1:]), np.nan), (like.shape[2] - times * wide) // 2
    large = small.repeat(times, 1).repeat(times, 2)
    out[:, : times * high, left : left + times * wide] = large if out.ndim == 3 else large[..., None]
    return out


def beneath(parts: Sequence[np.ndarray], columns: int, gap: int = 1) -> np.ndarray:
    """Parts, each of as many pictures of one size, on a sheet: a row of the first above the same of the second, ..."""
    short = -len(parts[0]) % columns
    full = [np.concatenate([part, np.full((short, *part.shape[1:]), np.nan)]) for part in parts]
    return sheet(
        np.concatenate([part[i : i + columns] for i in range(0, len(full[0]), columns) for part in full]), columns, gap
    )


def above_codes(trained: Trained, x: Tensor, y: Tensor, z: Tensor) -> np.ndarray:
    """A sheet of rows of ten: originals x, reconstructions y (n, *shape), and under them their codes z (n, width)."""
    codes = folded(z)
    pair = [grey(trained, part) for part in (x, y)]
    sides = zip((BOX, *codes.shape[1:]), (max(pair[0].shape[1:3]), *pair[0].shape[1:3]), strict=True)
    times = max(-(-wanted // had) for wanted, had in sides)
    large = [part.repeat(times, 1).repeat(times, 2) for part in pair]
    return beneath([*large, boxed(codes, large[0])], min(len(x), 10), gap=4)


def words_of_codes(z: Tensor) -> str:
    """What the pictures of codes z (n, width) show."""
    high, wide = folded(z).shape[1:]
    ends = (f"{float(end):.3g}".replace("-", "\N{MINUS SIGN}") for end in (z.min(), z.max()))
    return "{} numbers as {} x {}, from {} (black) to {} (white)".format(z.shape[1], high, wide, *ends)


def prior_of(trained: Trained, c: Tensor | None = None) -> Distribution:
    """p(z), or p(z|c) of conditions c (n, their width)."""
    return trained.model.prior_at(None if c is None else c.to(next(trained.model.parameters())))


def condition_of_label(trained: Trained, label: str) -> Tensor:
    """The condition (1, its width) of a class, by its name or number.

    Raises:
        InputError: the model is not conditioned on labels, or there is no such class.
    """
    condition = trained.model.condition
    if not condition.labelled:
        raise InputError("the model is not conditioned on labels", where="--label", mend="leave it out")
    y = torch.tensor([class_number(trained, label, condition.width)])
    return one_hot(y, condition.width, torch.zeros(1))


def class_number(trained: Trained, label: str, classes: int) -> int:
    """The number of a class, by its name or number."""
    names = list(trained.data.label_names) or [str(k) for k in range(classes)]
    if label not in names:
        raise InputError(f"no such class {label!r}", where="--label", mend=nearest(label, names))
    return names.index(label)


def conditions(trained: Trained, x: Tensor, y: Tensor | None) -> Tensor | None:
    """The conditions c (n, their width) of examples x (n, *shape) with labels y (n,); None in a model without one."""
    if not trained.model.condition.width:
        return None
    with torch.no_grad():
        return trained.model.given(*placed(trained, x, y))[1].float().cpu()


def some_conditions(trained: Trained, n: int, label: str | None = None) -> Tensor | None:
    """n conditions to sample under: of ``label``, else of each class or of held-out examples in turn; None without."""
    if label is not None:
        return condition_of_label(trained, label).expand(n, -1)
    condition = trained.model.condition
    if not condition.width:
        return None
    if condition.labelled:
        return one_hot(torch.arange(n) % condition.width, condition.width, torch.zeros(1))
    split = next(name for name in ("test", "valid", "train") if len(trained.data.splits[name]))
    rows = torch.arange(n) % len(trained.data.splits[split])
    return conditions(trained, trained.data.batch(split, rows), None)


def placed(trained: Trained, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Examples and labels where the model is, labels only for a model that asks for them."""
    like = next(trained.model.parameters())
    asks = trained.model.condition.labelled and y is not None
    return x.to(like), y.to(like.device) if asks and y is not None else None


def decode(trained: Trained, z: Tensor, c: Tensor | None = None) -> Tensor:
    """Expected x of z (n, width) under conditions c (n or 1, their width), data units, on the CPU."""
    with torch.no_grad():
        mean = trained.model.decode_mean(z.to(next(trained.model.parameters())), c)
        return trained.model.condition.whole(mean, c).float().cpu()


def codeless(trained: Trained) -> InputError:
    """What is said of a run whose examples have no codes: it has no encoder."""
    what, mend = "the model has no encoder: no example has a code", "use sample, traverse or manifold"
    return InputError(what, where=trained.run.path, mend=mend)


def refuse_codeless(trained: Trained) -> None:
    """An InputError where the run has latents and no encoder."""
    if trained.model.encoder is None and trained.model.latent:
        raise codeless(trained)


def encode(trained: Trained, x: Tensor, y: Tensor | None = None) -> Tensor:
    """Posterior means (n, width) of x (n, *shape), with labels y (n,) where the model asks for them.

    Raises:
        InputError: the run has latents and no encoder.
    """
    refuse_codeless(trained)
    with torch.no_grad():
        return trained.model.encode(*placed(trained, x, y)).mean.float().cpu()


def sample(trained: Trained, n: int = 25, *, seed: int = 0, draw: bool = False, label: str | None = None) -> Tensor:
    """n examples from the model, z ~ p(z): their expected values, or with ``draw`` values drawn from p(x|z).

    A conditional model is sampled under ``label``, else under each class, or each held-out example's part, in turn.
    """
    if n < 1:
        raise InputError(f"must be at least 1, got {n}", where="--n", mend="give a positive number")
    return sample_under(trained, some_conditions(trained, n, label), n, seed=seed, draw=draw)


def sample_under(trained: Trained, c: Tensor | None, n: int, *, seed: int = 0, draw: bool = False) -> Tensor:
    """n examples from the model under conditions c (n, their width), or None: as :func:`sample` makes them."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(SAMPLE, seed))
        p = prior_of(trained, c)
        z = p.sample() if p.batch_shape.numel() == n > 1 else p.sample((n,)).reshape(n, -1)
        if not draw or is_generator(trained):
            return decode(trained, z, c)
        return trained.model.condition.whole(trained.model.decode(z, c).sample(), c).float().cpu()


def is_generator(trained: Trained) -> bool:
    """Whether its x is what the decoder makes of z: a GAN trains no p(x|z) that more could be drawn from."""
    return bool(trained.spec.game.name == "gan")


def reconstruct(trained: Trained, x: Tensor, y: Tensor | None = None) -> Tensor:
    """Expected values of x from its own posterior mean, (n, *shape)."""
    return decode(trained, encode(trained, x, y), conditions(trained, x, y))


def path(a: Tensor, b: Tensor, steps: int, kind: Literal["linear", "spherical"] = "linear") -> Tensor:
    """Points from a to b (latent,), both included: (steps, latent). Spherical keeps to the shell where codes lie."""
    t = torch.linspace(0, 1, steps)[:, None]
    if kind == "linear":
        return (1 - t) * a + t * b
    cosine = torch.dot(a, b) / (a.norm() * b.norm()).clamp(min=1e-12)
    angle = torch.arccos(cosine.clamp(-1, 1))
    if angle < 1e-4:
        return (1 - t) * a + t * b
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def interpolate(
    trained: Trained, x: Tensor, y: Tensor, steps: int = 10, kind: Any = "linear", labels: Tensor | None = None
) -> Tensor:
    """Decoded path between the codes of two examples (*shape): (steps, *shape), under the condition of the first.

    ``labels`` (2,) are those of the two, for a model that asks for them.
    """
    if steps < 2:
        raise InputError(f"must be at least 2, got {steps}", where="--steps", mend="give 2 or more")
    both = torch.stack([x, y])
    a, b = encode(trained, both, labels)
    c = conditions(trained, both, labels)
    return decode(trained, path(a, b, steps, kind), None if c is None else c[:1])


def arithmetic(trained: Trained, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a - b + c on codes, each the average of the codes of some examples (n, *shape): decoded, (*shape)."""
    codes = [encode(trained, part).sum(0) / len(part) for part in (a, b, c)]  # not nats: average codes
    return decode(trained, (codes[0] - codes[1] + codes[2])[None])[0]


def some_of_each(labels: np.ndarray | None, n: int, length: int) -> Tensor:
    """Rows of n examples: one of each class in turn where there are labels, else the first."""
    if labels is None or len(labels) < n:
        return torch.arange(min(n, length))
    ranks = np.zeros(len(labels), dtype=np.int64)
    for value in np.unique(labels):
        at = np.flatnonzero(labels == value)
        ranks[at] = np.arange(len(at))
    chosen = np.lexsort((labels, ranks))[:n]
    return torch.from_numpy(chosen)
