"""``tnattn compare``: the main job."""

from __future__ import annotations

import dataclasses
import math
import sys
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from theory.commands.console import number, print_json, progress, say, show, table, warn
from theory.commands.options import (
    RESULTS,
    Causal,
    Device,
    Dtype,
    Heads,
    Json,
    Methods,
    Out,
    Problem,
    Seed,
    Tokens,
    Width,
    Workers,
    listed,
)
from theory.commands.writing import write
from theory.records.manifest import finished, manifest, write_manifest
from theory.records.runner import process_pool
from theory.studies.attention import AttentionStudy, Settings, remaining, run_study
from theory.studies.candidates import select
from theory.studies.certified import FAILURE
from theory.studies.folder import LEDGER, load
from theory.studies.problems import ProblemSource, load_problem
from theory.studies.ranking import Ranking, rankings
from theory.studies.summary import Line, lines

HELP = """
Without arguments: 12 heads of a trained model on 512 tokens, one method of each family beside the controls (exact,
mean(V), exact top keys, window only, best rank).

  tnattn compare

  tnattn compare sample:5 --methods Performer,Nystromformer --budgets 32,64

  tnattn compare needle --n 1024 --heads 2

  tnattn compare heads.npz --methods all --out results

  tnattn compare --methods prototype.py:MyMethod

Stop with Ctrl-C at any time; the same command continues.
"""
BUDGETS = "16,32,64,128"

Budgets = Annotated[
    str | None,
    typer.Option("--budgets", metavar="LIST", help=f"Columns a method may spend. Default: {BUDGETS}, up to the keys."),
]
Trials = Annotated[int, typer.Option("--trials", help="Runs of every randomized method.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse a method of your own that violates a law of attention.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget what the folder's ledger holds.")]


