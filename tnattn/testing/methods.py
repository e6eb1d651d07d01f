"""Conformance check of attention methods."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from tnattn.attention.method import AttentionMethod
from tnattn.gallery import ProblemFamily
from tnattn.gallery import problems as gallery_problems
from tnattn.testing.laws import LAWS, Law
from tnattn.testing.report import Finding, Report, chosen_laws, finding
from tnattn.testing.trial import Trial


def check_method(
    method: AttentionMethod,
    *,
    laws: Iterable[str] | None = None,
    problems: Iterable[ProblemFamily] | None = None,
    seeds: Iterable[int] = (0,),
    n: int = 36,
    width: int = 8,
    alternatives: Mapping[str, tuple[Any, ...]] | None = None,
    require_waived_violations: bool = False,
) -> Report:
    """Check an attention method against the laws that every method obeys or waives.

    Parameters
    ----------
    method : AttentionMethod
        Its budget is replaced by a third of the keys, and by larger ones where a law says so.
    laws : iterable of str, optional
        Names from ``LAWS``; all by default.
    problems : iterable of ProblemFamily, optional
        The families of every law by default.
    seeds : iterable of int
        Of the problems and of the draws.
    n, width : int
        Size of the problems, which have four heads in two groups.
    alternatives : mapping, optional
        Other values of fields, by dotted name, that the kit cannot think of.
    require_waived_violations : bool
        Also check that every law which the class waives is really violated on some problem. Laws waived by the
        methods inside a wrapper are skipped.

    Returns
    -------
    Report
        What held, what was waived and what did not apply.

    Raises
    ------
    ConformanceError
        If a law is violated, naming the law, the problem, the numbers and what to do.
    ValueError
        If there is no such law.
    TypeError
        If ``method`` is no method, such as a class instead of an instance.

    Examples
    --------
    >>> from tnattn.attention.sparse.top_k import TopK
    >>> from tnattn.testing import check_method
    >>> check_method(TopK(), laws=["P1", "P9"]).of("violated")
    ()
    """
    if not isinstance(method, AttentionMethod):
        raise TypeError(f"method must be an instance of AttentionMethod; got {method!r}")
    families, chosen = gallery_problems(), _chosen(laws)
    given = None if problems is None else tuple(problems)
    subject, findings = type(method).__name__, []
    inherited = _waived_inside(method)  # a wrapper cannot keep a law that its inner method breaks
    unknown = [name for name in method.waives if name.split(".")[0] not in {law.name for law in LAWS}]
    if unknown:
        findings.append(_unknown_waiver(unknown))
    seeds = tuple(seeds)  # read once for each law
    for law in chosen:
        over = given if given is not None else tuple(families[name] for name in law.problems)
        if law.name in method.waives:
            if not require_waived_violations:  # the violation is shown only on request, as it takes many runs
                findings.append(Finding(law.name, "all problems", "waived", method.waives[law.name]))
                continue
            trials = [Trial(method, family, n, width, seed, alternatives or {}) for family in over for seed in seeds]
            findings.append(_waived(law, trials))
            continue
        if law.name in inherited:
            findings.append(Finding(law.name, "all problems", "waived", inherited[law.name]))
            continue
        for family in over:
            for seed in seeds:
                findings.append(_find(law, Trial(method, family, n, width, seed, alternatives or {})))
    return Report(subject, tuple(findings)).require_conformance()


def _waived_inside(method: Any) -> dict[str, str]:
    """Return the laws that the methods inside a wrapper waive, with their reasons."""
    found: dict[str, str] = {}
    for f in dataclasses.fields(method):
        inner = getattr(method, f.name)
        if isinstance(inner, AttentionMethod):
            own = {law: f"{type(inner).__name__} inside waives it: {reason}" for law, reason in inner.waives.items()}
            found |= _waived_inside(inner) | own
    return found


def _find(law: Law, trial: Trial) -> Finding:
    where = f"{trial.family.name} (seed {trial.seed})"
    return finding(law.name, where, partial(law.check, trial))


def _waived(law: Law, trials: list[Trial]) -> Finding:
    for trial in trials:
        found = _find(law, trial)
        if found.status == "violated":
            return Finding(law.name, found.problem, "waived", f"really violated: {found.detail}")
    # a waiver without a violation hides a law that would guard the method
    detail = f"waived, but it holds on {', '.join(sorted({trial.family.name for trial in trials}))}; remove the waiver"
    return Finding(law.name, "all problems", "violated", detail)


def _chosen(laws: Iterable[str] | None) -> tuple[Law, ...]:
    known = {law.name: law for law in LAWS}
    return tuple(known[name] for name in chosen_laws(laws, known))


def _unknown_waiver(unknown: list[str]) -> Finding:
    detail = f"there is no such law to waive; there are {', '.join(law.name for law in LAWS)}"
    return Finding(", ".join(unknown), "the class", "violated", detail)
