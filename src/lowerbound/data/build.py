"""From what a reader found to a data set: checked, given a meaning, split, binarised, recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from lowerbound.data.dataset import Data, Split
from lowerbound.data.draws import DRAW_SEED, order
from lowerbound.data.kinds import Meaning, meaning
from lowerbound.data.options import Options
from lowerbound.data.raw import ALL, Raw
from lowerbound.data.rows import Rows, Step
from lowerbound.data.scan import Facts, facts, fingerprint
from lowerbound.data.summary import moments
from lowerbound.data.table import SCALES
from lowerbound.errors import InputError

SPLITS = ("train", "valid", "test")
EXACT = 2**24
"""Whole numbers up to here are exact in float32."""

LARGEST = 1e30
"""Values up to here can still be squared and summed in float64 and kept in float32."""


def build(raw: Raw, options: Options) -> Data:
    """The data set of ``raw`` under ``options``."""
    if not in_steps(raw):
        raw = replace(raw, x={name: layout(x, raw.source) for name, x in raw.x.items()})
    seen = examine(raw, options)
    sense = meant(raw, seen, options)
    sense, binarisation = binarised(raw, sense, options)
    index = divided(raw, options)
    step: Step = "none" if binarisation == "fresh" else binarisation  # type: ignore[assignment]
    splits = {name: part(raw, name, index[name], sense, binarisation, step, options.limit) for name in SPLITS}
    shape = tuple(int(n) for n in next(iter(raw.x.values())).shape[1:])
    notes = (*raw.notes, *remarks(sense, seen, splits["train"]))
    columns = raw.columns if sense.kind == "table" else ()
    names = raw.label_names
    data = Data(raw.name, sense.kind, shape, splits, {}, sense.levels, columns, binarisation, names, raw.symbols, notes)
    return replace(data, record=record(raw, data, sense, options))


def in_steps(raw: Raw) -> bool:
    """Whether examples are lists of steps of unequal number, with NaN after the end of each."""
    return raw.kind.startswith(("sequence", "series"))


def layout(x: Any, where: object) -> Any:
    """``x`` as (n, features) or (n, channels, height, width): a view, with the axis of colours found by its size."""
    axes = x.ndim
    if axes not in (2, 3, 4) or 0 in x.shape[1:]:
        mend = "give (examples, features), (examples, height, width) or (examples, channels, height, width)"
        raise InputError(f"has the shape {tuple(int(n) for n in x.shape)}", where=where, mend=mend)
    if axes == 3:
        return x[:, None]
    colours_last = x.shape[-1] in (1, 3, 4) and x.shape[1] not in (1, 3)
    return x.transpose(0, 3, 1, 2) if axes == 4 and colours_last else x


def examine(raw: Raw, options: Options) -> Facts:
    """The facts of all values, or the one line that says why they cannot be used."""
    shapes = {tuple(x.shape[1:]) for x in raw.x.values()}
    if len(shapes) > 1:
        raise InputError(f"its splits differ in shape: {sorted(shapes)}", where=raw.source, mend="give them one shape")
    enough(raw, options)
    table = wanted(raw, options).startswith("table")
    seen = facts(raw.x.values(), missing=table or in_steps(raw))
    if seen.bad:
        mend = "remove it" if table else "remove it, or give a table (kind table), where a missing cell is left out"
        raise InputError(f"holds {seen.bad}", where=raw.source, mend=mend)
    if max(-seen.low, seen.high) > LARGEST and seen.low <= seen.high:
        what = f"holds values up to {max(-seen.low, seen.high):g}, too large for float32"
        raise InputError(what, where=raw.source, mend="scale them down")
    if seen.low >= seen.high and options.like is None:
        value = f"every value is {seen.low:g}" if seen.low == seen.high else "every cell is missing"
        raise InputError(f"is constant: {value}", where=raw.source, mend="there is nothing to learn; check the file")
    return seen


def enough(raw: Raw, options: Options) -> None:
    """Refuses fewer examples than the splits need."""
    for name, x in raw.x.items():
        if len(x) == 0:
            named = "" if name == ALL else f" in its split {name}"
            raise InputError(f"holds 0 samples{named}", where=raw.source, mend="give at least two examples")
    held = (options.valid > 0 and "valid" not in raw.x) + (options.test > 0 and "test" not in raw.x)
    n, least = len(raw.x.get(ALL, raw.x.get("train", ()))), 2 + held
    if n < least and options.like is None:
        what = f"holds only {n} sample{'s' if n > 1 else ''}"
        raise InputError(what, where=raw.source, mend=f"give at least {least} examples for these splits")


def wanted(raw: Raw, options: Options) -> str:
    """The kind that is asked for: by the run that ``like`` records, by the person, or by the source."""
    like = options.like
    if in_steps(raw):
        return raw.kind
    if like is None:
        return options.kind if options.kind != "auto" else raw.kind
    if like["binarisation"] != "none":
        return "auto"
    return f"levels:{like['levels']}" if like["levels"] else str(like["kind"])


def meant(raw: Raw, seen: Facts, options: Options) -> Meaning:
    """What the values mean: as asked, or as guessed."""
    first = next(iter(raw.x.values()))
    if options.like is not None:
        same_shape(first.shape[1:], options.like, raw.source)
    asked = wanted(raw, options)
    if not in_steps(raw) and asked in ("sequence", "series"):
        mend = "give texts, lists, or an array with lengths or a mask"
        raise InputError(f"cannot be of kind {asked}", where=raw.source, mend=mend)
    sense = meaning(first.dtype, first.ndim, seen, asked, raw.source)
    if sense.kind == "unit" and raw.kind.startswith("levels:"):
        sense = replace(sense, divisor=float(raw.kind.partition(":")[2]) - 1)
    own = options.like is None and options.kind == "auto" and raw.why
    return replace(sense, why=raw.why) if own else sense


def same_shape(shape: tuple[int, ...], like: Mapping[str, Any], where: object) -> None:
    """Refuses examples of another shape than the run was trained on."""
    if list(shape) != list(like["shape"]):
        what = f"its examples have the shape {tuple(shape)}, the model's have {tuple(like['shape'])}"
        raise InputError(what, where=where, mend="give data like that of training")


def binarised(raw: Raw, sense: Meaning, options: Options) -> tuple[Meaning, str]:
    """The meaning after binarisation, and which binarisation it is."""
    chosen = options.binarise
    if options.like is not None:
        chosen = {"fresh": "fixed"}.get(options.like["binarisation"], options.like["binarisation"])
    if chosen == "default":
        chosen = raw.binarise if options.kind in ("auto", "binary") else "none"
    if chosen == "none" or sense.kind == "binary":
        return sense, "none"
    if sense.kind not in ("levels", "unit"):
        what = f"{options.binarise} needs grey values, and the data are of kind {sense.kind}"
        raise InputError(what, where="binarise", mend="leave it out, or say kind levels or unit if they are grey")
    top = sense.divisor * max(1, sense.levels - 1)
    words = {
        "threshold": "1 above half of the range",
        "fixed": f"1 or 0, drawn once with the published seed {DRAW_SEED}",
        "fresh": f"1 or 0, drawn anew at each use in training; valid and test drawn once with the seed {DRAW_SEED}",
    }
    return Meaning("binary", f"binary, because grey values are binarised: {words[chosen]}", 0, top), chosen


def divided(raw: Raw, options: Options) -> dict[str, tuple[str, np.ndarray]]:
    """For each split: the array of ``raw`` it is taken from, and its rows there."""
    source = ALL if ALL in raw.x else "train"
    n = len(raw.x[source])
    held = [name for name in ("test", "valid") if name not in raw.x]
    counts = {name: counted(getattr(options, name), n) for name in held}
    rows = order(n, options.seed) if sum(counts.values()) else np.arange(n)
    out = {name: (name, np.arange(len(raw.x[name]))) for name in SPLITS if name in raw.x}
    start = 0
    for name in held:
        out[name] = (source, rows[start : start + counts[name]])
        start += counts[name]
    return out | {"train": (source, rows[start:])}


def counted(share: float, n: int) -> int:
    """How many of ``n`` examples a share is: rounded, and at least one if there is a share at all."""
    return max(1, round(share * n)) if share > 0 else 0


def part(
    raw: Raw,
    name: str,
    index: tuple[str, np.ndarray],
    sense: Meaning,
    binarisation: str,
    step: Step,
    limit: int,
) -> Split:
    """One split: a tensor if all of the data fits ``limit`` as float32, else rows read when asked for."""
    source, rows = index
    if binarisation == "fresh" and name != "train":
        step = "fixed"
    view = Rows(raw.x[source], rows, sense.divisor, step, source)
    whole = sum(4 * int(np.prod(x.shape, dtype=np.int64)) for x in raw.x.values())
    labels = raw.y[source][rows] if source in raw.y else None
    return Split(view.tensor() if whole <= limit else view, labels, rows)


def remarks(sense: Meaning, seen: Facts, train: Split) -> list[str]:
    """Sentences a person should read of data that can be used."""
    notes = []
    if seen.whole and max(-seen.low, seen.high) > EXACT:
        notes.append("whole numbers above 16,777,216 are rounded: values are kept in float32")
    if isinstance(train.x, Rows):
        notes.append("larger than the limit of memory: rows are read from the file when they are needed")
    if sense.kind == "real" and train.x.ndim == 2:
        spread = moments(train.x)[1]
        ratio = spread.max() / spread[spread > 0].min(initial=spread.max()) if spread.max() > 0 else 1.0
        if ratio > SCALES:
            notes.append(f"deviations of its columns differ {ratio:,.0f}-fold: kind table gives each its own variance")
    return notes


def record(raw: Raw, data: Data, sense: Meaning, options: Options) -> dict[str, Any]:
    """What goes into the run folder: which data these are, to the bit, and all that was done to them."""
    named = [name for name in SPLITS if name in raw.x]
    drawn = [name for name in SPLITS if name not in raw.x]
    how = f"of the source: {', '.join(named)}" if named else ""
    how += ("; " if named and drawn else "") + (f"drawn with seed {options.seed}: {', '.join(drawn)}" if drawn else "")
    return {
        "name": raw.name,
        "source": raw.source,
        "sha256": identity(raw),
        "kind": data.kind,
        "kind_why": sense.why,
        "levels": data.levels,
        "classes": data.classes,
        "shape": list(data.shape),
        "examples": {name: len(split) for name, split in data.splits.items()},
        "split": {"how": how, "named": named, "valid": options.valid, "test": options.test, "seed": options.seed},
        "binarisation": data.binarisation,
        "binarisation_seed": DRAW_SEED if data.binarisation in ("fixed", "fresh") else None,
        "columns": [asdict(column) for column in data.columns],
        "column_names": [column.name for column in raw.columns],
        "label_names": list(data.label_names),
        "symbols": list(data.symbols),
        "notes": list(data.notes),
    }


def identity(raw: Raw) -> str:
    """The fingerprint of the source's arrays; a named set must be the published one, to the bit."""
    meanings: list[Any] = [asdict(column) for column in raw.columns] or list(raw.symbols)
    found = fingerprint(raw.x, meanings or None)
    if raw.published and found != raw.published:
        raise InputError("is not the published data: its hash differs", where=raw.source, mend="fetch its files again")
    return found
