"""Time column methods on Gaussian kernels: ``python tests/benchmarks/positive_semidefinite.py [--quick]``.

One BLAS thread, process CPU time, contenders interleaved, medians of the ratios within a round. The error is that of
the trace, found for all contenders by one function from the factors, in double precision, the median of several seeds.
Two sets of points: on the first all columns are alike, so that pivots cannot pay; on the second a large cluster hides
small ones from uniform draws. A ratio of times means something at equal errors only: the last but one column takes
the fastest peer whose error is at most a tenth larger.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy loads its BLAS

import argparse  # noqa: E402
import tracemalloc  # noqa: E402
from collections.abc import Callable  # noqa: E402
from statistics import median  # noqa: E402

import numpy as np  # noqa: E402
import scipy.linalg  # noqa: E402
import threadpoolctl  # noqa: E402
from paired import markdown, measure  # noqa: E402
from sklearn.kernel_approximation import Nystroem  # noqa: E402

from tnattn.cached import cached_property  # noqa: E402
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom  # noqa: E402
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky  # noqa: E402

BANDWIDTH = 2.0
Run = Callable[[int], np.ndarray]  # from a seed to a factor (n, r)


class GaussianKernel:
    """exp(-||x - y||^2 / (2 bandwidth^2)) of points (n, d), an implicit matrix: one product and one exponential."""

    def __init__(self, points: np.ndarray) -> None:
        self.like = points
        self.shape = (len(points),) * 2

    @cached_property
    def _rows(self) -> np.ndarray:
        """Points with what makes -||x - y||^2 / 2 a product, (d + 2, n)."""
        half = -0.5 * np.sum(self.like**2, axis=-1)
        return np.vstack([self.like.T, half, np.ones_like(half)])

    def _exponentials(self, indices: np.ndarray, rows: np.ndarray) -> np.ndarray:
        left = self._rows[:, indices] * self.like.dtype.type(BANDWIDTH**-2)
        left[[-2, -1]] = left[[-1, -2]]
        exponents = left.T @ rows
        return np.exp(exponents, out=exponents)

    def diagonal(self) -> np.ndarray:
        return np.ones(len(self.like), dtype=self.like.dtype)

    def columns(self, indices: np.ndarray) -> np.ndarray:
        return self._exponentials(indices, self._rows).T

    def principal(self, indices: np.ndarray) -> np.ndarray:
        return self._exponentials(indices, self._rows[:, indices])


def isotropic(n: int) -> np.ndarray:
    """Normal points in R^8."""
    return np.random.default_rng(0).standard_normal((n, 8))


def clustered(n: int) -> np.ndarray:
    """A narrow cluster of most points in R^8, and 150 small ones on a sphere around it."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((150, 8))
    far = np.repeat(8 * directions / np.linalg.norm(directions, axis=-1, keepdims=True), n // 2000, axis=0)
    centres = np.concatenate([np.zeros((n - len(far), 8)), far])
    return rng.permutation(centres + 0.3 * rng.standard_normal((n, 8)))


def plain(points: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """Randomly pivoted Cholesky as in the textbook, one column at a time."""
    kernel, rng = GaussianKernel(points), np.random.default_rng(seed)
    rows = np.zeros((rank, len(points)), points.dtype)
    left = kernel.diagonal()
    for i in range(rank):
        weights = left.astype(np.float64)
        pivot = rng.choice(len(points), p=weights / weights.sum())
        row = kernel.columns(np.array([pivot]))[:, 0] - rows[:i, pivot] @ rows[:i]
        rows[i] = row / np.sqrt(row[pivot])
        left = np.maximum(left - rows[i] ** 2, 0)
        left[pivot] = 0
    return rows.T


def blocked(points: np.ndarray, rank: int, seed: int, *, block: int = 50) -> np.ndarray:
    """Blocks of pivots drawn at once from the residual and all of them taken: faster, not the same law."""
    kernel, rng = GaussianKernel(points), np.random.default_rng(seed)
    rows = np.zeros((rank, len(points)), points.dtype)
    left, i = kernel.diagonal(), 0
    while i < rank:
        weights = left.astype(np.float64)
        drawn = rng.choice(len(points), size=min(block, rank - i), p=weights / weights.sum())
        pivots = np.unique(drawn)
        more = kernel.columns(pivots).T - rows[:i, pivots].T @ rows[:i]
        core = more[:, pivots] + 10 * np.finfo(points.dtype).eps * len(pivots) * np.eye(len(pivots), dtype=points.dtype)
        new = slice(i, i + len(pivots))
        rows[new] = scipy.linalg.solve_triangular(np.linalg.cholesky(core), more, lower=True, check_finite=False)
        left = np.maximum(left - np.sum(rows[new] ** 2, axis=0), 0)
        left[pivots] = 0
        i = new.stop
    return rows.T


def sklearn_nystroem(points: np.ndarray, rank: int, seed: int) -> np.ndarray:
    return Nystroem(gamma=BANDWIDTH**-2 / 2, n_components=rank, random_state=seed).fit_transform(points)


def random_pivots(points: np.ndarray, rank: int, seed: int) -> np.ndarray:
    return RandomlyPivotedCholesky(rank)(GaussianKernel(points), rng=np.random.default_rng(seed)).factor


def uniform_columns(points: np.ndarray, rank: int, seed: int) -> np.ndarray:
    return ColumnNystrom(rank)(GaussianKernel(points), rng=np.random.default_rng(seed)).factor


def trace_error(factor: np.ndarray) -> float:
    """Return the trace of the residual over that of the kernel, whose diagonal is one."""
    return float(1 - np.sum(factor.astype(np.float64) ** 2) / len(factor))


def peak(run: Run) -> float:
    """Return the most memory held at a time, in MB."""
    tracemalloc.start()
    run(1)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


def table(name: str, points: np.ndarray, rank: int, *, wide: int, rounds: int, seeds: int) -> None:
    """Measure all contenders on a set of points, and print."""
    ours = {
        "**tnattn, random pivots**": lambda seed: random_pivots(points, rank, seed),
        "**tnattn, uniform columns**": lambda seed: uniform_columns(points, rank, seed),
    }
    peers = {
        "scikit-learn `Nystroem`": lambda seed: sklearn_nystroem(points, rank, seed),
        f"scikit-learn `Nystroem`, {wide} columns": lambda seed: sklearn_nystroem(points, wide, seed),
        "plain RPCholesky": lambda seed: plain(points, rank, seed),
        "plain, blocks without rejection": lambda seed: blocked(points, rank, seed),
    }
    runs: dict[str, Run] = ours | peers
    times = measure({key: lambda run=run: run(1) for key, run in runs.items()}, rounds=rounds, cpu=True)
    errors = {key: median(trace_error(run(seed)) for seed in range(seeds)) for key, run in runs.items()}
    best = min(peers, key=times.median)
    rows = []
    for key, run in runs.items():
        equal = [peer for peer in peers if errors[peer] <= 1.1 * errors[key]] if key in ours else []
        rival = min(equal, key=times.median, default=None)
        rows.append(
            [
                key,
                f"{1e3 * times.median(key):.0f}",
                f"{times.ratio(key, best):.2f}",
                f"{errors[key]:.4f}",
                "" if rival is None else f"{times.ratio(key, rival):.2f}",
                f"{peak(run):.0f}",
            ]
        )
    print(f"\n{name}: {len(points)} points in R^8, {rank} columns, {points.dtype}; the fastest peer is {best}\n")
    header = [
        "",
        "CPU ms",
        "time / fastest peer",
        "trace error / trace",
        "time / fastest peer of that error",
        "peak MB",
    ]
    print(markdown(header, rows))


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one repetition: does it run?")
    quick = parser.parse_args().quick
    n, rank, wide, rounds, seeds = (2000, 50, 100, 1, 1) if quick else (20_000, 300, 900, 5, 5)
    with threadpoolctl.threadpool_limits(1):
        for name, points in (("Isotropic", isotropic(n)), ("One large and 150 small clusters", clustered(n))):
            for dtype in ("float32", "float64"):
                table(name, points.astype(dtype), rank, wide=wide, rounds=rounds, seeds=seeds)


if __name__ == "__main__":
    main()
