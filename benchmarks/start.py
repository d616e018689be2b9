"""How long things take to start: the command line, and the import beside torch's own. New processes, alternating.

    python benchmarks/start.py [--rounds 9] [--json FILE]

``import torch, lowerbound`` imports names only; the third line also imports what training needs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from timing import alternate, spread, told

PROGRAMS = {
    "lowerbound --help": ["-m", "lowerbound", "--help"],
    "import torch": ["-c", "import torch"],
    "import torch, lowerbound": ["-c", "import torch, lowerbound"],
    "import torch, then all that training needs": ["-c", "import torch, lowerbound.training.loop"],
}


def started(arguments: list[str]) -> float:
    """Seconds of a new process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="5 rounds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    contestants = {name: (lambda a=arguments: started(a)) for name, arguments in PROGRAMS.items()}
    seconds = alternate(contestants, 5 if options.quick else options.rounds)
    for name, values in seconds.items():
        print(f"{name:45s} {told(spread(values))} s")
    torch = seconds["import torch"]
    added = {
        name: spread([a - b for a, b in zip(seconds[name], torch, strict=True)])
        for name in PROGRAMS
        if name.startswith("import torch,")
    }
    for name, value in added.items():
        print(f"{name:45s} adds {told(value)} s")
    if options.json:
        found = {"seconds": {name: spread(values) for name, values in seconds.items()}, "added": added}
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
