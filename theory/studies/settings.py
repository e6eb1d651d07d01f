"""Settings of a comparison: its problem, methods, budgets and numbers of runs."""

from __future__ import annotations

from dataclasses import dataclass

from theory.studies.candidates import Candidate
from theory.studies.problems import ProblemSource

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """The grid of a comparison.

    Parameters
    ----------
    source : ProblemSource
    candidates : tuple of Candidate
    budgets : tuple of int
        Columns that a method may spend, between 1 and the number of keys.
    trials : int
        Runs of a randomized method at every budget; a deterministic one runs once.
    seed : int
    verdict_trials : int
        Runs from which the theorems are judged.
    strict : bool
        Refuse a user's method that violates a law; otherwise tables and report mark it.

    Examples
    --------
    >>> from theory.studies import ProblemSource, Settings, select
    >>> settings = Settings(ProblemSource("gallery", "needle"), tuple(select(["Performer"])), budgets=(16, 32))
    >>> settings.trials, settings.verdict_trials, settings.candidates[-1].label
    (5, 20, 'Performer')
    """

    source: ProblemSource
    candidates: tuple[Candidate, ...]
    budgets: tuple[int, ...]
    trials: int = 5
    seed: int = 0
    verdict_trials: int = 20
    strict: bool = False

    def __post_init__(self) -> None:
        for name in ("trials", "verdict_trials"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a positive integer")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must be a non-negative integer")
        if not self.budgets or list(self.budgets) != sorted(set(self.budgets)) or self.budgets[0] < 1:
            raise ValueError(
                f"budgets are {', '.join(map(str, self.budgets)) or 'empty'}; give positive integers in ascending order"
            )