def command(
    problem: Problem = None,
    methods: Methods = None,
    budgets: Budgets = None,
    trials: Trials = 5,
    seed: Seed = 0,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    n: Tokens = None,
    d: Width = None,
    heads: Heads = None,
    causal: Causal = False,
    out: Out = RESULTS,
    workers: Workers = None,
    strict: Strict = False,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Compare methods."""
    source = ProblemSource.parse(
        problem, sizes={"n": n, "d": d, "heads": heads}, causal=causal, seed=seed, dtype=dtype, device=device
    )
    names = listed(methods)
    chosen = tuple(select(names))
    study = AttentionStudy(Settings(source, chosen, _budgets(budgets, source), trials, seed, strict=strict))
    if workers is not None and workers < 0:
        raise ValueError(f"workers is {workers}; give 0 (no pool) or a positive number of processes")
    if fresh:
        (out / LEDGER).unlink(missing_ok=True)
    _run(study, out, workers)
    _report(study, out, json)


def _report(study: AttentionStudy, out: Path, json: bool) -> None:
    """Write the report of the folder and print its tables, or JSON."""
    report = write(out)
    rows = load(out)
    made, ranked = lines(rows), rankings(rows, tokens=study.problem.n_k)
    failures = [row for row in rows if row["status"] == "failed"]
    if json:
        print_json(_for_scripts(study, made, ranked, failures, report))
        return
    show(_table(study, made))
    for refusal in study.refusals:
        say(f"left out: {refusal.label}: {refusal.reason}")
    _show_failures(failures)
    _notes(study, rows)
    _show_rankings(ranked)
    say(f"\nresults  {out}\nreport   {report}")


def _budgets(text: str | None, source: ProblemSource) -> tuple[int, ...]:
    words = [word.strip() for word in (text or BUDGETS).split(",")]
    if not all(word.isdigit() for word in words):
        raise ValueError(f"budgets are {text!r}; give positive integers, such as {BUDGETS}")
    # ascending and distinct, as the settings require
    values = tuple(sorted({int(word) for word in words}))
    return values if text else tuple(m for m in values if m <= load_problem(source).n_k) or (1,)


def _run(study: AttentionStudy, out: Path, workers: int | None) -> None:
    entry = manifest(sys.argv, study.specification(), study.settings.seed)
    write_manifest(out, entry)
    found, missing = remaining(study, out)
    if found:
        warn(f"{found} of {found + missing} trials found in {out / LEDGER}; the others are computed now")
    try:
        # on a device, processes would only share it; and few trials are over before processes have started
        serial = workers == 0 or study.settings.source.device == "cuda" or missing == 0
        with progress("compare", missing) as tick, _pool(serial, workers) as executor:

            def on_done(row: dict[str, Any]) -> None:
                tick(f"{row.get('kind', 'failed')} {row.get('method', '')}")

            run_study(study, out, executor=executor, on_done=on_done)
    except KeyboardInterrupt:
        kept, lacking = remaining(study, out)
        warn(f"interrupted: {kept} of {kept + lacking} trials are saved in {out / LEDGER}; the same command continues")
        raise typer.Exit(130) from None
    write_manifest(out, finished(entry))


def _pool(serial: bool, workers: int | None) -> AbstractContextManager[Executor | None]:
    return nullcontext(None) if serial else process_pool(workers)


def _table(study: AttentionStudy, made: list[Line]) -> Any:
    columns = (
        "method",
        "m",
        "error",
        "95 %",
        "projected",
        "weights",
        "predicted",
        "certified",
        "theorems",
        "flops",
        "stored",
        "time",
        "",
    )
    rows = [
        (
            Text(line.method + (" (oracle)" if line.oracle else ""), style="dim" if line.control else ""),
            line.budget or None,
            line.error,
            f"{line.low:.2g} to {line.high:.2g}" if math.isfinite(line.low) else None,
            line.projected,
            line.weights,
            _predicted(line),
            line.certified,
            Text(line.verdict or "-", style="bold red" if "refuted" in line.verdict else ""),
            line.flops,
            line.storage,
            line.time,
            Text(", ".join(line.marks), style="yellow"),
        )
        for line in made
    ]
    problem = study.problem
    title = f"{study.settings.source.label}: {problem.heads} heads, {problem.n_q} queries, {problem.n_k} keys"
    return table(title, columns, rows, caption=_caption(made))


def _caption(made: list[Line]) -> str:
    """Return the meaning of the columns."""
    return (
        "error: ||O' - O||_F / ||O||_F per head, median over trials and heads with its 95 % interval, taking them as "
        "independent; projected: the error after a projection on a ball around the values, which never raises it; "
        "weights: the same of the weights; "
        "predicted: the best theorem's bound on the error, holding always, for the mean (~) or with probability (p), "
        f"evaluated after the run (*); {_certified(made)}flops, stored numbers and time (on one thread) relative to "
        "exact attention"
    )


def _certified(made: list[Line]) -> str:
    """Return the part of the caption about certificates, with their cost."""
    line = next((line for line in made if line.covered is not None), None)
    if line is None:
        return ""
    covered = math.floor(1000 * (line.covered or 0)) / 10  # to the safe side
    return (
        f"certified: with confidence {1 - FAILURE:g}, {covered:g} % of the rows of a head err "
        f"by no more, relative to their own size; the exact rows cost {line.certified_cost:.3g} of exact attention; "
    )


def _predicted(line: Line) -> str | None:
    """Return the prediction with the sense in which it holds; a bound on the mean may lie below a single error."""
    if line.predicted is None:
        return None
    sense, _, after = line.sense.partition(", ")
    # one character, for the column is narrow
    mark = {"in expectation": "~", "with probability": "p"}.get(sense, "")
    return number(line.predicted) + mark + ("*" if after else "") + (" vacuous" if line.vacuous else "")


def _show_failures(failures: list[dict[str, Any]]) -> None:
    """Print every message once, with those that it concerns."""
    concerned: dict[str, list[str]] = {}
    for row in failures:
        budget = f" at budget {row['budget']}" if row.get("budget") else ""
        concerned.setdefault(row["message"], []).append(f"{row.get('method', '')}{budget} ({row['kind']})")
    for message, names in concerned.items():
        shown = ", ".join(dict.fromkeys(names))
        say(f"failed: {shown}: {message}")


def _notes(study: AttentionStudy, rows: list[dict[str, Any]]) -> None:
    for law in study.broken_laws:
        say(f"VIOLATED: {law.method}: {law.law}, {law.statement}: {law.detail}")
    wrapped = [line for line in dict.fromkeys(c.label for c, _ in study.entrants) if line.startswith("Causal(")]
    if wrapped:
        say(f"made causal by the wrapper: {', '.join(wrapped)}")
    refuted = [row for row in rows if row.get("verdict") == "refuted"]
    for row in refuted:
        say(f"REFUTED: {row['bound']} ({row['source']}) on {row['method']} at budget {row['budget']}: {row['detail']}")


def _show_rankings(ranked: list[Ranking]) -> None:
    for ranking in ranked:
        what = {"flops": "of the flops", "state": "of the cache", "time": "of the time"}[ranking.measure]
        rows = [_place(str(position), place) for position, place in enumerate(ranking.places, start=1)]
        rows += [_place("oracle", place) for place in ranking.oracles]
        if rows:
            columns = ("rank", "method", "error", "heads won", "spent", "time")
            title = f"At {ranking.level:g} {what} of exact attention"
            caption = f"cost more: {', '.join(ranking.too_dear)}" if ranking.too_dear else ""
            show(table(title, columns, rows, caption=caption))


def _place(rank: str, place: Any) -> tuple[Any, ...]:
    name = place.method + (" (control)" if place.control else "") + (" (leaks)" if place.leaks else "")
    name += f" (violates {', '.join(place.violates)})" if place.violates else ""
    return (rank, name, place.error, place.wins, place.spent, place.time)


def _for_scripts(
    study: AttentionStudy, made: list[Line], ranked: list[Ranking], failures: list[dict[str, Any]], report: Path
) -> dict[str, Any]:
    return {
        "problem": study.specification() | {"source": dataclasses.asdict(study.settings.source)},
        "lines": [dataclasses.asdict(line) for line in made],
        "rankings": [dataclasses.asdict(ranking) for ranking in ranked],
        "left_out": [dataclasses.asdict(refusal) for refusal in study.refusals],
        "violated": [dataclasses.asdict(law) for law in study.broken_laws],
        "failed": failures,
        "report": str(report),
    }
