"""The whole benchmark suite, one program after another, into one JSON file: speed, start and growth.

    python benchmarks/all.py [--quick] [--only training start] [--json benchmarks.json]

Each part is a program of its own beside this one and can be run alone. A part that fails is named and the others go on.
With ``--quick`` it takes under a quarter of an hour on two cores that nobody else uses.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PARTS: dict[str, list[str]] = {
    "start": ["start.py"],
    "training": ["training.py"],
    "family": ["family.py"],
    "evaluation": ["evaluation.py"],
    "sweep": ["sweep.py"],
    "growth": ["growth.py"],
}
QUICK = {"sweep": ["--rounds", "2", "--steps", "60"], "family": ["--rounds", "12"]}
"""What makes a part quick, where it has no --quick of its own."""


def run(part: str, quick: bool) -> dict[str, Any]:
    """One part: its figures, the seconds it took, and its exit code."""
    program, *arguments = PARTS[part]
    arguments += QUICK.get(part, ["--quick"]) if quick else []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        start = time.perf_counter()
        done = subprocess.run([sys.executable, str(HERE / program), *arguments, "--json", str(file)])
        took = time.perf_counter() - start
        found = json.loads(file.read_text()) if file.exists() else None
    return {"found": found, "seconds": took, "exit": done.returncode, "arguments": arguments}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"))
    options = parser.parse_args()
    from timing import machine

    results: dict[str, Any] = {"machine": machine(), "quick": options.quick, "parts": {}}
    for part in options.only:
        print(f"\n=== {part}", flush=True)
        results["parts"][part] = run(part, options.quick)
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    failed = [part for part, found in results["parts"].items() if found["exit"]]
    took = sum(found["seconds"] for found in results["parts"].values())
    print(f"\n{took:.0f} s, written to {options.json}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
