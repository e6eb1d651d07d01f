"""Few queries against a long cache on one thread: NumPy arrays beside PyTorch's fused kernel."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import torch
from paired import conditions, markdown, measure, one_pinned_thread

from tnattn import FullCache, KeySet, attend

# query heads, key heads, queries, keys, width
CASES = (
    (12, 12, 1, 1024, 64),
    (12, 12, 1, 4096, 64),
    (12, 12, 1, 16384, 64),
    (12, 12, 4, 4096, 64),
    (12, 12, 16, 4096, 64),
    (32, 8, 1, 4096, 128),
    (32, 8, 1, 16384, 128),
)
CONTENDERS = ("known to be finite", "checked", "full cache", "tensors, swept", "tensors, fused")


def peak_share(run: Callable[[], object], inputs: int) -> float:
    """Largest amount of array memory alive above the inputs, over theirs."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / inputs


def case(heads: int, groups: int, n_q: int, n_k: int, d: int) -> list[str]:
    rng = np.random.default_rng(0)
    shapes = ((heads, n_q, d), (groups, n_k, d), (groups, n_k, d))
    q, k, v = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    tensors = [torch.as_tensor(x)[None] for x in (q, k, v)]
    cache = FullCache().summarise(KeySet.from_arrays(k[:, :-1], v[:, :-1])).extend(k[:, -1:], v[:, -1:])

    def kernel() -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(*tensors, enable_gqa=groups < heads)

    runs: tuple[Callable[[], object], ...] = (
        lambda: attend(q, k, v, check_finite=False),
        lambda: attend(q, k, v),
        lambda: cache.attend(q).output,
        lambda: attend(*tensors, check_finite=False, fused=False),
        lambda: attend(*tensors, check_finite=False),
    )
    contenders = {"kernel": kernel, **dict(zip(CONTENDERS, runs, strict=True))}
    times = measure(contenders, rounds=max(15, (1 << 20) // n_k // heads), cpu=True)
    label = f"{heads} x {n_q} x {n_k} x {d}" + (f", {groups} key heads" if groups < heads else "")
    ratios = [f"{times.ratio(name, 'kernel'):.2f}" for name in CONTENDERS]
    share = f"{100 * peak_share(runs[0], k.nbytes + v.nbytes):.1f} %"
    return [label, f"{times.median('kernel') * 1e3:.2f}", *ratios, share]


def main() -> None:
    header = ["heads x queries x keys x width", "PyTorch SDPA, ms", *CONTENDERS, "peak over cache"]
    with one_pinned_thread():
        print(markdown(header, [case(*one) for one in CASES]))
        print(f"\nRatios to PyTorch's kernel, float32. {conditions()}")


if __name__ == "__main__":
    main()
