"""Power of the verdicts: the share of runs in which a theorem with a wrong constant is refuted.

Every theorem is run on its near-extremal instance, drawn anew, with its right-hand side times each factor; of lower
bounds, times the reciprocal. Takes two to three minutes on two cores.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import as_completed

import numpy as np
import threadpoolctl
from paired import markdown

from theory.comparison import catalogue
from theory.comparison.compare import LEVEL, compare
from theory.records.runner import process_pool
from theory.records.store import generator, trial_key
from theory.statement.bound import Bound
from theory.statement.guarantee import Deterministic, WithProbability
from theory.statistics.verdict import Verdict

FACTORS = (1.0, 0.9, 0.7, 0.5, 0.3)
RECIPROCALS = (1 / 0.9, 1 / 0.7, 1 / 0.5, 1 / 0.3)
RUNS, TRIALS = 10, 200
DETECTED = 0.9  # share of the runs from which on a theorem counts as refuted
WANTED = {"deterministic": 0.90, "expected": 0.85, "probabilistic": 0.50}


def group(b: Bound) -> str:
    if isinstance(b.guarantee, Deterministic):
        return "deterministic"
    return "probabilistic" if isinstance(b.guarantee, WithProbability) else "expected"


def refuted(name: str, run: int) -> tuple[str, list[bool]]:
    """Return at which factors one run refutes a theorem; the reciprocals are tried for equalities only."""
    b = catalogue.bounds()[name]
    rng = generator(0, trial_key({"power of": name, "run": run}))
    assert b.extremal is not None
    method, target = b.extremal(rng)
    factors = [1 / f for f in FACTORS] if b.side == "lower" else [*FACTORS]
    factors += RECIPROCALS if b.two_sided else ()
    with np.errstate(all="ignore"):
        found = compare(
            method, target, [b.on_extremal().scaled(f) for f in factors], trials=TRIALS, rng=rng, level=LEVEL
        )
    return name, [c.verdict is Verdict.REFUTED for c in found]


def measured(names: list[str], runs: int) -> dict[str, np.ndarray]:
    """Return the share of runs that refute, per theorem and factor."""
    counts: dict[str, list[list[bool]]] = {name: [] for name in names}
    start, total, workers = time.perf_counter(), len(names) * runs, os.cpu_count() or 1
    with process_pool(workers) as pool:
        pending = [pool.submit(refuted, name, run) for run in range(runs) for name in names]
        for done, future in enumerate(as_completed(pending), 1):
            name, verdicts = future.result()
            counts[name].append(verdicts)
            if done == total or (sys.stderr.isatty() and done % 20 == 0):
                left = (time.perf_counter() - start) * (total - done) / done
                print(f"\r{done} of {total} runs, {left:.0f} s left ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: np.mean(rows, axis=0) for name, rows in counts.items()}


def lines(shares: dict[str, np.ndarray]) -> Iterator[list[str]]:
    for name, share in shares.items():
        b = catalogue.bounds()[name]
        row = [f"{value:.0%}" for value in share]
        if b.must_fail is None:
            row = [*row[:1], *["declared blunt"], *row[2:]]
        yield [name, group(b) + (", lower" if b.side == "lower" else ""), *row, *["-"] * (9 - len(row))]


def main(names: list[str], runs: int = RUNS) -> None:
    known = catalogue.bounds()
    shares = measured(names or [name for name, b in known.items() if b.extremal is not None], runs)
    kernels = sorted({f"{i['internal_api']} {i.get('architecture', '')}" for i in threadpoolctl.threadpool_info()})
    print(f"BLAS: {', '.join(kernels)}; level {LEVEL:g} each, {runs} runs of at most {TRIALS} trials\n")
    print(
        "Share of runs that refute a theorem whose right-hand side is multiplied by the factor (of lower bounds, by "
        "its reciprocal), on the near-extremal instance. The factor 1 is the theorem itself.\n"
    )
    header = [f"{f:g}" for f in FACTORS] + ["1/0.9", "1/0.7", "1/0.5", "1/0.3"]
    print(markdown(["theorem", "guarantee", *header], list(lines(shares))))
    print(f"\nTheorems refuted at 0.5 in at least {DETECTED:.0%} of the runs:\n")
    half = FACTORS.index(0.5)
    for kind, wanted in WANTED.items():
        own = [share[half] >= DETECTED for name, share in shares.items() if group(known[name]) == kind]
        if own:
            print(f"- {kind}: {np.mean(own):.0%} of {len(own)} (wanted: {wanted:.0%})")
    false = int(sum(np.sum(share[0] > 0) for share in shares.values()))
    print(f"- true theorems refuted in any run: {false}")


if __name__ == "__main__":
    main(sys.argv[1:])
