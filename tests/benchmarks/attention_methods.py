"""Every attention method: time, peak memory and error beside exact attention, the fused kernel, floors and plain code.

CPU time of one pinned thread, contenders in turns. Arguments restrict the methods by name:
``python tests/benchmarks/attention_methods.py SlidingWindow TopK``.
"""

from __future__ import annotations

import math
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from paired import conditions, markdown, measure, one_pinned_thread
from plain_attention import FLOORS, PLAIN

from tnattn import AttentionProblem, CausalMask, FullMask
from tnattn.attention.kernel.linear_attention import LinearAttention
from tnattn.attention.method import AttentionMethod
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.wrappers.causal import Causal
from tnattn.discovery import subclasses

WIDTH = 64
CASES = ((12, 1024, 64), (12, 4096, 64), (12, 4096, 256), (2, 16384, 256))  # heads, tokens, budget
ORACLES = 1024  # tokens up to which methods that read all weights are timed
LONG = (16384, 65536)  # one head, for methods of linear cost
EVEN = (256, 512, 1024, 2048, 4096, 8192)  # lengths at which a method may overtake the fused kernel
CAUSAL = (Causal(Performer()), Causal(LinearAttention()), Causal(ValueSampling()))


def candidates(names: list[str]) -> dict[str, AttentionMethod]:
    """Return all methods with defaults, and the causal forms worth a row of their own."""
    found = {name: cls() for name, cls in sorted(subclasses("tnattn.attention", AttentionMethod).items())}
    found |= {f"Causal({type(method.method).__name__})": method for method in CAUSAL}
    del found["Causal"]
    if unknown := [name for name in names if name not in found]:
        raise SystemExit(f"unknown methods {unknown}; choose from {', '.join(found)}")
    return {name: method for name, method in found.items() if not names or name in names}


def with_budget(method: AttentionMethod, columns: int) -> AttentionMethod:
    return method if method.budget_field is None else method.with_budget(columns)


def inputs(heads: int, n: int) -> list[Any]:
    """Return q, k, v with smooth sequences: neighbours are alike, as in trained models."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((3, heads, n, WIDTH), dtype=np.float32)
    smooth = np.cumsum(noise, axis=-2) / np.sqrt(np.arange(1, n + 1, dtype=np.float32))[:, None]
    return list((noise + smooth) / 2)


def runner(method: AttentionMethod | None, arrays: list[Any], mask: Any) -> Callable[[], Any]:
    """Return the call that is timed: problem, method and output."""
    if method is None:
        return lambda: AttentionProblem(*arrays, mask=mask).output
    return lambda: method(AttentionProblem(*arrays, mask=mask), rng=np.random.default_rng(1)).output


def peak_megabytes(run: Callable[[], object]) -> float:
    """Return the largest amount of array memory alive above the inputs, the output included."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def fused(tensors: list[Any], causal: bool) -> Callable[[], Any]:
    return lambda: torch.nn.functional.scaled_dot_product_attention(*(x[None] for x in tensors), is_causal=causal)


def rows_of_a_case(heads: int, n: int, m: int, methods: dict[str, AttentionMethod]) -> list[list[str]]:
    """Return the rows of one size: ratios of CPU times within a round, memory, and error."""
    arrays = inputs(heads, n)
    tensors = [torch.from_numpy(x) for x in arrays]
    chosen = {name: with_budget(x, min(m, n)) for name, x in methods.items() if not x.reads_weights or n <= ORACLES}
    contenders: dict[str, Callable[[], Any]] = {}
    for causal in (False, True):
        contenders[f"exact {causal}"] = runner(None, arrays, _mask(causal))
        contenders[f"fused {causal}"] = fused(tensors, causal)
    for name, method in chosen.items():
        mask = _mask(name.startswith("Causal"))
        contenders[name] = runner(method, arrays, mask)
        contenders[f"torch {name}"] = runner(method, tensors, mask)
        if floor := FLOORS.get(name):
            contenders[f"floor {name}"] = lambda floor=floor: floor(*arrays, m)
        if formula := PLAIN.get(name):
            contenders[f"plain {name}"] = lambda formula=formula: formula(*tensors, m)
    times = measure(contenders, rounds=3, cpu=True)
    exact = {causal: contenders[f"exact {causal}"]() for causal in (False, True)}
    rows = []
    for name, method in chosen.items():
        causal = name.startswith("Causal")
        against = (f"exact {causal}", f"fused {causal}", f"floor {name}", f"plain {name}")
        error = np.linalg.norm(contenders[name]() - exact[causal]) / np.linalg.norm(exact[causal])
        rows.append(
            [
                name + (" (oracle)" if method.reads_weights else ""),
                f"{times.median(name) * 1e3:.0f}",
                *(f"{times.ratio(name, other):.2f}" if other in contenders else "" for other in against),
                f"{times.ratio(f'torch {name}', f'fused {causal}'):.2f}",
                f"{peak_megabytes(contenders[name]):.0f}",
                f"{error:.2g}",
            ]
        )
    print(".", end="", file=sys.stderr, flush=True)
    return rows


