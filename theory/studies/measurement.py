"""Measurements of one trial. Every function here turns a task into a row and runs wherever the task is sent."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from theory.comparison.catalogue import bounds_about
from theory.comparison.chain import best_prediction
from theory.comparison.compare import Comparison, compare
from theory.records.runner import Task
from theory.records.sources import source_hash
from theory.records.store import generator
from theory.statement import errors
from theory.statement.bound import Bound
from theory.studies.certified import certified_errors
from theory.studies.problems import ProblemSource, load_problem, source_problem_hash
from tnattn import discovery
from tnattn.arrays import to_host
from tnattn.attention.ball import Ball
from tnattn.attention.cost import exact_cost
from tnattn.attention.method import AttentionMethod, KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet

__all__ = ["DENSE", "Job", "about_every_method", "measure", "problem_of", "revive"]

DENSE = 2048
"""Largest number of tokens up to which dense weights are formed."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """Task of a worker: a kind of row, a problem, a method, a budget.

    Parameters
    ----------
    kind : "trial", "prediction", "verdicts" or "floor"
    source : ProblemSource
    seed : int
    names : tuple
        Pairs that are copied into the row: problem, method, family, budget, ...
    method : bytes
        Pickled with its budget; empty for the best rank-m errors, kind "floor".
    file : str
        A user's file that defines the method, imported first.
    stream : str
        Names the random stream, see `theory.records.keys.generator`.
    sources, problem : str
        Hashes of the method's code outside the packages and of the problem, as they were when the trial was named.
    trials, level : int, float
        Of the verdicts.
    theorems : tuple of str
        Names of the theorems to be judged.
    budgets : tuple of int
        Of the best rank-m errors.

    Examples
    --------
    >>> import pickle
    >>> from theory.records import Task
    >>> from theory.studies.measurement import Job, measure
    >>> from theory.studies.problems import ProblemSource
    >>> from tnattn import TopK
    >>> source, names = ProblemSource("gallery", "needle", n=16, d=4, heads=1), (("method", "TopK"), ("budget", 16))
    >>> job = Job("trial", source, seed=0, names=names, method=pickle.dumps(TopK(16)), stream="0" * 64)
    >>> row = measure(Task("0" * 64, job))
    >>> row["method"], round(row["relative_output"][0], 4)  # all keys: exact
    ('TopK', 0.0)
    """

    kind: str
    source: ProblemSource
    seed: int
    names: tuple[tuple[str, Any], ...]
    method: bytes = b""
    file: str = ""
    trials: int = 1
    level: float = 1e-6
    theorems: tuple[str, ...] = ()
    budgets: tuple[int, ...] = ()
    stream: str = ""
    sources: str = ""
    problem: str = ""


def measure(task: Task) -> Row:
    """Return the row of a task. Bad rows are counted there, so that NumPy need not warn of them."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return _measured(task)


def _measured(task: Task) -> Row:
    job: Job = task.payload
    problem = problem_of(job)
    row: Row = {"kind": job.kind, **dict(job.names)}
    if job.kind == "floor":
        return row | {"floors": _optimal_errors(job, problem)}
    rng = generator(job.seed, job.stream)
    match job.kind:
        case "trial":
            return row | _trial(job, problem, rng)
        case "prediction":
            return row | _prediction(job, problem, rng)
        case "verdicts":
            return row | {"verdicts": _verdicts(job, problem, rng)}
        case _:
            raise ValueError(f"no kind of task {job.kind!r}")


def problem_of(job: Job) -> AttentionProblem:
    """Return the problem of a job; ValueError if its file is no longer the one that the trial was named after."""
    if job.problem and job.source.kind == "file" and source_problem_hash(job.source) != job.problem:
        raise ValueError(f"{job.source.name} has changed during the run; run the same command again")
    return load_problem(job.source)


def revive(job: Job) -> AttentionMethod:
    """Return the method of a job, a user's file imported first; ValueError if its code changed during the run."""
    if job.file:
        discovery.load_file(job.file)
    method = pickle.loads(job.method)
    if not isinstance(method, AttentionMethod):
        raise TypeError(f"the job holds a {type(method).__name__}; it must be an attention method")
    if job.sources and source_hash(method) != job.sources:
        where = job.file or type(method).__module__
        raise ValueError(f"{where} or a file that it imports has changed during the run; run the same command again")
    return method


def _trial(job: Job, problem: AttentionProblem, rng: np.random.Generator) -> Row:
    method = revive(job)
    result = method(problem, rng=rng)
    exact, cost = exact_cost(problem), method.cost(problem)
    # stored numbers relative to queries, keys and values
    size = sum(float(np.prod(array.shape)) for array in (problem.q, problem.k, problem.v))
    return {
        "relative_output": per_head(errors.relative_output(problem, result), problem),
        "relative_projected": _relative_projected(problem, result, job),
        **certified_errors(problem, result.output, rng.spawn(1)[0]),
        "relative_weights": _relative_weights(problem, result, job),
        "bad_rows": int(np.sum(to_host(result.bad_rows))),
        "flops": cost.flops / exact.flops,
        "storage": result.storage / size,
        "state": _state(replace(job, kind="state", names=(), stream=""), int(result.values.shape[-2])),
    }


def per_head(values: Any, problem: AttentionProblem) -> list[float]:
    """Return one value per head, batch entries one after the other."""
    shape = (*problem.batch[:-2], problem.heads)
    return [float(value) for value in np.broadcast_to(np.asarray(values, dtype=np.float64), shape).ravel()]


