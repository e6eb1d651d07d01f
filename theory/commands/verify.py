"""``tnattn verify``: every theorem against data."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer
from rich.text import Text

from theory.commands.console import print_json, progress, say, show, table, warn
from theory.commands.options import Json, Seed, Workers, listed
from theory.comparison import catalogue
from theory.records.runner import process_pool
from theory.statement.bound import Bound
from theory.studies.finding import FAILED, TheoremFinding, Verification
from theory.studies.instances import cases
from theory.studies.problems import nearest
from theory.studies.verification import LEVEL, verify

HELP = """
The control is the theorem with a wrong constant, for an equality one on each side: the same test must refute it, or
the test proves nothing. Exit status 1 if a theorem is refuted or fails, or if a control is not refuted, unless the
theorem declares why none can be. Every theorem has at least 200 runs, more where time allows. Error / optimal says
how far a result is from the least error at its ranks, for every unfolding of a tensor: the part of the distance to the
best that is the method's, where slack is the theorem's.

  tnattn verify

  tnattn verify --bounds favor_positive_mse,hosvd --trials 2000

  tnattn verify --thorough
"""
SECONDS = {False: 40.0, True: 3600.0}
"""Time for runs beyond the least number."""


Bounds = Annotated[str | None, typer.Option("--bounds", metavar="NAMES", help="Comma-separated; all by default.")]
Trials = Annotated[
    int, typer.Option("--trials", help="Runs per theorem and instance, at most; 200 or fewer are made in any event.")
]
Level = Annotated[float, typer.Option("--level", help="Probability of refuting any true theorem, all together.")]
Thorough = Annotated[
    bool, typer.Option("--thorough", help="All methods on all generated problems, and five samples; up to an hour.")
]


def command(
    bounds: Bounds = None,
    trials: Trials = 400,
    level: Level = LEVEL,
    seed: Seed = 0,
    thorough: Thorough = False,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Verify theorems."""
    chosen = _chosen(bounds)
    if workers is not None and workers < 0:
        raise ValueError(f"workers is {workers}; give 0 (no pool) or a positive number of processes")
    # the time for runs is that of all processes together
    count = workers if workers is not None else os.cpu_count() or 1
    with progress("verify", len(cases(chosen, thorough=thorough))) as tick, _pool(count) as executor:
        try:
            result = verify(
                chosen,
                trials=trials,
                level=level,
                seed=seed,
                seconds=SECONDS[thorough],
                thorough=thorough,
                executor=executor,
                workers=max(1, count),
                on_done=lambda finding: tick(finding.bound),
            )
        except KeyboardInterrupt:
            warn("interrupted; a verification is not continued, choose theorems with --bounds to make it shorter")
            raise typer.Exit(130) from None
    if json:
        print_json(_for_scripts(result))
    else:
        _print(result)
    if result.refuted or result.failed or result.undetected:
        raise typer.Exit(1)


def _chosen(text: str | None) -> list[Bound]:
    known = catalogue.bounds()
    if text is None:
        return list(known.values())
    names = listed(text)
    for name in names:
        if name not in known:
            raise ValueError(f"no theorem {name!r}{nearest(name, known)}; `tnattn bounds` lists them all")
    if not names:
        raise ValueError("bounds is empty; give names, or leave it out for all")
    return [known[name] for name in names]


def _pool(workers: int) -> AbstractContextManager[Executor | None]:
    return nullcontext(None) if workers == 0 else process_pool(workers)


def _print(result: Verification) -> None:
    columns = ("theorem", "about", "guarantee", "instance", "verdict", "slack", "error / optimal", "trials", "control")
    own = [f for f in result.findings if " on " not in f.instance]
    show(table("Theorems against data", columns, [_row(finding) for finding in own]))
    if len(own) < len(result.findings):
        counts = Counter(finding.verdict for finding in result.findings if " on " in finding.instance)
        say("every method on every problem: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()))
    for finding in result.refuted:
        say(f"REFUTED: {finding.bound} ({finding.source}), {finding.instance} instance: {finding.detail}")
    for finding in result.findings:
        if finding.verdict == "not applicable" and finding in own:
            say(f"not applicable: {finding.bound}: {finding.detail}")
        if finding.verdict == FAILED:
            say(f"failed: {finding.bound}, {finding.instance}: {finding.detail}")
        elif finding.undetected:
            say(f"UNDETECTED: {finding.bound}: a wrong constant was not refuted in {finding.trials} trials")
    for finding in result.declared:
        say(f"declared blunt: {finding.bound}: {finding.no_control}")
    if result.without_extremal:
        say(f"no extremal instance known for {len(result.without_extremal)}: {', '.join(result.without_extremal)}")
    theorems = len({finding.bound for finding in result.findings})
    groups = {"refuted": result.refuted, "failed": result.failed, "undetected": result.undetected}
    groups["declared blunt"] = result.declared
    counted = ", ".join(f"{len({f.bound for f in found})} {name}" for name, found in groups.items())
    say(f"{theorems} theorems at family level {result.level:g}: {counted}")


def _row(finding: TheoremFinding) -> tuple[object, ...]:
    red = "bold red"
    return (
        finding.bound,
        finding.about,
        finding.guarantee,
        finding.instance,
        Text(finding.verdict, style=red if finding.verdict == "refuted" else ""),
        finding.slack,
        finding.above_optimal,
        finding.trials,
        Text(finding.control, style=red if finding.undetected else ""),
    )


def _for_scripts(result: Verification) -> dict[str, object]:
    return {
        "level": result.level,
        "findings": [dataclasses.asdict(finding) for finding in result.findings],
        "refuted": sorted({finding.bound for finding in result.refuted}),
        "failed": sorted({finding.bound for finding in result.failed}),
        "undetected": sorted({finding.bound for finding in result.undetected}),
        "declared_blunt": {finding.bound: finding.no_control for finding in result.declared},
        "without_extremal": list(result.without_extremal),
    }
