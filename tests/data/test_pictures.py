"""A folder of pictures: modes, classes, splits, rotation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lowerbound.data import load
from lowerbound.data.formats.pictures import decode

from .bad import grey


def test_modes(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (8, 6, 3)).astype(np.uint8)
    image = Image.fromarray(colour)
    image.save(tmp_path / "rgb.png")
    assert np.array_equal(decode(tmp_path / "rgb.png"), colour)
    image.convert("RGBA").save(tmp_path / "rgba.png")
    assert np.array_equal(decode(tmp_path / "rgba.png"), colour)
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "p.png")
    assert np.array_equal(decode(tmp_path / "p.png"), np.asarray(palette.convert("RGB")))
    image.convert("1").save(tmp_path / "1.png")
    assert set(np.unique(decode(tmp_path / "1.png"))) == {0, 255}
    image.convert("LA").save(tmp_path / "la.png")
    assert decode(tmp_path / "la.png").shape == (8, 6)


def test_exif_rotation(tmp_path: Path) -> None:
    wide = np.zeros((8, 16), np.uint8)
    wide[:, 8:] = 200
    image = Image.fromarray(wide)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    upright = decode(tmp_path / "a.png")
    assert upright.shape == (16, 8) and np.array_equal(upright, np.rot90(wide, -1))


def test_grey_among_colours_and_hidden_files(tmp_path: Path) -> None:
    for i in range(4):
        Image.fromarray(grey(seed=i)).convert("RGB" if i else "L").save(tmp_path / f"{i}.png")
    (tmp_path / ".hidden.png").write_bytes(b"no")
    (tmp_path / "notes.txt").write_text("no")
    data = load(tmp_path)
    assert data.shape == (3, 8, 8) and sum(data.record["examples"].values()) == 4 and data.kind == "levels"


def test_sixteen_bits(tmp_path: Path) -> None:
    deep = (np.arange(64).reshape(8, 8) * 1000).astype(np.uint16)
    for i in range(5):
        Image.fromarray(deep + np.uint16(i)).save(tmp_path / f"{i}.png")
    data = load(tmp_path, valid=0, test=0)
    assert data.kind == "unit" and np.allclose(data.splits["train"].x[0, 0].numpy(), deep / 65535)
    assert "16-bit" in data.record["kind_why"]


@pytest.mark.parametrize("split", [False, True])
def test_classes_and_splits(tmp_path: Path, split: bool) -> None:
    for name in ("train", "test") if split else ("",):
        for i in range(12):
            folder = tmp_path / name / ("cat" if i % 2 else "ape")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(grey(seed=i)).save(folder / f"{i:02}.png")
    data = load(tmp_path)
    assert data.label_names == ("ape", "cat")
    assert data.record["split"]["named"] == (["train", "test"] if split else [])
    assert set(data.splits["train"].labels.tolist()) == {0, 1}


def test_black_and_white_pictures_are_binary(tmp_path: Path) -> None:
    for i in range(5):
        Image.fromarray(grey(seed=i) > 99).save(tmp_path / f"{i}.png")
    assert load(tmp_path).kind == "binary"
