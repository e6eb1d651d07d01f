"""Words of a verdict, and a verdict with its evidence."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Judgement", "Verdict"]


class Verdict(enum.StrEnum):
    """Vocabulary of the reports; no word in it says that a probabilistic bound was proved by an experiment.

    A theorem has "failed" where its evaluation raised an error or gave NaN or a negative bound on an error.
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
