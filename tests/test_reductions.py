"""Law 1: sums over latent dimensions and parts, means over examples, log-mean-exp over samples, all in maths/units.

No other file takes a mean of anything in nats. A mean of something else (a position, a picture's grey) stands on a
line that ends in ``# not nats: why``.
"""

from __future__ import annotations

import ast

import pytest

from laws import Source, snippet, sources

HOME = "maths/units.py"
MEANS = {"mean", "nanmean", "average", "nanmedian", "fmean", "var_mean", "std_mean"}
EXPECTED = {"self.mean", "likelihood.mean", "self.likelihood.mean"}  # the expected x, a likelihood's own method
# losses of torch that take a mean unless they are told not to
LOSSES = ("_loss", "cross_entropy", "kl_div", "binary_cross_entropy", "binary_cross_entropy_with_logits")


def own(name: str) -> bool:
    """Our own functions of those names: ``divergence.cross_entropy`` is in nats per example."""
    return name in ("cross_entropy", "_loss") or name.endswith("divergence.cross_entropy")


def violations(files: list[Source]) -> list[str]:
    found = []
    for file in files:
        if file.path != HOME:
            found += [file.at(node, what) for node, what in averages(file) if not file.excused(node, "not nats")]
    return found


def averages(file: Source):
    """Every call that takes a mean, or may."""
    for node, name in file.calls():
        last = name.rpartition(".")[2]
        if last in MEANS and "." in name and name not in EXPECTED:
            yield node, f"{name}() takes a mean"
        for keyword in node.keywords:
            if keyword.arg == "reduction" and getattr(keyword.value, "value", "mean") not in ("none", "sum"):
                yield node, f"{name}(reduction=...) takes a mean"
            if keyword.arg in ("size_average", "reduce"):
                yield node, f"{name}({keyword.arg}=...) may take a mean"
        reduced = any(keyword.arg in ("reduction", None) for keyword in node.keywords)
        if last.endswith(LOSSES) and "." in name and not own(name) and functional(name) and not reduced:
            yield node, f"{name}() takes a mean unless it is told not to"
        if name.startswith(("nn.", "torch.nn.")) and last.endswith("Loss") and not reduced:
            yield node, f"{name}() takes a mean unless it is told not to"
    yield from divisions(file)


def functional(name: str) -> bool:
    return name.split(".")[0] in ("F", "functional", "torch", "nn")


def divisions(file: Source):
    """A sum divided by a count is a mean in other words."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.left, ast.Call):
            by = ast.unparse(node.right)
            counts = ("len(", ".numel()", ".shape[", ".size(")
            if ast.unparse(node.left.func).endswith(".sum") and any(c in by for c in counts):
                yield node, f"a sum divided by {by} is a mean"


def test_the_only_means_are_in_units():
    assert violations(sources()) == []


def test_the_three_reductions_are_there():
    text = next(f.text for f in sources() if f.path == HOME)
    for name in ("sum_latent", "sum_parts", "mean_examples", "mean_samples", "log_mean_exp"):
        assert f"def {name}(" in text


@pytest.mark.parametrize(
    "line",
    [
        "kl.sum(-1).mean()",
        "kl.mean(dim=1)",
        "torch.mean(kl)",
        "torch.nanmean(kl)",
        "np.average(kl)",
        "(a + b).mean(0)",
        "F.binary_cross_entropy(x, y)",
        "F.mse_loss(x, y, reduction='mean')",
        "F.mse_loss(x, y, size_average=True)",
        "F.mse_loss(x, y, reduction=how)",
        "nn.BCELoss()(x, y)",
        "kl.sum() / len(kl)",
        "kl.sum(-1) / kl.shape[-1]",
        "kl.mean()  # not nats: ",
        "kl.mean()  # not nats",
    ],
)
def test_seen_to_fail(line):
    assert violations(snippet("objective/planted.py", f"def f(kl, x, y, a, b, how):\n    return {line}\n"))


@pytest.mark.parametrize(
    "line",
    [
        "units.mean_examples(kl)",
        "kl.sum(-1)",
        "q.mean",
        "likelihood.mean(x)",
        "F.mse_loss(x, y, reduction='none')",
        "F.softplus(x)",
        "cross_entropy(q, p)",
        "x.mean(0)  # not nats: the average picture",
    ],
)
def test_not_a_false_alarm(line):
    assert violations(snippet("model/fine.py", f"def f(kl, x, y, q, p, units):\n    return {line}\n")) == []
