"""Times of contenders measured in turns, so that their ratios survive a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


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


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Format a table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
