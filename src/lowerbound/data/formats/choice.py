"""Which arrays of an .npz are the examples, which the labels, and which splits they name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lowerbound.data.formats import npz
from lowerbound.data.guard import show
from lowerbound.data.raw import ALL
from lowerbound.errors import InputError, nearest

EXAMPLES = ("x", "X", "images", "data", "samples", "features", "frames", "arr_0")
LABELS = ("y", "Y", "labels", "label", "targets", "target")
SPLITS = {"train": ("train",), "valid": ("valid", "val", "validation", "dev"), "test": ("test",)}
Arrays = dict[str, np.ndarray]


def read(path: Path, array: str | None, labels: str | None) -> tuple[Arrays, Arrays]:
    """Examples and labels by split: ``array`` if given, else named splits, else the array named like examples.

    Splits are found by names such as x_train, train, train_images; examples by x, X, images, data, samples, features,
    frames, arr_0, or by being the only array; labels by y, labels, targets, y_train, train_label and the like.
    """
    keys = npz.keys(path)
    chosen = {ALL: one(path, keys, array)} if array or not splits(keys) else splits(keys)
    x = _read(path, chosen)
    named = {ALL: labels} if labels else {name: label for name in x if (label := label_of(name, keys))}
    if labels and labels not in keys:
        raise InputError(f"holds no array {labels!r}", where=show(path), mend=nearest(labels, keys))
    if array and not labels:
        named = {}
    return x, matching(x, _read(path, named, words=True), path, bool(labels))


def _read(path: Path, chosen: dict[str, str], words: bool = False) -> Arrays:
    found = npz.arrays(path, list(chosen.values()), words)
    return {name: found[key] for name, key in chosen.items()}


def splits(keys: Sequence[str]) -> dict[str, str]:
    """Split -> key, if the keys name a training split and another one.

    >>> splits(["x_train", "y_train", "x_test", "y_test"])
    {'train': 'x_train', 'test': 'x_test'}
    """
    found: dict[str, str] = {}
    for split, words in SPLITS.items():
        forms = [form for w in words for form in (f"x_{w}", f"X_{w}", w, f"{w}_x", f"{w}_images", f"{w}_data")]
        match = next((form for form in forms if form in keys), None)
        found |= {split: match} if match else {}
    return found if "train" in found and len(found) > 1 else {}


def label_of(split: str, keys: Sequence[str]) -> str | None:
    """The key of the labels of a split."""
    if split == ALL:
        return next((key for key in LABELS if key in keys), None)
    forms = [f for w in SPLITS[split] for f in (f"y_{w}", f"{w}_y", f"{w}_label", f"{w}_labels", f"labels_{w}")]
    return next((form for form in forms if form in keys), None)


def one(path: Path, keys: Sequence[str], array: str | None) -> str:
    """The key of the examples: as asked, the only one, or the one with a usual name."""
    if array is not None:
        if array not in keys:
            raise InputError(f"holds no array {array!r}", where=show(path), mend=nearest(array, keys))
        return array
    usual = [key for key in EXAMPLES if key in keys]
    rest = [key for key in keys if key not in LABELS]
    if usual or len(rest) == 1:
        return usual[0] if usual else rest[0]
    what = f"holds {len(keys)} arrays and none has a usual name"
    raise InputError(what, where=show(path), mend=f"say which one with array: {', '.join(keys[:8])}")


def matching(x: Arrays, y: Arrays, path: Path, asked: bool) -> Arrays:
    """The labels, where every split has them: a fault where they are not one an example, or asked for and missing."""
    unfit = next((name for name in x if name in y and y[name].shape != (len(x[name]),)), None)
    if unfit is None and set(x) <= set(y):
        return y
    if unfit is None and not asked:
        return {}
    found = "" if unfit is None else f": they have the shape {y[unfit].shape} beside {len(x[unfit])} examples"
    mend = "give labels of shape (examples,), or read the examples alone: --array"
    raise InputError(f"its labels are not one an example{found}", where=show(path), mend=mend)
