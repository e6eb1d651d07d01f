"""Laws about memory shared with the caller, and about threads and forked processes."""

from __future__ import annotations

import multiprocessing
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tnattn.arrays import to_host
from tnattn.attention.approximation import Approximation
from tnattn.attention.method import AttentionMethod, KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.trial import Trial

_PATIENCE = 60.0  # seconds until a child counts as stuck; it needs milliseconds


def results_are_writable(trial: Trial) -> None:
    """Arrays that a result gives can be written into, and writing changes neither inputs nor what is given later."""
    problem = trial.problem()
    kept = {name: getattr(problem, name).copy() for name in ("q", "k", "v")}
    result = trial.run(problem)
    with np.errstate(all="ignore"):
        first = _given(result)
        before = {name: array.copy() for name, array in first.items()}
        for name, array in first.items():
            if not array.flags.writeable:
                raise Violation(f"{name} is read-only; give arrays of the caller's own")
            array[...] = 7
        after = _given(result)  # properties are computed anew, or from arrays that were kept
        again = _given(trial.run(problem))
    for name, array in before.items():
        for said, found in (("", after[name]), (" of the next run", again[name])):
            if not np.array_equal(found, array, equal_nan=True):
                raise Violation(f"writing into {name} changes {name}{said}; give a copy of what is kept")
    for name, array in kept.items():
        if not np.array_equal(getattr(problem, name), array):
            raise Violation(f"writing into results changes the input {name}; give a copy")


def _given(result: Approximation) -> dict[str, np.ndarray]:
    given = {name: getattr(result, name) for name in ("output", "numerators", "denominators", "log_mass", "bad_rows")}
    if result.expand is not None:
        given["weights.to_dense()"] = result.weights.to_dense()
    return given


def buffers_are_free(trial: Trial) -> None:
    """Writing into keys and values after ``summarise`` and ``extend`` changes no answer of the summary."""
    problem = trial.problem()
    method = trial.fitted(problem)
    if not isinstance(method, KeyMethod) or method.probes:
        raise NotApplicable("the method gives no summary of keys alone")
    # with a budget of all keys a summary has a reason to keep the arrays themselves
    for fitted in (method, *_with_every_key(method, problem)):
        k, v = problem.k.copy(), problem.v.copy()
        keys = KeySet(k[..., None, :, :], v[..., None, :, :], problem.score_scale)
        with np.errstate(all="ignore"):
            summary = fitted.summarise(keys, rng=np.random.default_rng(trial.seed))
            before = _answers(summary.attend(problem.q))
            k[...], v[...] = 3, 5
            after = _answers(summary.attend(problem.q))
        for name, array in before.items():
            if not np.array_equal(array, after[name], equal_nan=True):
                raise Violation(
                    f"writing into keys after summarise changes the {name} of the summary; copy what is kept"
                )


def _with_every_key(method: AttentionMethod, problem: AttentionProblem) -> list[Any]:
    """Return the method with a budget of all keys, at which it may keep them as they are."""
    try:
        return [] if method.budget is None else [method.with_budget(problem.n_k)]
    except ValueError:
        return []


def _answers(result: Approximation) -> dict[str, np.ndarray]:
    answers = {"output": result.output}
    return answers if result.expand is None else {**answers, "weights": result.weights.to_dense()}


def threads_agree(trial: Trial) -> None:
    """Two threads that run the method at the same time get the bits that each gets alone."""
    problems = [trial.problem(key=key) for key in (0, 1)]
    alone = [trial.output(problem) for problem in problems]
    together = threading.Barrier(2)

    def run(problem: AttentionProblem) -> np.ndarray:
        together.wait(_PATIENCE)
        return trial.output(problem)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(run, problems))
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(alone, found, strict=True)):
        raise Violation("two threads at once give other bits than one after the other; keep no state between calls")


def forks_agree(trial: Trial) -> None:
    """A process that is forked after the method has run gives the same output."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise NotApplicable("processes cannot be forked on this system")
    problem = trial.problem()
    before = trial.output(problem)  # thread pools and caches exist before the fork
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(trial, problem, theirs), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that threads are running is the point
        child.start()
    theirs.close()  # else the end of the child would not be seen as the end of the file
    try:
        after = ours.recv() if ours.poll(_PATIENCE) else None
    except EOFError:
        after = None
    finally:
        child.kill()
        child.join()
        ours.close()
    if after is None:
        raise Violation(f"a forked process gives no output within {_PATIENCE:g} s; hold no lock or thread across calls")
    if isinstance(after, str):
        raise Violation(f"a forked process raises {after}")
    if not np.array_equal(before, after, equal_nan=True):
        raise Violation("a forked process gives another output; draw from rng only, and keep no state")


def _send(trial: Trial, problem: AttentionProblem, connection: Any) -> None:
    try:
        found: Any = to_host(trial.output(problem))
    except Exception as error:  # the parent reports whatever happened
        found = f"{type(error).__name__}: {error}"
    connection.send(found)