def _relative_weights(problem: AttentionProblem, result: Any, job: Job) -> list[float] | None:
    """Return ||P' - P||_F / ||P||_F per head, None where weights are not formed or do not exist."""
    if result.expand is None or max(problem.n_q, problem.n_k) > DENSE:
        return None
    exact = _exact_weights(job.source, job.problem)
    shape = (*problem.batch, problem.n_q, problem.n_k)
    lifted = np.broadcast_to(np.asarray(to_host(result.weights.to_dense())), shape).reshape(exact.shape)
    difference = np.linalg.norm(lifted - exact, axis=(-2, -1))
    return per_head(_share(difference, np.linalg.norm(exact, axis=(-2, -1))), problem)


def _relative_projected(problem: AttentionProblem, result: Any, job: Job) -> list[float]:
    """Return the relative error per head of the output projected on a ball of values, with bad rows at its centre."""
    ball, exact = _ball_and_output(job.source, job.problem)
    moved = np.asarray(to_host(result.projected(ball)), dtype=np.float64)
    difference, size = (np.linalg.norm(x, axis=(-2, -1)) for x in (moved - exact, exact))
    return per_head(_share(difference, size), problem)


def _share(part: Any, whole: Any) -> Any:
    """Return part / whole; as it is where the whole is zero, for a head that sees no key."""
    return part / np.where(whole > 0, whole, 1.0)


@lru_cache(maxsize=2)
def _exact_weights(source: ProblemSource, content: str) -> Any:
    return to_host(load_problem(source).dense_weights())


@lru_cache(maxsize=2)
def _ball_and_output(source: ProblemSource, content: str) -> tuple[Ball, Any]:
    """Return a ball that holds every exact output of a problem, and these: once for all trials of a process."""
    problem = load_problem(source)
    return Ball.for_rows(problem), errors.exact_output(problem)


@lru_cache(maxsize=512)
def _state(job: Job, columns: int) -> float:
    """Return the size of the cache relative to the keys and values: 1 for a method that needs them all.

    For a key method these are the bytes of its summary. For any other it is the state of its cost, and where that does
    not grow with the tokens, a key and a value for every column.
    """
    method, problem = revive(job), problem_of(job)
    kept = method.cost(problem).state_per_token / exact_cost(problem).state_per_token
    if not isinstance(method, KeyMethod) or problem.softcap is not None:
        # without a budget the state is that of the cost, however many columns a mask makes of it
        return kept if kept > 0 or method.budget_field is None else min(1.0, columns / problem.n_k)
    summary = method.summarise(KeySet.of(problem), probe=_probe(method, problem), rng=np.random.default_rng(0))
    return float(summary.nbytes / (problem.k.nbytes + problem.v.nbytes))


def _probe(method: KeyMethod, problem: AttentionProblem) -> Any:
    return problem.queries if method.probes else None


def _prediction(job: Job, problem: AttentionProblem, rng: np.random.Generator) -> Row:
    """Return the best bound on the output's error; ``predicted_relative`` is None where no theorem applies."""
    method = revive(job)
    best = best_prediction(method, problem, method(problem, rng=rng))
    if best is None:
        return {"predicted_relative": None}
    size = np.linalg.norm(errors.exact_output(problem), axis=(-2, -1))
    predicted = np.asarray(best.value, dtype=np.float64) / np.where(size > 0, size, 1.0)
    return {
        "bound": str(best.name),
        "guarantee": str(best.guarantee),
        "prior": best.prior,
        "predicted_relative": per_head(predicted, problem),
        "vacuous": bool(np.all((predicted >= 1) | np.isnan(predicted))),
    }


def _verdicts(job: Job, problem: AttentionProblem, rng: np.random.Generator) -> list[Row]:
    method = revive(job)
    chosen = [b for b in bounds_about(method) if b.name in job.theorems]
    every = [b for b in chosen if about_every_method(b)]
    own = [b for b in chosen if not about_every_method(b)]
    found = _compared(method, problem, own, job.trials, rng, job.level)
    # chains hold for every realisation and cost much more than a run: one run is enough
    found += _compared(method, problem, every, 1, rng, job.level)
    return [
        {
            "bound": comparison.bound.name,
            "verdict": str(comparison.verdict),
            "slack": comparison.slack,
            "p_value": comparison.p_value,
            "detail": comparison.detail,
            "trials": comparison.trials,
            "guarantee": str(comparison.bound.guarantee),
            "source": str(comparison.bound.source),
        }
        for comparison in found
    ]


def _compared(
    method: AttentionMethod,
    problem: AttentionProblem,
    bounds: list[Bound],
    trials: int,
    rng: np.random.Generator,
    level: float,
) -> list[Comparison]:
    """Compare with all theorems on one set of results; a theorem that raises has failed, the others are judged."""
    return compare(method, problem, bounds, trials=trials, rng=rng.spawn(1)[0], level=level) if bounds else []


def about_every_method(b: Bound) -> bool:
    """Return True for a theorem about attention methods of every kind, such as a step from weights to the output."""
    return AttentionMethod in (b.method if isinstance(b.method, tuple) else (b.method,))


def _optimal_errors(job: Job, problem: AttentionProblem) -> list[Row]:
    """Return the best rank-m relative error of the weights, Frobenius norm, at every budget (Eckart and Young)."""
    spectrum = np.linalg.svd(np.asarray(_exact_weights(job.source, job.problem), dtype=np.float64), compute_uv=False)
    # ||P||_F, from the same singular values
    total = np.linalg.norm(spectrum, axis=-1)
    return [
        {"budget": m, "best_rank_relative": per_head(_share(errors.tail(spectrum, m), total), problem)}
        for m in job.budgets
    ]