def _mask(causal: bool) -> Any:
    return CausalMask() if causal else FullMask()


def growth(methods: dict[str, AttentionMethod]) -> list[list[str]]:
    """Return slope of the time from 16k to 64k tokens with one head, and peak memory at 64k, m = 256."""
    rows = []
    for name, plain in methods.items():
        mask, method = CausalMask() if name.startswith("Causal") else FullMask(), with_budget(plain, 256)
        problems = [AttentionProblem(*inputs(1, n), mask=mask) for n in LONG]
        costs = [method.cost(problem).flops for problem in problems]
        if method.reads_weights or costs[1] > 6 * costs[0]:
            continue  # quadratic by their formula
        runs = {str(p.n_q): runner(method, [p.q, p.k, p.v], mask) for p in problems}
        times = measure(runs, rounds=3, cpu=True)
        slope = math.log(times.ratio(str(LONG[1]), str(LONG[0]))) / math.log(LONG[1] / LONG[0])
        seconds = times.median(str(LONG[1]))
        rows.append([name, f"{seconds * 1e3:.0f}", f"{slope:.2f}", f"{peak_megabytes(runs[str(LONG[1])]):.0f}"])
        print(".", end="", file=sys.stderr, flush=True)
    return rows


def break_even(methods: dict[str, AttentionMethod]) -> list[list[str]]:
    """Return the least length at which a method with m = 64 takes less CPU time than the fused kernel, four heads."""
    found: dict[str, int] = {}
    for n in EVEN:
        arrays = inputs(4, n)
        tensors = [torch.from_numpy(x) for x in arrays]
        for name, plain in methods.items():
            if name in found:
                continue
            causal = name.startswith("Causal")
            run = runner(with_budget(plain, 64), arrays, CausalMask() if causal else FullMask())
            if measure({"ours": run, "fused": fused(tensors, causal)}, cpu=True).ratio("ours", "fused") < 1:
                found[name] = n
    return [[name, str(found.get(name, f"above {EVEN[-1]}"))] for name in methods]


def main(asked: list[str]) -> None:
    methods = candidates(asked)
    header = ["method", "ms", "/ exact", "/ fused", "/ floor", "/ plain", "tensors / fused", "peak MB", "error"]
    print(
        f"{conditions()}; PyTorch {torch.__version__}; float32, d = 64, sequences half smooth, half noise; in "
        "turns.\n\nExact: streamed, on NumPy. Fused: PyTorch's `scaled_dot_product_attention`. Floor: products and "
        "exponentials of the formula in tiles, without guards. Plain: the formula in PyTorch. Tensors: the method on "
        "PyTorch tensors. Peak: NumPy memory above the inputs, with the output. Causal forms beside causal attention; "
        f"oracles up to {ORACLES} tokens."
    )
    with one_pinned_thread():
        for heads, n, m in CASES:
            print(
                f"\n## {heads} x {n}, m = {m}\n\n{markdown(header, rows_of_a_case(heads, n, m, methods))}", flush=True
            )
        print(f"\n## Growth: one head, m = 256, {LONG[0]} to {LONG[1]} tokens, methods of linear cost\n")
        print(markdown(["method", f"ms at {LONG[1]}", "slope of the time", "peak MB"], growth(methods)), flush=True)
        rest = {name: method for name, method in methods.items() if not method.reads_weights}
        print("\n## Break-even: four heads, m = 64, least length at which the method beats the fused kernel\n")
        print(markdown(["method", "tokens"], break_even(rest)))


if __name__ == "__main__":
    main(sys.argv[1:])
