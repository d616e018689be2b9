"""Laws 3, 4 and 7: a name tells the sign; ``log_variance`` is called that; no pickle and no import by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from laws import Source, dotted, snippet, sources

# Law 7. What may not be called or imported, and the few places that must, each with its reason.
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "imp", "runpy"}
CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save", "pandas.read_pickle", "pd.read_pickle"}
EXEMPT: dict[str, str] = {
    "__init__.py": "the lazy top level imports from its own table of names, never from what someone wrote",
    "doors/cli.py": "the command line mounts its commands from its own table, so that each is loaded when it is used",
    "audit/sandbox.py": "runs the loss that a person asked to be checked: their own file, in a process of its own",
}

# Law 4. log sigma^2 is log_variance; a log of sigma would be called log_scale, and the library has none.
LOG_SIGMA = re.compile(
    r"log_?(sigma|std|stddev|sd)(?![a-z])|log_?sigma_?(2|sq|squared)|log_?var(?!iance)", re.IGNORECASE
)

# Law 3. A sign that contradicts the name.
SIGN = re.compile(
    r"(neg|negative|minus)_?(elbo|iwae|bound|log_likelihood|log_prob)|(elbo|iwae|bound)_loss|loss_(elbo|iwae)",
    re.IGNORECASE,
)


def identifiers(file: Source) -> Iterator[tuple[ast.AST, str]]:
    """Every name that a file gives or uses: variables, attributes, arguments, functions, classes, keywords."""
    for node in ast.walk(file.tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str) and hasattr(node, "lineno"):
                yield node, name


def misnamed(files: list[Source]) -> list[str]:
    found = []
    for file in files:
        for node, name in identifiers(file):
            if LOG_SIGMA.search(name) and not file.excused(node, "their name"):
                found.append(file.at(node, f"{name}: the parametrisation is log_variance (law 4)"))
            if SIGN.search(name):
                found.append(file.at(node, f"{name}: the name contradicts its sign (law 3)"))
    return found


def unsafe(files: list[Source]) -> list[str]:
    found = []
    for file in files:
        if file.path not in EXEMPT:
            found += [file.at(node, what) for node, what in dangers(file) if not file.excused(node, "own code")]
    return found


def dangers(file: Source) -> Iterator[tuple[ast.AST, str]]:
    for node, name, _ in file.imports():
        if MODULES & set(name.split(".")):
            yield node, f"imports {name}"
    for node, name in file.calls():
        last = name.rpartition(".")[2]
        keywords = {k.arg: k.value for k in node.keywords}
        if name in CALLS or last in ("unpickle", "exec_module", "run_path", "run_module"):
            yield node, f"calls {name}"
        if last in ("import_module", "spec_from_file_location") and not all(
            isinstance(a, ast.Constant) for a in node.args
        ):
            yield node, f"{last} of a name that is not written here"
        if dotted(node.func) in ("np.load", "numpy.load") and not denied(keywords.get("allow_pickle")):
            yield node, "np.load without allow_pickle=False"
        if "allow_pickle" in keywords and not denied(keywords["allow_pickle"]):
            yield node, "allow_pickle"


def denied(value: ast.AST | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def test_names_tell_their_sign_and_their_parametrisation():
    assert misnamed(sources()) == []


def test_no_pickle_and_no_import_by_name():
    assert unsafe(sources()) == []


def test_exemptions_are_needed():
    """An exemption that nothing needs any more is removed."""
    files = {f.path: f for f in sources()}
    assert [path for path in EXEMPT if path not in files or not list(dangers(files[path]))] == []


@pytest.mark.parametrize(
    "line",
    [
        "log_sigma = head(x)",
        "def f(mu, logsigma): pass",
        "h.log_std = 1",
        "logvar = 0",
        "f(log_var=1)",
        "log_sigma2 = 0",
        "neg_elbo = 1",
        "def elbo_loss(): pass",
        "negative_log_likelihood_bound = negative_bound = 1",
    ],
)
def test_bad_names_seen_to_fail(line):
    assert misnamed(snippet("model/planted.py", line + "\n"))


@pytest.mark.parametrize("line", ["log_variance = 1", "nll = 1", "distortion = -log_likelihood", "log_variances = [1]"])
def test_good_names_pass(line):
    assert misnamed(snippet("model/fine.py", line + "\n")) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "import torch.package as p, cloudpickle",
        "eval('1')",
        "exec(code)",
        "compile(code, 'x', 'exec')",
        "__import__(name)",
        "torch.load(path)",
        "torch.load(path, weights_only=True)",
        "torch.save(x, path)",
        "importlib.import_module(name)",
        "import_module(f'lowerbound.{name}')",
        "spec.loader.exec_module(module)",
        "runpy.run_path(path)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "numpy.lib.format.read_array(f, allow_pickle=trusted)",
    ],
)
def test_unsafe_seen_to_fail(line):
    assert unsafe(snippet("training/planted.py", line + "\n"))


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "re.compile('x')",
        "torch.compile(model)",
        "np.load(path, allow_pickle=False)",
        "importlib.import_module('torch')",
        "module = spec.loader.exec_module(m)  # own code: the file that the person named on the command line",
    ],
)
def test_safe_passes(line):
    assert unsafe(snippet("training/fine.py", line + "\n")) == []
