"""From the names of the parts to a model that fits the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.model.autoencoder import Autoencoder
from lowerbound.model.features import Features
from lowerbound.model.likelihoods import LIKELIHOODS, Likelihood, choose
from lowerbound.model.networks import NETWORKS
from lowerbound.model.networks.base import Network, mirrored
from lowerbound.model.own import OwnDecoder, OwnEncoder
from lowerbound.model.posteriors import POSTERIORS
from lowerbound.model.priors import PRIORS

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
) -> Autoencoder:
    """A model of data such as ``summary`` describes, from parts {"name": ..., **options}.

    Args:
        latent: number of latent dimensions.
        encoder: a network (None: an MLP), or your own module (batch, *shape) -> (batch, anything).
        decoder: a network, {"name": "mirror"} or None for the encoder's mirror image (a plain MLP beside an encoder of
            your own), or your own module (batch, latent) -> as many numbers as the likelihood needs, in any shape.
        likelihood: a likelihood, or {"name": "auto"} or None for the one that the data's kind asks for.

    >>> import torch
    >>> s = Summary("binary", (1, 8, 8), torch.full((1, 8, 8), 0.5), torch.full((1, 8, 8), 0.5))
    >>> model = assemble(s, latent=2, encoder={"name": "mlp", "hidden": [16]})
    >>> model(torch.zeros(5, 1, 8, 8)).rate.shape
    torch.Size([5, 2])
    """
    if latent < 1:
        raise InputError(f"{latent} latent dimensions", where="latent", mend="give at least 1")
    encoder = {"name": "mlp"} if encoder is None else encoder
    features = Features(summary)
    observed, why = _likelihood(summary, likelihood)
    inward = _encoder(encoder, features.output_shape)
    outward = _decoder(decoder, encoder, latent, observed)
    if isinstance(outward, Network):
        outward.start(observed.output_bias(summary))
    q, p = dict(posterior or {"name": "normal"}), dict(prior or {"name": "standard-normal"})
    return Autoencoder(
        features,
        inward,
        POSTERIORS.build(q.pop("name"), inward.features, latent, **q),
        PRIORS.build(p.pop("name"), latent, **p),
        outward,
        observed,
        why=why,
    )


def _likelihood(summary: Summary, part: Part | None) -> tuple[Likelihood, str]:
    options = dict(part or {"name": "auto"})
    name = options.pop("name")
    if name != "auto":
        return LIKELIHOODS.build(name, summary, **options), f"Likelihood {name}, as asked."
    chosen, why = choose(summary)
    return LIKELIHOODS.build(chosen, summary, **options), why


def _encoder(part: Part | nn.Module, inputs: tuple[int, ...]) -> Any:
    if isinstance(part, nn.Module):
        return OwnEncoder(part, inputs)
    options = dict(part)
    return NETWORKS.build(options.pop("name"), inputs, None, **options)


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
