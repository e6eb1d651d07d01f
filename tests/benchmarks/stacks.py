"""Randomized decompositions of stacks of softmax matrices: ``python tests/benchmarks/stacks.py [--quick]``.

All contenders in turns, medians of the ratios within a round: process CPU time of one BLAS thread first, wall time of
as many threads as there are CPUs second. Two floors, measured in the same run: the products with the matrix alone that
two power iterations take, and all calls of BLAS and LAPACK that the algorithm names (six products, four LU
factorizations, a QR factorization, the singular values of what is left), bare, without a check or a guard. Times mean
something at equal errors only.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import threadpoolctl
import torch
from paired import Times, markdown, measure
from sklearn.utils.extmath import randomized_svd

from tnattn.arrays import host_threads
from tnattn.randnla.low_rank.krylov import BlockKrylov
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.sketches.adaptive import RowStart

RANK, EXTRA, POWER = 64, 10, 2
PRODUCTS, CALLS = "products alone", "bare calls of BLAS and LAPACK"
Factors = tuple[np.ndarray, np.ndarray, np.ndarray]


def softmax_stack(count: int, n: int, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((count, n, 16)) @ rng.standard_normal((count, 16, n)) / 2
    a = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (a / a.sum(axis=-1, keepdims=True)).astype(dtype)


def contenders(a: np.ndarray, rank: int) -> dict[str, Callable[[], Any]]:
    size = rank + EXTRA
    omega = np.random.default_rng(0).standard_normal((size, a.shape[-1])).astype(a.dtype)

    def ours(method: Any) -> Callable[[], Factors]:
        def run() -> Factors:
            found = method(a, rng=np.random.default_rng(1))
            return found.u, found.s, found.vt

        return run

    def scikit_learn() -> Factors:
        options = {"n_oversamples": EXTRA, "n_iter": POWER, "power_iteration_normalizer": "LU", "random_state": 1}
        return tuple(np.stack(each) for each in zip(*(randomized_svd(one, rank, **options) for one in a), strict=True))

    def pytorch() -> Factors:
        u, s, v = torch.svd_lowrank(torch.as_tensor(a), q=size, niter=POWER)
        return u[..., :rank].numpy(), s[..., :rank].numpy(), v[..., :rank].mT.numpy()

    def forth(one: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return one @ rows^T, in the order that is faster."""
        return one @ rows.T if one.dtype == np.float32 else (rows @ one.T).T

    def products() -> None:
        for one in a:
            for _ in range(POWER + 1):
                omega @ one
                forth(one, omega)

    (getrf,) = scipy.linalg.get_lapack_funcs(("getrf",), (omega,))

    def calls() -> None:
        for one in a:
            x = omega
            for _ in range(POWER):
                x = getrf((getrf(forth(one, x))[0].T @ one).T)[0].T
            q = scipy.linalg.qr(forth(one, x), mode="economic", check_finite=False)[0]
            v, r = scipy.linalg.qr((q.T @ one).T, mode="economic", check_finite=False)
            u, s, wt = np.linalg.svd(r)
            v @ u[:, :rank], q @ wt[:rank].T

    return {
        "tnattn RandomizedSVD": ours(RandomizedSVD(rank, EXTRA, POWER)),
        "tnattn RandomizedSVD, row start": ours(RandomizedSVD(rank, rank // 2, 1, RowStart())),
        "tnattn BlockKrylov, narrow": ours(BlockKrylov(rank, 0, 2, block=(11 * rank) // 16, sketch=RowStart())),
        "scikit-learn, a loop": scikit_learn,
        "torch.svd_lowrank": pytorch,
        CALLS: calls,
        PRODUCTS: products,
    }


def table(title: str, times: Times, errors: dict[str, float], unit: str) -> None:
    best = min((name for name in errors if not name.startswith("tnattn")), key=times.median)
    rows = [
        [
            name,
            f"{1e3 * times.median(name):.0f}",
            f"{times.ratio(best, name):.2f}",
            f"{times.ratio(name, CALLS):.2f}",
            f"{times.ratio(name, PRODUCTS):.2f}",
            f"{errors[name]:.4f}" if name in errors else "",
        ]
        for name in times.seconds
    ]
    print(f"\n{title}\n")
    header = ["", unit, f"speed over {best}", f"time over {CALLS}", f"time over {PRODUCTS}", "error over the best"]
    print(markdown(header, rows))


def compare(count: int, n: int, dtype: str, *, rank: int, rounds: int) -> None:
    a = softmax_stack(count, n, dtype)
    runs = contenders(a, rank)
    some = a[:12].astype(np.float64)
    best = np.linalg.norm(np.linalg.svd(some, compute_uv=False)[..., rank:])
    errors = {}
    for name, run in runs.items():
        if name not in (CALLS, PRODUCTS):
            u, s, vt = (each[:12].astype(np.float64) for each in run())
            errors[name] = float(np.linalg.norm(some - (u * s[..., None, :]) @ vt) / best)
    title = f"{count} x {n} x {n}, rank {rank}, {dtype}"
    with threadpoolctl.threadpool_limits(1):
        os.environ["OMP_NUM_THREADS"] = "1"  # our own threads
        torch.set_num_threads(1)
        table(f"{title}; one thread", measure(runs, rounds=rounds, cpu=True), errors, "CPU ms")
        del os.environ["OMP_NUM_THREADS"]
    torch.set_num_threads(host_threads())
    table(f"{title}; {host_threads()} threads", measure(runs, rounds=rounds), errors, "wall ms")


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: does it run?")
    quick = parser.parse_args().quick
    for dtype in ("float32", "float64"):
        for count, n in ((2, 256),) if quick else ((12, 1024), (96, 512)):
            compare(count, n, dtype, rank=16 if quick else RANK, rounds=1 if quick else 5)


if __name__ == "__main__":
    main()
