"""A table of laws and methods: one row per method, one column per law."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tnattn.attention.method import AttentionMethod
from tnattn.testing.methods import check_method
from tnattn.testing.report import ConformanceError, Finding

_WORDS = {"holds": "yes", "waived": "waived", "not applicable": "-", "violated": "NO"}


def conformance_table(methods: Mapping[str, AttentionMethod], *, laws: Iterable[str]) -> str:
    """Return a Markdown table of the outcomes of laws for attention methods.

    Parameters
    ----------
    methods : mapping
        From the name of a row to the method.
    laws : iterable of str
        Names from ``LAWS``.

    Returns
    -------
    str
        "yes", "waived", "-" (does not apply) or "NO" (violated).

    Examples
    --------
    >>> from tnattn.attention.sparse.top_k import TopK
    >>> print(conformance_table({"TopK": TopK()}, laws=["half", "buffers"]))
    | method | half | buffers |
    |---|---|---|
    | TopK | yes | - |
    """
    names = list(laws)
    lines = [f"| method | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name, method in methods.items():
        try:
            findings = check_method(method, laws=names).findings
        except ConformanceError as error:  # a violated law is a cell of the table, not the end of it
            findings = error.report.findings
        lines.append(f"| {name} | {' | '.join(_word(law, findings) for law in names)} |")
    return "\n".join(lines)


def _word(law: str, findings: tuple[Finding, ...]) -> str:
    found = {finding.status for finding in findings if finding.law == law}
    for status in ("violated", "waived", "holds"):  # the worst outcome over all problems
        if status in found:
            return _WORDS[status]
    return _WORDS["not applicable"]
