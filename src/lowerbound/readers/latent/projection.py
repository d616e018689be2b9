"""A plane that is no two dimensions of the code: its principal components, or t-SNE."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from lowerbound.errors import InputError, nearest
from lowerbound.readers.latent.plane import Plane, labels_of, lattice, limits_of, spaced
from lowerbound.readers.latent.space import Space, summed
from lowerbound.training.load import Trained

WAYS = ("pca", "tsne")
MOST = 2_000
"""Examples that t-SNE lays out: its time grows faster than their number."""
FEWEST, PERPLEXITY = 10, 30


def projection(
    trained: Trained,
    by: str,
    *,
    side: int = 24,
    split: str = "test",
    label: str | None = None,
    given: int | None = None,
    seed: int = 0,
) -> Plane:
    """The codes of a split on a plane, ``by`` "pca" or "tsne"; decoded too by "pca", which has a way back.

    Args:
        side: pictures along each side of the decoder's view.
        label, given: what is held fixed where a conditional model decodes.
        seed: of t-SNE.

    Raises:
        InputError: an unknown way, fewer than two numbers a code or ten examples, codes that are categories.
    """
    if by not in WAYS:
        raise InputError(f"unknown way {by!r}", where="--by", mend=nearest(by, ("rate", *WAYS)))
    if summed(trained):
        what = "the decoder sees the head of a class plus the style, and that is a plane already"
        raise InputError(what, where="--by", mend="leave it out")
    space = Space(trained, split=split, label=label, given=given)
    rows = spaced(trained, split, MOST) if by == "tsne" else spaced(trained, split)
    if len(space.numbers) < 2 or len(rows) < FEWEST:
        what = f"{len(rows)} codes of {len(space.numbers)}: two numbers or more, of {FEWEST} examples, make a plane"
        raise InputError(what, where="--by", mend="use another split, or traverse")
    z = space.encode(split, rows)[:, list(space.numbers)]
    return components(space, rows, z, side) if by == "pca" else neighbours(space, rows, z, seed)


def components(space: Space, rows: Tensor, z: Tensor, side: int) -> Plane:
    """Codes (n, numbers) along the two directions in which they vary most, and that plane decoded."""
    found = PCA(2, svd_solver="full").fit(z.double().numpy())
    at = torch.from_numpy(found.transform(z.double().numpy())).float()
    limits = limits_of(at, False)
    places = space.centre.float().repeat(side, side, 1)
    grid = lattice(limits, side).double().numpy().reshape(-1, 2)
    back = torch.from_numpy(found.inverse_transform(grid)).float()
    places[..., list(space.numbers)] = back.unflatten(0, (side, side))
    x = space.decode(places.flatten(0, 1)).unflatten(0, (side, side))
    first, second = (f"component {i + 1}: {share:.0%} of the variance" for i, share in enumerate(shares(found)))
    words = f"Principal components of {codes_of(space, z)}, through their mean."
    labels, names = labels_of(space.trained, space.split, rows)
    return Plane(
        at.numpy(),
        labels,
        names,
        x,
        limits,
        None,
        False,
        space.words_of_class,
        space.split,
        None,
        (first, second),
        words,
    )


def codes_of(space: Space, z: Tensor) -> str:
    """How many codes of how many numbers, and how many of these are used: no category, none that never varies."""
    used = "" if z.shape[1] == space.width else f" ({z.shape[1]} used)"
    return f"{len(z):,} codes of {space.width} numbers{used}"


def shares(found: PCA) -> list[float]:
    """The share of the variance that each component holds; 0 of none."""
    return np.nan_to_num(found.explained_variance_ratio_).tolist()


def neighbours(space: Space, rows: Tensor, z: Tensor, seed: int) -> Plane:
    """Codes (n, numbers) laid out by t-SNE, which has no way back to a code."""
    perplexity = min(PERPLEXITY, (len(z) - 1) // 3)
    made = TSNE(2, init="pca", perplexity=perplexity, random_state=seed).fit_transform(z.double().numpy())
    limits = limits_of(torch.from_numpy(made).float(), False)
    words = f"t-SNE of {codes_of(space, z)}, perplexity {perplexity}, seed {seed}: it keeps who is "
    words += "near whom. How far clusters lie apart, how large they are, and the axes mean nothing."
    labels, names = labels_of(space.trained, space.split, rows)
    return Plane(made, labels, names, None, limits, None, False, "", space.split, None, ("", ""), words)
