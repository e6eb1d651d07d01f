"""``tnattn spectra``: how fast the singular values of each head decay."""

from __future__ import annotations

from theory.commands.options import RESULTS, Causal, Dtype, Heads, Json, Out, Problem, Seed, Tokens, Width

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
    raise ValueError("spectra are not available yet")
