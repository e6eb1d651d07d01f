"""Times of contenders measured in turns, so that their ratios survive a busy machine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from tnattn.arrays.threads import blas_kernels, blas_threads


@dataclass(frozen=True)
class Times:
    """Seconds of every contender, one entry per round."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        return median(self.seconds[name])

    def ratio(self, name: str, reference: str) -> float:
        """Median over the rounds of the ratio within a round."""
        return median(a / b for a, b in zip(self.seconds[name], self.seconds[reference], strict=True))


def measure(contenders: Mapping[str, Callable[[], object]], *, rounds: int = 5, cpu: bool = False) -> Times:
    """Run every contender once for warmth, then ``rounds`` times in turns.

    Parameters
    ----------
    contenders : mapping of name to function
    rounds : int
    cpu : bool
        Measure CPU time of the process, all its threads together, instead of wall time.
    """
    clock = time.process_time if cpu else time.perf_counter
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return Times(seconds)


@contextlib.contextmanager
def one_pinned_thread() -> Iterator[None]:
    """Run on one CPU, where the system can pin a process, with one thread of BLAS and of PyTorch."""
    import torch

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    with blas_threads(1):
        yield


def conditions() -> str:
    """Return processor, BLAS kernels and clock of a table of CPU times on one thread."""
    from run import processor

    return f"{processor()}; {', '.join(blas_kernels())}; one pinned thread, CPU time of the process, medians"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Format a table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
