"""Laws of attention that a user's own method violates, checked before it is compared."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from theory.records.sources import is_foreign
from tnattn.attention.method import AttentionMethod
from tnattn.testing import LAWS, ConformanceError, check_method

__all__ = ["QUICK", "BrokenLaw", "broken_laws", "violations_in_words"]

QUICK = tuple(law.name for law in LAWS if not law.slow)
"""Laws that are checked, about 0.2 s a method; P2, that the past ignores the future, under causal masks."""


@dataclass(frozen=True)
class BrokenLaw:
    """A law that a method violates.

    Parameters
    ----------
    method : str
        Its name in tables.
    law, statement : str
        Name and words of the law.
    detail : str
        Problem, size of the violation, and remedy.

    Examples
    --------
    >>> from theory.studies.conformance import BrokenLaw, violations_in_words
    >>> violations_in_words([BrokenLaw("Mine", "P1", "V = 1 gives 1", "on needle: off by 0.3")])
    'Mine violates P1 (V = 1 gives 1) on needle: off by 0.3'
    """

    method: str
    law: str
    statement: str
    detail: str


def broken_laws(method: AttentionMethod, label: str) -> list[BrokenLaw]:
    """Return the quick laws that a method violates, one entry for each law with the first problem that shows it.

    Parameters
    ----------
    method : AttentionMethod
    label : str
        Its name in tables.

    Notes
    -----
    Methods of the package are not checked: its tests do that.
    """
    if not is_foreign(method):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the comparison itself shows them
            check_method(method, laws=QUICK)
    except ConformanceError as error:
        violated = error.report.of("violated")
    except Exception as error:  # such as a method that is no dataclass
        return [BrokenLaw(label, "none", "the laws can be checked", f"{type(error).__name__}: {error}")]
    else:
        return []
    statements = {law.name: law.statement for law in LAWS}
    first = {finding.law: finding for finding in reversed(violated)}
    return [
        BrokenLaw(label, name, statements.get(name, ""), f"on {first[name].problem}: {first[name].detail}")
        for name in dict.fromkeys(finding.law for finding in violated)
    ]


def violations_in_words(broken: Sequence[BrokenLaw]) -> str:
    """Return one sentence about violated laws."""
    return "; ".join(f"{b.method} violates {b.law} ({b.statement}) {b.detail}" for b in broken)
