"""The family through the one loop: every member resumes bitwise, learns, and says where it has no bound."""

from __future__ import annotations

import ast
import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from lowerbound import data as data_floor
from lowerbound import load
from lowerbound.errors import InputError, Interrupted
from lowerbound.model.linear import LinearAutoencoder
from lowerbound.objective import BOUNDS, GAMES, OBJECTIVES, REGULARISERS, Batch, Minimised
from lowerbound.objective.schedules import Constant
from lowerbound.training.labelled import Labels, balanced
from lowerbound.training.loop import Training, resume, train

from .small import blobs, contents, spec, stripes

PLAIN = {"posterior": {"name": "deterministic"}, "objective": {"name": "reconstruction"}}
BOTH = {"posterior": {"name": "class-and-style"}, "prior": {"name": "class-and-style"}}
MEMBERS = {
    "an autoencoder": PLAIN,
    "an adversary": PLAIN | {"regulariser": {"name": "adversary", "hidden": [8]}},
    "two adversaries and labels": PLAIN
    | BOTH
    | {"regulariser": {"name": "adversary", "hidden": [8]}, "supervision": {"name": "classify"}}
    | {"training": {"epochs": 3, "batch": 32, "labelled": 20}},
    "classes kept apart": PLAIN
    | {"posterior": {"name": "class-and-style", "spread": 4.0}, "prior": {"name": "class-and-style"}}
    | {"regulariser": {"name": "adversary", "hidden": [8]}},
    "a critic": {"regulariser": {"name": "critic", "hidden": [8]}},
    "a multiplier": {"objective": {"name": "geco"}},
    "importance weights": {"bound": {"name": "iwae", "k": 3, "gradient": "dreg"}},
    "wake and sleep": {"game": {"name": "wake-sleep"}},
    "an aggressive encoder": {"game": {"name": "aggressive", "steps": 2, "epochs": 1.5}},
    "Monte Carlo EM": {"game": {"name": "mcem", "leapfrog": 3}, "posterior": {"name": "none"}},
    "a GAN": {"game": {"name": "gan", "hidden": [8]}, "posterior": {"name": "none"}},
    "a Wasserstein GAN": {"game": {"name": "gan", "hidden": [8], "loss": "wgan-gp"}, "posterior": {"name": "none"}},
    "corruption": {"corruption": {"name": "gaussian"}},
    "a label": {"condition": {"name": "labels"}, "prior": {"name": "conditional-normal", "hidden": [4]}},
    "a label that is inferred": {"condition": {"name": "inferred-labels", "hidden": [8]}}
    | {"supervision": {"name": "classify"}, "training": {"epochs": 3, "batch": 32, "labelled": 20}},
    "pseudo-examples": {"prior": {"name": "vampprior", "components": 4}},
    "categories": {"posterior": {"name": "categorical"}, "prior": {"name": "categorical"}},
}
UNBOUNDED = {"an autoencoder", "an adversary", "two adversaries and labels", "classes kept apart"}
UNBOUNDED |= {"Monte Carlo EM", "a GAN", "a Wasserstein GAN"}


