"""The scikit-learn estimator: the spec, loop and run folder of the command line behind ``fit`` and ``transform``."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
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
from lowerbound.data import sequences
from lowerbound.data.dataset import Data
from lowerbound.data.labels import known
from lowerbound.doors import given as form
from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate
from lowerbound.model.conditions import CONDITIONS
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
    a DataFrame, whose columns may be of mixed kinds; or texts; or, with ``kind`` sequence or series, lists of unequal
    lengths, or an array with NaN after the end of each. Codes z are (n, latent), labels y (n,) words or whole numbers.

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
        classes_: the labels in their order, where the model learns from labels; what ``predict`` answers with.

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
        spec = self._spec()
        data = self._first(x, y, form.taught(spec, CONDITIONS[spec.condition.name]))
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lowerbound-")) if self.out is None else ""
            path = Path(folder) / "run" if self.out is None else Path(self.out)
            self._train(spec, data, path)
        return self

    def fit_transform(self, x: Any, y: Any = None) -> np.ndarray:
        """Train on x, then ``transform`` it."""
        return self.fit(x, y).transform(x, y)

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

    def _first(self, x: Any, y: Any, taught: bool) -> Data:
        """The data of fit, split; labels that teach the model must be classes."""
        x, labels = self._checked(x, True), form.labels_of_fit(y, taught)
        choices = {name: getattr(self, name) for name in ("kind", "binarise", "valid", "test")}
        data = data_floor.from_array(x, labels, **choices)
        self._form = form.Form.of(x, data.kind in sequences.KINDS)
        self.__dict__.pop("classes_", None)
        if taught and labels is not None:
            self.classes_ = form.classes_of(labels, data)
        return data

    def _read(self, x: Any) -> Data:
        """x, read as the data of fit were."""
        check_is_fitted(self)
        return data_floor.from_array(self._checked(x, False), like=self.record_)

    def _checked(self, x: Any, reset: bool) -> Any:
        """x after scikit-learn's own checks, which know no steps; a DataFrame stays one, for its columns have kinds."""
        if hasattr(x, "columns") and hasattr(x, "shape"):
            _check_feature_names(self, x, reset=reset)
            _check_n_features(self, x, reset=reset)
            return x
        x = form.plainly(x)
        kind = self.kind if reset else self.record_["kind"]
        if kind in sequences.KINDS or (reset and sequences.texts(x)) or form.unequal(x):
            return x if reset else form.steps(x)
        finite: Any = "allow-nan" if self.kind == "table" else True
        return validate_data(
            self, x, reset=reset, allow_nd=True, ensure_min_samples=2 if reset else 1, ensure_all_finite=finite
        )

    def _precise(self) -> Any:
        """The model as it is asked: on a CPU in float64, so that a row's figures do not depend on its neighbours."""
        check_is_fitted(self)
        device = next(self.model_.parameters()).device
        return copy.deepcopy(self.model_).double() if device.type == "cpu" else self.model_

    def _batches(self, x: Any, y: Any, model: Any) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Examples (up to 1,000 at a time, *shape) and the codes of their labels, where the model is given labels."""
        data, like = self._read(x), next(model.parameters())
        codes = None
        if y is not None and model.condition.labelled:
            found = known(y, len(data), self.classes_, "x", unknown=model.condition.inferred)
            codes = torch.from_numpy(found).to(like.device)
        for rows in torch.arange(len(data)).split(BATCH):
            yield data.batch("train", rows).to(like), None if codes is None else codes[rows.to(like.device)]

    def transform(self, x: Any, y: Any = None) -> np.ndarray:
        """The posterior means of x, (n, width): the best single code of each; y where labels are a condition."""
        model = self._precise()
        with evaluating(model):
            means = [model.encode(batch, labels).mean.cpu() for batch, labels in self._batches(x, y, model)]
        return torch.cat(means).numpy()

    def encode(self, x: Any, y: Any = None) -> Distribution:
        """The posterior q(z|x) of x itself: a distribution over (n, width), with ``mean`` and ``sample()``."""
        model = self._precise()
        with evaluating(model):
            batches, labels = zip(*self._batches(x, y, model), strict=True)
            return model.encode(torch.cat(batches), None if labels[0] is None else torch.cat(labels))

    @available_if(names_class)
    def predict(self, x: Any) -> np.ndarray:
        """The class of each example, (n,), where the model names one (inferred labels, class and style).

        It is one of ``classes_`` where the model learned from labels, else the number of a cluster.
        """
        model = self._precise()
        with evaluating(model):
            logits = torch.cat([model.class_logits(batch).cpu() for batch, _ in self._batches(x, None, model)])
        if not hasattr(self, "classes_"):
            return logits.argmax(-1).numpy()
        return self.classes_[logits[:, : len(self.classes_)].argmax(-1).numpy()]

    def decode(self, z: Any, y: Any = None, *, given: Any = None) -> Distribution:
        """The likelihood p(x|z) of codes z (n, width): a distribution over (n, *shape of one example).

        A condition is given as in ``sample``; where a part is given, it is a distribution over the rest.
        """
        model = self._precise()
        with evaluating(model):
            codes = self._codes(z, model)
            return model.decode(codes, self._given(model, len(codes), y, given, "z"))

    def inverse_transform(self, z: Any, y: Any = None, *, given: Any = None) -> Any:
        """The expected x of codes z (n, width), in the units and the form of the data of fit, under a condition as in
        ``sample``. Texts and lists have no expectation: the likeliest symbol of each step."""
        model = self._precise()
        with evaluating(model):
            codes = self._codes(z, model)
            c = self._given(model, len(codes), y, given, "z")
            return self._form.shaped(model.condition.whole(model.decode_mean(codes, c), c), self.record_)

    def reconstruct(self, x: Any, y: Any = None) -> Any:
        """The expected x of the posterior means of x, in its own form; a series has NaN where x has no step."""
        model, made = self._precise(), []
        with evaluating(model):
            for batch, labels in self._batches(x, y, model):
                if model.condition.inferred and labels is None:
                    labels = model.class_logits(batch).argmax(-1)
                c = model.given(batch, labels)[1] if model.condition.width else None
                mean = model.condition.whole(model.decode_mean(model.encode(batch, labels).mean, c), c)
                made.append(mean.masked_fill(batch.isnan(), torch.nan) if self.record_["kind"] == "series" else mean)
        return self._form.shaped(torch.cat(made), self.record_)

    def _given(self, model: Any, n: int, y: Any, given: Any, where: str) -> Tensor | None:
        """The condition vectors of n examples: of labels y, or of what is known of the examples ``given``."""
        condition = model.condition
        form.refuse_unused(condition, y, given)
        if condition.labelled:
            return form.vector_of_labels(y, n, self.classes_, where, next(model.parameters()))
        if not condition.width:
            return None
        x = torch.cat([batch for batch, _ in self._batches(given, None, model)])
        if len(x) not in (1, n):
            raise InputError(f"{len(x)} examples for {n}", where="given", mend=f"give one, or {n}")
        return model.given(x)[1].expand(n, -1)

    def _codes(self, z: Any, model: Any) -> Tensor:
        codes = torch.as_tensor(z if isinstance(z, Tensor) else np.asarray(z, dtype=np.float64))
        if codes.ndim != 2 or codes.shape[1] != model.width:
            what = f"codes have the shape {tuple(codes.shape)}"
            raise InputError(what, where="z", mend=f"give (n, {model.width}), as transform does")
        return codes.to(next(model.parameters()))

    def sample(self, n: int = 1, *, seed: int = 0, mean: bool = True, y: Any = None, given: Any = None) -> Any:
        """``n`` new examples: z from the prior, then the expected x, or with ``mean=False`` a draw from p(x|z).

        Args:
            y: in a model conditioned on labels, a label for all, or (n,) one for each.
            given: in a model conditioned on a part or on columns, one example for all, or n, from which the known part
                is taken; the rest of them is not read.
        """
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise InputError(f"{n!r} is no number of samples", where="n", mend="give a whole number from 1")
        model = self._precise()
        with evaluating(model), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            c = self._given(model, int(n), y, given, "sample")
            p = model.prior_at(c)
            z = p.sample(() if p.batch_shape else (n,)).to(next(model.parameters()))
            x = model.decode_mean(z, c) if mean else model.decode(z, c).sample()
            return self._form.shaped(model.condition.whole(x, c), self.record_)

    def score_samples(self, x: Any, y: Any = None, *, samples: int = 1) -> np.ndarray:
        """The bound on log p(x) of each example, (n,), in nats, from ``samples`` latent samples each."""
        model, bounds = self._precise(), []
        with evaluating(model):
            for batch, labels in self._batches(x, y, model):
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
        tags.input_tags.allow_nan = self.kind in ("table", *sequences.KINDS)
        tags.input_tags.three_d_array = True
        tags.input_tags.string = self.kind == "sequence"
        return tags
