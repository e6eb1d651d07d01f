"""Verdicts of a verification: one per theorem and instance, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass

from theory.comparison.table import table
from theory.statistics.verdict import Verdict

__all__ = ["DECLARED", "DETECTED", "FAILED", "NOT_TRIED", "TheoremFinding", "Verification"]

FAILED = str(Verdict.FAILED)
"""Stands for a verdict where the instance, the method or the theorem raised an error."""

DETECTED, NOT_TRIED, DECLARED = "refuted", "not tried", "declared blunt"
"""Outcomes of a control; any other verdict on a false theorem means that the test cannot tell it from the true one."""


@dataclass(frozen=True)
class TheoremFinding:
    """Verdict on a theorem on one instance.

    Parameters
    ----------
    bound, about, guarantee, source : str
    instance : str
        "extremal" or "generic", with the number of the sample where there are several, or "METHOD on PROBLEM".
    verdict : str
        Holm's correction over all theorems is in it; "failed" where an error was raised.
    slack : float
    detail : str
    trials : int
    p_value : float or None
    control : str
        Verdict on the false theorem, "refuted" as it must be, and for an equality the weaker one of both sides; "not
        tried" on generic instances, "declared blunt" where the theorem says that no instance shows a wrong constant.
    no_control : str
        The reason that it gives.
    seconds : float
    above_optimal : float or None
        Error over the optimal (Eckart-Young) one at the ranks of the result, where there is one.

    Examples
    --------
    >>> from theory.bounds.randnla.truncated_svd import truncated_svd_spectral
    >>> from theory.studies import verify
    >>> finding = verify([truncated_svd_spectral]).findings[0]
    >>> finding.instance, finding.verdict, finding.control, finding.undetected
    ('extremal', 'supported', 'refuted', False)
    """

    bound: str
    about: str
    guarantee: str
    source: str
    instance: str
    verdict: str
    slack: float
    detail: str
    trials: int = 0
    p_value: float | None = None
    control: str = NOT_TRIED
    no_control: str = ""
    seconds: float = 0.0
    above_optimal: float | None = None

    def __repr__(self) -> str:
        return f"<{self.bound}, {self.instance}: {self.verdict}, slack {self.slack:.3g}, control {self.control}>"

    @property
    def undetected(self) -> bool:
        """True where the false theorem was not refuted, so that the test could not have refuted the true one either."""
        return self.control not in (DETECTED, NOT_TRIED, DECLARED)


@dataclass(frozen=True)
class Verification:
    """All findings, and the theorems that name no extremal instance.

    Examples
    --------
    >>> from theory.bounds.randnla.truncated_svd import truncated_svd_frobenius, truncated_svd_spectral
    >>> from theory.studies import verify
    >>> verify([truncated_svd_frobenius, truncated_svd_spectral])
    <verification of 2 theorems at family level 0.001: 0 refuted, 0 failed, 0 undetected>
    """

    findings: tuple[TheoremFinding, ...]
    without_extremal: tuple[str, ...]
    level: float

    def __repr__(self) -> str:
        # two instances of a theorem are two findings
        theorems = len({finding.bound for finding in self.findings})
        groups = {"refuted": self.refuted, "failed": self.failed, "undetected": self.undetected}
        counted = ", ".join(f"{len({f.bound for f in found})} {name}" for name, found in groups.items())
        return f"<verification of {theorems} theorems at family level {self.level:g}: {counted}>"

    def _repr_html_(self) -> str:
        """Return the findings as a table, for notebooks."""
        columns = (
            "theorem",
            "about",
            "guarantee",
            "instance",
            "verdict",
            "slack",
            "error / optimal",
            "trials",
            "control",
        )
        rows = [
            (f.bound, f.about, f.guarantee, f.instance, f.verdict, f.slack, f.above_optimal, f.trials, f.control)
            for f in self.findings
        ]
        return table(columns, rows, caption=repr(self).strip("<>"))

    @property
    def failed(self) -> tuple[TheoremFinding, ...]:
        """Findings that are errors."""
        return tuple(finding for finding in self.findings if finding.verdict == FAILED)

    @property
    def undetected(self) -> tuple[TheoremFinding, ...]:
        """Findings whose false theorem was not refuted."""
        return tuple(finding for finding in self.findings if finding.undetected)

    @property
    def declared(self) -> tuple[TheoremFinding, ...]:
        """Findings of theorems that declare why no instance shows a wrong constant."""
        return tuple(finding for finding in self.findings if finding.control == DECLARED)

    @property
    def refuted(self) -> tuple[TheoremFinding, ...]:
        """Findings that contradict a theorem."""
        return tuple(finding for finding in self.findings if finding.verdict == Verdict.REFUTED)
