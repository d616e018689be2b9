"""A folder of pictures: one size, class subfolders as labels, and no surprise inside a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data.guard import LARGEST, fits, guarded, plain_file, show
from lowerbound.data.raw import ALL, Raw
from lowerbound.errors import InputError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm")
PIXELS = 2**24
"""Pixels that one picture may have, known from its header before it is unpacked."""

SPLITS = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "test": "test", "testing": "test"}
WIDE = 65535
MEND = "save it again as an 8-bit RGB or grey PNG"


def read(folder: Path) -> Raw:
    """The pictures under ``folder``; its subfolders are classes, or the splits train, valid and test, of classes."""
    found = listing(folder)
    if not found:
        what = f"holds no pictures ({', '.join(suffix[1:] for suffix in SUFFIXES[:4])}, ...)"
        raise InputError(what, where=show(folder), mend="give a folder of pictures, or a file of data")
    names = sorted({SPLITS[part[0]] for path in found if (part := _parts(path, folder))[0] in SPLITS})
    outside = [path for path in found if _parts(path, folder)[0] not in SPLITS]
    if "train" not in names or outside:
        return assembled(folder, {ALL: found}, depth=0)
    groups = {name: [path for path in found if SPLITS[_parts(path, folder)[0]] == name] for name in names}
    return assembled(folder, groups, depth=1)


def listing(folder: Path) -> list[Path]:
    """Every picture under ``folder`` in the order of names; hidden files are left out, links are not followed."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        kept = (name for name in sorted(files) if not name.startswith(".") and name.lower().endswith(SUFFIXES))
        found += [Path(root, name) for name in kept]
    return sorted(found)


def _parts(path: Path, folder: Path) -> tuple[str, ...]:
    return path.relative_to(folder).parts


def assembled(folder: Path, groups: Mapping[str, Sequence[Path]], depth: int) -> Raw:
    """The pictures of all groups as arrays (n, height, width[, 3]), with their class folders as labels."""
    decoded = {name: [decode(path) for path in paths] for name, paths in _limited(groups).items()}
    uniform([(path, image) for name in groups for path, image in zip(groups[name], decoded[name], strict=True)])
    colour = any(image.ndim == 3 for images in decoded.values() for image in images)
    x = {name: np.stack([coloured(image, colour) for image in images]) for name, images in decoded.items()}
    wide = next(iter(x.values())).dtype == np.uint16
    why = "unit, because 16-bit grey levels are divided by 65535" if wide else ""
    y = classes(folder, groups, depth)
    return Raw(folder.name or show(folder), show(folder), x, y, kind="unit" if wide else "auto", why=why)


def _limited(groups: Mapping[str, Sequence[Path]]) -> Mapping[str, Sequence[Path]]:
    first = decode(next(iter(groups.values()))[0])
    fits(first.nbytes * sum(len(paths) for paths in groups.values()), "the folder of pictures", LARGEST)
    return groups


def classes(folder: Path, groups: Mapping[str, Sequence[Path]], depth: int) -> dict[str, np.ndarray]:
    """The class folder of each picture, if every picture lies in one."""
    parts = {name: [_parts(path, folder)[depth:-1] for path in paths] for name, paths in groups.items()}
    if not all(part for some in parts.values() for part in some):
        return {}
    return {name: np.array([part[0] for part in some]) for name, some in parts.items()}


def uniform(images: Sequence[tuple[Path, np.ndarray]]) -> None:
    """Refuses pictures of two sizes, or of 8 and 16 bits, naming one of each."""
    path, image = images[0]
    for other, another in images:
        if another.shape[:2] != image.shape[:2] or another.dtype != image.dtype:
            one, two = (f"{a.shape[1]} x {a.shape[0]} of {8 * a.itemsize} bits" for a in (image, another))
            what = f"is {two}, and {path.name} is {one}"
            raise InputError(what, where=show(other), mend="bring all pictures to one size and depth")


def coloured(image: np.ndarray, colour: bool) -> np.ndarray:
    """A grey picture in three channels, if its neighbours have colours."""
    return np.repeat(image[..., None], 3, 2) if colour and image.ndim == 2 else image


def decode(path: Path) -> np.ndarray:
    """(height, width) or (height, width, 3) bytes, or 16-bit grey; turned upright as its EXIF note says."""
    from PIL import Image, ImageOps

    path = plain_file(path)
    with guarded(path, "a picture", MEND), Image.open(path, formats=FORMATS) as image:
        checked(image, path)
        upright = ImageOps.exif_transpose(image) or image
        return converted(upright, path)


def checked(image: Any, path: Path) -> None:
    """Refuses, from its header alone, a picture too large or with more than one frame."""
    if image.width * image.height > PIXELS:
        what = f"has {image.width:,} x {image.height:,} pixels, more than the {PIXELS:,} that are allowed"
        raise InputError(what, where=show(path), mend="make it smaller")
    if getattr(image, "n_frames", 1) > 1:
        raise InputError(f"has {image.n_frames} frames", where=show(path), mend="save each frame as its own picture")


def converted(image: Any, path: Path) -> np.ndarray:
    """The pixels of a picture of any mode that has one honest reading as grey or RGB."""
    mode = image.mode
    if mode in ("P", "PA"):
        image = image.convert("RGBA" if mode == "PA" or "transparency" in image.info else "RGB")
        mode = image.mode
    if mode in ("LA", "RGBA", "La", "RGBa"):
        if np.asarray(image.getchannel(image.getbands()[-1])).min() < 255:
            raise InputError("is partly transparent", where=show(path), mend="save it on a plain background")
        return np.asarray(image.convert("L" if mode[0] == "L" else "RGB"))
    if mode in ("L", "RGB"):
        return np.asarray(image)
    if mode == "1":
        return np.asarray(image.convert("L"))
    if mode.startswith("I"):
        return deep(np.asarray(image), path)
    raise InputError(f"has colours of the mode {mode}, which have no one reading as RGB", where=show(path), mend=MEND)


def deep(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Whole-number pixels of more than 8 bits as 16-bit grey."""
    if pixels.min() < 0 or pixels.max() > WIDE:
        raise InputError("has grey levels beyond 16 bits", where=show(path), mend="save it as 16-bit grey, or as .npy")
    return pixels.astype(np.uint16)
