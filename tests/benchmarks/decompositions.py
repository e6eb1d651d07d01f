"""Tensor decompositions beside TensorLy's: CPU time on one thread in turns, and the error that each reaches."""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy loads its BLAS

from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import tensorly  # noqa: E402
from paired import markdown, measure  # noqa: E402
from tensorly.cp_tensor import CPTensor  # noqa: E402
from tensorly.decomposition import parafac, tensor_train, tucker  # noqa: E402

from tnattn.decomposition.cp_als import CPALS  # noqa: E402
from tnattn.decomposition.cp_start import GivenStart  # noqa: E402
from tnattn.decomposition.hosvd import HOSVD  # noqa: E402
from tnattn.decomposition.st_hosvd import STHOSVD  # noqa: E402
from tnattn.decomposition.tt_svd import TTSVD  # noqa: E402

SIZES = ((12, 512, 512), (32, 64, 64, 64))
SWEEPS, RANK = 20, 16


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


def rows(
    title: str, x: np.ndarray, ours: dict[str, Callable[[], Any]], theirs: dict[str, Callable[[], Any]], rounds: int
) -> list[list[str]]:
    """Measure contenders on a tensor; one row each, with the ratio of the fastest peer's time to it."""
    contenders = ours | theirs
    times = measure(contenders, rounds=rounds, cpu=True)
    peer = min(theirs, key=times.median)
    return [
        [
            title,
            name,
            f"{1e3 * times.median(name):.0f}",
            f"{times.ratio(peer, name):.1f}",
            f"{np.linalg.norm(x - dense(run())) / np.linalg.norm(x):.5f}",
        ]
        for name, run in contenders.items()
    ]


def table() -> list[list[str]]:
    found: list[list[str]] = []
    for sizes, ranks, bonds in zip(SIZES, ((6, 32, 32), (12,) * 4), ((12, 32), (16, 24, 16)), strict=True):
        x, order = decaying(sizes), len(sizes)
        what = " x ".join(map(str, sizes))
        peers: dict[str, Callable[[], Any]] = {
            "TensorLy tucker, random start": lambda x=x, ranks=ranks: tucker(
                x, rank=ranks, init="random", random_state=0
            )
        }
        if order == 3:  # 28 s on the other tensor
            peers["TensorLy tucker"] = lambda x=x, ranks=ranks: tucker(x, rank=ranks)
        ours: dict[str, Callable[[], Any]] = {
            f"{cls.__name__}": lambda m=cls(ranks=ranks, order=order), x=x: m(x) for cls in (STHOSVD, HOSVD)
        }
        found += rows(f"Tucker {what}, ranks {ranks}", x, ours, peers, rounds=3)
        train = TTSVD(ranks=bonds, order=order)
        peers = {"TensorLy tensor_train": lambda x=x, bonds=bonds: tensor_train(x, rank=[1, *bonds, 1])}
        found += rows(f"Train {what}, ranks {bonds}", x, {"TTSVD": lambda m=train, x=x: m(x)}, peers, rounds=1)
        first = tuple(np.random.default_rng(n).standard_normal((n, RANK)) for n in sizes)
        fit = CPALS(rank=RANK, sweeps=SWEEPS, tolerance=0, start=GivenStart(first), order=order)
        given = CPTensor((np.ones(RANK), list(first)))
        peers = {
            "TensorLy parafac": lambda x=x, given=given: tensorly.cp_to_tensor(
                parafac(x, rank=RANK, n_iter_max=SWEEPS, init=given, tol=None)
            )
        }
        found += rows(f"CP {what}, rank {RANK}", x, {"CPALS": lambda m=fit, x=x: m(x)}, peers, rounds=2)
    return found


def main() -> None:
    print(markdown(["task", "contender", "CPU ms", "best peer's time / its time", "relative error"], table()))


if __name__ == "__main__":
    main()
