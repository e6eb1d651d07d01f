"""Tensor trains from entries: ``python tests/benchmarks/tt_cross.py [--quick]``.

First, tensors that can be formed: the error of ``TTCross`` beside that of the best train of these ranks (``TTSVD`` of
the formed tensor), over three seeds the largest, and the share of the entries that was read. "Pivots alone" is
interpolation from as many rows and columns as ranks. Then twelve heads of 16,384 tokens, 3.2 G entries that are never
formed: what a stated tolerance takes, and what the result says about itself. The relative error is estimated on fibres
drawn after the fit, with its interval; peak memory is that of the arrays, without the interpreter. The needles, a
permutation in every head, have no low ranks: the last rows must say "missed".
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy loads its BLAS

import argparse  # noqa: E402
import time  # noqa: E402
import tracemalloc  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from paired import markdown  # noqa: E402

from tnattn.attention.problem import AttentionProblem  # noqa: E402
from tnattn.attention.tensor.weight_entries import WeightEntries  # noqa: E402
from tnattn.decomposition.entries import EntryTensor  # noqa: E402
from tnattn.decomposition.tensor_train.cross_train import CrossTrain  # noqa: E402
from tnattn.decomposition.tensor_train.tt_cross import TTCross  # noqa: E402
from tnattn.decomposition.tensor_train.tt_svd import TTSVD  # noqa: E402
from tnattn.models.sample import load_sample, sample_layers  # noqa: E402
from tnattn.randnla.accuracy import ToleranceWarning  # noqa: E402

HEADS, WIDTH, SEEDS = 12, 16, 3


@dataclass(frozen=True, eq=False)
class Grid(EntryTensor):
    """A function of head, query and key, float64: a tolerance of 1e-4 is below what float32 resolves at this size."""

    function: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    n: int

    @property
    def shape(self) -> tuple[int, ...]:
        return HEADS, self.n, self.n

    @property
    def like(self) -> np.ndarray:
        return np.empty(0)

    def entries(self, indices: np.ndarray) -> np.ndarray:
        return self.function(*np.moveaxis(indices, -1, 0))

    def formed(self) -> np.ndarray:
        return self.function(*np.ogrid[:HEADS, : self.n, : self.n])


def smooth(n: int) -> Grid:
    """A Gaussian kernel of positions in [0, 1], narrower in every further head."""
    return Grid(lambda h, i, j: np.exp(-(4.0 + 2 * h) * ((i - j) / n) ** 2), n)


def needles(n: int) -> Grid:
    """Every query of every head looks at one key."""
    return Grid(lambda h, i, j: ((i * (2 * h + 1) + h) % n == j) * 1.0, n)


def drifting(n: int) -> AttentionProblem:
    """Queries and keys that move slowly along the sequence: weights that are smooth in both."""
    t, f, rng = np.linspace(0, 1, n)[:, None], 3 * np.arange(1, WIDTH + 1), np.random.default_rng(0)
    q, k, v = (
        np.stack([np.cos(f * t + rng.uniform(0, 6, WIDTH)) for _ in range(HEADS)]).astype(np.float32) for _ in range(3)
    )
    return AttentionProblem(q, k, v)


def independent(n: int, size: float) -> AttentionProblem:
    """Gaussian queries and keys: weights without structure in the positions."""
    rng = np.random.default_rng(0)
    return AttentionProblem(*(size * rng.standard_normal((HEADS, n, WIDTH)).astype(np.float32) for _ in range(3)))


def relative(x: np.ndarray, result: Any) -> float:
    return float(np.linalg.norm(x - result.to_dense()) / np.linalg.norm(x))


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def estimate(result: CrossTrain) -> str:
    low, high = (float(end) for end in result.interval)
    return f"{float(result.residual):.2g} [{low:.2g}, {high:.2g}]"


def formed_row(title: str, source: EntryTensor, x: np.ndarray, ranks: tuple[int, int]) -> list[str]:
    """Compare with the best train of a tensor that can be formed."""
    best = relative(x, TTSVD(ranks=ranks)(x))
    pivots = TTCross(ranks, enrichment=1, rows_per_column=1, oversampling=0)
    found, plain, seconds = [], [], []
    for seed in range(SEEDS):
        start = time.process_time()
        result = TTCross(ranks)(source, rng=np.random.default_rng(seed))
        seconds.append(time.process_time() - start)
        found.append((relative(x, result), result))
        plain.append(relative(x, pivots(source, rng=np.random.default_rng(seed))))
    worst, result = max(found, key=lambda pair: pair[0])
    share = percent(result.evaluations / x.size)
    return [
        *(title, f"{ranks}", f"{best:.3g}", f"{worst:.3g}", f"{worst / best:.2f}", f"{max(plain) / best:.2f}"),
        *(estimate(result), share, f"{float(np.median(seconds)):.2f}"),
    ]


def formed_rows(n: int, ranks: tuple[int, int]) -> list[list[str]]:
    rows = [formed_row(f"smooth kernel, {n}", smooth(n), smooth(n).formed(), (4, 8))]
    problems = {
        f"softmax, drifting, {n}": drifting(n),
        f"softmax, independent 0.25, {n}": independent(n, 0.25),
        f"softmax, independent 0.7, {n}": independent(n, 0.7),
    }
    for layer in sample_layers():
        qkv = load_sample(layer)
        tokens = min(n, qkv.q.shape[-2])
        some = (x[:, :tokens] for x in (qkv.q, qkv.k, qkv.v))
        problems[f"trained heads, layer {layer}, {tokens}"] = AttentionProblem(*some)
    for title, problem in problems.items():
        rows.append(formed_row(title, WeightEntries(problem), problem.dense_weights(), ranks))
    return rows


def reached_row(title: str, make: Callable[[], EntryTensor], method: TTCross) -> list[str]:
    """Decompose a tensor that is never formed, and read the error estimate of the result."""
    source = make()
    tracemalloc.start()
    start = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ToleranceWarning)
        result = method(source, rng=np.random.default_rng(0))
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bool(result.converged) or method.rtol is None or caught, "a miss must be a warning"
    said = (
        "no tolerance stated" if method.rtol is None else "met" if bool(result.converged) else "missed, with a warning"
    )
    goal = "-" if method.rtol is None else f"{method.rtol:g}"
    share = percent(result.evaluations / np.prod([float(n) for n in source.shape]))
    return [
        *(title, goal, f"{result.largest_ranks}", f"{result.sweeps}", f"{result.evaluations / 1e6:.1f} M", share),
        *(f"{seconds:.1f}", f"{peak / 2**20:.0f}", estimate(result), said),
    ]


def reached_rows(n: int) -> list[list[str]]:
    tasks: dict[str, tuple[Callable[[], EntryTensor], TTCross]] = {
        "smooth kernel": (lambda: smooth(n), TTCross(rtol=1e-4)),
        "softmax, drifting": (lambda: WeightEntries(drifting(n)), TTCross(rtol=1e-2)),
        "softmax, independent 0.25": (lambda: WeightEntries(independent(n, 0.25)), TTCross(rtol=0.1)),
        "softmax, independent 0.25, given ranks": (lambda: WeightEntries(independent(n, 0.25)), TTCross((12, 16))),
        "needles": (lambda: needles(n), TTCross(rtol=0.1, sweeps=3)),
        "needles, given ranks": (lambda: needles(n), TTCross((12, 16))),
    }
    return [reached_row(title, make, method) for title, (make, method) in tasks.items()]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run?")
    quick = parser.parse_args().quick
    small, ranks, large = (128, (12, 8), 512) if quick else (1024, (12, 32), 16_384)
    header = ["tensor", "ranks", "best error", "error", "error / best", "pivots alone / best"]
    print(f"Tensors that can be formed, {HEADS} heads\n")
    print(markdown([*header, "estimated error", "entries read", "CPU s"], formed_rows(small, ranks)))
    header = ["tensor", "rtol", "ranks", "sweeps", "entries read", "share", "CPU s", "peak MiB"]
    print(f"\nTensors that are not, {HEADS} x {large} x {large}\n")
    print(markdown([*header, "estimated error", "tolerance"], reached_rows(large)))


if __name__ == "__main__":
    main()
