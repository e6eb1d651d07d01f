"""Exact attention beside PyTorch's fused kernel on one thread: NumPy arrays, and PyTorch tensors swept or fused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import torch
from paired import conditions, markdown, measure, one_pinned_thread

from tnattn import AttentionProblem, CausalMask, FullMask

# query heads, key heads, tokens, width, size of the queries, causal
CASES = (
    (12, 12, 1024, 64, 1, False),
    (12, 12, 1024, 64, 1, True),
    (12, 12, 4096, 64, 1, False),
    (12, 12, 4096, 64, 1, True),
    (12, 12, 4096, 64, 8, False),
    (8, 8, 1024, 128, 1, False),
    (8, 8, 4096, 128, 1, False),
    (8, 8, 4096, 128, 1, True),
    (8, 2, 4096, 64, 1, False),
    (8, 2, 4096, 64, 1, True),
    (4, 4, 4096, 64, 1, True),
)


def peak_megabytes(run: Callable[[], object]) -> float:
    """Largest amount of array memory alive above the inputs, the output included."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def case(heads: int, groups: int, n: int, d: int, size: int, causal: bool) -> list[str]:
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((count, n, d), dtype=np.float32) for count in (heads, groups, groups))
    q *= size
    tensors = [torch.as_tensor(x)[None] for x in (q, k, v)]
    mask = CausalMask() if causal else FullMask()

    def kernel() -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=causal, enable_gqa=groups < heads)

    contenders = {
        "kernel": kernel,
        "NumPy": lambda: AttentionProblem(q, k, v, mask=mask).output,
        "swept": lambda: AttentionProblem(*tensors, mask=mask).output,
        "fused": lambda: AttentionProblem(*tensors, mask=mask, fused=True).output,
    }
    times = measure(contenders, rounds=7 if n < 4096 else 5, cpu=True)
    difference = np.abs(contenders["NumPy"]() - kernel()[0].numpy()).max()
    label = f"{heads} x {n} x {d}" + (f", {groups} key heads" if groups < heads else "")
    label += (", causal" if causal else "") + (f", queries x {size}" if size > 1 else "")
    ratios = [f"{times.ratio(name, 'kernel'):.2f}" for name in ("NumPy", "swept", "fused")]
    megabytes = f"{peak_megabytes(contenders['NumPy']):.0f}"
    return [label, f"{times.median('kernel') * 1e3:.0f}", *ratios, f"{difference:.1e}", megabytes]


def main() -> None:
    header = [
        "float32",
        "PyTorch SDPA, ms",
        "NumPy",
        "tensors, swept",
        "tensors, fused",
        "largest difference",
        "peak, MB",
    ]
    with one_pinned_thread():
        print(markdown(header, [case(*one) for one in CASES]))
        print(f"\nRatios to PyTorch's kernel, with ours checking the inputs; memory above them. {conditions()}")


if __name__ == "__main__":
    main()
