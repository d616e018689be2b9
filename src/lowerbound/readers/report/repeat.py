"""What is needed to repeat a run."""

from __future__ import annotations

import json

from lowerbound.maths.units import bits
from lowerbound.readers.evaluate import Evaluation
from lowerbound.readers.report.markup import text
from lowerbound.training.load import Trained


def repeat(trained: Trained, e: Evaluation | None) -> str:
    """Everything needed to repeat the run."""
    header = trained.run.header()
    record, environment = header["data"], header["environment"]
    rows = {
        "data": f"{record['name']}, SHA-256 {record['sha256']}",
        "examples": ", ".join(f"{name} {n:,}" for name, n in record["examples"].items()),
        "split": record["split"]["how"],
        "kind": record["kind_why"],
        "binarisation": record["binarisation"],
        "evaluated on": f"{e.split}, {e.samples} latent sample(s) an example, noise seed {e.seed}" if e else "nothing",
        "seed": trained.spec.training.seed,
        "software": ", ".join(f"{k} {v}" for k, v in environment.items()),
    }
    cells = "".join(f'<tr><th scope="row">{text(k)}</th><td class="text">{text(v)}</td></tr>' for k, v in rows.items())
    spec = json.dumps(header["spec"], indent=2, ensure_ascii=False)
    return (
        f"<h2>To repeat this run</h2><div class='scroll'><table>{cells}</table></div>"
        f"<p>The same spec, data, seed, machine and build give the same weights to the bit.</p>"
        f"<details><summary>spec.json</summary><pre>{text(spec)}</pre></details>"
        f"<footer>lowerbound {text(header['version'])}. All figures are nats unless they say otherwise; "
        f"1 nat = {bits(1.0):.4f} bits.</footer>"
    )
