"""Bad inputs of the command line: each must end in one line on standard error, exit code 2, nothing written.

``BAD`` holds (name, build, words): ``build(folder, run)`` prepares ``folder``, where ``run`` is a finished run to copy
from, and returns the arguments; ``words`` must stand in the line. The bad files of ``tests/data/bad.py`` are appended,
each given to ``lowerbound train``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.bad import BAD as BAD_DATA


class Bad(NamedTuple):
    """One bad command line."""

    name: str
    build: Callable[[Path, Path], list[str]]
    words: str


FLAGS = {
    "data_dir": "--data-dir", "labels": "--labels", "array": "--array", "kind": "--kind", "binarise": "--binarise",
    "valid": "--valid", "test": "--test",
}  # fmt: skip
NO_FLAG = {"negative-seed"}
"""Bad options of ``data.load`` that no flag sets."""


def training(name: str, words: str, *arguments: str) -> Bad:
    """A bad ``lowerbound train``."""
    return Bad(name, lambda folder, run: ["train", "--out", str(folder / "out"), *arguments], words)


def fixed(name: str, words: str, *arguments: str) -> Bad:
    """A bad command that needs no files."""
    return Bad(name, lambda folder, run: list(arguments), words)


def with_run(name: str, words: str, *arguments: str) -> Bad:
    """A bad use of a good run; RUN and HERE stand for the run and the folder."""

    def build(folder: Path, run: Path) -> list[str]:
        return [a.replace("RUN", str(run)).replace("HERE", str(folder)) for a in arguments]

    return Bad(name, build, words)


def with_damage(name: str, words: str, damage: Callable[[Path], Any], *arguments: str) -> Bad:
    """A command on a copy of the run after ``damage``."""

    def build(folder: Path, run: Path) -> list[str]:
        shutil.copytree(run, folder / "run")
        damage(folder / "run")
        return [a.replace("RUN", str(folder / "run")) for a in arguments]

    return Bad(name, build, words)


def flip(path: Path) -> None:
    """Turn one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def newer(run: Path) -> None:
    """A run of a later version."""
    header = json.loads((run / "spec.json").read_text())
    (run / "spec.json").write_text(json.dumps(header | {"format": 99}))


def written(path: Path, text: str) -> Path:
    """``path`` with ``text`` in it."""
    path.write_text(text)
    return path


def saved(path: Path, array: np.ndarray) -> Path:
    """``path`` with ``array`` in it."""
    np.save(path, array)
    return path


def weights(run: Path) -> Path:
    return run / "weights.safetensors"


def recipe(folder: Path, text: str) -> list[str]:
    """Train with a recipe of this text."""
    return ["train", "--out", str(folder / "out"), "--recipe", str(written(folder / "mine.toml", text))]


def occupied(folder: Path, run: Path) -> list[str]:
    return ["train", "--out", str(run), "--epochs", "1"]


def below_a_file(folder: Path, run: Path) -> list[str]:
    return ["train", "--out", str(written(folder / "file", "x") / "run")]


def folder_for_a_file(folder: Path, run: Path) -> list[str]:
    (folder / "new.csv").mkdir()
    return ["sample", str(run), "--out", str(folder / "new.csv")]


def wrong_codes(folder: Path, run: Path) -> list[str]:
    return ["decode", str(run), str(saved(folder / "codes.npy", np.zeros((3, 7))))]


def codes_of_nan(folder: Path, run: Path) -> list[str]:
    return ["decode", str(run), str(saved(folder / "codes.npy", np.full((3, 2), np.nan)))]


def codes_of_words(folder: Path, run: Path) -> list[str]:
    return ["decode", str(run), str(written(folder / "codes.csv", "a,b\nx,y\n"))]


def examples_of_another_shape(folder: Path, run: Path) -> list[str]:
    return ["encode", str(run), str(saved(folder / "x.npy", np.random.default_rng(0).random((5, 9))))]


