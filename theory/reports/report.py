"""One self-contained page from a results folder: settings, rankings, predictions, verdicts, errors of every head."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from theory.reports import html
from theory.reports.curves import curves
from theory.reports.results import Results, read

try:
    from theory.reports.figures.style import looks
    from theory.reports.sections import errors, heads, ranking, spectra, verdicts
except ModuleNotFoundError as error:  # Matplotlib is an extra
    if "theory" in str(error.name):
        raise
    looks = None  # type: ignore[assignment]

__all__ = ["write_report"]

Row = dict[str, Any]
Section = tuple[str, str]


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` into a results folder.

    Parameters
    ----------
    folder : path-like
        With ``ledger.jsonl``; ``study.json`` and ``manifest.json`` are used where they are there.

    Returns
    -------
    Path
        Of the page, which is replaced as a whole. ``error_against_budget.png`` is written beside it. The spectra of the
        problem are saved in ``spectra/``, and read from there the next time.

    Raises
    ------
    ModuleNotFoundError
        Without Matplotlib; the message names the extra that installs it.
    ValueError
        If the folder holds no results.

    Notes
    -----
    Missing data (times, predictions, trials that an interruption left out) are named on the page. The same folder
    gives the same bytes.
    """
    if looks is None:
        raise ModuleNotFoundError('the report needs Matplotlib; install it with: pip install "tnattn[study]"')
    results = read(Path(folder))
    sections: list[Section] = [_what_was_run(results)]
    look = looks((row["method"], row["family"], bool(row["control"])) for row in results.of("trial"))
    for name in results.problems:
        sections += _problem(results, name, look, f" on {name}" if len(results.problems) > 1 else "")
    if not results.problems:
        words = "No trial has finished yet; run the same command again, it continues where it stopped."
        sections.append(html.section("Results", html.paragraph(words, missing=True)))
    sections.append(_manifest(results))
    title = "Attention approximations: " + (", ".join(results.problems) or "no results yet")
    lead = "Errors observed, errors predicted, and verdicts on the theorems."
    path = results.folder / "report.html"
    scratch = path.with_name(f".report.{os.getpid()}")
    scratch.write_text(html.page(title, lead, sections), encoding="utf-8")
    os.replace(scratch, path)
    return path


def _what_was_run(results: Results) -> Section:
    run, spec = results.run, results.specification
    machine, packages = run.get("machine") or {}, run.get("packages") or {}
    source = spec.get("source") if isinstance(spec.get("source"), dict) else {}
    trials = Counter(row["method"] for row in results.of("trial"))
    versions = ", ".join([f"Python {run.get('python')}", *(f"{k} {v}" for k, v in packages.items())])
    where = ", ".join(str(d.get("name")) for d in run.get("devices") or []) or "none seen"
    facts: list[tuple[str, Any]] = [
        ("problem", spec.get("problem") or ", ".join(results.problems) or None),
        ("heads (key heads)", f"{spec['heads']} ({spec.get('groups')})" if "heads" in spec else None),
        ("queries × keys", f"{spec['queries']} × {spec['keys']}" if {"queries", "keys"} <= spec.keys() else None),
        ("width of a head", spec.get("width")),
        ("mask", ("causal" if spec["causal"] else "none, or as in the file") if "causal" in spec else None),
        ("dtype, device", f"{source['dtype']}, {source.get('device')}" if source and "dtype" in source else None),
        ("methods", len(trials)),
        ("trials finished, failed", f"{trials.total()}, {len(results.failed)}"),
        ("seed", run.get("seed", spec.get("seed"))),
        ("date", run.get("started")),
        ("machine", _machine(machine)),
        ("accelerators", where if run else None),
        ("versions", versions if run else None),
    ]  # fmt: skip
    known = [(name, str(value)) for name, value in facts if value is not None]
    parts = [html.table(("", "value"), known)]
    if not run:
        parts.append(html.paragraph("manifest.json is missing, so versions and machine are unknown.", missing=True))
    elif not run.get("finished"):
        words = "This run was interrupted or is still going; run the same command again, it continues."
        parts.append(html.paragraph(words, missing=True))
    for law in results.broken_laws:
        words = f"{law['method']} violates the law {law['law']}, {law['statement']}: {law['detail']}."
        parts.append(html.paragraph(words, missing=True))
    left_out = [(r["method"], r["reason"]) for r in results.refusals]
    left_out += [(f"{r.get('method', r.get('kind'))} at {r.get('budget')}", _failure(r)) for r in results.failed]
    if left_out:
        body = html.table(("method", "reason"), [(str(a), str(b)) for a, b in left_out])
        parts.append(html.details(f"{len(left_out)} left out or failed", body))
    return html.section("What was run", *parts)


def _machine(machine: Row) -> str | None:
    if not machine:
        return None
    return f"{machine.get('cpu')}, {machine.get('usable_cores') or machine.get('cores')} cores, {machine.get('system')}"


def _failure(row: Row) -> str:
    return str(row.get("message") or row.get("error") or "it raised an exception")


def _problem(results: Results, name: str, look: dict[str, Any], suffix: str) -> list[Section]:
    found = curves(row for row in results.rows if row.get("problem") == name)
    made = (
        ranking.section(results, name),
        errors.against_budget(results, name, found, look),
        errors.against_cost(name, found, look),
        heads.where(results, name),
        heads.every_head(results, name),
        verdicts.section(results, name),
        spectra.section(results, name),
    )
    return [(title + suffix, text) for title, text in made]


def _manifest(results: Results) -> Section:
    if not results.run:
        return html.section("Manifest", html.paragraph("manifest.json is missing.", missing=True))
    return html.section(
        "Manifest", html.details("as recorded", html.code(json.dumps(results.run, indent=2, default=str)))
    )
