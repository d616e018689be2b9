"""The scikit-learn estimator: the spec, loop and run folder of the command line behind ``fit`` and ``transform``."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_feature_names, _check_n_features, check_is_fitted, validate_data
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound import data as data_floor
from lowerbound.data.dataset import Data
from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate
from lowerbound.model.conditions import one_hot
from lowerbound.training import loop
from lowerbound.training.load import load
from lowerbound.training.measure import evaluating
from lowerbound.training.randomness import MEASURE, generator
from lowerbound.training.setup import build
from lowerbound.training.spec import Spec, complete
from lowerbound.training.watch import Watch

Part = str | Mapping[str, Any]
TRAINING = (
    "epochs", "batch", "samples", "optimiser", "learning_rate", "decay", "weight_decay", "clip", "patience",
    "precision", "device", "seed", "labelled",
)  # fmt: skip
PARTS = (
    "encoder", "decoder", "posterior", "prior", "likelihood", "condition", "corruption", "bound", "objective",
    "schedule", "regulariser", "supervision", "game",
)  # fmt: skip
KEPT = ("spec.json", "metrics.jsonl", "alarms.json", "weights.safetensors", "manifest.json")
BATCH = 1000


def names_class(estimator: Any) -> bool:
    """Whether the model that these options make names a class, so that it can predict."""
    names = {kind: part if isinstance(part, str) else part.get("name") for kind, part in estimator._chosen()}
    if names["condition"] == "inferred-labels" or names["posterior"] == "class-and-style":
        return True
    raise AttributeError("predict: the code names no class; use condition inferred-labels, or class-and-style")


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""A variational autoencoder with scikit-learn's conventions.

    .. math:: \log p(x) \ge -(\text{distortion} + \text{rate}) = E_{q(z|x)}[\log p(x|z)] - KL(q(z|x) \| p(z))

    *Shapes*: x is (n, features), or pictures (n, height, width) or (n, channels, height, width); an array, a tensor, or
    a DataFrame, whose columns may be of mixed kinds. Codes z are (n, latent).

    *Units and sign*: ``score`` and ``score_samples`` are bounds on log p(x) in nats, higher is better. scikit-learn
    disagrees with itself on ``score``: KernelDensity gives the total, GaussianMixture and FactorAnalysis the mean
    over samples. Ours is the **mean, nats per example**; for real data it is a density and may be positive.

    Args:
        latent: number of latent dimensions.
        encoder, decoder: a network by name, {"name": ..., option: ...}, or your own ``torch.nn.Module``
            ((batch, *shape) -> (batch, anything), and (batch, latent) -> what the likelihood needs); a copy is trained.
        posterior, prior, likelihood, condition, corruption, bound, objective, schedule, regulariser, supervision, game:
            parts by name, or {"name": ..., option: ...}. ``lowerbound list parts`` shows all; likelihood "auto"
            follows from the kind of the data.
        beta: weight of the rate in the objective; None keeps the objective's own.
        epochs, batch, samples, optimiser, learning_rate, decay, weight_decay, clip, patience, precision, device, seed:
            training, as in ``lowerbound train``. ``labelled``: how many labels may be used, None for all.
        kind, binarise, valid, test: what the values are, binarisation, shares held out from fit. The weights kept are
            those with the best bound on the ``valid`` share.
        out: a new folder that becomes the run's; None keeps the run in memory.
        verbose: whether to print progress.

    Attributes:
        model_: the trained :class:`~lowerbound.model.autoencoder.Autoencoder`, a ``torch.nn.Module``.
        spec_: every choice of the run. ``record_``: what is known of the data (kind, shape, hash, splits).
        history_: one row an epoch, every term. ``alarms_``: what is wrong with the run, cause and cures.

    scikit-learn's ``check_estimator`` passes, with no check left out on purpose. Where its contract says nothing:
    ``transform`` runs in float64 on a CPU, so that the code of a row does not depend on the rows beside it, and the
    noise of ``score_samples`` is a function of the seed and of the row's own values for the same reason.

    >>> x = np.random.default_rng(0).normal(size=(60, 3))
    >>> vae = VAE(latent=2, epochs=1, encoder={"name": "mlp", "hidden": [8]}).fit(x)
    >>> vae.transform(x).shape, vae.encode(x).mean.shape, vae.sample(5).shape
    ((60, 2), torch.Size([60, 2]), (5, 3))
    """

    def __init__(
        self,
        latent: int = 10,
        *,
        encoder: Part | nn.Module = "mlp",
        decoder: Part | nn.Module = "mirror",
        posterior: Part = "normal",
        prior: Part = "standard-normal",
        likelihood: Part = "auto",
        condition: Part = "none",
        corruption: Part = "none",
        bound: Part = "elbo",
        objective: Part = "elbo",
        schedule: Part = "constant",
        regulariser: Part = "none",
        supervision: Part = "none",
        game: Part = "alone",
        beta: float | None = None,
        epochs: int = 50,
        batch: int = 100,
        samples: int = 1,
        optimiser: str = "adam",
        learning_rate: float = 1e-3,
        decay: str = "constant",
        weight_decay: float = 0.0,
        clip: float | None = None,
        patience: int = 0,
        precision: str = "float32",
        device: str = "auto",
        seed: int = 0,
        labelled: int | None = None,
        kind: str = "auto",
        binarise: str = "default",
        valid: float = 0.1,
        test: float = 0.0,
        out: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> None:
        self.latent = latent
        self.encoder = encoder
        self.decoder = decoder
        self.posterior = posterior
        self.prior = prior
        self.likelihood = likelihood
        self.condition = condition
        self.corruption = corruption
        self.bound = bound
        self.objective = objective
        self.schedule = schedule
        self.regulariser = regulariser
        self.supervision = supervision
        self.game = game
        self.beta = beta
        self.epochs = epochs
        self.batch = batch
        self.samples = samples
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.decay = decay
        self.weight_decay = weight_decay
        self.clip = clip
        self.patience = patience
        self.precision = precision
        self.device = device
        self.seed = seed
        self.labelled = labelled
        self.kind = kind
        self.binarise = binarise
        self.valid = valid
        self.test = test
        self.out = out
        self.verbose = verbose

    @classmethod
    def from_recipe(cls, recipe: str, **options: Any) -> VAE:
        """The estimator of a recipe (a name, or a TOML file), with options laid on it.

        >>> VAE.from_recipe("aevb", latent=2).encoder["hidden"]
        [500]
        """
        from lowerbound.doors.recipes import settings_of

        settings = settings_of(recipe)
        chosen = {"latent": settings["latent"]} if "latent" in settings else {}
        chosen |= {kind: settings[kind] for kind in PARTS if kind in settings}
        chosen |= settings.get("training", {})
        chosen |= {k: v for k, v in settings.get("data", {}).items() if k in ("kind", "binarise", "valid", "test")}
        return cls(**(chosen | options))

    def fit(self, x: Any, y: Any = None) -> VAE:
        """Train on x. y are labels: they colour the report, and teach what asks for them (condition, supervision)."""
        data = self._read(x, y, reset=True)
        spec = self._spec()
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lowerbound-")) if self.out is None else ""
            path = Path(folder) / "run" if self.out is None else Path(self.out)
            self._train(spec, data, path)
        return self

    def _train(self, spec: Spec, data: Data, path: Path) -> None:
        own = {kind: copy.deepcopy(getattr(self, kind)) for kind in ("encoder", "decoder") if self._is_own(kind)}
        model = build(spec, data_floor.summary(data), **own) if own else None
        run = loop.train(spec, data, path, model=model, watch=self._watch(path))
        trained = load(path, data, **own)
        self.model_ = trained.model.to(loop.device_of(spec.training.device))
        self.spec_, self.record_, self.history_, self.alarms_ = spec, dict(data.record), run.metrics(), run.alarms()
        self._n_features_out = self.model_.width
        self._data = data
        self._files = {name: (path / name).read_bytes() for name in KEPT if (path / name).exists()}

    def _watch(self, path: Path) -> Watch:
        if not self.verbose:
            return Watch()
        from lowerbound.doors.progress import Spoken

        return Spoken(path)

    def _chosen(self) -> list[tuple[str, Any]]:
        return [(kind, getattr(self, kind)) for kind in ("condition", "posterior")]

    def _is_own(self, kind: str) -> bool:
        return isinstance(getattr(self, kind), nn.Module)

    def _spec(self) -> Spec:
        settings: dict[str, Any] = {"latent": self.latent}
        for kind in PARTS:
            part = getattr(self, kind)
            named = {"name": "own"} if self._is_own(kind) else {"name": part} if isinstance(part, str) else dict(part)
            settings[kind] = named
        if self.beta is not None:
            settings["objective"] = {**settings["objective"], "beta": self.beta}
        settings["training"] = {name: getattr(self, name) for name in TRAINING}
        settings["data"] = {name: getattr(self, name) for name in ("kind", "binarise", "valid", "test")}
        settings["data"]["source"] = "memory"
        return Spec.of(complete(settings), where="VAE")

    def _read(self, x: Any, y: Any = None, *, reset: bool = False) -> Data:
        """x as a data set: split for fit, or read as the data of fit were."""
        x = self._checked(x, reset)
        if reset:
            self._example_shape = tuple(int(n) for n in np.shape(x)[1:])
        else:
            return data_floor.from_array(x, like=self.record_)
        choices = {name: getattr(self, name) for name in ("kind", "binarise", "valid", "test")}
        labels = None if y is None else np.asarray(y)
        return data_floor.from_array(x, labels if labels is not None and labels.ndim == 1 else None, **choices)

    def _checked(self, x: Any, reset: bool) -> Any:
        """x after scikit-learn's own checks; a DataFrame stays one, for its columns have kinds."""
        if hasattr(x, "columns") and hasattr(x, "shape"):
            _check_feature_names(self, x, reset=reset)
            _check_n_features(self, x, reset=reset)
            return x
        x = x.detach().cpu().numpy() if isinstance(x, Tensor) else x
        finite: Any = "allow-nan" if self.kind == "table" else True
        return validate_data(
            self, x, reset=reset, allow_nd=True, ensure_min_samples=2 if reset else 1, ensure_all_finite=finite
        )

    def _precise(self) -> Any:
        """The model as it is asked: on a CPU in float64, so that a row's figures do not depend on its neighbours."""
        check_is_fitted(self)
        device = next(self.model_.parameters()).device
        return copy.deepcopy(self.model_).double() if device.type == "cpu" else self.model_

    def _batches(self, data: Data, model: Any) -> Any:
        like = next(model.parameters())
        for first in range(0, len(data), BATCH):
            yield data.batch("train", torch.arange(first, min(first + BATCH, len(data)))).to(like)

    def transform(self, x: Any, y: Any = None) -> np.ndarray:
        """The posterior means of x, (n, width): the best single code of each; y where labels are a condition."""
        check_is_fitted(self)
        data, model = self._read(x), self._precise()
        labels = self._labels(y, len(data))
        with evaluating(model):
            parts = zip(self._batches(data, model), labels, strict=False)
            means = [model.encode(batch, part).mean.cpu() for batch, part in parts]
        return torch.cat(means).numpy()

    def encode(self, x: Any, y: Any = None) -> Distribution:
        """The posterior q(z|x) of x itself: a distribution over (n, width), with ``mean`` and ``sample()``."""
        check_is_fitted(self)
        data, model = self._read(x), self._precise()
        with evaluating(model):
            every = torch.cat(list(self._batches(data, model)))
            return model.encode(every, None if y is None else torch.as_tensor(np.array(y)).long())

    @available_if(names_class)
    def predict(self, x: Any) -> np.ndarray:
        """The class of each example, (n,), where the model names one (inferred labels, class and style)."""
        check_is_fitted(self)
        data, model = self._read(x), self._precise()
        with evaluating(model):
            return torch.cat(
                [model.class_logits(batch).argmax(-1).cpu() for batch in self._batches(data, model)]
            ).numpy()

    def decode(self, z: Any, y: Any = None) -> Distribution:
        """The likelihood p(x|z) of codes z (n, width): a distribution over (n, *shape of one example)."""
        model = self._precise()
        with evaluating(model):
            return model.decode(self._codes(z, model), self._given(model, y))

    def inverse_transform(self, z: Any, y: Any = None) -> np.ndarray:
        """The expected x of codes z (n, width), in the units and the shape of the data of fit."""
        model = self._precise()
        with evaluating(model):
            return self._shaped(model.decode_mean(self._codes(z, model), self._given(model, y)))

    def _labels(self, y: Any, n: int) -> Any:
        """The labels of each batch, or None for each."""
        batches = -(-n // BATCH)
        labelled = self.model_.condition.labelled
        return [None] * batches if y is None or not labelled else torch.as_tensor(np.array(y)).long().split(BATCH)

    def _given(self, model: Any, y: Any) -> Tensor | None:
        """The condition vector of labels y."""
        if not model.condition.labelled:
            return None
        if y is None:
            raise InputError("the model is conditioned on labels", where="y", mend="give a label for each code")
        labels = torch.as_tensor(np.array(y)).long().reshape(-1)
        return one_hot(labels, model.condition.width, next(model.parameters()))

    def _codes(self, z: Any, model: Any) -> Tensor:
        codes = torch.as_tensor(z if isinstance(z, Tensor) else np.asarray(z, dtype=np.float64))
        if codes.ndim != 2 or codes.shape[1] != model.width:
            what = f"codes have the shape {tuple(codes.shape)}"
            raise InputError(what, where="z", mend=f"give (n, {model.width}), as transform does")
        return codes.to(next(model.parameters()))

    def _shaped(self, x: Tensor) -> np.ndarray:
        """Decoded examples in the shape that fit was given: (height, width) and colours last included."""
        given, ours = self._example_shape, tuple(x.shape[1:])
        if len(given) == 3 and given != ours:
            x = x.movedim(1, -1)
        return x.reshape(len(x), *given).cpu().numpy()

    def sample(self, n: int = 1, *, seed: int = 0, mean: bool = True, y: Any = None) -> np.ndarray:
        """``n`` new examples: z from the prior, then the expected x, or with ``mean=False`` a draw from p(x|z); y is a
        label, or one for each, where the model is conditioned on labels."""
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise InputError(f"{n!r} is no number of samples", where="n", mend="give a whole number from 1")
        model = self._precise()
        with evaluating(model), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            c = self._given(model, None if y is None else np.broadcast_to(y, n))
            p = model.prior_at(c)
            z = p.sample(() if p.batch_shape else (n,)).to(next(model.parameters()))
            return self._shaped(model.decode_mean(z, c) if mean else model.decode(z, c).sample())

    def score_samples(self, x: Any, y: Any = None, *, samples: int = 1) -> np.ndarray:
        """The bound on log p(x) of each example, (n,), in nats, from ``samples`` latent samples each."""
        check_is_fitted(self)
        data, model = self._read(x), self._precise()
        bounds = []
        with evaluating(model):
            for batch, labels in zip(self._batches(data, model), self._labels(y, len(data)), strict=False):
                noise = self._noise(batch, samples, model.noise_width)
                terms = model(batch, y=labels, noise=noise.to(batch))
                bounds.append(terms.elbo().double().cpu())
        return torch.cat(bounds).numpy()

    def _noise(self, x: Tensor, samples: int, width: int) -> Tensor:
        """N(0, 1) noise (samples, n, width), a function of the seed and of each row's own values."""
        rows = x.float().cpu().numpy()
        keys = [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "big") for row in rows]
        shape = (samples, width)
        drawn = [torch.randn(shape, generator=generator(MEASURE, self.seed, k), dtype=torch.float64) for k in keys]
        return torch.stack(drawn, 1)

    def score(self, x: Any, y: Any = None) -> float:
        """The bound on log p(x): **mean** nats per example, higher is better; y matters only as a condition."""
        return Estimate.of(torch.from_numpy(self.score_samples(x, y))).value

    def report(self, path: str | os.PathLike[str] = "report.html") -> Path:
        """Write the report of the run as one self-contained HTML file; returns its path."""
        check_is_fitted(self)
        if getattr(self, "_data", None) is None:
            what = "the data of fit are not kept when an estimator is pickled"
            raise InputError(what, where="report", mend="report before pickling, or fit with out=FOLDER")
        from lowerbound.doors.read import report_bytes

        with tempfile.TemporaryDirectory(prefix="lowerbound-") as folder:
            run = Path(folder) / "VAE"
            run.mkdir()
            for name, content in self._files.items():
                (run / name).write_bytes(content)
            own = {kind: copy.deepcopy(getattr(self, kind)) for kind in ("encoder", "decoder") if self._is_own(kind)}
            content = report_bytes(load(run, self._data, **own))
        target = Path(path)
        target.write_bytes(content)
        return target

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: all but the data of fit."""
        state = dict(super().__getstate__())
        state.pop("_data", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.kind == "table"
        tags.input_tags.three_d_array = True
        return tags
