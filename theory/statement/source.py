"""Place of a statement in the literature."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """Reference and number of a statement.

    Parameters
    ----------
    reference : str
        Author and year.
    statement : str
        Number of the theorem, or "re-derived".

    Examples
    --------
    >>> from theory.statement import Source
    >>> str(Source("Halko, Martinsson & Tropp 2011", "Theorem 10.6"))
    'Halko, Martinsson & Tropp 2011, Theorem 10.6'
    """

    reference: str
    statement: str = ""

    def __str__(self) -> str:
        return f"{self.reference}, {self.statement}" if self.statement else self.reference
