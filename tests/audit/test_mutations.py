"""Forty rewritings of right losses are acquitted; forty mutations are convicted, each with its code."""

from __future__ import annotations

import pytest

from lowerbound.audit import check

from .losses import RIGHT, WRONG

SIZES = (64, 784, 16)


@pytest.mark.parametrize("name", RIGHT)
def test_rewriting_is_acquitted(name: str) -> None:
    loss, sampler, (x, out) = RIGHT[name]
    verdict = check(loss, sampler, x=x, out=out, sizes=SIZES)
    assert verdict.acquitted, str(verdict)
    assert verdict.bound.startswith("yes"), str(verdict)
    assert verdict.sampler_agrees is True
    if verdict.decoder_variance is None:
        assert verdict.beta == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("name", WRONG)
def test_mutation_is_convicted(name: str) -> None:
    loss, sampler, (x, out), code = WRONG[name]
    verdict = check(loss, sampler, x=x, out=out, sizes=SIZES)
    if code == "K2":  # a proper KL to N(0, 2): named, and said in the bound
        assert verdict.bound == "yes, for prior variance 2" or verdict.bound == "no"
    else:
        assert not verdict.acquitted, str(verdict)
    assert code in verdict.codes, str(verdict)


def test_there_are_forty_of_each() -> None:
    assert len(RIGHT) >= 40
    assert len(WRONG) >= 40
