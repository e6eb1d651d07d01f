"""Every method beside PyTorch's fused exact attention: time relative to it in the same run, and peak memory.

Arguments restrict the methods by name: ``python tests/benchmarks/attention_methods.py SlidingWindow TopK``.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import torch
from paired import markdown, measure

from tnattn import AttentionProblem
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.cache.pivoted_coreset import PivotedCoreset
from tnattn.attention.kernel.linear_attention import LinearAttention
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.low_rank.nystromformer import Nystromformer
from tnattn.attention.masks import CausalMask, FullMask
from tnattn.attention.method import AttentionMethod
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.random_features.scatterbrain import Scatterbrain
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.mean_residual import MeanResidual
from tnattn.attention.wrappers.sparse_plus import SparsePlus

HEADS, WIDTH = 12, 64
CASES = ((1024, 128), (4096, 128), (4096, 256), (8192, 256))

Maker = Callable[[int], AttentionMethod]
METHODS: dict[str, Maker] = {
    "Exact": lambda m: Exact(),
    "MeanValue": lambda m: MeanValue(),
    "SlidingWindow": lambda m: SlidingWindow(width=m),
    "TopK": lambda m: TopK(keys=m),
    "MeanResidual": lambda m: MeanResidual(SlidingWindow(width=m)),
    "ValueSampling": lambda m: ValueSampling(samples=m),
    "PivotedCoreset": lambda m: PivotedCoreset(keys=m),
    "Performer": lambda m: Performer(features=m),
    "LinearAttention": lambda m: LinearAttention(),
    "Nystromformer": lambda m: Nystromformer(landmarks=m),
    "Linformer": lambda m: Linformer(size=m),
    "Scatterbrain": lambda m: Scatterbrain(features=m),
    "SparsePlus": lambda m: SparsePlus(SlidingWindow(width=16), Performer(features=m)),
    "Causal(ValueSampling)": lambda m: Causal(ValueSampling(samples=m), leaf=m),
    "Causal(Performer)": lambda m: Causal(Performer(features=m), leaf=m),
}


def peak_megabytes(run: Callable[[], object]) -> float:
    """Largest amount of array memory alive above the inputs, the output included."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def case(n: int, m: int, names: list[str], rounds: int) -> dict[str, tuple[float, float]]:
    """Time over that of the fused exact kernel, causal where the method is, and peak memory, per method."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((HEADS, n, WIDTH), dtype=np.float32) for _ in range(3))
    tensors = [torch.as_tensor(x)[None] for x in (q, k, v)]

    def fused(causal: bool) -> Callable[[], object]:
        return lambda: torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=causal)

    def run(name: str) -> Callable[[], object]:
        mask = CausalMask() if name.startswith("Causal") else FullMask()
        method = METHODS[name](m)
        return lambda: method(AttentionProblem(q, k, v, mask=mask), rng=np.random.default_rng(1)).output

    found = {}
    for name in names:
        times = measure({name: run(name), "fused": fused(name.startswith("Causal"))}, rounds=rounds)
        found[name] = (times.ratio(name, "fused"), peak_megabytes(run(name)))
        if n == CASES[0][0]:
            print(".", end="", file=sys.stderr, flush=True)
    return found


def main(asked: list[str]) -> None:
    unknown = [name for name in asked if name not in METHODS]
    if unknown:
        raise SystemExit(f"unknown methods {unknown}; choose from {', '.join(METHODS)}")
    names = asked or list(METHODS)
    columns = {(n, m): case(n, m, names, rounds=5 if n < 4096 else 3) for n, m in CASES}
    header = ["time over PyTorch SDPA (peak MB)", *(f"n = {n}, m = {m}" for n, m in CASES)]
    rows = [[name, *(f"{columns[key][name][0]:.2f} ({columns[key][name][1]:.0f})" for key in CASES)] for name in names]
    print(markdown(header, rows))
    print(
        f"\nH = {HEADS}, d = {WIDTH}, float32, {torch.get_num_threads()} threads; normal q, k, v; methods of the form "
        "Causal(...) against causal SDPA. m is the method's budget: keys of the window, samples, features, landmarks."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
