"""Comparisons of predicted and observed errors of a method on a target, with verdicts.

One set of results serves all theorems about a method: the method runs ``trials`` times, every error is measured once,
every theorem is evaluated before the run or on each result, and its guarantee judges. A theorem that raises, or whose
right-hand side is no bound, has failed; the others are judged. Cost: ``trials`` runs of the method and one SVD of the
target per distinct error.

Begin with ``compare``. ``best_prediction`` turns theorems about a step inside an attention method into one bound on
the output.
- ``compare``: runs a method, evaluates the theorems about it, and returns one ``Comparison`` each
- ``Comparison``: predicted, observed, verdict, slack, and the ratio to the optimal (Eckart-Young) error
- ``control``: the false theorem that the data must refute on the extremal instance
- ``false_versions``: both of them, for an equality
- ``catalogue``: the module that finds the theorems: ``bounds()``, ``bounds_about(method)``
- ``output_predictions``: every bound on the output error that theorems about a method, or about its stages, give
  (``chain``)
- ``best_prediction``: the smallest of them
- ``OutputPrediction``: a bound on the output error and the theorems it came from
- ``OptimalErrors``: least errors at the ranks of a result, by Eckart, Young and Mirsky (``optimal``)

Inside
------
- ``decision``: verdict from predictions and errors
- ``heads``: predictions for the heads without bad rows
- ``rounding``: allowance for rounding in the units of an error
- ``table``: tables in HTML, for notebooks and reports
"""

from theory.comparison import catalogue
from theory.comparison.chain import OutputPrediction, best_prediction, output_predictions
from theory.comparison.compare import compare, control, false_versions
from theory.comparison.comparison import Comparison
from theory.comparison.optimal import OptimalErrors

__all__ = [
    "Comparison",
    "OptimalErrors",
    "OutputPrediction",
    "best_prediction",
    "catalogue",
    "compare",
    "control",
    "false_versions",
    "output_predictions",
]
