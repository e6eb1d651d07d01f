"""Reports of the conformance kit: the outcome of every law, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
        What was checked.
    findings : tuple of Finding
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
    """Raised inside a law that does not hold."""


class NotApplicable(Exception):
    """Raised inside a law that says nothing about a subject."""


def finding(law: str, problem: str, check: Callable[[], None]) -> Finding:
    """Return the outcome of one law; any exception other than NotApplicable is a violation."""
    try:
        check()
    except NotApplicable as reason:
        return Finding(law, problem, "not applicable", str(reason))
    except Violation as violation:
        return Finding(law, problem, "violated", str(violation))
    except Exception as error:  # whatever a subject raises is a finding about it
        return Finding(law, problem, "violated", f"it raised {type(error).__name__}: {error}")
    return Finding(law, problem, "holds")


def chosen_laws(names: Iterable[str] | None, known: Iterable[str]) -> list[str]:
    """Return the names of laws, all by default; raise ValueError for names that are unknown."""
    known = list(known)
    chosen = known if names is None else list(names)
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"there is no law {', '.join(unknown)}; there are {', '.join(known)}")
    return chosen
