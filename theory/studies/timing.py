"""Time of a method beside that of exact attention."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from theory.records.store import generator
from theory.studies.measurement import Job, problem_of, revive
from tnattn.arrays import blas_threads, synchronize
from tnattn.attention.problem import AttentionProblem

__all__ = ["ENOUGH", "measured_time"]

ENOUGH = 1.0
"""Seconds after which a measurement of time is not repeated."""


def measured_time(job: Job, *, repeats: int = 3) -> dict[str, Any]:
    """Time a method and exact attention in turn, after one run of each that does not count, or until ``ENOUGH``.

    Returns
    -------
    dict
        Medians in seconds, and the median of the ratios of neighbours.

    Notes
    -----
    Wall time on one thread of the host: with several, small factorisations measure how threads wait for each other.
    """
    method, problem = revive(job), problem_of(job)
    pairs: list[tuple[float, float]] = []
    start = time.perf_counter()
    with _one_thread():
        for turn in range(repeats + 1):
            fresh, bare = _forgetful(problem), _forgetful(problem)
            # exact attention in turn with the method: both see the same state of the machine
            exact = _clocked(lambda fresh=fresh: fresh.output)
            rng = generator(job.seed, job.stream)
            approximate = _clocked(lambda bare=bare, rng=rng: method(bare, rng=rng).output)
            slow = time.perf_counter() - start > ENOUGH
            if turn or slow:  # a run this long needs no warming up
                pairs.append((approximate, exact))
            if slow:
                break
    seconds = np.asarray(pairs)
    return {
        "kind": "time",
        **dict(job.names),
        "seconds": float(np.median(seconds[:, 0])),
        "exact_seconds": float(np.median(seconds[:, 1])),
        "ratio": float(np.median(seconds[:, 0] / seconds[:, 1])),
        "repeats": len(pairs),
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let both sides run on one thread of the host."""
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        # libraries loaded so far; the variable reaches those that are loaded by the run
        with blas_threads(1):
            yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _forgetful(problem: AttentionProblem) -> AttentionProblem:
    """Return the problem without cached values, such as its exact output."""
    return replace(problem, check_finite=False)


def _clocked(run: Any) -> float:
    start = time.perf_counter()
    synchronize(run())
    return time.perf_counter() - start
