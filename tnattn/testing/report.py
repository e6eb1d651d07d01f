"""Reports of the conformance kit: the outcome of every law, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Status = Literal["holds", "waived", "not applicable", "violated"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one law on one problem.

    Parameters
    ----------
    law, problem : str
    status : str
        "holds", "waived", "not applicable" or "violated".
    detail : str
        The numbers and what to do, or the reason why the law does not apply.

    Examples
    --------
    >>> from tnattn.testing import Finding
    >>> finding = Finding("P9", "gauss (seed 0)", "waived", "the method reads the sizes of the keys")
    >>> finding.law, finding.status
    ('P9', 'waived')
    """

    law: str
    problem: str
    status: Status
    detail: str = ""


@dataclass(frozen=True)
class Report:
    """All outcomes of a check.

    Parameters
    ----------
    subject : str
        Class or representation of the value checked.
    findings : tuple of Finding

    Examples
    --------
    >>> from tnattn.testing import Finding, Report
    >>> report = Report("TopK", (Finding("P1", "gauss", "holds"), Finding("P9", "gauss", "not applicable", "...")))
    >>> len(report.of("holds")), report.require_conformance() is report
    (1, True)
    """

    subject: str
    findings: tuple[Finding, ...]

    def of(self, status: Status) -> tuple[Finding, ...]:
        """Return the findings of one status."""
        return tuple(finding for finding in self.findings if finding.status == status)

    def require_conformance(self) -> Report:
        """Return the report, or raise ConformanceError if a law is violated."""
        if self.of("violated"):
            raise ConformanceError(self)
        return self


class ConformanceError(AssertionError):
    """Laws are violated; the message names the law, the problem, the numbers and what to do."""

    def __init__(self, report: Report) -> None:
        self.report = report
        violated = report.of("violated")
        lines = [f"{f.law} on {f.problem}: {f.detail}" for f in violated]
        super().__init__(f"{report.subject} violates {len(lines)} of its laws\n  " + "\n  ".join(lines))


class Violation(Exception):
    """Raised by a law that does not hold."""


class NotApplicable(Exception):
    """Raised by a law that does not apply to a subject."""


def finding(law: str, problem: str, check: Callable[[], None]) -> Finding:
    """Return the outcome of one law; any exception other than NotApplicable is a violation."""
    try:
        check()
    except NotApplicable as reason:
        return Finding(law, problem, "not applicable", str(reason))
    except Violation as violation:
        return Finding(law, problem, "violated", str(violation))
    except Exception as error:  # a subject that raises anything else has failed the law
        return Finding(law, problem, "violated", f"it raised {type(error).__name__}: {error}")
    return Finding(law, problem, "holds")


def chosen_laws(names: Iterable[str] | None, known: Iterable[str]) -> list[str]:
    """Return the names of laws, all by default; raise ValueError for names that are unknown."""
    known = list(known)  # an iterator would be consumed by the first test of membership
    chosen = known if names is None else list(names)
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"there is no law {', '.join(unknown)}; there are {', '.join(known)}")
    return chosen


def conformance(
    subject: str, where: str, checks: Mapping[str, Callable[[], None]], laws: Iterable[str] | None
) -> Report:
    """Return the report on the chosen checks, named by their laws; raise ConformanceError if one is violated."""
    findings = tuple(finding(name, where, checks[name]) for name in chosen_laws(laws, checks))
    return Report(subject, findings).require_conformance()
