"""What a weight decay pulls, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch

from lowerbound.errors import InputError
from lowerbound.training.loop import Training
from lowerbound.training.optimise import restore, state_tensors
from lowerbound.training.run import Run
from lowerbound.training.watch import Watch
from training.small import blobs, spec

PARTS = {"prior": {"name": "mixture"}, "likelihood": {"name": "normal"}}


def training(tmp_path, **settings):
    given = spec(**PARTS, training={"learning_rate": 0.5, "weight_decay": 0.25} | settings)
    cpu, stop = torch.device("cpu"), (lambda: None, lambda: False)
    return Training(given, blobs(), Run(tmp_path / "run"), None, Watch(), *stop, cpu)


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd", "adagrad", "rmsprop"])
def test_a_weight_decay_pulls_the_layers_weights_and_nothing_else(tmp_path, optimiser):
    """One step without a gradient: what moves is what the decay pulls, with adamw by rate times decay of itself."""
    made = training(tmp_path, optimiser=optimiser)
    before = {name: p.detach().clone() for name, p in made.model.named_parameters()}
    for p in made.model.parameters():
        p.grad = torch.zeros_like(p)
    made.optimisers[0].step()
    moved = {name for name, p in made.model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if name.endswith("weight")}
    assert {"encoder.layers.0.bias", "prior.means"} <= set(before) - moved, "there is more than weights"
    if optimiser == "adamw":
        for name in moved:
            torch.testing.assert_close(dict(made.model.named_parameters())[name], before[name] * (1 - 0.5 * 0.25))


def test_an_optimiser_that_remembers_its_parameters_in_another_order_is_not_taken_over(tmp_path):
    made = training(tmp_path)
    for p in made.model.parameters():
        p.grad = torch.ones_like(p)
    made.optimisers[0].step()
    kept = state_tensors(made.optimisers[0], "model")
    restore(made.optimisers[0], kept, "model")
    plain = training(tmp_path, weight_decay=0.0)
    with pytest.raises(InputError, match="in another order"):
        restore(plain.optimisers[0], kept, "model")
