"""``tnattn spectra``: how fast the singular values of each head decay."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.commands.options import RESULTS, Causal, Dtype, Heads, Json, Out, Problem, Seed, Tokens, Width
from theory.console import print_json, say, show, table
from theory.studies.problems import ProblemSource, load_problem
from theory.studies.spectra import study

HELP = """
Singular values of Q, K, V, scores, kernel and weights, head by head: numerical and stable ranks, entropy, peak.

  tnattn spectra

  tnattn spectra heads.npz --out results
"""


def command(
    problem: Problem = None,
    out: Out = RESULTS,
    seed: Seed = 0,
    dtype: Dtype = "float32",
    n: Tokens = None,
    d: Width = None,
    heads: Heads = None,
    causal: Causal = False,
    json: Json = False,
) -> None:
    """Analyse the spectra."""
    sizes = {"n": n, "d": d, "heads": heads}
    source = ProblemSource.parse(problem, sizes=sizes, causal=causal, seed=seed, dtype=dtype)
    result = study(load_problem(source), source.label)
    written = result.save(out / "spectra")
    rows = result.table()
    if json:
        print_json({"rows": rows, "files": [str(path) for path in written]})
        return
    weights = [row for row in rows if row["matrix"] == "weights"]
    names = [name for name in weights[0] if name not in ("problem", "matrix")]
    show(table(f"{source.label}: weights, head by head", names, [[row[name] for name in names] for row in weights]))
    show(_medians(source.label, rows))
    for path in written:
        say(str(path))


def _medians(label: str, rows: list[dict[str, Any]]) -> Any:
    names = [name for name in rows[0] if name not in ("problem", "matrix", "head")]
    matrices = list(dict.fromkeys(row["matrix"] for row in rows))
    medians = [
        [matrix, *(float(np.median([row[name] for row in rows if row["matrix"] == matrix])) for name in names)]
        for matrix in matrices
    ]
    return table(f"{label}: medians over the heads", ["matrix", *names], medians)
