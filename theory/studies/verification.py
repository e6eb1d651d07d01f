"""Theorems against data: each on two instances, and its false controls on the extremal one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from theory.comparison import catalogue
from theory.comparison.compare import compare, false_versions
from theory.records.store import generator, trial_key
from theory.statement.bound import Bound
from theory.statistics.intervals import holm
from theory.statistics.verdict import Verdict
from theory.studies.finding import DECLARED, DETECTED, FAILED, NOT_TRIED, TheoremFinding, Verification
from theory.studies.instances import OWN, cases, make
from tnattn.attention.masks import UnsupportedMask

__all__ = ["LEVEL", "verify"]

LEVEL = 1e-3
"""Probability with which any true theorem is refuted, all together."""

# runs that are timed and then discarded: their cost is a fiftieth of the least number
PILOT = 4
LEAST = 200
"""Least number of runs of every theorem and control, however long they take: fewer do not refute a false one."""


@dataclass(frozen=True, eq=False)
class Case:
    """One theorem on one instance; a theorem of the catalogue travels to a worker by its name.

    Examples
    --------
    >>> from theory.studies.verification import Case, examine
    >>> case = Case("truncated_svd_spectral", "generic", draw=0, seed=0, trials=10, level=1e-3, seconds=1.0)
    >>> case.theorem.statement, examine(case).verdict
    ('||A - A_k|| <= s_{k+1}, with equality. For singular values 3, 2, 1 and k = 1: 2.', 'supported')
    """

    bound: Bound | str
    kind: str
    draw: int
    seed: int
    trials: int
    level: float
    seconds: float

    @property
    def theorem(self) -> Bound:
        """The theorem."""
        return catalogue.bounds()[self.bound] if isinstance(self.bound, str) else self.bound


def verify(
    bounds: Sequence[Bound] | None = None,
    *,
    trials: int = 400,
    level: float = LEVEL,
    seed: int = 0,
    seconds: float = 150.0,
    thorough: bool = False,
    executor: Executor | None = None,
    workers: int = 1,
    on_done: Callable[[TheoremFinding], None] | None = None,
) -> Verification:
    """Test theorems against data.

    Parameters
    ----------
    bounds : sequence of Bound, optional
        Those of the catalogue by default.
    trials : int
        Independent runs per instance at most.
    level : float
        Probability of refuting any true theorem.
    seed : int
    seconds : float
        Time for more than the ``LEAST`` trials that every case has in any event; an equal share for each.
    thorough : bool
        The whole product; see ``cases``.
    executor : concurrent.futures.Executor, optional
        For theorems of the catalogue only; serial if None.
    workers : int
        Of the executor: how much of its time there is.
    on_done : callable, optional

    Raises
    ------
    ValueError
        If the level is no probability or trials or seed are out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it is a probability strictly between 0 and 1")
    if trials < 1 or seed < 0:
        raise ValueError(f"trials is {trials} and seed {seed}; trials must be positive and seed not negative")
    chosen = list(catalogue.bounds().values()) if bounds is None else list(bounds)
    grid = cases(chosen, thorough=thorough)
    share, each = _share(grid, seconds * (workers if executor is not None else 1)), level / max(1, len(grid))
    known = catalogue.bounds() if executor is not None else {}
    planned = [
        Case(b.name if known.get(b.name) is b else b, kind, draw, seed, trials, each, share) for b, kind, draw in grid
    ]
    findings = []
    for finding in _results(planned, executor):
        findings.append(finding)
        if on_done is not None:
            on_done(finding)
    order = {(b.name, _named(kind, draw)): index for index, (b, kind, draw) in enumerate(grid)}
    findings.sort(key=lambda f: order[f.bound, f.instance])
    return Verification(tuple(_corrected(findings, level)), tuple(b.name for b in chosen if b.extremal is None), level)


def _share(grid: Sequence[tuple[Bound, str, int]], seconds: float) -> float:
    """Return the seconds of each case: statements that hold always need 10 runs, the others share most."""
    # the remaining third pays for pilots, deterministic statements and the least numbers of runs
    return 0.7 * seconds / max(1, sum(not b.guarantee.always for b, _, _ in grid))