def labelled():
    """Stripes whose label is which of their two causes are on."""
    x = stripes().splits
    rows = np.concatenate([x[s].x.numpy() for s in ("train", "valid", "test")])
    y = (rows[:, :6].mean(1) > 0.5) * 2 + (rows[:, 6:].mean(1) > 0.5)
    return data_floor.from_array(rows, y.astype(int), name="stripes")


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_resumes_bitwise(name, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(spec(**MEMBERS[name]), labelled(), whole)
    calls = count()
    with pytest.raises(Interrupted):
        train(spec(**MEMBERS[name]), labelled(), stopped, stop=lambda: 15 if next(calls) == 12 else None)
    resume(stopped, labelled())
    assert contents(stopped) == contents(whole)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_is_loaded_as_it_was_saved(name, tmp_path):
    train(spec(**MEMBERS[name]), labelled(), tmp_path / "run")
    trained = load(tmp_path / "run", labelled())
    rows = trained.run.metrics()
    assert (rows[-1]["train"]["bound"] is None) == (name in UNBOUNDED)
    if rows[-1]["valid"]:
        assert (rows[-1]["valid"]["bound"] is None) == (name in UNBOUNDED)
    assert trained.objective_words.endswith(".")
    assert torch.isfinite(trained.model.decode_mean(torch.zeros(2, trained.model.width), condition(trained))).all()


def condition(trained):
    x = trained.data.splits["test"].x[:2]
    width = trained.model.condition.width
    return trained.model.given(x, torch.tensor([0, 1]))[1] if width else None


def test_there_is_one_loop():
    """Optimisers are made in one file and stepped in one other; a player is a loss, never a trainer."""
    source = Path(data_floor.__file__).parents[1]
    makes, steps = set(), set()
    for file in sorted(source.rglob("*.py")):
        name = file.relative_to(source).as_posix()
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("torch.optim."):
                makes.add(name)
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("optimiser.step"):
                steps.add(name)
    assert makes == {"training/optimise.py"} and steps == {"training/loop.py"}


def test_the_ledger_of_an_importance_weighted_run_is_its_own_bound(tmp_path):
    """The bound logged lies above the ELBO of the same row, in training and on held-out examples."""
    train(spec(bound={"name": "iwae", "k": 20}, training={"epochs": 2, "batch": 32}), stripes(), tmp_path / "run")
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        elbo = -(row["valid"]["rate"] + row["valid"]["distortion"])
        assert row["valid"]["bound"] > elbo and row["valid"]["elbo"] == pytest.approx(elbo)
        assert row["train"]["bound"] > -(row["train"]["rate"] + row["train"]["distortion"])


# --- games ----------------------------------------------------------------------------------------------------------


def linear_parts(game: str, **options):
    data = blobs(200, 4)
    torch.manual_seed(1)
    model = LinearAutoencoder.build(data_floor.summary(data), latent=2).double()
    model.solve(data.splits["train"].x)
    objective = OBJECTIVES.build("elbo", 4, 2, Constant())
    played = GAMES.build(game, 4, 2, **options)
    return model, data, played, objective


def test_wake_moves_the_decoder_and_sleep_the_encoder(tmp_path):
    data = stripes()
    training = Training.__new__(Training)
    training.__init__(spec(game={"name": "wake-sleep"}), data, *context(tmp_path))
    wake, sleep = training.players
    shared = {id(p) for p in wake.parameters} & {id(p) for p in sleep.parameters}
    assert not shared and len(wake.parameters) + len(sleep.parameters) == len(list(training.model.parameters()))


def context(tmp_path):
    from lowerbound.training.run import Run
    from lowerbound.training.watch import Watch

    return Run(tmp_path / "run"), None, Watch(), lambda: None, lambda: False, torch.device("cpu")


def test_sleep_is_at_its_optimum_at_the_exact_posterior():
    """At the solved linear model q(z|x) is p(z|x): the sleep gradient is 0 on average; |z| < 5 over 20 parameters."""
    model, data, game, objective = linear_parts("wake-sleep")
    minimised = Minimised(model, objective, BOUNDS.build("elbo"))
    _, sleep = game.players(model, minimised)
    x = data.splits["train"].x[:100].double()
    torch.manual_seed(0)
    found = []
    for _ in range(60):
        gradients = torch.autograd.grad(sleep.loss(Batch(x))[0], sleep.parameters)
        found.append(torch.cat([g.flatten() for g in gradients]))
    stacked = torch.stack(found)
    assert (stacked.mean(0).abs() < 5 * stacked.std(0) / 60**0.5).all()


def test_hamiltonian_draws_have_the_exact_posterior_s_mean_and_covariance():
    """100 chains of 400 moves on the linear oracle: the mean within 0.1 deviations, variances within 15 %."""
    model, data, game, _ = linear_parts("mcem", leapfrog=5)
    x = data.splits["train"].x[:1].double().expand(100, -1)
    torch.manual_seed(0)
    kept = []
    with torch.no_grad():
        for step in range(400):
            z = game.draw(model, Batch(x, examples=100, rows=torch.arange(100)))
            if step >= 100:
                kept.append(z[0])
    draws = torch.cat(kept)
    exact = model.exact_posterior(x[:1])
    deviation = exact.covariance_matrix[0].diagonal().sqrt()
    assert ((draws.mean(0) - exact.mean[0]).abs() < 0.1 * deviation).all()
    assert ((draws.var(0) / deviation.square() - 1).abs() < 0.15).all()


def test_hamiltonian_draws_are_accepted_by_their_energy():
    """Steps far too long are nearly all refused, so that the chain stays; short ones are nearly all taken."""
    from lowerbound.objective.games.mcem import hamiltonian

    model, data, _, _ = linear_parts("mcem")
    x = data.splits["train"].x[:200].double()
    z = model.exact_posterior(x).mean.detach().unsqueeze(0)
    torch.manual_seed(0)
    assert hamiltonian(model, Batch(x), z, 1e-3, 5)[1] > 0.99
    assert hamiltonian(model, Batch(x), z, 3.0, 5)[1] < 0.2


@pytest.mark.parametrize("loss", ["non-saturating", "wgan-gp"])
def test_a_gan_finds_where_the_data_are(loss, tmp_path):
    """A bell at 3: after 30 epochs the generator's examples lie within one deviation of it (they begin at the mean
    by design, so the bias is moved away first)."""
    data = data_floor.from_array(np.random.default_rng(0).normal(3, 1, (1000, 2)), valid=0, test=0, kind="real")
    small = {"name": "gan", "hidden": [32], "loss": loss}
    settings = {"game": small, "posterior": {"name": "none"}, "training": {"epochs": 30, "batch": 50}}
    chosen = spec(**settings, decoder={"name": "mlp", "hidden": [16]})
    from lowerbound.training.setup import build

    model = build(chosen, data_floor.summary(data))
    with torch.no_grad():
        model.decoder.last_bias().add_(3.0)
    before = model.decode_mean(torch.randn(500, 2)).mean()
    train(chosen, data, tmp_path / "run", model=model)
    made = load(tmp_path / "run", data).model.decode_mean(torch.randn(500, 2))
    assert abs(before - 3) > 2 > 2 * abs(made.mean() - 3)


@pytest.mark.parametrize("name", ["gan", "wgan-gp"])
def test_a_gan_makes_digits_and_not_one_picture_in_white_and_black(name, tmp_path):
    """A small one after 10 epochs: the momentum of Adam leaves a distance of 1,100 to 1,200, the recipe 340 to 470."""
    from lowerbound.doors.recipes import recipe
    from lowerbound.readers.fidelity import frechet

    data, small = data_floor.load("digits"), {"hidden": [128]}
    fast = {"epochs": 10, "batch": 32, "learning_rate": 2e-3}
    train(recipe(name, decoder=small, game=small, training=fast), data, tmp_path / "run")
    made = load(tmp_path / "run", data).model.decode_mean(torch.randn(500, 20)).detach()
    assert frechet(made.flatten(1).numpy(), data.splits["train"].x.flatten(1).numpy()) < 800


# --- labels ---------------------------------------------------------------------------------------------------------


def test_labels_are_kept_evenly_and_by_seed():
    y = torch.arange(1000) % 7
    rows = balanced(y, 70, seed=1)
    assert torch.equal(torch.bincount(y[rows]), torch.full((7,), 10))
    assert torch.equal(rows, balanced(y, 70, seed=1)) and not torch.equal(rows, balanced(y, 70, seed=2))
    few = Labels(labelled(), 20, 0)
    assert int((few.y >= 0).sum()) == 20 and len(few.draw(50)) == 20 and len(few.draw(5)) == 5


def test_a_few_labels_teach_a_classifier(tmp_path):
    """Four causes, 20 labels of 240: the inferred label is right for more than nine in ten test examples."""
    from lowerbound.readers.classes import accuracy

    settings = dict(MEMBERS["a label that is inferred"])
    settings["training"] = {"epochs": 30, "batch": 32, "labelled": 20, "learning_rate": 1e-2}
    settings["supervision"] = {"name": "classify", "weight": 5.0}
    train(spec(**settings), labelled(), tmp_path / "run")
    assert accuracy(load(tmp_path / "run", labelled())).value > 0.9


def test_clusters_are_named_by_another_split(tmp_path):
    from lowerbound.readers.classes import names

    clusters, y = torch.tensor([2, 2, 2, 0, 0]), torch.tensor([1, 1, 0, 3, 3])
    assert names(clusters, y)[:3].tolist() == [3, -1, 1]


# --- refusals -------------------------------------------------------------------------------------------------------

SENSELESS = {
    "a rate of a code without density": ({"posterior": {"name": "deterministic"}}, "no density"),
    "a prior over other codes": ({"posterior": {"name": "categorical"}}, "one-hot"),
    "another number of classes": (
        {"posterior": {"name": "categorical", "classes": 5}, "prior": {"name": "categorical"}},
        "same number of classes",
    ),
    "a plane for many latents": ({"prior": {"name": "swiss-roll"}, "latent": 5}, "lies in a plane"),
    "a prior of a condition without one": ({"prior": {"name": "conditional-normal"}}, "needs a condition"),
    "weights of a code without density": (PLAIN | {"bound": {"name": "iwae"}}, "importance weights"),
    "weights of relaxed codes": (MEMBERS["categories"] | {"bound": {"name": "iwae"}}, "exact gradient"),
    "weights of an inferred label": (
        {"condition": {"name": "inferred-labels"}, "bound": {"name": "iwae"}},
        "inferred label",
    ),
    "a beta beside weights": ({"bound": {"name": "iwae"}, "objective": {"name": "elbo", "beta": 2}}, "of its own"),
    "k of 0": ({"bound": {"name": "iwae", "k": 0}}, "k: got 0"),
    "a GAN with an encoder": ({"game": {"name": "gan"}}, "no encoder"),
    "Monte Carlo EM with an encoder": ({"game": {"name": "mcem"}}, "no encoder"),
    "an objective in a GAN": (MEMBERS["a GAN"] | {"objective": {"name": "free-bits"}}, "losses of its own"),
    "wake-sleep without density": (PLAIN | {"game": {"name": "wake-sleep"}}, "no density"),
    "classes of a code that names none": ({"supervision": {"name": "classify"}}, "names no class"),
    "more labels than examples": ({"training": {"labelled": 1000}}, "1000 labels"),
    "labelled at 0": ({"training": {"labelled": 0}}, "labelled: got 0"),
    "pseudo-examples of a code without density": (PLAIN | {"prior": {"name": "vampprior"}}, "mixes densities"),
    "pseudo-examples under a condition": (
        {"prior": {"name": "vampprior"}, "condition": {"name": "labels"}},
        "no condition at its pseudo-examples",
    ),
    "regions of a prior that has none": (
        PLAIN | {"regulariser": {"name": "adversary", "labels": True}},
        "no region for a label",
    ),
    "a part of a row": ({"condition": {"name": "part"}}, "needs pictures"),
    "a column that is not there": ({"condition": {"name": "columns", "names": ["x"]}}, "no column"),
    "a relaxation at no temperature": ({"posterior": {"name": "categorical", "temperature": 0}}, "temperature"),
    "a share of all": ({"corruption": {"name": "masking", "share": 1.0}}, "share"),
}


@pytest.mark.parametrize("what", SENSELESS)
def test_what_makes_no_sense_is_refused_before_anything_is_written(what, tmp_path):
    settings, words = SENSELESS[what]
    with pytest.raises(InputError, match=words) as refusal:
        train(spec(**settings), labelled(), tmp_path / "run")
    assert "\n" not in str(refusal.value) and not (tmp_path / "run").exists()


def test_labels_that_are_not_there_are_refused(tmp_path):
    for settings in ({"condition": {"name": "labels"}}, {"training": {"labelled": 10}}):
        with pytest.raises(InputError, match="have none"):
            train(spec(**settings), stripes(), tmp_path / "run")


def test_a_label_of_its_own_for_every_row_is_refused(tmp_path):
    data = data_floor.from_array(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40), valid=0, test=0)
    with pytest.raises(InputError, match="40 classes, and 40 training examples"):
        train(spec(condition={"name": "labels"}), data, tmp_path / "run")


