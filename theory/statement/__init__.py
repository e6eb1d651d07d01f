"""Statements: a theorem as a function, with the sense in which it holds and the error that it bounds.

A theorem is a Python function whose first lines are its hypotheses and whose value is the right-hand side, in float64
on the host, one value per matrix of the stack. Its kind follows from its parameters: ``(method, target)`` is
known before the run, ``(method, target, result)`` after it, and a pair of values gives both sides of an identity.
Error, guarantee and source are its decoration; defaults of the theorems of one paper are given once, in a ``Paper``.

Begin with ``Paper`` and ``require``; then choose an error of ``errors`` and a guarantee. A guarantee knows its test:
``guarantee.judge(evidence, level)``.

Theorems
--------
- ``Paper``: a paper with the defaults of its theorems; called with the number of a statement it declares one
- ``bound``: the decorator beneath, for a theorem without a paper
- ``Bound``: a declared theorem: callable, with name, statement, error, guarantee, source, instances and controls
- ``require``: raises unless a hypothesis holds
- ``HypothesisViolated``: raised where a hypothesis fails
- ``Source``: reference and number of a statement

Guarantees (``guarantee``)
--------------------------
- ``Guarantee``: the base: ``judge``, and the traits that comparisons read
- ``Deterministic``: always, up to rounding
- ``InExpectation``: for the mean of the error
- ``ExactExpectation``: the mean equals the right-hand side
- ``WithProbability``: except with the failure probability that the theorem returns
- ``Asymptotic``: a rate in the budget

Quantities
----------
- ``errors``: the module of the errors: norms of matrices, projections, tensors, weights and outputs
- ``Error``: a measure of a result against its target, with its trivial value
- ``Prediction``: an evaluated theorem
- ``Evidence``: measured values of both sides, from which a guarantee computes its verdict
"""

from theory.statement import errors
from theory.statement.bound import Bound, HypothesisViolated, bound, require
from theory.statement.errors import Error
from theory.statement.evidence import Evidence
from theory.statement.guarantee import (
    Asymptotic,
    Deterministic,
    ExactExpectation,
    Guarantee,
    InExpectation,
    WithProbability,
)
from theory.statement.paper import Paper
from theory.statement.prediction import Prediction
from theory.statement.source import Source

__all__ = [
    "Asymptotic",
    "Bound",
    "Deterministic",
    "Error",
    "Evidence",
    "ExactExpectation",
    "Guarantee",
    "HypothesisViolated",
    "InExpectation",
    "Paper",
    "Prediction",
    "Source",
    "WithProbability",
    "bound",
    "errors",
    "require",
]