def sets(*settings: str) -> list[str]:
    """``-s`` before each."""
    return [word for setting in settings for word in ("-s", setting)]


CATEGORIES = sets("posterior=categorical", "prior=categorical")
AUTOENCODER = sets("posterior=deterministic", "objective=reconstruction")
ENDS = ("--from", "class:1", "--to", "class:2")
TOLD = ("regulariser=adversary", "regulariser.labels=true")
FIVE = sets("posterior=class-and-style", "posterior.classes=5", "prior=class-and-style", "prior.classes=5")
TAUGHT = sets("objective=reconstruction", "supervision=classify", "training.labelled=10")


def unlabelled(folder: Path, run: Path) -> list[str]:
    """A critic that is to be told labels, of data that have none."""
    x = saved(folder / "x.npy", np.random.default_rng(0).random((60, 6)))
    plane = sets("latent=2", "prior=ten-gaussians")
    return ["train", str(x), "--out", str(folder / "out"), *plane, *AUTOENCODER, *sets(*TOLD)]


def table_with_gaps(folder: Path, run: Path) -> list[str]:
    """The derivative by a cell that is missing, far from the first rows."""
    rows = "".join(f"{0.1 * i},{'' if i == 150 else i % 7}\n" for i in range(200))
    table = str(written(folder / "gaps.csv", f"a,b\n{rows}"))
    return [
        "train",
        table,
        "--out",
        str(folder / "out"),
        "--valid",
        "0",
        "--test",
        "0",
        "-s",
        "regulariser=contractive",
    ]


def endless(folder: Path, run: Path) -> list[str]:
    """Series of which nothing says where they end."""
    np.savez(folder / "s.npz", x=np.random.default_rng(0).random((50, 6, 2)))
    return ["train", str(folder / "s.npz"), "--out", str(folder / "out"), "--recipe", "series"]


