"""From a results folder to one self-contained page: what was run, who wins, what was predicted, where the error sits."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from theory import html
from theory.curves import Curve, best_rank, curves, head_errors
from theory.results import Results, read
from theory.studies import error_map
from theory.studies.problems import problem_hash
from theory.studies.ranking import LEVELS, Ranking, rankings
from theory.studies.spectra import SpectraResult
from theory.studies.spectra import study as study_spectra
from theory.studies.summary import lines
from theory.verdict import Verdict

try:
    from theory.figures import attention_map, corner, error_budget, frontier, heat_map, slack, spectra, style
except ModuleNotFoundError as error:  # Matplotlib is an extra
    if "theory" in str(error.name):
        raise
    style = None  # type: ignore[assignment]

__all__ = ["write_report"]

Row = dict[str, Any]
Section = tuple[str, str]

VOCABULARY = (
    (Verdict.REFUTED, "The observations contradict the theorem (or its implementation, or its hypotheses) at a stated "
     "level of error, corrected for the number of statements tried. Look here first."),
    (Verdict.SUPPORTED, "The observations would be unlikely if the statement were false by a stated margin. A theorem is "
     "proved by its proof, never by runs."),
    (Verdict.NOT_CONTRADICTED, "Nothing speaks against the theorem, but the runs are too few or too scattered to speak "
     "for it."),
    (Verdict.VACUOUS, "The hypotheses hold, but the bound exceeds what is trivially true (for instance a relative error "
     "above 1), so it says nothing here."),
    (Verdict.NOT_APPLICABLE, "A hypothesis does not hold on this problem, so the theorem is silent; the detail names it."),
    (Verdict.CONSISTENT, "A rate without constants was stated; the measured slope agrees with it."),
    (Verdict.INCONSISTENT, "A rate without constants was stated; the measured slope disagrees with it."),
)  # fmt: skip


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` into a results folder.

    Parameters
    ----------
    folder : path-like
        With ``ledger.jsonl``; ``study.json`` and ``manifest.json`` are used where they are there.

    Returns
    -------
    Path
        Of the page, which is replaced as a whole. The spectra of the problem are saved in ``spectra/``, and read from
        there the next time.

    Raises
    ------
    ModuleNotFoundError
        Without Matplotlib; the message names the extra that installs it.
    ValueError
        If the folder holds no results.

    Notes
    -----
    What is missing (times, predictions, trials that an interruption left out) is said on the page. The same folder
    gives the same bytes.
    """
    if style is None:
        raise ModuleNotFoundError('the report needs Matplotlib; install it with: pip install "tnattn[study]"')
    results = read(Path(folder))
    sections: list[Section] = [_what_was_run(results)]
    look = style.looks((row["method"], row["family"], bool(row["control"])) for row in results.of("trial"))
    for name in results.problems:
        sections += _problem(results, name, look, f" on {name}" if len(results.problems) > 1 else "")
    if not results.problems:
        sections.append(html.section("Results", html.paragraph(
            "No trial has finished yet; run the same command again, it continues where it stopped.", missing=True)))  # fmt: skip
    sections.append(_manifest(results))
    title = "Attention approximations: " + (", ".join(results.problems) or "no results yet")
    lead = "Errors observed, errors predicted, and what the data say about the predictions."
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
        ("versions", ", ".join([f"Python {run.get('python')}", *(f"{k} {v}" for k, v in packages.items())]) if run else None),
    ]  # fmt: skip
    known = [(name, str(value)) for name, value in facts if value is not None]
    parts = [html.table(("", "value"), known)]
    if not run:
        parts.append(html.paragraph("manifest.json is missing, so versions and machine are unknown.", missing=True))
    elif not run.get("finished"):
        parts.append(html.paragraph(
            "This run was interrupted or is still going; run the same command again, it continues.", missing=True))  # fmt: skip
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
    rows = [row for row in results.rows if row.get("problem") == name]
    found = curves(rows)
    return [
        (title + suffix, text)
        for title, text in (
            _ranking(results, rows),
            _errors(results, name, found, look),
            _frontier(name, found, look),
            _where(results, name),
            _heads(results, name),
            _verdicts(results, name),
            _spectra(results, name),
        )
    ]


# who wins


