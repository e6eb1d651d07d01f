"""Theorems, one function each; folders mirror those of the methods that they are about.

A file holds the theorems of one subject. Each states its inequality in the first line of its docstring, its letters
and hypotheses below it, and checks these hypotheses before it evaluates the right-hand side. To add a theorem, write
a function under a ``Paper`` in the file of its subject, or a file of its own; it is found by scanning. A theorem
names an instance on which it is nearly sharp, where the data must refute it once its constant is too small.
- ``attention``: approximations of attention: scores, kernels, weights, outputs
- ``certificate``: errors of any output, from few exact rows or a scan of all scores
- ``decomposition``: truncated decompositions of tensors
- ``randnla``: randomized factorisations, embeddings, estimates
- ``hypotheses``: hypotheses that many theorems share
"""

from theory.bounds import attention, certificate, decomposition, hypotheses, randnla

__all__ = [
    "attention",
    "certificate",
    "decomposition",
    "hypotheses",
    "randnla",
]
