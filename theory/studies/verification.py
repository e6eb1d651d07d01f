"""Do the theorems survive data? Every theorem on two instances, and its false control on the extremal one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from theory import catalogue
from theory.bound import Bound
from theory.compare import compare, control
from theory.guarantee import Deterministic
from theory.intervals import holm
from theory.store import generator, trial_key
from theory.studies.instances import OWN, cases, make
from theory.verdict import Verdict

__all__ = ["LEVEL", "Finding", "Verification", "cases", "verify"]

LEVEL = 1e-3
"""Probability with which any true theorem is refuted, all together."""

PILOT = 4
FAILED = "failed"
"""Stands for a verdict where the method or the theorem raised an error."""


@dataclass(frozen=True)
class Finding:
    """What the data say about a theorem on one instance.

    Parameters
    ----------
    bound, about, guarantee, source : str
    instance : str
        "extremal" or "generic", with the number of the draw where there are several, or "METHOD on PROBLEM".
    verdict : str
        Holm's correction over all theorems is in it; "failed" where an error was raised.
    slack : float
    detail : str
    trials : int
    p_value : float or None
    control : str
        Verdict on the false theorem, "refuted" as it must be; "not tried" on generic instances, "none known" where
        the theorem names no extremal instance or no factor.
    seconds : float
    above_floor : float or None
        Error over the least one at the ranks of the result, where the error has such a floor.
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
    control: str = "not tried"
    seconds: float = 0.0
    above_floor: float | None = None

    @property
    def undetected(self) -> bool:
        """Whether the false theorem was not refuted, so that the test could not have refuted the true one either."""
        return self.control not in ("refuted", "not tried", "none known")


@dataclass(frozen=True)
class Verification:
    """All findings, and the theorems that name no extremal instance."""

    findings: tuple[Finding, ...]
    without_extremal: tuple[str, ...]
    level: float

    @property
    def failed(self) -> tuple[Finding, ...]:
        """Findings that are errors."""
        return tuple(finding for finding in self.findings if finding.verdict == FAILED)

    @property
    def refuted(self) -> tuple[Finding, ...]:
        """Findings that contradict a theorem."""
        return tuple(finding for finding in self.findings if finding.verdict == Verdict.REFUTED)


@dataclass(frozen=True, eq=False)
class Case:
    """One theorem on one instance; a theorem of the catalogue travels to a worker by its name."""

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
    on_done: Callable[[Finding], None] | None = None,
) -> Verification:
    """Hold theorems against data.

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
        Time after which fewer trials are made; every case gets an equal share of what is left.
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
    # what holds for every realisation needs 10 runs only, so the others share most of the time
    random = sum(not isinstance(b.guarantee, Deterministic) for b, _, _ in grid)
    share = 0.7 * seconds * (workers if executor is not None else 1) / max(1, random)
    known = catalogue.bounds()
    planned = [
        Case(
            b.name if executor is not None and known.get(b.name) is b else b,
            kind,
            draw,
            seed,
            trials,
            level / max(1, len(grid)),
            share,
        )
        for b, kind, draw in grid
    ]
    findings = []
    for finding in _results(planned, executor):
        findings.append(finding)
        if on_done is not None:
            on_done(finding)
    order = {(b.name, _named(kind, draw)): index for index, (b, kind, draw) in enumerate(grid)}
    findings.sort(key=lambda f: order[f.bound, f.instance])
    return Verification(tuple(_corrected(findings, level)), tuple(b.name for b in chosen if b.extremal is None), level)


def _results(planned: Sequence[Case], executor: Executor | None) -> Iterator[Finding]:
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


def _corrected(findings: Sequence[Finding], level: float) -> Iterator[Finding]:
    """Refute what Holm's adjusted p-value refutes: never less than each alone at level / number of tests."""
    tested = [(id(finding), finding.p_value) for finding in findings if finding.p_value is not None]
    adjusted = holm([p for _, p in tested]) if tested else np.zeros(0)
    beyond = {name for (name, _), p in zip(tested, adjusted, strict=True) if p <= level}
    for finding in findings:
        yield replace(finding, verdict=str(Verdict.REFUTED)) if id(finding) in beyond else finding


def _named(kind: str, draw: int) -> str:
    return kind if draw == 0 else f"{kind} {draw + 1}"


def examine(case: Case) -> Finding:
    """Return what the data say about one theorem on one instance."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        try:
            return _examined(case)
        except Exception as error:
            # a theorem about all methods may need what a method does not have, such as weights over the keys
            outside = case.kind not in OWN and isinstance(error, ValueError)
            verdict = str(Verdict.NOT_APPLICABLE) if outside else FAILED
            message = f"{type(error).__name__}: {error}"
            return Finding(**_common(case), verdict=verdict, slack=float("nan"), detail=message)


def _examined(case: Case) -> Finding:
    b, start = case.theorem, time.perf_counter()
    key = trial_key({"bound": b.name, "kind": case.kind, "draw": case.draw})
    draws, pilot, runs, false = generator(case.seed, key).spawn(4)
    method, target = make(b, case.kind)(draws)
    trials = case.trials
    if not isinstance(b.guarantee, Deterministic):
        trials = _affordable(b, method, target, pilot, case)
    found = compare(method, target, [b], trials=trials, rng=runs, level=case.level)[0]
    verdict, detail = found.verdict, found.detail
    if verdict is Verdict.NOT_APPLICABLE:
        detail = f"the {case.kind} instance violates a hypothesis: {detail}"
    return Finding(
        **_common(case),
        verdict=str(verdict),
        slack=found.slack,
        above_floor=None if math.isnan(found.above_floor) else found.above_floor,
        trials=found.trials,
        p_value=found.p_value,
        detail=detail,
        control=_control(b, case, method, target, trials, false),
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
    """Return how many trials fit into the case's share of the time, found out on runs that are not used."""
    start = time.perf_counter()
    compare(method, target, [b], trials=PILOT, rng=rng, level=case.level)
    each = (time.perf_counter() - start) / PILOT
    halves = 2 if case.kind == "extremal" else 1  # the control runs as often
    return int(np.clip(case.seconds / (halves * each), 1, case.trials))


def _control(b: Bound, case: Case, method: Any, target: Any, trials: int, rng: np.random.Generator) -> str:
    if case.kind != "extremal":
        return "not tried"
    if b.must_fail is None:
        return "none known"
    return str(compare(method, target, [control(b)], trials=trials, rng=rng, level=case.level)[0].verdict)