def _ranking(results: Results, rows: Sequence[Row]) -> Section:
    tokens = int(results.specification.get("keys") or 0)
    parts = [html.paragraph(
        "Median relative output error over heads at a share of the cost of exact attention, interpolated between budgets; "
        "in brackets the place. Oracles read the exact weights and have no place; controls are in italics. A dash: the "
        "smallest budget costs more.")]  # fmt: skip
    made = rankings(list(rows), tokens=tokens)
    for measure in dict.fromkeys(ranking.measure for ranking in made):
        parts.append(_ranking_table(measure, [ranking for ranking in made if ranking.measure == measure]))
    summary = [
        (
            line.method, line.family, line.budget or None, line.error, line.low, line.high, line.weights, line.predicted,
            line.vacuous if line.predicted is not None else None, line.verdict or None, line.flops, line.storage,
            line.state, line.time, line.trials, ", ".join(line.marks) or None,
        )
        for line in lines(rows)
    ]  # fmt: skip
    headers = (
        "method", "family", "budget", "error", "95 % from", "to", "error of weights", "predicted", "vacuous", "verdicts",
        "flops", "storage", "state", "time", "trials", "notes",
    )  # fmt: skip
    caption = (
        "Errors are medians over heads and trials; flops, storage, state and time are relative to exact attention."
    )
    parts.append(html.details(f"every method at every budget ({len(summary)} rows)", html.table(headers, summary, caption=caption)))  # fmt: skip
    return html.section("Ranking", *parts)


def _ranking_table(measure: str, made: Sequence[Ranking]) -> str:
    words = {"flops": "operations", "state": "state kept per token", "time": "time"}
    cells: dict[str, dict[float, str]] = {}
    order: dict[str, tuple[Any, ...]] = {}
    control, times = set(), {}
    for ranking in made:
        for oracle, places in ((False, ranking.places), (True, ranking.oracles)):
            for position, place in enumerate(places, 1):
                text = html.number(place.error) + ("" if oracle else f" ({position})")
                cells.setdefault(place.method, {})[ranking.level] = text
                # the place at the largest level decides: there, most methods can be had
                order[place.method] = (oracle, -ranking.level, position)
                times[place.method] = place.time
                if place.control:
                    control.add(place.method)
                if oracle:
                    cells[place.method][-1.0] = "oracle"
    names = sorted(cells, key=lambda method: (*order[method], method))
    table = [
        (
            name, *(cells[name].get(level) for level in LEVELS),
            html.number(times.get(name)), cells[name].get(-1.0, ""),
        )
        for name in names
    ]  # fmt: skip
    muted = [i for i, name in enumerate(names) if name in control]
    headers = ("method", *(f"at {level:g}" for level in LEVELS), "time / exact", "")
    return html.table(headers, table, caption=f"At equal {words[measure]}, relative to exact attention", muted=muted)


# figures


def _errors(results: Results, name: str, found: list[Curve], look: dict[str, Any]) -> Section:
    floor = best_rank(results.of("floor", name))
    drawing = style.svg(
        error_budget.draw(found, look, floor),
        name=_id("error", name),
        label=f"Relative output error against budget for {len(found)} methods on {name}; the numbers are in the table below",
    )
    caption = (
        "One panel per family. Line: median over heads and trials; band: 10 to 90 %. Dashed in the same colour: what the "
        "best applicable theorem predicts for the median head; a cross marks predictions above 1, which say nothing. "
        "The lines in grey and black are the controls; a method above them is not worth its cost. What lies outside the "
        "axes is drawn on their edge."
    )
    rows = [
        (
            curve.method, int(budget) or None, *(float(x) for x in point[:4]),
            bool(vacuous) if np.isfinite(point[3]) else None, float(point[4]), float(point[5]),
        )
        for curve in found
        for budget, vacuous, *point in zip(
            curve.budgets, curve.vacuous, curve.median, curve.low, curve.high, curve.predicted, curve.flops, curve.time,
            strict=True,
        )
    ]  # fmt: skip
    headers = ("method", "budget", "median", "10 %", "90 %", "predicted", "vacuous", "flops", "time")
    floors = [(str(m), *(float(x) for x in q)) for m, q in zip(*floor, strict=True)]
    missing = [
        html.paragraph("No theorem speaks about these methods on this problem, so nothing is predicted.", missing=True)
        if not results.of("prediction", name)
        else "",
        html.paragraph("The best rank-m errors were not computed (too many tokens, or interrupted).", missing=True)
        if not floors
        else "",
    ]
    tables = html.table(headers, rows) + (
        html.table(("budget", "median", "10 %", "90 %"), floors, caption="Best rank-m relative error of the weights")
        if floors
        else ""
    )
    return html.section(
        "Error against budget",
        html.figure(drawing, caption),
        *missing,
        html.details("the numbers of this figure", tables),
    )


def _frontier(name: str, found: list[Curve], look: dict[str, Any]) -> Section:
    timed = any(np.isfinite(curve.time).any() for curve in found)
    drawing = style.svg(
        frontier.draw(found, look),
        name=_id("frontier", name),
        label=f"Median relative output error against time and flops relative to exact attention on {name}",
    )
    caption = (
        "Each path is one method over its budgets. Left: time measured beside exact attention in the same run; right: "
        "operations counted. Oracles (open marks) are no part of the frontier; a cost of zero is drawn at the left edge. "
        "Below some thousand tokens times measure the overhead of calls more than the methods."
    )
    missing = html.paragraph("No times were measured (they come last; was the run interrupted?).", missing=True)
    return html.section(
        "Error against cost",
        html.figure(drawing, caption if timed else caption.replace("Left: time", "Not here: time")),
        "" if timed else missing,
        html.paragraph("The numbers are in the table of the previous figure (columns median, flops, time)."),
    )


