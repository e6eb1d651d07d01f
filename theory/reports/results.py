"""Contents of a results folder: rows, specification, manifest; its problem and approximations, made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from theory.records.keys import decode
from theory.records.store import Ledger, generator, trial_key
from theory.reports import html
from theory.reports.curves import quantiles
from theory.studies.attention import load
from theory.studies.candidates import fit, select
from theory.studies.problems import ProblemSource, load_problem
from theory.studies.summary import lines
from tnattn.attention.approximation import Approximation
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem

__all__ = ["Results", "attempt", "read"]

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Results:
    """A results folder.

    Parameters
    ----------
    folder : Path
    rows : list of dict
        Of the current specification where the folder records one, all otherwise.
    specification : dict
        Empty where the folder records none.
    refusals : list of dict
        Methods that took no part, with the reason.
    run : dict
        Last entry of the manifest; empty without one.
    broken_laws : list of dict
        Laws that a user's method violates.

    Examples
    --------
    >>> from pathlib import Path
    >>> from theory.reports import Results
    >>> trial = {"status": "done", "kind": "trial", "problem": "needle", "method": "TopK", "budget": 8}
    >>> results = Results(Path("results"), [trial, {**trial, "status": "failed"}], {}, [], {})
    >>> results
    <results in results: 1 trial, 1 failed>
    >>> results.budgets("needle")
    [8]
    """

    folder: Path
    rows: list[Row]
    specification: Row
    refusals: list[Row]
    run: Row
    broken_laws: list[Row] = field(default_factory=list)

    def __repr__(self) -> str:
        kinds = Counter(row["kind"] for row in self.rows if row.get("status") == "done")
        counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        return f"<results in {self.folder}: {counted or 'nothing'}, {len(self.failed)} failed>"

    def _repr_html_(self) -> str:
        """Return every method at every budget as a table, for notebooks."""
        found = lines(self.rows)
        columns = ("method", "budget", "error", "predicted", "theorems", "flops", "time")
        rows = [(n.method, n.budget or None, n.error, n.predicted, n.verdict, n.flops, n.time) for n in found]
        return html.table(columns, rows, caption=f"Relative output error, {', '.join(self.problems)}")

    def of(self, kind: str, problem: str | None = None) -> list[Row]:
        """Return the finished rows of a kind, of one problem or all."""
        return [
            row
            for row in self.rows
            if row.get("status") == "done" and row["kind"] == kind and problem in (None, row["problem"])
        ]

    @property
    def failed(self) -> list[Row]:
        """Rows of trials that raised."""
        return [row for row in self.rows if row.get("status") == "failed"]

    @property
    def problems(self) -> list[str]:
        """Names of the problems, in the order of the rows."""
        return list(dict.fromkeys(row["problem"] for row in self.of("trial")))

    def budgets(self, problem: str) -> list[int]:
        """Return the budgets tried on a problem, ascending, without the 0 of methods that have none."""
        return sorted({int(row["budget"]) for row in self.of("trial", problem) if row["budget"] > 0})

    def middle_budget(self, problem: str) -> int:
        """Return the budget in the middle, 0 where no method has one."""
        budgets = self.budgets(problem)
        return budgets[len(budgets) // 2] if budgets else 0

    def problem(self, name: str) -> AttentionProblem | None:
        """Return the problem of a name, made or loaded again; None where the folder does not record its source.

        Raises
        ------
        ValueError
            If it can no longer be loaded.
        """
        recorded = self.specification.get("source")
        if not isinstance(recorded, dict) or self.specification.get("problem") != name:
            return None
        known = {each.name for each in fields(ProblemSource)}
        return load_problem(ProblemSource(**{key: value for key, value in recorded.items() if key in known}))

    def approximations(self, name: str, budget: int, most: int = 4) -> dict[str, Approximation]:
        """Make again the first trial of the best methods that have weights, each of another family while there are.

        Parameters
        ----------
        name : str
            Of the problem.
        budget : int
        most : int

        Returns
        -------
        dict from method to Approximation
            The same samples as in the study. Methods that the package no longer has in that form are left out.
        """
        problem, seed = self.problem(name), self.run.get("seed")
        found: dict[str, Approximation] = {}
        if problem is None or seed is None:
            return found
        for row in _typical(self.of("trial", name), budget, most):
            method = _again(row, problem)
            if method is not None:
                found[row["method"]] = method(
                    problem, rng=generator(int(seed), trial_key({"method": method, "trial": row["trial"]}))
                )
        return found


def read(folder: Path) -> Results:
    """Read a results folder.

    Raises
    ------
    ValueError
        If it holds no results.
    """
    if not (folder / "ledger.jsonl").is_file():
        raise ValueError(f"{folder} holds no results; run `tnattn compare --out {folder}` first")
    plan = _json(folder / "study.json")
    if plan:
        rows = load(folder)
    else:  # written by hand or by another study
        rows = list({row["key"]: row for row in Ledger(folder / "ledger.jsonl").rows()}.values())
    runs = _json(folder / "manifest.json").get("runs") or [{}]
    specification = plan.get("specification") or runs[-1].get("spec") or {}
    refusals, broken = list(plan.get("refusals") or []), list(plan.get("broken_laws") or [])
    return Results(folder, rows, dict(specification), refusals, dict(runs[-1]), broken)


def _json(path: Path) -> Row:
    try:
        found = decode(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _typical(rows: Sequence[Row], budget: int, most: int) -> list[Row]:
    """Return the first trial of methods with weights at a budget, best first, families in turn."""
    first: dict[str, Row] = {}
    for row in rows:
        usable = row["budget"] == budget and row.get("relative_weights") is not None
        if usable and not row["oracle"] and (not row["control"] or row["method"] == "SlidingWindow"):
            first.setdefault(row["method"], row)
    order = sorted(first.values(), key=lambda row: (float(quantiles(row["relative_output"], (0.5,))[0]), row["method"]))
    families: dict[str, int] = {}
    ranked: list[tuple[int, int, Row]] = []
    for row in order:
        families[row["family"]] = families.get(row["family"], 0) + 1
        ranked.append((families[row["family"]], len(ranked), row))
    return [row for _, _, row in sorted(ranked, key=lambda entry: entry[:2])[:most]]


def _again(row: Row, problem: AttentionProblem) -> AttentionMethod | None:
    """Return the method of a row, or None where the package has none of that very specification."""
    for candidate in (*select([]), *select(["all"])):
        method = getattr(fit(candidate, problem), "method", None)
        if isinstance(method, AttentionMethod) and method.budget_field is not None:
            try:
                method = method.with_budget(int(row["budget"]))
            except ValueError:
                continue
        if isinstance(method, AttentionMethod) and repr(method) == row["spec"]:
            return method
    return None


def attempt(make: Callable[[], Any]) -> tuple[Any, str]:
    """Return the value of a function, or None and the reason of its failure: a report may lack a picture."""
    try:
        return make(), ""
    except (ValueError, TypeError, ArithmeticError, OSError) as error:
        return None, str(error)
