"""Study of attention approximations on one problem: errors, predictions, verdicts, cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from theory.comparison.catalogue import bounds_about
from theory.records.runner import Task, run
from theory.records.sources import environment, package_hash, source_hash
from theory.records.store import Ledger, trial_key
from theory.studies.candidates import Candidate, Refusal, fit
from theory.studies.conformance import BrokenLaw, broken_laws, violations_in_words
from theory.studies.folder import LEDGER, load, write_plan
from theory.studies.measurement import DENSE, Job, about_every_method, measure
from theory.studies.problems import ProblemSource, load_problem, source_problem_hash
from theory.studies.settings import Settings
from theory.studies.timing import measured_time
from tnattn.attention import masks
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.cached import cached_property

__all__ = ["AttentionStudy", "Settings", "load", "remaining", "run_study"]

Row = dict[str, Any]

LEVEL = 1e-3
"""Probability that any theorem of the study is refuted wrongly."""


@dataclass(frozen=True, eq=False)
class AttentionStudy:
    """A grid with its problem loaded and its tasks named.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    ValueError
        If a budget exceeds the number of keys, the problem cannot be loaded, or a method violates a law and the
        settings are strict.

    Examples
    --------
    >>> from theory.studies.candidates import Candidate
    >>> from tnattn import Performer, TopK
    >>> source = ProblemSource("gallery", "needle", n=16, d=4, heads=1)
    >>> AttentionStudy(Settings(source, (Candidate(TopK()), Candidate(Performer())), budgets=(4, 8)))
    <study of 2 methods at budgets 4, 8 on needle>
    """

    settings: Settings
    refusals: list[Refusal] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        n_k = self.problem.n_k
        if self.settings.budgets[-1] > n_k:
            raise ValueError(
                f"budget {self.settings.budgets[-1]} exceeds the {n_k} keys of the problem; "
                f"give budgets between 1 and {n_k}"
            )
        if self.settings.strict and self.broken_laws:
            raise ValueError(
                f"{violations_in_words(self.broken_laws)}; mend the method, or leave out --strict to compare it anyway"
            )

    def __repr__(self) -> str:
        methods = len({candidate.label for candidate, _ in self.entrants})
        budgets = ", ".join(map(str, self.settings.budgets))
        return f"<study of {methods} methods at budgets {budgets} on {self.settings.source.label}>"

    @property
    def problem(self) -> AttentionProblem:
        """The problem, loaded once per process."""
        return load_problem(self.settings.source)

    @cached_property
    def entrants(self) -> list[tuple[Candidate, int]]:
        """Every method at every budget (0 where it has none); methods that cannot take part are in ``refusals``."""
        found = []
        for candidate in self.settings.candidates:
            fitted = fit(candidate, self.problem)
            if isinstance(fitted, Refusal):
                self.refusals.append(fitted)
            else:
                found += list(self._at_budgets(fitted))
        return found

    @cached_property
    def broken_laws(self) -> list[BrokenLaw]:
        """Laws that methods from outside the package violate; those that take no part are not checked."""
        fitted = [(candidate, fit(candidate, self.problem)) for candidate in self.settings.candidates]
        return [
            law
            for candidate, one in fitted
            if isinstance(one, Candidate)
            for law in broken_laws(candidate.method, one.label)
        ]

    def _at_budgets(self, candidate: Candidate) -> Iterator[tuple[Candidate, int]]:
        if candidate.method.budget_field is None:
            yield candidate, 0
            return
        for budget in self.settings.budgets:
            try:
                method = candidate.method.with_budget(budget)
            except ValueError as error:
                self.refusals.append(Refusal(f"{candidate.label} at budget {budget}", str(error)))
            else:
                yield dataclasses.replace(candidate, method=method), budget

    @cached_property
    def tasks(self) -> list[Task]:
        """Everything that a pool of workers computes."""
        found: list[Task] = []
        if max(self.problem.n_q, self.problem.n_k) <= DENSE:
            found.append(self._task("floor", self._names(None, 0), budgets=self.settings.budgets))
        # once per method, at its smallest budget: the test is a run
        random = {candidate.label: self._is_randomized(candidate) for candidate, _ in reversed(self.entrants)}
        theorems = [self._theorems(candidate, budget) for candidate, budget in self.entrants]
        level = LEVEL / max(1, sum(map(len, theorems)))  # Bonferroni over all verdicts of the study
        for (candidate, budget), judged in zip(self.entrants, theorems, strict=True):
            names = self._names(candidate, budget)
            for trial in range(self.settings.trials if random[candidate.label] else 1):
                found.append(self._task_of(candidate, "trial", (*names, ("trial", trial))))
            found.append(self._task_of(candidate, "prediction", names))
            if judged:
                runs = self.settings.verdict_trials if random[candidate.label] else 1
                parts = {"trials": runs, "level": level, "theorems": judged}
                found.append(self._task_of(candidate, "verdicts", names, **parts))
        return found

    @cached_property
    def timed(self) -> list[Task]:
        """Tasks that are timed in this process, one after the other, when the pool has drained."""
        return [self._task_of(c, "time", self._names(c, budget)) for c, budget in self.entrants]

    def specification(self) -> Row:
        """Return the specification that the manifest records."""
        problem, settings = self.problem, self.settings
        return {
            "study": "attention",
            "problem": self._source.label,
            "source": self._source,
            "heads": problem.heads,
            "groups": problem.groups,
            "queries": problem.n_q,
            "keys": problem.n_k,
            "width": problem.width,
            "causal": any(isinstance(part, masks.CausalMask) for part in problem.mask.conjuncts),
            "methods": list(dict.fromkeys(candidate.label for candidate, _ in self.entrants)),
            "budgets": list(settings.budgets),
            "trials": settings.trials,
            "seed": settings.seed,
        }

    @property
    def _source(self) -> ProblemSource:
        return self.settings.source

    @cached_property
    def _problem_hash(self) -> str:
        return source_problem_hash(self._source)

    def _names(self, candidate: Candidate | None, budget: int) -> tuple[tuple[str, Any], ...]:
        if candidate is None:
            return (("problem", self._source.label),)
        return (
            ("problem", self._source.label),
            ("method", candidate.label),
            ("family", candidate.family),
            ("spec", repr(candidate.method)),
            ("budget", budget),
            ("oracle", candidate.oracle),
            ("leaks", candidate.leaks),
            ("control", candidate.control),
            ("violates", tuple(law.law for law in self.broken_laws if law.method == candidate.label)),
        )

    def _theorems(self, candidate: Candidate, budget: int) -> tuple[str, ...]:
        """Return the names of the theorems to be judged: those about every method at the largest budget only."""
        last = budget in (0, self.settings.budgets[-1])
        return tuple(b.name for b in bounds_about(candidate.method) if last or not about_every_method(b))

    def _task(self, kind: str, names: tuple[tuple[str, Any], ...], **parts: Any) -> Task:
        """Return a task without a method; ``parts`` are further fields of its job."""
        job = Job(kind, self._source, self.settings.seed, names, problem=self._problem_hash, **parts)
        return Task(self._key(job, None), job)

    def _task_of(self, candidate: Candidate, kind: str, names: tuple[tuple[str, Any], ...], **parts: Any) -> Task:
        """Return a task that runs a method."""
        method, trial = candidate.method, dict(names).get("trial", 0)
        job = Job(
            kind,
            self._source,
            self.settings.seed,
            names,
            candidate.pickled(),
            candidate.file,
            # neither the problem nor a source: the same method draws the same numbers whatever else is edited
            stream=trial_key({"method": method, "trial": trial}),
            sources=source_hash(method),
            problem=self._problem_hash,
            **parts,
        )
        return Task(self._key(job, method), job)

    def _key(self, job: Job, method: AttentionMethod | None) -> str:
        return trial_key(
            {
                "kind": job.kind,
                "problem": job.problem,
                "device": self._source.device,
                "method": method,
                "trial": dict(job.names).get("trial"),
                "runs": (job.trials, job.level, job.budgets, job.theorems),
                "seed": job.seed,
                "packages": package_hash(),
                "sources": job.sources,
                "environment": environment(self._source.device),
            }
        )

    def _is_randomized(self, candidate: Candidate) -> bool:
        """Return whether the method asks for a generator, by a run on the last tokens of the problem."""
        problem = self.problem
        m = min(problem.n_q, problem.n_k, max(64, self.settings.budgets[0]))
        causal = any(isinstance(part, masks.CausalMask) for part in problem.mask.conjuncts)
        small = problem.rectangle(slice(-m, None), slice(-m, None), masks.CausalMask() if causal else masks.FullMask())
        try:
            candidate.method(small)
        except Exception:  # that it fails without a generator, or here only, is no reason to run it once
            return True
        return False


def run_study(
    study: AttentionStudy,
    folder: Path,
    *,
    executor: Executor | None = None,
    on_done: Callable[[Row], None] | None = None,
) -> None:
    """Compute the trials that the folder's ledger lacks, time the methods, and write the tables.

    Parameters
    ----------
    study : AttentionStudy
    folder : Path
        Created if missing.
    executor : concurrent.futures.Executor, optional
        Serial in this process if None.
    on_done : callable, optional
        Called with every new row.

    Raises
    ------
    KeyboardInterrupt
        Finished trials are in the ledger; run again to continue.
    """
    done = on_done or (lambda row: None)
    folder.mkdir(parents=True, exist_ok=True)
    write_plan(folder, study.specification(), study.refusals, [*study.tasks, *study.timed], study.broken_laws)
    with Ledger(folder / LEDGER) as ledger:
        run(
            study.tasks,
            measure,
            ledger=ledger,
            executor=executor,
            on_done=lambda task, row: done(row),
            retry_failed=True,
        )
        known = {row["key"] for row in ledger.rows() if row.get("status") == "done"}
        failed = {
            (row["method"], row["budget"])
            for row in load(folder)
            if row["status"] == "failed" and row["kind"] == "trial"
        }
        for task in study.timed:
            names = dict(task.payload.names)
            if task.key not in known and (names["method"], names["budget"]) not in failed:
                row = {**measured_time(task.payload), "key": task.key, "status": "done"}
                ledger.append(row)
                done(row)


def remaining(study: AttentionStudy, folder: Path) -> tuple[int, int]:
    """Return how many rows of the study the folder's ledger holds, and how many it lacks."""
    known = {row["key"] for row in Ledger(folder / LEDGER).rows() if row.get("status") == "done"}
    keys = {task.key for task in (*study.tasks, *study.timed)}
    return len(keys & known), len(keys - known)