BAD: list[Bad] = [
    training("latent 0", "--latent: got 0; it should be greater than or equal to 1", "--latent", "0"),
    training("latent of words", "a valid integer", "--latent", "two"),
    training("latent of half", "a valid integer", "--latent", "2.5"),
    training("beta below 0", "--beta: got -1; it should be greater than or equal to 0", "--beta", "-1"),
    training("beta infinite", "--beta: inf is not a finite number", "--beta", "inf"),
    training("beta undefined", "--beta: nan is not a finite number", "--beta", "nan"),
    training("beta for capacity", "has no such option", "--recipe", "capacity", "--beta", "2"),
    training("no epochs", "--epochs: got 0; it should be greater than or equal to 1", "--epochs", "0"),
    training("no batch", "--batch: got 0; it should be greater than or equal to 1", "--batch", "0"),
    training("learning rate 0", "--lr: got 0; it should be greater than 0", "--lr", "0"),
    training("precision", "--precision: unknown name 'half'; known: bfloat16, float32, float64", "--precision", "half"),
    training("device", "unknown device 'gpu'", "--device", "gpu"),
    training("share of 1", "--valid: got 1; it should be less than 1", "--valid", "1"),
    training("shares of all", "leave nothing to train on", "--valid", "0.6", "--test", "0.5"),
    training("binarise", "--binarise: unknown name 'treshold'; did you mean threshold?", "--binarise", "treshold"),
    training("labels of pictures", "labels: has no meaning for this source", "--labels", "class"),
    training("array of a name", "array: has no meaning for this source", "--array", "x"),
    training("threads", "--threads: 0 is not a number of threads", "--threads", "0"),
    training("data folder", "--data-dir: no such folder", "--data-dir", "/nowhere/at/all"),
    training("no such set", "did you mean digits?", "digit"),
    training("no such recipe", "did you mean aevb?", "--recipe", "aevp"),
    training("no such recipe file", "no such recipe file", "--recipe", "/nowhere/mine.toml"),
    training("no such part", "did you mean encoder?", "-s", "encodr.hidden=[3]"),
    training("no such option", "did you mean hidden?", "-s", "encoder.hiden=[3]"),
    training("no such member", "did you mean residual?", "-s", "encoder=residul"),
    training("no such likelihood", "did you mean bernoulli?", "-s", "likelihood.name=bernuolli"),
    training("no such setting", "did you mean epochs?", "-s", "training.epoch=3"),
    training("unclosed list", "encoder.hidden: got '[500'; it should be", "-s", "encoder.hidden=[500"),
    training("width 0", "got 0; it should be greater than or equal to 1", "-s", "encoder.hidden=[0]"),
    training("no equals sign", "write part.option=value", "-s", "encoder.hidden"),
    training("given twice", "objective.beta is given twice", "--beta", "2", "-s", "objective.beta=3"),
    training("option of an option", "does not fit beside", "-s", "latent=2", "-s", "latent.size=3"),
    training("three at once", "--lr: got -1; it should be greater than 0", "--latent", "0", "--lr", "-1", "-s", "x"),
    training("bernoulli on grey", "bernoulli", "-s", "likelihood=bernoulli"),
    training("no convolutions", "encoder.channels", "-s", "encoder.channels=[]", "-s", "encoder=convolutional"),
    training("unknown flag", "no such option: --epoch", "--epoch", "3"),
    training("flag without value", "option '--epochs' requires an argument", "--epochs"),
    training("no latents and nothing given", "where nothing is given beside x", "--latent", "0"),
    training("k of 0", "bound.k: got 0", "-s", "bound=iwae", "-s", "bound.k=0"),
    training("a bound that is none", "did you mean iwae?", "-s", "bound=iwea"),
    training("a gradient that is none", "bound.gradient: unknown name", *sets("bound=iwae", "bound.gradient=fast")),
    training("a prior of other codes", "prior standard-normal is over real codes", "-s", "posterior=categorical"),
    training("a prior of fewer classes", "same number of classes", *CATEGORIES, "-s", "prior.classes=4"),
    training("a plane of many latents", "lies in a plane", "-s", "prior=ten-gaussians"),
    training("a conditional prior of nothing", "needs a condition", "-s", "prior=conditional-normal"),
    training("a condition on columns of pictures", "needs rows", "-s", "condition=columns"),
    training("a part that is none", "condition.known: unknown name", *sets("condition=part", "condition.known=middle")),
    training("a beta beside weights", "has no rate of its own", "-s", "bound=iwae", "--beta", "2"),
    training("a rate without density", "no density", "-s", "posterior=deterministic"),
    training("weights without density", "importance weights", *AUTOENCODER, "-s", "bound=iwae"),
    training("weights of relaxed codes", "exact gradient", *CATEGORIES, "-s", "bound=iwae"),
    training("a GAN with an encoder", "has no encoder", "-s", "game=gan"),
    training("a GAN with a regulariser", "losses of its own", *sets("game=gan", "posterior=none", "regulariser=mmd")),
    training("wake-sleep without density", "no density", *AUTOENCODER, "-s", "game=wake-sleep"),
    training("a classifier of nothing", "names no class", "-s", "supervision=classify"),
    training("more labels than examples", "9999 labels", *sets("condition=inferred-labels", "training.labelled=9999")),
    training("no labels at all", "labelled: got 0", *sets("condition=inferred-labels", "training.labelled=0")),
    training("a prior without regions", "no region for a label", *AUTOENCODER, *sets(*TOLD)),
    training("a temperature of 0", "posterior.temperature: got 0", *CATEGORIES, "-s", "posterior.temperature=0"),
    training("a closed form of a flow", "no closed form", *sets("bound.estimator=closed", "posterior=flow")),
    training("a closed form of a mixture", "no closed form", *sets("bound.estimator=closed", "prior=mixture")),
    training("too few regions", "regions for 3 labels", "--recipe", "aae-ten-gaussians", "-s", "prior.classes=3"),
    training("too few stretches", "regions for 4 labels", "--recipe", "aae-swiss-roll", "-s", "prior.classes=4"),
    training("too few classes", "the model has 5 classes", *FIVE, *TAUGHT),
    training("a GAN on labels", "no condition", "--recipe", "gan", "-s", "condition=labels"),
    training("a claim about a flow", "a diagonal Normal", *sets("objective=keras-2016", "posterior=flow")),
    training(
        "a derivative by symbols", "no derivative", "dates", *sets("encoder=recurrent", "regulariser=contractive")
    ),
    training("a derivative of no code", "no code", *sets("latent=0", "condition=part", "regulariser=contractive")),
    training("a million samples", "less than or equal to 10000", *sets("bound=iwae", "bound.k=1000000")),
    training("samples without end", "less than or equal to 10000", "-s", "training.samples=10001"),
    training("wake-sleep with a beta", "dreams alone", "--recipe", "wake-sleep", "--beta", "3"),
    training("wake-sleep with a regulariser", "dreams alone", "--recipe", "wake-sleep", "-s", "regulariser=mmd"),
    training("wake-sleep of labels", "its classifier", "--recipe", "wake-sleep", "-s", "condition=inferred-labels"),
    training("a GAN with an estimator", "losses of its own", "--recipe", "gan", "-s", "bound.estimator=sampled"),
    training("an option of the mirror", "decoder.word_dropout: mlp has no such", "-s", "decoder.word_dropout=0.3"),
    Bad("labels to be told that are none", unlabelled, "the data have none; give them"),
    Bad("a missing cell far down", table_with_gaps, "a missing cell has no derivative"),
    Bad("series without ends", endless, "neither lengths nor a mask"),
    Bad(
        "recipe with a part that is a number",
        lambda folder, run: recipe(folder, "encoder = 3"),
        "encoder: got 3; it should be a name with options beside it",
    ),
    training("everything masked", "corruption.share: got 1", *sets("corruption=masking", "corruption.share=1")),
    training("a weight below 0", "regulariser.weight: got -1", *sets("regulariser=mmd", "regulariser.weight=-1")),
    Bad(
        "recipe with an unknown part",
        lambda folder, run: recipe(folder, "[bounds]\nname = 'iwae'"),
        "did you mean bound",
    ),
    Bad(
        "recipe with an unknown key",
        lambda folder, run: recipe(folder, "[bound]\nname = 'iwae'\nkk = 3"),
        "did you mean k?",
    ),
    Bad("recipe no TOML", lambda folder, run: recipe(folder, "latent = = 3"), "is not valid TOML"),
    Bad("recipe of no sense", lambda folder, run: recipe(folder, "latent = -3"), "mine.toml: latent"),
    Bad("recipe with a stranger", lambda folder, run: recipe(folder, "latents = 3"), "did you mean latent?"),
    Bad("existing run", occupied, "exists already; choose another --out, or continue it with --resume"),
    Bad("folder below a file", below_a_file, "cannot be written"),
    fixed("no such command", "no such command 'trian'. Did you mean 'train'?", "trian"),
    fixed("no such topic", "did you mean recipes?", "list", "recipe"),
    fixed("no such kind of part", "did you mean likelihood?", "list", "parts", "likelihod"),
    fixed("no such data set", "did you mean digits?", "data", "digit"),
    fixed("run without a name", "missing argument 'RUN'", "evaluate"),
    fixed("no such run", "no such run folder", "evaluate", "/nowhere/run"),
    fixed("resume of nothing", "no such run folder", "train", "--resume", "/nowhere/run"),
    fixed("mean of words", "a valid number", "explain", "kl", "--mean", "x"),
    fixed("mean undefined", "--mean: must be a finite number", "explain", "kl", "--mean", "nan"),
    fixed("explain of nothing", "no such run folder", "explain", "kll"),
    with_run("resume with settings", "leave out --epochs", "train", "--resume", "RUN", "--epochs", "9"),
    with_run("no such split", "--split: the run has no examples in 'tset'", "evaluate", "RUN", "--split", "tset"),
    with_run("no samples", "--samples", "evaluate", "RUN", "--samples", "0"),
    with_run("report of a file", "no such run folder", "report", "RUN/spec.json"),
    with_run("landscape as PNG", "ends in .svg", "explain", "kl", "--picture", "HERE/kl.png"),
    with_run("suffix", "ends in .png, .npy, .csv", "sample", "RUN", "--out", "HERE/new.jpg"),
    with_run("no codes", "give either a file of codes or --z", "decode", "RUN"),
    with_run("code too long", "has 3 numbers; the run has 2 latents", "decode", "RUN", "--z=1,2,3"),
    with_run("code of words", "is not numbers with commas", "decode", "RUN", "--z=a,b"),
    with_run("code undefined", "not finite", "decode", "RUN", "--z=nan,0"),
    with_run("missing codes", "does not exist", "decode", "RUN", "HERE/codes.npy"),
    with_run("row beyond", "row 9999 is not in the test split", "interpolate", "RUN", "--from", "0", "--to", "9999"),
    with_run("one end", "give both --from and --to", "interpolate", "RUN", "--from", "0"),
    with_run("kind of way", "did you mean spherical?", "interpolate", "RUN", "--kind", "sperical"),
    with_run("rows of words", "is not a list of rows", "arithmetic", "RUN", "one", "2", "3"),
    with_run("a move without end", "leads to no code", "arithmetic", "RUN", *("--strength", "inf"), *ENDS),
    with_run("no such class", "no such class '11'", "arithmetic", "RUN", "class:11", "2", "3"),
    with_run("split of other data", "leave it out", "encode", "RUN", "digits", "--split", "test"),
    Bad("folder for a file", folder_for_a_file, "is a folder"),
    Bad("codes of another width", wrong_codes, "holds an array of shape (3, 7); give (n, 2)"),
    Bad("codes undefined", codes_of_nan, "not finite"),
    Bad("codes of words in a table", codes_of_words, "cannot be read as a table of codes"),
    Bad("examples of another shape", examples_of_another_shape, "give data like that of training"),
    with_damage("weights altered", "was altered", lambda r: flip(weights(r)), "evaluate", "RUN"),
    with_damage("weights missing", "is missing", lambda r: weights(r).unlink(), "evaluate", "RUN"),
    with_damage("metrics altered", "was altered", lambda r: flip(r / "metrics.jsonl"), "report", "RUN"),
    with_damage("spec missing", "spec.json: is missing", lambda r: (r / "spec.json").unlink(), "sample", "RUN"),
    with_damage("spec empty", "is damaged", lambda r: written(r / "spec.json", ""), "explain", "RUN"),
    with_damage("spec a list", "spec.json", lambda r: written(r / "spec.json", "[]"), "evaluate", "RUN"),
    with_damage(
        "manifest missing", "continue it with --resume", lambda r: (r / "manifest.json").unlink(), "report", "RUN"
    ),
    with_damage("manifest a number", "manifest.json", lambda r: written(r / "manifest.json", "3"), "report", "RUN"),
    with_damage("newer format", "is of run format 99", newer, "evaluate", "RUN"),
    with_damage("newer format resumed", "is of run format 99", newer, "train", "--resume", "RUN"),
]


def of_data(case: Any) -> Bad:
    """A bad file as a bad command line, if its options are flags."""
    name, build, words = case

    def arguments(folder: Path, run: Path) -> list[str]:
        source, options = build(folder)
        flags = [part for key, value in options.items() for part in (FLAGS[key], str(value))]
        return ["train", "--out", str(folder / "out"), *flags, "--", source]

    return Bad(f"file {name}", arguments, words)


BAD += [of_data(case) for case in BAD_DATA if case.name not in NO_FLAG]
