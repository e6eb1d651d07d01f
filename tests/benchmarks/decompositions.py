"""Tensor decompositions beside TensorLy's: CPU time on one thread in turns, and the error that each reaches."""

from __future__ import annotations

import dataclasses
import os
import sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy loads its BLAS

from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from paired import markdown, measure  # noqa: E402
from tensorly.cp_tensor import CPTensor  # noqa: E402
from tensorly.decomposition import parafac, randomised_parafac, tensor_train, tucker  # noqa: E402

from tnattn.decomposition.cp.als import CPALS  # noqa: E402
from tnattn.decomposition.cp.core_start import CoreStart  # noqa: E402
from tnattn.decomposition.cp.cp_leverage import CPLeverage  # noqa: E402
from tnattn.decomposition.cp.start import GivenStart  # noqa: E402
from tnattn.decomposition.tensor_train.randomized_tt import RandomizedTTSVD  # noqa: E402
from tnattn.decomposition.tensor_train.tt_svd import TTSVD  # noqa: E402
from tnattn.decomposition.tucker.hooi import HOOI  # noqa: E402
from tnattn.decomposition.tucker.hosvd import HOSVD  # noqa: E402
from tnattn.decomposition.tucker.randomized_tucker import RandomizedSTHOSVD  # noqa: E402
from tnattn.decomposition.tucker.st_hosvd import STHOSVD  # noqa: E402

# sizes, multilinear ranks, ranks of the bonds
TENSORS = (
    ((12, 512, 512), (6, 32, 32), (12, 32)),
    ((12, 1024, 1024), (6, 32, 32), (12, 32)),
    ((32, 64, 64, 64), (12,) * 4, (16, 24, 16)),
)
SWEEPS, RANK = 20, 16
LADDER = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40)  # sweeps tried to reach an error

Runs = dict[str, Callable[[], Any]]
Fits = dict[str, Callable[[int], Any]]


def decaying(sizes: tuple[int, ...]) -> np.ndarray:
    """Return a tensor whose unfoldings have singular values that fall off like 1 / i, in random bases."""
    rng = np.random.default_rng(0)
    tensor = rng.standard_normal(sizes)
    for mode, n in enumerate(sizes):
        basis = np.linalg.qr(rng.standard_normal((n, n)))[0] / np.arange(1, n + 1)
        tensor = np.moveaxis(np.tensordot(basis, tensor, (1, mode)), 0, mode)
    return np.ascontiguousarray(tensor)


def dense(result: Any) -> np.ndarray:
    if isinstance(result, np.ndarray):
        return result
    return result.to_dense() if hasattr(result, "to_dense") else result.to_tensor()


def rows(title: str, x: np.ndarray, ours: Runs, theirs: Runs, rounds: int) -> list[list[str]]:
    """Measure contenders on a tensor; one row each, with the ratio of the fastest peer's time to it."""
    contenders = ours | theirs
    times = measure(contenders, rounds=rounds, cpu=True)
    peer = min(theirs, key=times.median)
    wide = x.astype(np.float64)
    return [
        [
            title,
            str(x.dtype),
            name,
            f"{1e3 * times.median(name):.0f}",
            f"{times.ratio(peer, name):.1f}",
            f"{np.linalg.norm(wide - dense(run())) / np.linalg.norm(wide):.5f}",
            "",
        ]
        for name, run in contenders.items()
    ]


def tucker_rows(x: np.ndarray, ranks: tuple[int, ...]) -> list[list[str]]:
    order = x.ndim
    peers: Runs = {
        "TensorLy tucker, random start": lambda: tucker(x, rank=ranks, init="random", random_state=0),
    }
    if x.size <= 2**22 and x.dtype == np.float64:  # half a minute on the others
        peers["TensorLy tucker"] = lambda: tucker(x, rank=ranks)
    exact = {cls.__name__: lambda m=cls(ranks=ranks, order=order): m(x) for cls in (STHOSVD, HOSVD, HOOI)}
    sketched = RandomizedSTHOSVD(ranks=ranks, order=order)
    ours = {**exact, "RandomizedSTHOSVD": lambda: sketched(x, rng=np.random.default_rng(0))}
    return rows(f"Tucker {_times(x)}, ranks {ranks}", x, ours, peers, rounds=3)


def train_rows(x: np.ndarray, bonds: tuple[int, ...]) -> list[list[str]]:
    train, sketched = TTSVD(ranks=bonds, order=x.ndim), RandomizedTTSVD(ranks=bonds, order=x.ndim)
    ours: Runs = {
        "TTSVD": lambda: train(x),
        "RandomizedTTSVD": lambda: sketched(x, rng=np.random.default_rng(0)),
    }
    peers: Runs = {"TensorLy tensor_train": lambda: tensor_train(x, rank=[1, *bonds, 1])}
    return rows(f"Train {_times(x)}, ranks {bonds}", x, ours, peers, rounds=3)


