"""Tables: from CSV, Parquet and any DataFrame, the same columns and cells."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from lowerbound.data import Column, from_array, load, summary
from lowerbound.errors import InputError

pandas = pytest.importorskip("pandas")
N = 60
RANDOM = np.random.default_rng(0)


def frame() -> pandas.DataFrame:
    """One column of each kind, cells missing, an identifier, free text, and a constant."""
    return pandas.DataFrame(
        {
            "id": np.arange(100, 100 + N),
            "height": np.where(np.arange(N) == 5, np.nan, RANDOM.normal(170, 10, N).round(2)),
            "visits": RANDOM.poisson(3, N),
            "member": RANDOM.integers(0, 2, N),
            "sex": RANDOM.choice(["F", "M"], N),
            "town": [None if i == 7 else "abc"[i % 3] for i in range(N)],
            "story": [f"once {i}" for i in range(N)],
            "planet": ["Earth"] * N,
            "class": RANDOM.choice(["no", "yes"], N),
        }
    )


COLUMNS = (
    Column("height", "numeric"),
    Column("visits", "count"),
    Column("member", "binary"),
    Column("sex", "binary", ("F", "M")),
    Column("town", "category", ("a", "b", "c")),
    Column("planet", "category", ("Earth",)),
)


def test_kinds_of_columns() -> None:
    x = frame()
    data = from_array(x, labels="class", valid=0, test=0)
    assert data.kind == "table" and data.columns == COLUMNS and data.shape == (6,)
    cells = data.splits["train"].x
    assert torch.isnan(cells[5, 0]) and torch.isnan(cells[7, 4]) and torch.isnan(cells).sum() == 2
    assert np.allclose(cells[:, 3], (x["sex"] == "M"))
    assert data.label_names == ("no", "yes") and (data.splits["train"].labels == (x["class"] == "yes")).all()
    said = " ".join(data.notes)
    assert "'id' is left out: it numbers the rows" in said and "'story' is left out" in said
    assert "constant column: planet" in said
    assert data.record["column_names"] == [column.name for column in COLUMNS]
    assert torch.isfinite(summary(data).mean).all()


def test_every_way_gives_the_same(tmp_path: Path) -> None:
    x = frame()
    x.to_csv(tmp_path / "a.csv", index=False)
    x.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    x.to_csv(tmp_path / "index.csv")
    (tmp_path / "mark.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.csv").read_bytes().replace(b"\n", b"\r\n"))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    x.to_parquet(tmp_path / "a.parquet")
    first = from_array(x, labels="class")
    for path in sorted(tmp_path.iterdir()):
        data = load(path, labels="class")
        assert data.columns == first.columns, path.name
        assert torch.equal(data.splits["train"].x.nan_to_num(-1), first.splits["train"].x.nan_to_num(-1)), path.name
        assert data.record["sha256"] == first.record["sha256"], path.name
    as_dict = from_array({name: x[name].to_numpy() for name in x}, labels="class")
    assert as_dict.record["sha256"] == first.record["sha256"]


def test_pandas_types() -> None:
    x = frame()
    typed = x.assign(
        visits=x["visits"].astype("Int64"),
        member=x["member"].astype(bool),
        town=x["town"].astype("category"),
        sex=x["sex"].astype("string"),
        height=x["height"].astype("Float64"),
    )
    assert from_array(typed, labels="class").columns == COLUMNS
    missing = typed.assign(visits=typed["visits"].where(typed.index != 3))
    assert from_array(missing, labels="class").columns == COLUMNS


def test_polars_or_arrow_tables() -> None:
    arrow = pytest.importorskip("pyarrow")
    made = arrow.Table.from_pandas(frame(), preserve_index=False)
    assert from_array(made, labels="class").columns == COLUMNS


def test_kinds_can_be_chosen() -> None:
    data = from_array(frame(), columns={"visits": "numeric", "member": "category", "id": "numeric", "class": "drop"})
    kinds = {column.name: column.kind for column in data.columns}
    assert kinds["visits"] == "numeric" and kinds["member"] == "category" and kinds["id"] == "numeric"
    assert "class" not in kinds


def test_columns_of_one_kind_are_no_table(tmp_path: Path) -> None:
    assert from_array(pandas.DataFrame(RANDOM.normal(size=(N, 3)))).kind == "real"
    assert from_array(pandas.DataFrame(RANDOM.integers(0, 2, (N, 3)))).kind == "binary"
    assert from_array(pandas.DataFrame(RANDOM.poisson(2, (N, 3)))).kind == "count"
    scales = from_array(pandas.DataFrame(RANDOM.normal(size=(N, 2)) * [1, 1000]))
    assert scales.kind == "table" and "differ in scale" in scales.record["kind_why"]
    pixels = RANDOM.integers(0, 256, (N, 20))
    pandas.DataFrame(pixels).assign(label=RANDOM.integers(0, 9, N)).to_csv(tmp_path / "a.csv", index=False)
    data = load(tmp_path / "a.csv", labels="label")
    assert (data.kind, data.levels, data.shape) == ("levels", 256, (20,))


def test_csv_without_a_header(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "a.csv", RANDOM.normal(size=(9, 3)), delimiter=",")
    data = load(tmp_path / "a.csv")
    assert len(data) == 7 and data.record["column_names"] == ["column 1", "column 2", "column 3"]


def test_a_table_like_that_of_a_run() -> None:
    x = frame()
    run = from_array(x, labels="class").record
    new = x.iloc[::-1].reset_index(drop=True).loc[:2, ["town", "sex", "planet", "member", "visits", "height"]]
    new.loc[0, "town"] = "Atlantis"
    data = from_array(new, like=run)
    assert data.columns == COLUMNS and len(data) == 3
    assert torch.isnan(data.splits["train"].x[0, 4]) and any("Atlantis" in note for note in data.notes)
    assert data.splits["train"].x[1, 3] == float(x["sex"].iloc[-2] == "M")
    with pytest.raises(InputError, match="has no column 'visits'"):
        from_array(new.drop(columns="visits"), like=run)


def test_a_table_of_numbers_like_that_of_a_run() -> None:
    x = pandas.DataFrame(RANDOM.normal(size=(N, 3)), columns=["a", "b", "c"])
    run = from_array(x).record
    data = from_array(x[["c", "b", "a"]].head(1), like=run)
    assert data.kind == "real" and np.allclose(data.splits["train"].x[0], x.iloc[0].to_numpy(), rtol=1e-6)
    bare = from_array(x.to_numpy()).record
    assert np.allclose(from_array(x.head(1), like=bare).splits["train"].x[0], x.iloc[0].to_numpy(), rtol=1e-6)