def _where(results: Results, name: str) -> Section:
    title, budget = "Where the error sits", results.middle_budget(name)
    if int(results.specification.get("keys") or 0) > error_map.DENSE:
        return html.section(title, html.paragraph(
            f"The map is drawn for at most {error_map.DENSE} keys; this problem has more.", missing=True))  # fmt: skip
    made, reason = _attempt(lambda: results.approximations(name, budget))
    problem, _ = _attempt(lambda: results.problem(name))
    if not made or problem is None:
        why = (
            reason
            or "the folder does not record how to make the problem, or no method has weights at the middle budget"
        )
        return html.section(title, html.paragraph(f"Not drawn: {why}.", missing=True))
    found = error_map.study(problem, made)
    drawing = style.svg(
        attention_map.draw(found, f"Head {found.head} at budget {budget}: |P′ − P|, with ‖P′ − P‖ / ‖P‖ in the titles"),
        name=_id("map", name),
        label=f"Weights of head {found.head} of {name} and where {', '.join(made)} err on them",
    )
    block = attention_map.step(max(found.weights.shape))
    caption = (
        f"The exact weights of a typical head (the middle one by error), then the entry-wise error of {', '.join(made)}, in "
        "one logarithmic scale. The first trial of the study, made again."
        + (f" A pixel is the root mean square over {block} × {block} entries." if block > 1 else "")
    )
    rows = [(label, found.relative(label), float(np.nanmax(found.errors[label]))) for label in found.errors]
    numbers = html.table(("method", "‖P′ − P‖ / ‖P‖", "largest entry"), rows)
    return html.section(title, html.figure(drawing, caption), html.details("the numbers of this figure", numbers))


def _heads(results: Results, name: str) -> Section:
    budget = results.middle_budget(name)
    errors = {m: e for m, e in head_errors(results.of("trial", name), budget).items() if np.any(e > 0)}
    if not errors:
        return html.section(
            "Error of every head", html.paragraph("No method has a trial at this budget.", missing=True)
        )
    methods = sorted(errors, key=lambda m: (float(np.quantile(errors[m], 0.5, method="inverted_cdf")), m))
    matrix = np.stack([errors[m] for m in methods])
    heads = [str(h) for h in range(matrix.shape[1])]
    drawing = style.svg(
        heat_map.draw(matrix, methods, heads, f"Relative output error of every head at budget {budget}"),
        name=_id("heads", name),
        label=f"Relative output error of {len(methods)} methods on {len(heads)} heads of {name} at budget {budget}",
    )
    caption = (
        f"Median over trials at budget {budget}, best method on top; methods without a budget have one line. 1 is the error "
        "of answering zero; × marks a row that could not be normalised."
    )
    table = html.table(("method", *(f"head {h}" for h in heads)), [(m, *map(float, errors[m])) for m in methods])
    return html.section(
        "Error of every head", html.figure(drawing, caption), html.details("the numbers of this figure", table)
    )


def _verdicts(results: Results, name: str) -> Section:
    rows = results.of("verdict", name)
    words = html.details(
        "what the verdicts mean", html.definitions((str(v).capitalize(), text) for v, text in VOCABULARY)
    )
    if not rows:
        return html.section("Verdicts on the theorems", html.paragraph(
            "No theorem about these methods was tested in this run.", missing=True), words)  # fmt: skip
    counts = Counter(row["verdict"] for row in rows)
    said = ", ".join(f"{counts[str(v)]} {v}" for v, _ in VOCABULARY if counts[str(v)])
    grouped = slack.grouped(rows)
    figure = ""
    if grouped:
        shown = min(len(grouped), slack.MOST)
        drawing = style.svg(
            slack.draw(rows),
            name=_id("slack", name),
            label=f"Predicted over observed for {shown} pairs of method and theorem on {name}",
        )
        caption = (
            f"A dot per budget for {shown} of {len(grouped)} pairs of method and theorem. 1: the theorem is sharp; 100: it "
            "predicts a hundred times the error seen. For lower bounds the reciprocal is drawn."
        )
        figure = html.figure(drawing, caption)
    summary = html.table(
        ("method", "theorem", "verdict", "least slack", "largest slack", "budgets", "source"),
        [_summary(key, entries) for key, entries in _by_theorem(rows).items()],
    )
    full = html.table(
        ("method", "budget", "theorem", "verdict", "slack", "trials", "p-value", "guarantee", "detail"),
        [
            (
                row["method"], row["budget"] or None, row["bound"], row["verdict"], row.get("slack"), row.get("trials"),
                row.get("p_value"), row.get("guarantee"), row.get("detail"),
            )
            for row in rows
        ],
    )  # fmt: skip
    return html.section(
        "Verdicts on the theorems", html.paragraph(f"{len(rows)} statements tried: {said}."), words, figure, summary,
        html.details(f"every verdict at every budget ({len(rows)} rows)", full),
    )  # fmt: skip