def test_a_label_of_minus_one_is_unknown():
    """It is not among those that may be used, and is learnt from as an example without a label."""
    data = data_floor.from_array(np.random.default_rng(0).normal(size=(40, 3)), [-1, 0, 1, 2] * 10, valid=0, test=0)
    every, few = Labels(data, None, 0), Labels(data, 6, 0)
    assert len(every.rows) == 30 and bool((every.y[every.rows] >= 0).all())
    assert few.y[few.rows].bincount().tolist() == [2, 2, 2]
    with pytest.raises(InputError, match="31 labels of 30"):
        Labels(data, 31, 0)


def test_labels_coded_otherwise_than_in_training_are_refused(tmp_path):
    """The examples may be the same to the bit: a conditional model would still read other classes."""
    x = np.random.default_rng(0).normal(size=(40, 3))
    first, other = (data_floor.from_array(x, y, valid=0, test=0) for y in (["a", "b"] * 20, ["b", "c"] * 20))
    run = train(spec(condition={"name": "labels"}), first, tmp_path / "run")
    assert load(run.path, first).data is first
    with pytest.raises(InputError, match="its labels"):
        _ = load(run.path, other).data
    plain = train(spec(), first, tmp_path / "plain")
    assert load(plain.path, other).data is other


def test_every_regulariser_trains(tmp_path):
    for name in REGULARISERS:
        if name in ("classify",):
            continue
        train(spec(regulariser={"name": name}, training={"epochs": 1, "batch": 64}), stripes(), tmp_path / name)
