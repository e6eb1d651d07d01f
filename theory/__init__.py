"""Error theory of attention approximations: predicted errors, observed errors, verdicts.

A chapter per layer, each with an introduction of its own; the lower ones come first:

- ``statistics``: tests, confidence bounds and verdicts
- ``statement``: theorems as functions, errors, guarantees
- ``bounds``: the theorems
- ``comparison``: predicted against observed errors
- ``records``: storage and reproduction of trials
- ``studies``: questions, and the data that answer them
- ``reports``: figures and pages
- ``commands``: the terminal

Begin with ``compare(method, target, rng=rng)``, which judges all theorems about a method, or with ``verify()``, which
judges all theorems. To state a theorem, begin with ``Paper``. Everything is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theory import bounds, commands, comparison, records, reports, statement, statistics, studies
    from theory.comparison.chain import best_prediction
    from theory.comparison.compare import compare
    from theory.comparison.comparison import Comparison
    from theory.statement.bound import Bound
    from theory.statement.paper import Paper
    from theory.statistics.verdict import Verdict
    from theory.studies.head_spectra import head_spectra
    from theory.studies.verification import verify

__all__ = [
    "Bound",
    "Comparison",
    "Paper",
    "Verdict",
    "best_prediction",
    "bounds",
    "commands",
    "compare",
    "comparison",
    "head_spectra",
    "records",
    "reports",
    "statement",
    "statistics",
    "studies",
    "verify",
]

_HOMES = {
    "Bound": "statement.bound",
    "Comparison": "comparison.comparison",
    "Paper": "statement.paper",
    "Verdict": "statistics.verdict",
    "best_prediction": "comparison.chain",
    "compare": "comparison.compare",
    "head_spectra": "studies.head_spectra",
    "verify": "studies.verification",
}
"""Modules of the names that are no chapters."""


def __getattr__(name: str) -> Any:
    """Return a chapter or a name of one, imported now."""
    if name not in __all__:
        raise AttributeError(f"theory has no {name!r}; it has {', '.join(__all__)}")
    home = importlib.import_module(f"theory.{_HOMES.get(name, name)}")
    found = getattr(home, name) if name in _HOMES else home
    globals()[name] = found  # the next access does not come here
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