def _by_theorem(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Group verdicts by method and theorem, the refuted first."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row["method"], row["bound"]), []).append(row)
    gravity = {str(verdict): i for i, (verdict, _) in enumerate(VOCABULARY)}
    order = sorted(grouped, key=lambda key: (min(gravity.get(r["verdict"], 0) for r in grouped[key]), key))
    return {key: grouped[key] for key in order}


def _summary(key: tuple[str, str], rows: Sequence[Row]) -> tuple[Any, ...]:
    counts = Counter(row["verdict"] for row in rows)
    known = [float(row["slack"]) for row in rows if row.get("slack") is not None and np.isfinite(row["slack"])]
    said = next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    budgets = ", ".join(str(row["budget"]) for row in rows if row["budget"])
    least, most = (min(known), max(known)) if known else (None, None)
    return (*key, said, least, most, budgets or None, rows[0].get("source"))


# the problem itself


def _spectra(results: Results, name: str) -> Section:
    title = "Spectra of the problem"
    found, reason = _attempt(lambda: _saved_spectra(results, name))
    if found is None:
        why = reason or "the folder does not record how to make the problem; `tnattn spectra` writes them"
        return html.section(title, html.paragraph(f"Not drawn: {why}.", missing=True))
    pictures = (
        (spectra.draw(found, spectra.INPUTS), "inputs", f"Singular values of Q, K and V of all {found.heads} heads.",
         f"Singular values of queries, keys and values of every head of {name}"),
        (spectra.draw(found, spectra.ATTENTION), "attention", "Scores have rank at most the width of a head; exp makes them "
         "full, normalisation of the rows slows the decay. Gaussian part: the kernel without its row and column factors.",
         f"Singular values of scores, kernel and weights of every head of {name}"),
        (corner.draw(found), "corner", "Bright columns are sinks: keys that every query reads.",
         f"First rows and columns of the weights of every head of {name}"),
    )  # fmt: skip
    figures = [
        html.figure(style.svg(drawn, name=_id(kind, name), label=label), caption)
        for drawn, kind, caption, label in pictures
    ]
    table = found.table()
    headers = list(dict.fromkeys(key for row in table for key in row if key not in ("problem", "head", "matrix")))
    rows = [(f"{row['matrix']}, head {row['head']}", *(row.get(key) for key in headers)) for row in table]
    sigma = [
        (f"{matrix}, k = {k}", *(float(x) for x in np.quantile(found.relative(matrix)[:, k - 1], (0.5, 0.1, 0.9))))
        for matrix, values in found.singular_values.items()
        for k in (2**i for i in range(int(np.log2(values.shape[-1])) + 1))
    ]
    return html.section(
        title, *figures,
        html.details("ranks and statistics of every head", html.table(("matrix", *headers), rows)),
        html.details("σₖ / σ₁ over the heads", html.table(("matrix", "median", "10 %", "90 %"), sigma)),
    )  # fmt: skip


def _saved_spectra(results: Results, name: str) -> SpectraResult | None:
    """Return spectra saved before for the same problem, or compute and save them."""
    problem, reason = _attempt(lambda: results.problem(name))
    saved: SpectraResult | None = None
    for path in sorted((results.folder / "spectra").glob("*.npz")):
        candidate, _ = _attempt(lambda path=path: SpectraResult.load(path))  # type: ignore[misc]
        if candidate is not None and candidate.name == name:
            saved = candidate
    if problem is None:
        if saved is None and reason:
            raise ValueError(reason)
        return saved
    if saved is None or saved.content != problem_hash(problem):
        saved = study_spectra(problem, name)
        saved.save(results.folder / "spectra")
    return saved


def _attempt(make: Callable[[], Any]) -> tuple[Any, str]:
    """Return what can be made, or None and the reason why not: a report lacks a picture rather than not being."""
    try:
        return make(), ""
    except (ValueError, TypeError, ArithmeticError, OSError) as error:
        return None, str(error)


def _manifest(results: Results) -> Section:
    if not results.run:
        return html.section("Manifest", html.paragraph("manifest.json is missing.", missing=True))
    return html.section(
        "Manifest", html.details("as recorded", html.code(json.dumps(results.run, indent=2, default=str)))
    )


def _id(kind: str, name: str) -> str:
    return kind + "-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
