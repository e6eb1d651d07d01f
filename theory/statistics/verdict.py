"""Verdicts, and verdicts with their evidence."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Judgement", "Verdict"]


class Verdict(enum.StrEnum):
    """Verdicts of the reports; an experiment supports or refutes a bound and never proves it.

    A theorem has "failed" where its evaluation raised an error or gave NaN or a negative bound on an error.

    Examples
    --------
    >>> from theory.statistics import Verdict
    >>> Verdict("refuted") is Verdict.REFUTED, f"the bound is {Verdict.NOT_CONTRADICTED}"
    (True, 'the bound is not contradicted')
    """

    REFUTED = "refuted"
    SUPPORTED = "supported"
    NOT_CONTRADICTED = "not contradicted"
    VACUOUS = "vacuous"
    NOT_APPLICABLE = "not applicable"
    FAILED = "failed"
    CONSISTENT = "consistent with the rate"
    INCONSISTENT = "inconsistent with the rate"


@dataclass(frozen=True)
class Judgement:
    """A verdict with its evidence.

    Parameters
    ----------
    verdict : Verdict
    p_value : float or None
        Of the hypothesis that the statement is true, for the whole stack; 0 or 1 for a deterministic statement.
    detail : str
        One line for a reader: counts, the extreme ratio, and why the verdict is not stronger.

    Examples
    --------
    >>> from theory.statistics import judge_deterministic
    >>> judge_deterministic([1.0, 2.0], [1.5, 2.5], slack=0.0)
    <supported, p = 1: no violation in 2 instances; tightest: left 2, right 2.5, slack 0 at (1,)>
    """

    verdict: Verdict
    p_value: float | None
    detail: str

    def __repr__(self) -> str:
        chance = "" if self.p_value is None else f", p = {self.p_value:.3g}"
        return f"<{self.verdict}{chance}: {self.detail}>"

    def __post_init__(self) -> None:
        if self.p_value is not None and not 0.0 <= self.p_value <= 1.0:
            raise ValueError(f"p_value is {self.p_value}; expected a probability in [0, 1] or None")
