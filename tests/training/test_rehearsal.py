"""Before the first step every player is tried on a few rows: nothing of it remains, and what cannot play is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowerbound.data import from_array
from lowerbound.errors import InputError
from lowerbound.training.loop import Training, train
from lowerbound.training.rehearsal import FEW, telling_rows
from lowerbound.training.run import Run
from lowerbound.training.spec import Spec, complete, merge
from lowerbound.training.unread import unread
from lowerbound.training.watch import Watch

from .small import spec, stripes

DIGITS = np.random.default_rng(0).integers(0, 17, (80, 8, 8))
REMEMBER = {
    "averages of batches": {"encoder": {"name": "residual", "channels": [4]}},
    "a multiplier": {"objective": {"name": "geco"}},
    "chains": {"posterior": {"name": "none"}, "game": {"name": "mcem"}},
    "a critic": {"regulariser": {"name": "critic", "hidden": [8]}},
}


def training(tmp_path, data, chosen):
    return Training(
        chosen, data, Run(tmp_path / "run"), None, Watch(), lambda: None, lambda: False, torch.device("cpu")
    )


@pytest.mark.parametrize("case", REMEMBER)
def test_nothing_of_a_rehearsal_remains(case, tmp_path):
    chosen = Spec.of(complete({"latent": 2, "training": {"batch": 8}, **REMEMBER[case]}))
    t = training(tmp_path, from_array(DIGITS), chosen)
    modules = [t.model, *t.aside.values()]
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in modules]
    torch.manual_seed(3)
    expected = torch.get_rng_state()
    t.rehearse()
    assert torch.equal(torch.get_rng_state(), expected)
    for m, kept in zip(modules, before, strict=True):
        now = m.state_dict()
        assert now.keys() == kept.keys() and all(torch.equal(now[k], kept[k]) for k in kept)
    assert all(p.grad is None for p in t.model.parameters())


def test_the_rows_hold_the_highest_label_and_a_gap():
    x = {"a": [0.1 * i for i in range(60)], "b": [None if i == 30 else i % 7 for i in range(60)]}
    data = from_array(x, valid=0, test=0)
    y = torch.zeros(60, dtype=torch.long)
    y[17], y[23] = 5, -1
    rows = telling_rows(data, y)
    assert set(rows.tolist()) == {*range(FEW), 17, 23, 30}


def test_what_cannot_play_leaves_no_folder(tmp_path):
    with pytest.raises(InputError, match="no closed form"):
        train(spec(bound={"estimator": "closed"}, prior={"name": "mixture"}), stripes(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


UNREAD = {
    "encoder.hidden": {"decoder": {"name": "mlp"}, "posterior": {"name": "none"}, "game": {"name": "gan"}},
    "corruption": {"corruption": {"name": "masking"}, "posterior": {"name": "none"}, "game": {"name": "gan"}},
    "training.labelled": {"training": {"labelled": 5}},
    "decoder.word_dropout": {
        "encoder": {"name": "recurrent", "hidden": 8},
        "decoder": {"name": "recurrent", "hidden": 8, "word_dropout": 0.3},
    },
}


@pytest.mark.parametrize("setting", UNREAD)
def test_a_setting_that_nothing_reads_is_said(setting, tmp_path):
    data = from_array(DIGITS, np.arange(80) % 4)
    base = spec() if setting == "encoder.hidden" else Spec()
    chosen = Spec.of(merge(base.settings(), {"latent": 2, **UNREAD[setting]}))
    said = [s for s in training(tmp_path, data, chosen).words() if s.startswith("Not read: ")]
    assert len(said) == 1 and said[0].startswith(f"Not read: {setting}; ")


def test_what_is_read_is_not_said_to_be_unread(tmp_path):
    chosen = spec(condition={"name": "inferred-labels", "hidden": [8]}, training={"labelled": 3})
    t = training(tmp_path, from_array(DIGITS, np.arange(80) % 4), chosen)
    assert unread(chosen, t.model, []) == []
    assert [s for s in t.words() if "are of 3 of 4 classes" in s]
