"""Every library's low-rank factorisation beside ours, with errors and peak memory.

One BLAS thread, process CPU time, contenders in turns. Times mean something at equal errors only: the error of each
stands beside, as a multiple of the optimal one. Memory is what NumPy allocated; PyTorch's is not seen by that count.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy loads its BLAS

import tracemalloc  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import scipy.linalg.interpolative as interpolative  # noqa: E402
import torch  # noqa: E402
from paired import markdown, measure  # noqa: E402
from scipy.sparse.linalg import svds  # noqa: E402
from sklearn.utils.extmath import randomized_svd  # noqa: E402

from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum  # noqa: E402
from tnattn.randnla.low_rank.krylov import BlockKrylov  # noqa: E402
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD  # noqa: E402
from tnattn.randnla.sketches.adaptive import RowStart  # noqa: E402

torch.set_num_threads(1)
RANK = 64
Factors = tuple[np.ndarray, np.ndarray, np.ndarray]


def ours(a: np.ndarray) -> Factors:
    result = RandomizedSVD(rank=RANK, oversampling=10, power_iterations=2)(a, rng=np.random.default_rng(0))
    return result.u, result.s, result.vt


def krylov(a: np.ndarray) -> Factors:
    result = BlockKrylov(rank=RANK, oversampling=0, power_iterations=3, block=32, sketch=RowStart())(
        a, rng=np.random.default_rng(0)
    )
    return result.u, result.s, result.vt


def scikit_learn(a: np.ndarray) -> Factors:
    return randomized_svd(a, RANK, n_oversamples=10, n_iter=2, power_iteration_normalizer="LU", random_state=0)


def pytorch(a: np.ndarray) -> Factors:
    u, s, v = torch.svd_lowrank(torch.as_tensor(a), q=RANK + 10, niter=2)
    return u[..., :RANK].numpy(), s[..., :RANK].numpy(), v[..., :RANK].mT.numpy()


def arpack(a: np.ndarray) -> Factors:
    return svds(a, k=RANK, rng=np.random.default_rng(0))


def scipy_interpolative(a: np.ndarray) -> Factors:
    u, s, v = interpolative.svd(a.astype(np.float64), RANK, rng=np.random.default_rng(0))
    return u, s, v.T


def compare(title: str, a: np.ndarray, contenders: dict[str, Callable[[np.ndarray], Factors]], rounds: int) -> None:
    times = measure({name: lambda f=f: f(a) for name, f in contenders.items()}, rounds=rounds, cpu=True)
    optimal = np.linalg.norm(np.linalg.svd(a.astype(np.float64), compute_uv=False)[..., RANK:])
    rows: list[list[Any]] = []
    for name, run in contenders.items():
        tracemalloc.start()
        u, s, vt = run(a)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        error = np.linalg.norm(a - (u * s[..., None, :]) @ vt) / optimal
        counted = "" if name == "torch.svd_lowrank" else f"{peak:.0f}"
        ratio = times.ratio(name, "tnattn")
        rows.append([name, f"{1e3 * times.median(name):.0f}", f"{ratio:.2f}", f"{error:.4f}", counted])
    print(f"\n{title}\n")
    print(markdown(["", "CPU ms", "time / ours", "error / optimal", "peak MB"], rows))


def main() -> None:
    rng = np.random.default_rng(0)
    n = 2048
    square = matrix_with_spectrum(polynomial_spectrum(n), (n, n), rng)
    everyone = {
        "tnattn": ours,
        "tnattn BlockKrylov": krylov,
        "scikit-learn": scikit_learn,
        "torch.svd_lowrank": pytorch,
        "scipy svds": arpack,
        "scipy interpolative": scipy_interpolative,
    }
    for dtype in ("float32", "float64"):
        compare(f"{n} x {n}, spectrum 1/i, rank {RANK}, {dtype}", square.astype(dtype), everyone, rounds=3)


if __name__ == "__main__":
    main()