def cp_rows(x: np.ndarray) -> list[list[str]]:
    """Measure fits by 20 sweeps, and by as few as reach the error that the fastest peer has after 20."""
    ours, theirs = cp_contenders(x)
    fits = ours | theirs
    wide = x.astype(np.float64)

    def error(result: Any) -> float:
        return float(np.linalg.norm(wide - dense(result)) / np.linalg.norm(wide))

    whole: Runs = {name: lambda fit=fit: fit(SWEEPS) for name, fit in fits.items()}
    times = measure(whole, rounds=3, cpu=True)
    errors = {name: error(run()) for name, run in whole.items()}
    peer = min(theirs, key=times.median)
    wanted = (1 + 1e-4) * errors[peer]
    needed = {name: next((n for n in LADDER if error(fit(n)) <= wanted), None) for name, fit in fits.items()}
    reached: Runs = {name: lambda name=name, n=n: fits[name](n) for name, n in needed.items() if n}
    reaching = measure(reached, rounds=3, cpu=True)
    title = f"CP {_times(x)}, rank {RANK}, {SWEEPS} sweeps"
    return [
        [
            title,
            str(x.dtype),
            name,
            f"{1e3 * times.median(name):.0f}",
            f"{times.ratio(peer, name):.1f}",
            f"{errors[name]:.5f}",
            f"{1e3 * reaching.median(name):.0f} ({needed[name]} sweeps)" if needed[name] else "not reached",
        ]
        for name in fits
    ]


def cp_contenders(x: np.ndarray) -> tuple[Fits, Fits]:
    """Return our fits and the peers' by a number of sweeps; the deterministic ones start from the same factors.

    The sampled peer has the samples that suit it: half as many never come to its error, twice as many at best an eighth
    sooner.
    """
    first = tuple(np.random.default_rng(n).standard_normal((n, RANK)).astype(x.dtype) for n in x.shape)
    given, start = CPTensor((np.ones(RANK, x.dtype), list(first))), GivenStart(first)
    sketched = RandomizedSTHOSVD(power_iterations=0)  # what it misses is left to the sweep on the whole tensor
    core = CoreStart(oversampling=0, stagnation=0, start=start, truncation=sketched)
    plain = CPALS(rank=RANK, stagnation=0, start=start, order=x.ndim, extrapolate=False)
    faster = dataclasses.replace(plain, extrapolate=True)
    sampled = CPLeverage(rank=RANK, stagnation=0, start=start, order=x.ndim)

    def from_core(n: int) -> Any:
        fit = dataclasses.replace(plain, sweeps=1, start=dataclasses.replace(core, sweeps=n))
        return fit(x, rng=np.random.default_rng(0))

    def by_samples(n: int) -> Any:
        fit = dataclasses.replace(sampled, epochs=max(1, n // 5), sweeps=min(n, 5))
        return fit(x, rng=np.random.default_rng(0))

    ours: Fits = {
        "CPALS, plain": lambda n: dataclasses.replace(plain, sweeps=n)(x),
        "CPALS": lambda n: dataclasses.replace(faster, sweeps=n)(x),
        "CPALS, swept in the core and once after": from_core,
        "CPLeverage": by_samples,
    }
    peers: Fits = {
        "TensorLy parafac": lambda n: parafac(x, rank=RANK, n_iter_max=n, init=given, tol=None),
        "TensorLy randomised_parafac": lambda n: randomised_parafac(
            x, RANK, 1024, n_iter_max=n, init="random", tol=0, max_stagnation=0, random_state=0
        ),
    }
    return ours, peers


def _times(x: np.ndarray) -> str:
    return " x ".join(map(str, x.shape))


def table(wanted: list[str]) -> list[list[str]]:
    found: list[list[str]] = []
    for sizes, ranks, bonds in TENSORS:
        whole = decaying(sizes)
        for dtype in (np.float64, np.float32):
            x = whole.astype(dtype)
            tasks = {
                "tucker": lambda x=x, ranks=ranks: tucker_rows(x, ranks),
                "train": lambda x=x, bonds=bonds: train_rows(x, bonds),
                "cp": lambda x=x: cp_rows(x),
            }
            for name, run in tasks.items():
                if not wanted or name in wanted:
                    found += run()
    return found


def main() -> None:
    header = [
        *("task", "dtype", "contender", "CPU ms", "best peer's time / its time", "relative error"),
        "CPU ms to the best peer's error",
    ]
    print(markdown(header, table(sys.argv[1:])))


if __name__ == "__main__":
    main()
