"""``tnattn spectra``: decay of the singular values of each head and of the tensor of all heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.commands.console import print_json, say, show, table
from theory.commands.options import RESULTS, Causal, Dtype, Heads, Json, Out, Problem, Seed, Tokens, Width
from theory.reports.saved_spectra import save_spectra
from theory.studies.head_spectra import head_spectra
from theory.studies.problems import ProblemSource, load_problem
from theory.studies.tensor_spectra import MODES, TensorSpectra

HELP = """
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
    result = head_spectra(load_problem(source), source.label)
    written = save_spectra(result, out / "spectra")
    rows = result.table()
    if json:
        modes = {mode: values.tolist() for mode, values in result.tensor.singular_values.items()}
        tensor = {"modes": modes, "ranks": result.tensor.table()}
        print_json({"rows": rows, "tensor": tensor, "files": [str(path) for path in written]})
        return
    weights = [row for row in rows if row["matrix"] == "weights"]
    names = [name for name in weights[0] if name not in ("problem", "matrix")]
    show(table(f"{source.label}: weights, head by head", names, [[row[name] for name in names] for row in weights]))
    show(_medians(source.label, rows))
    show(_modes(source.label, result.tensor))
    show(_ranks(source.label, result.tensor))
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


def _modes(label: str, tensor: TensorSpectra) -> Any:
    """Return the mode spectra at powers of two."""
    # modes with fewer singular values have empty cells
    longest = max(values.size for values in tensor.singular_values.values())
    shown = [2**i for i in range(longest.bit_length())]
    rows = [
        [
            f"{mode} ({n})",
            *(float(tensor.relative(mode)[k - 1]) if k <= tensor.relative(mode).size else None for k in shown),
        ]
        for mode, n in zip(MODES, tensor.shape, strict=True)
    ]
    return table(f"{label}: sigma_k / sigma_1 of the tensor of weights", ["mode", *(f"k={k}" for k in shown)], rows)


def _ranks(label: str, tensor: TensorSpectra) -> Any:
    rows = tensor.table()
    caption = (
        "tucker, tt: ranks that suffice, and what they store relative to the tensor; tt bond 1 cuts off the head mode, "
        "bond 2 the key mode; least: every approximation within the tolerance has at least these ranks"
    )
    names = [name.replace("_", " ") for name in rows[0]]
    return table(
        f"{label}: ranks of the tensor of weights", names, [list(row.values()) for row in rows], caption=caption
    )
