"""Streamed exact attention beside PyTorch's fused kernel: time on all cores, peak memory, difference."""

from __future__ import annotations

import tracemalloc

import numpy as np
import torch
from paired import markdown, measure

from tnattn import AttentionProblem, CausalMask


def peak_megabytes() -> float:
    """Largest amount of array memory alive above the inputs, the output included."""
    shape = (12, 4096, 64)
    q, k, v = (np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) for seed in range(3))
    tracemalloc.start()
    output = AttentionProblem(q, k, v).output
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert output.shape == shape
    return peak / 2**20


def main() -> None:
    rng = np.random.default_rng(0)
    threads = torch.get_num_threads()
    rows = []
    for heads, n, d, scale, causal in (
        (12, 1024, 64, 1, False),
        (12, 4096, 64, 1, False),
        (12, 4096, 64, 8, False),
        (12, 4096, 64, 1, True),
    ):
        q, k, v = (rng.standard_normal((heads, n, d), dtype=np.float32) for _ in range(3))
        q *= scale
        tensors = [torch.as_tensor(x)[None] for x in (q, k, v)]

        def ours(q=q, k=k, v=v, causal=causal):
            return AttentionProblem(q, k, v, **({"mask": CausalMask()} if causal else {})).output

        def fused(tensors=tensors, causal=causal):
            return torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=causal)

        times = measure({"ours": ours, "fused": fused}, rounds=7)
        difference = np.abs(ours() - fused()[0].numpy()).max()
        label = f"{heads} x {n} x {d}" + (", causal" if causal else "") + (f", queries x {scale}" if scale > 1 else "")
        rows.append(
            [
                label,
                f"{times.median('ours') * 1e3:.0f}",
                f"{times.median('fused') * 1e3:.0f}",
                f"{times.ratio('ours', 'fused'):.2f}",
                f"{difference:.1e}",
            ]
        )
    print(markdown(["float32", "tnattn, ms", "PyTorch SDPA, ms", "ratio", "largest difference"], rows))
    print(
        f"\n{threads} threads; peak memory above the inputs at 12 x 4096 x 64, "
        f"output included: {peak_megabytes():.0f} MB"
    )


if __name__ == "__main__":
    main()