def _results(planned: Sequence[Case], executor: Executor | None) -> Iterator[TheoremFinding]:
    if executor is None:
        yield from map(examine, planned)
        return
    pending = {executor.submit(examine, case) for case in planned}
    try:
        while pending:
            done, pending = wait_for(pending, return_when="FIRST_COMPLETED")
            for future in done:
                yield future.result()
    finally:
        for future in pending:
            future.cancel()


def _corrected(findings: Sequence[TheoremFinding], level: float) -> Iterator[TheoremFinding]:
    """Refute by Holm's adjusted p-values, which reject no less than the level divided by the number of tests."""
    tested = [(id(finding), finding.p_value) for finding in findings if finding.p_value is not None]
    adjusted = holm([p for _, p in tested]) if tested else np.zeros(0)
    beyond = {name for (name, _), p in zip(tested, adjusted, strict=True) if p <= level}
    for finding in findings:
        yield replace(finding, verdict=str(Verdict.REFUTED)) if id(finding) in beyond else finding


def _named(kind: str, draw: int) -> str:
    return kind if draw == 0 else f"{kind} {draw + 1}"


def examine(case: Case) -> TheoremFinding:
    """Return the verdict on one theorem on one instance."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        try:
            return _examined(case)
        except Exception as error:
            # of the instance or the method: a theorem that raises has its own verdict; a gallery problem may have a
            # mask that the method does not honour
            outside = case.kind not in OWN and isinstance(error, UnsupportedMask)
            verdict = str(Verdict.NOT_APPLICABLE) if outside else FAILED
            message = f"{type(error).__name__}: {error}"
            return TheoremFinding(**_common(case), verdict=verdict, slack=float("nan"), detail=message)


def _examined(case: Case) -> TheoremFinding:
    b, start = case.theorem, time.perf_counter()
    key = trial_key({"bound": b.name, "kind": case.kind, "draw": case.draw})
    # streams of their own: the number of pilot runs must not change the verdict
    draws, pilot, runs, _ = generator(case.seed, key).spawn(4)
    method, target = make(b, case.kind)(draws)
    trials = case.trials
    if not b.guarantee.always and trials > LEAST:
        trials = _affordable(b, method, target, pilot, case)
    # the false theorems are judged on the same runs: one test, which has to tell them from the true one
    false = false_versions(b) if case.kind == "extremal" else []
    true = b.on_extremal() if case.kind == "extremal" else b
    found, *others = compare(method, target, [true, *false], trials=trials, rng=runs, level=case.level)
    verdict, detail = found.verdict, found.detail
    if verdict is Verdict.NOT_APPLICABLE:
        detail = f"the {case.kind} instance violates a hypothesis: {detail}"
    return TheoremFinding(
        **_common(case),
        verdict=str(verdict),
        slack=found.slack,
        above_optimal=None if math.isnan(found.above_optimal) else found.above_optimal,
        trials=found.trials,
        p_value=found.p_value,
        detail=detail,
        control=_control(b, case, [str(other.verdict) for other in others]),
        no_control=b.no_control if b.must_fail is None else "",
        seconds=time.perf_counter() - start,
    )


def _common(case: Case) -> dict[str, Any]:
    b = case.theorem
    about = b.method if isinstance(b.method, tuple) else (b.method,)
    return {
        "bound": b.name,
        "about": ", ".join(cls.__name__ for cls in about),
        "guarantee": str(b.guarantee),
        "source": str(b.source),
        "instance": _named(case.kind, case.draw),
    }


def _affordable(b: Bound, method: Any, target: Any, rng: np.random.Generator, case: Case) -> int:
    """Return how many trials fit into the case's share of the time, at least ``LEAST``, from runs that are not used."""
    start = time.perf_counter()
    compare(method, target, [b], trials=PILOT, rng=rng, level=case.level)
    # errors and theorems included
    each = (time.perf_counter() - start) / PILOT
    return int(np.clip(case.seconds / each, LEAST, case.trials))


def _control(b: Bound, case: Case, verdicts: Sequence[str]) -> str:
    """Return the verdict on the false theorem; of two, one that is not "refuted" if there is one."""
    if case.kind != "extremal":
        return NOT_TRIED
    if b.must_fail is None:
        return DECLARED
    return next((verdict for verdict in verdicts if verdict != DETECTED), DETECTED)
