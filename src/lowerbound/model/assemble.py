"""From the names of the parts to a model that fits the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.model.autoencoder import Autoencoder
from lowerbound.model.conditions import CONDITIONS, Condition
from lowerbound.model.corruptions import CORRUPTIONS
from lowerbound.model.features import Features
from lowerbound.model.likelihoods import LIKELIHOODS, Likelihood, choose
from lowerbound.model.networks import NETWORKS
from lowerbound.model.networks.base import Network, mirrored
from lowerbound.model.own import OwnDecoder, OwnEncoder
from lowerbound.model.posteriors import POSTERIORS, Posterior
from lowerbound.model.posteriors.deterministic import Blind
from lowerbound.model.priors import PRIORS, Prior
from lowerbound.model.semi_supervised import SemiSupervised

Part = Mapping[str, Any]


def assemble(
    summary: Summary,
    *,
    latent: int,
    encoder: Part | nn.Module | None = None,
    decoder: Part | nn.Module | None = None,
    posterior: Part | None = None,
    prior: Part | None = None,
    likelihood: Part | None = None,
    condition: Part | None = None,
    corruption: Part | None = None,
) -> Autoencoder:
    """A model of data such as ``summary`` describes, from parts {"name": ..., **options}.

    Args:
        latent: number of latent dimensions; 0 beside a condition is plain regression on it.
        encoder: a network (None: an MLP), or your own module (batch, *shape) -> (batch, anything).
        decoder: a network, {"name": "mirror"} or None for the encoder's mirror image (a plain MLP beside an encoder of
            your own), or your own module (batch, latent) -> as many numbers as the likelihood needs, in any shape.
        likelihood: a likelihood, or {"name": "auto"} or None for the one that the data's kind asks for.
        condition, corruption: what is given beside x, and what is done to the encoder's input in training.

    >>> import torch
    >>> s = Summary("binary", (1, 8, 8), torch.full((1, 8, 8), 0.5), torch.full((1, 8, 8), 0.5))
    >>> model = assemble(s, latent=2, encoder={"name": "mlp", "hidden": [16]})
    >>> model(torch.zeros(5, 1, 8, 8)).rate.shape
    torch.Size([5, 2])
    """
    encoder = {"name": "mlp"} if encoder is None else encoder
    features = Features(summary)
    given = _built(CONDITIONS, condition, summary)
    if latent < (0 if given.width else 1):
        raise InputError(f"{latent} latent dimensions", where="latent", mend="give at least 1")
    observed, why = _likelihood(given.summary, likelihood)
    q = dict(posterior or {"name": "normal"})
    absent = q["name"] == "none" or latent == 0
    inward = None if absent else _encoder(encoder, features.output_shape, given)
    width = inward.features if inward else 0
    with torch.random.fork_rng(devices=[]):
        represented = _posterior(q, width, latent).represented
    outward = _decoder(decoder, encoder, represented + given.width, observed)
    if isinstance(outward, Network):
        outward.reads(features.output_shape) if outward.autoregressive else None
        outward.start(observed.output_bias(given.summary))
    head = _posterior(q, width, latent)
    p = dict(prior or {"name": "standard-normal"})
    before = PRIORS.build(p.pop("name"), latent, **p)
    fitting(head, before)
    parts = (features, inward, head, before, outward, observed)
    aside = {"condition": given, "corruption": _built(CORRUPTIONS, corruption), "why": why}
    model = _joined(parts, aside, given, features)
    before.join(model, summary)
    return model


def _posterior(part: dict[str, Any], features: int, latent: int) -> Posterior:
    options = {k: v for k, v in part.items() if k != "name"}
    return POSTERIORS.build(part["name"], features, latent, **options) if latent else Blind(0, 0)


def _built(registry: Any, part: Part | None, *context: Any) -> Any:
    options = dict(part or {"name": "none"})
    return registry.build(options.pop("name"), *context, **options)


def fitting(posterior: Posterior, prior: Prior) -> None:
    """An InputError where the codes of one are not codes of the other."""
    q, p = getattr(posterior, "name", "normal"), prior.name
    if posterior.support != prior.support:
        kin = {"real": "standard-normal", "one-hot": "categorical", "one-hot and real": "class-and-style"}
        what = f"prior {p} is over {prior.support} codes, posterior {q} gives {posterior.support} ones"
        raise InputError(what, where="prior", mend=f"use prior {kin[posterior.support]}, or another posterior")
    if posterior.width != prior.width:
        what = f"prior {p} has codes of {prior.width} numbers, posterior {q} of {posterior.width}"
        raise InputError(what, where="prior", mend="give both the same number of classes")


def _joined(parts: tuple[Any, ...], aside: dict[str, Any], given: Condition, features: Features) -> Autoencoder:
    if not given.inferred:
        return Autoencoder(*parts, **aside)
    hidden = given.hidden
    classifier = NETWORKS.build("mlp", features.output_shape, (given.width,), hidden=hidden)
    return SemiSupervised(*parts, classifier=classifier, **aside)


def _likelihood(summary: Summary, part: Part | None) -> tuple[Likelihood, str]:
    options = dict(part or {"name": "auto"})
    name = options.pop("name")
    if name != "auto":
        return LIKELIHOODS.build(name, summary, **options), f"Likelihood {name}, as asked."
    chosen, why = choose(summary)
    return LIKELIHOODS.build(chosen, summary, **options), why


def _encoder(part: Part | nn.Module, inputs: tuple[int, ...], given: Condition) -> Any:
    """The encoder; a condition that it cannot see in x comes as further channels or further numbers."""
    extra = 0 if given.seen else given.width
    if isinstance(part, nn.Module):
        if extra:
            what = "a module of your own is not shown the condition"
            raise InputError(what, where="encoder", mend="set -s condition.encoder=false, or use a network by name")
        return OwnEncoder(part, inputs)
    options = dict(part)
    name = options.pop("name")
    if extra:
        spatial = NETWORKS[name].spatial and len(inputs) == 3
        steps = len(inputs) == 2
        wide = (inputs[0], extra + inputs[1]) if steps else (math.prod(inputs) + extra,)
        inputs = (inputs[0] + extra, *inputs[1:]) if spatial else wide
    return NETWORKS.build(name, inputs, None, **options)


def _decoder(part: Part | nn.Module | None, encoder: Part | nn.Module, latent: int, likelihood: Likelihood) -> Any:
    outputs = likelihood.output_shape
    if isinstance(part, nn.Module):
        return OwnDecoder(part, latent, likelihood)
    options = dict(part or {"name": "mirror"})
    if options["name"] == "mirror":
        options = _mirror(encoder) | {k: v for k, v in options.items() if k != "name"}
    return NETWORKS.build(options.pop("name"), (latent,), outputs, **options)


def _mirror(encoder: Part | nn.Module) -> dict[str, Any]:
    if isinstance(encoder, nn.Module):
        return {"name": "mlp"}
    options = dict(encoder)
    name = options.pop("name")
    return {"name": name} | mirrored(NETWORKS.validate(name, options))
