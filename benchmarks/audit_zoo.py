"""Audit every loss of the zoo (../shared/zoo or LOWERBOUND_ZOO) and print the table of the docs page as Markdown."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import torch


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def row(zoo: Any, name: str) -> str:
    truth, start = zoo.TRUTH[name], time.perf_counter()
    verdict = zoo.verdict_of(name)
    seconds = time.perf_counter() - start
    beta = verdict.beta_expression if verdict.beta is None else f"{verdict.beta_expression} = {verdict.beta:.4g}"
    codes = ", ".join(dict.fromkeys(f.code for f in verdict.findings if f.severity != "info")) or "none"
    sizes = " x ".join(str(n) for n in verdict.sizes)
    title = truth["title"].replace("|", "/")
    return f"| {title} | {sizes} | {verdict.parametrisation} | {beta} | {verdict.bound} | {codes} | {seconds:.1f} |"


def main() -> None:
    torch.set_num_threads(1)
    zoo = load(Path(__file__).resolve().parents[1] / "tests" / "audit" / "test_zoo.py", "audit_zoo_tests")
    print("| loss | B x Dx x Dz | s is | effective beta | bound | findings | s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in zoo.ZOO.ZOO:
        print(row(zoo, name), flush=True)


if __name__ == "__main__":
    main()
