"""Time the randomized factorisations against scikit-learn: ``python tests/benchmarks/randomized_svd.py [--quick]``.

One BLAS thread, process CPU time, contenders interleaved, medians. Both sides are measured in the same run, and the
error of each is printed beside: a ratio of times means something at equal errors only.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy loads its BLAS

import argparse  # noqa: E402
import time  # noqa: E402
import tracemalloc  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import threadpoolctl  # noqa: E402
from paired import markdown, measure  # noqa: E402
from sklearn.utils.extmath import randomized_svd  # noqa: E402

from tnattn.attention.problem import AttentionProblem  # noqa: E402
from tnattn.randnla.low_rank.generalized_nystrom import GeneralizedNystrom  # noqa: E402
from tnattn.randnla.low_rank.krylov import BlockKrylov  # noqa: E402
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD  # noqa: E402
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD  # noqa: E402
from tnattn.randnla.sketches.adaptive import RowStart  # noqa: E402

Run = Callable[[], Any]


def report(
    title: str, contenders: dict[str, Run], error: Callable[[Any], float], *, peer: str, repetitions: int
) -> None:
    """Measure, and print CPU times, the median ratio to a peer within a round, and errors."""
    times = measure(contenders, rounds=repetitions, cpu=True)
    rows = [
        [
            name,
            f"{1e3 * times.median(name):.0f}",
            f"{times.ratio(peer, name):.2f}",
            "" if name == "products alone" else f"{error(run()):.4f}",
        ]
        for name, run in contenders.items()
    ]
    print(f"\n{title}\n")
    print(markdown(["", "CPU ms", f"speed over {peer}", "error"], rows))


def slow_matrix(n: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return an n-by-n matrix with singular values 1 / i, from two Householder reflections, and those values."""
    rng = np.random.default_rng(0)
    s = 1 / np.arange(1, n + 1)
    a = np.diag(s)
    for _ in range(3):
        u, v = rng.standard_normal((2, n))
        a -= np.outer(2 / (u @ u) * u, u @ a)
        a -= np.outer(a @ v, 2 / (v @ v) * v)
    return a.astype(dtype), s


def square(n: int, dtype: str, repetitions: int) -> None:
    """One square matrix of a slow spectrum, rank 64, two power iterations."""
    a, s = slow_matrix(n, dtype)
    rank, extra, power = 64, 10, 2
    best = np.linalg.norm(s[rank:])
    ours = RandomizedSVD(rank, extra, power)
    omega = np.random.default_rng(0).standard_normal((rank + extra, n)).astype(dtype)

    def floor() -> None:
        for _ in range(2 * power + 2):
            omega @ a

    contenders: dict[str, Run] = {
        "tnattn": lambda: ours(a, rng=np.random.default_rng(1)),
        "scikit-learn (LU)": lambda: randomized_svd(
            a, rank, n_oversamples=extra, n_iter=power, power_iteration_normalizer="LU", random_state=1
        ),
        "tnattn, block Krylov of as many products": lambda: BlockKrylov(rank, 0, power)(
            a, rng=np.random.default_rng(1)
        ),
        "tnattn, block Krylov, 32 columns, 3 steps, rows": lambda: BlockKrylov(rank, 0, 3, block=32, sketch=RowStart())(
            a, rng=np.random.default_rng(1)
        ),
        "tnattn, generalized Nyström (two products)": lambda: GeneralizedNystrom(rank, rank)(
            a, rng=np.random.default_rng(1)
        ),
        "products alone": floor,
    }
    # ||A - B||^2 as a norm of the difference, in the units of the best possible
    wide = a.astype(np.float64)

    def error(result: Any) -> float:
        u, t, vt = (result.u, result.s, result.vt) if hasattr(result, "vt") else result
        return float(np.linalg.norm(wide - (u.astype(np.float64) * t) @ vt) / best)

    report(
        f"{n} x {n}, spectrum 1/i, rank {rank}, {dtype}; error over the best possible",
        contenders,
        error,
        peer="scikit-learn (LU)",
        repetitions=repetitions,
    )


def long_head(n: int, rank: int = 8) -> None:
    """Leading singular values of one head of n tokens, whose weights are never formed: time and peak memory."""
    rng = np.random.default_rng(0)
    q, k = (np.cumsum(rng.standard_normal((1, n, 32)), axis=1) for _ in range(2))
    q, k = ((4 * x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32) for x in (q, k))
    weights = AttentionProblem(q, k, k, scale=1.0).weights
    rows, best = [], None
    for method in (TruncatedSVD(rank), BlockKrylov(rank, rank, 2), RandomizedSVD(rank, rank, 2)):
        tracemalloc.start()
        start = time.process_time()
        s = method(weights, rng=np.random.default_rng(1)).s[0, 0].astype(np.float64)
        seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        best = s if best is None else best
        worst = float(np.max(np.abs(s - best) / best[0]))
        values = ", ".join(f"{x:.4f}" for x in s[:4])
        rows.append([type(method).__name__, f"{seconds:.1f}", f"{peak / 1e6:.0f}", values, f"{worst:.1e}"])
    print(f"\n{n} tokens, float32: {rank} singular values; the weights would take {4 * n * n / 1e6:.0f} MB\n")
    print(markdown(["", "CPU s", "peak MB", "the first four", "largest difference over the first"], rows))


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one repetition: does it run?")
    quick = parser.parse_args().quick
    with threadpoolctl.threadpool_limits(1):
        for dtype in ("float32", "float64"):
            square(512 if quick else 4096, dtype, 1 if quick else 5)
        long_head(1024 if quick else 16384)


if __name__ == "__main__":
    main()
