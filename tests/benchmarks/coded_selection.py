"""Selectors of keys at equal kept keys: transform codes beside boxes, principal components, a window and the oracle.

Every selector keeps the same number of keys per query: the first 4, under a causal mask the query's own, and those of
largest estimated score; boxes keep blocks. "Reads" is what a selector reads, as a share of keys in float16. Lost mass
is the mean over rows and heads, the error that of the output of a head in the Frobenius norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from paired import markdown

from tnattn import AttentionProblem, CausalMask
from tnattn.attention.sparse import CodedKeySelection, KeyStatistics
from tnattn.gallery import problems
from tnattn.models import load_sample, sample_layers

KEPT, SINKS = 64, 4
FAMILIES = ("smooth", "clustered", "needle")
Selector = Callable[[AttentionProblem], np.ndarray]  # to flags of kept keys, (heads, n, n)


def main() -> None:
    for title, cases in (
        ("All-MiniLM-L6-v2, 3 layers of 12 heads, 512 tokens, no mask", list(sample())),
        ("The same under a causal mask", [replace(case, mask=CausalMask()) for case in sample()]),
        (f"Gallery: {', '.join(FAMILIES)}, 4 heads, 512 tokens, causal", list(gallery())),
    ):
        print(f"## {title}: {KEPT} keys\n")
        header = ["selector", "reads", "lost %", "error, median", "error, worst head"]
        print(markdown(header, [row(name, reads, f, cases) for name, reads, f in selectors(cases[0])]), flush=True)
        print()


def sample() -> Iterator[AttentionProblem]:
    for layer in sample_layers():
        given = load_sample(layer).problem()
        yield AttentionProblem(*(np.asarray(x, dtype=np.float32) for x in (given.q, given.k, given.v)))


def gallery() -> Iterator[AttentionProblem]:
    for seed, name in enumerate(FAMILIES):
        given = problems()[name](512, 32, 4, 4, rng=np.random.default_rng(seed), dtype="float32")
        yield replace(given, mask=CausalMask())


def selectors(case: AttentionProblem) -> Iterator[tuple[str, str, Selector]]:
    """Yield name, share of the keys that is read, and the selector."""
    d, causal = case.width, case.mask == CausalMask()
    for bits in (16, 32, 64):
        yield f"coded, {bits} bits", f"1/{16 * d // bits}", coded(CodedKeySelection(KEPT, bits=bits))
    if causal:
        yield "coded, 32 bits, statistics of the whole text (sees later tokens)", f"1/{d // 2}", seeing
    yield "coded, 32 bits, statistics of the first half", f"1/{d // 2}", half
    yield "coded, 32 bits, runs of 8", f"1/{d // 2}", coded(CodedKeySelection(KEPT, bits=32, run=8))
    yield "shuffled coordinates, 32 bits (control)", f"1/{d // 2}", shuffled
    for size in (16, 8):
        yield f"boxes of {size} (Quest)", f"1/{size // 2}", lambda x, size=size: boxes(x, size)
    for rank in (d // 8, d // 2):
        yield f"principal components of keys, {rank} (Loki)", f"1/{d // rank}", lambda x, r=rank: components(x, r)
    yield f"SVD of Q K^T, {d // 8}", "1/8", lambda x: components(x, d // 8, of_scores=True)
    yield "window and sinks", "0", window
    yield "oracle", "1", lambda x: top(scores(x), x)


def row(name: str, reads: str, selector: Selector, cases: list[AttentionProblem]) -> list[str]:
    lost, errors = [], []
    for case in cases:
        weights = np.exp(masked(scores(case), case) - masked(scores(case), case).max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        kept = weights * selector(case)
        mass = kept.sum(axis=-1, keepdims=True)
        truth = weights @ case.v
        difference = kept @ case.v / np.maximum(mass, 1e-30) - truth
        lost.append(1 - mass.mean(axis=(-2, -1)))
        errors.append(np.linalg.norm(difference, axis=(-2, -1)) / np.linalg.norm(truth, axis=(-2, -1)))
    error = np.concatenate(errors)
    return [name, reads, f"{100 * np.mean(lost):.2f}", f"{np.median(error):.4f}", f"{error.max():.3f}"]


# selectors


def coded(method: CodedKeySelection) -> Selector:
    def select(case: AttentionProblem) -> np.ndarray:
        indices = method(case).kernel.indices
        flags = np.zeros((case.heads, case.n_q, case.n_k), dtype=bool)
        np.put_along_axis(flags, indices.reshape(*flags.shape[:2], -1), True, axis=-1)
        return flags

    return select


def seeing(case: AttentionProblem) -> np.ndarray:
    return coded(CodedKeySelection(KEPT).calibrated(case))(case)


def half(case: AttentionProblem) -> np.ndarray:
    first = case.rectangle(slice(0, case.n_q // 2), slice(0, case.n_k // 2))
    return coded(CodedKeySelection(KEPT).calibrated(first))(case)


def shuffled(case: AttentionProblem) -> np.ndarray:
    other = replace(case, q=case.q[..., ::-1], k=case.k[..., ::-1])
    return coded(CodedKeySelection(KEPT, statistics=KeyStatistics.of(other)))(case)


def boxes(case: AttentionProblem, size: int) -> np.ndarray:
    """Blocks of largest upper bound of the scores (Tang et al. 2024); with a mask block 0 and the query's own, too."""
    blocks = case.k.reshape(case.heads, -1, size, case.width)
    low, high = blocks.min(axis=-2), blocks.max(axis=-2)
    bound = np.maximum(case.q, 0) @ high.mT + np.minimum(case.q, 0) @ low.mT
    own, block = np.arange(case.n_q)[:, None] // size, np.arange(bound.shape[-1])
    causal = case.mask == CausalMask()
    bound = np.where(causal & (block > own), -np.inf, bound)
    bound = np.where(causal & ((block == own) | (block == 0)), np.inf, bound)
    chosen = np.argsort(-bound, axis=-1, kind="stable")[..., : KEPT // size]
    flags = np.zeros(bound.shape, dtype=bool)
    np.put_along_axis(flags, chosen, True, axis=-1)
    return np.repeat(flags, size, axis=-1)


def components(case: AttentionProblem, rank: int, *, of_scores: bool = False) -> np.ndarray:
    """Scores from the leading components of the keys, or of the scores themselves, of the whole text."""
    if not of_scores:  # uncentred (Singhania et al. 2024)
        basis = np.linalg.eigh(case.k.mT @ case.k)[1][..., -rank:]
        return top(case.q @ basis @ (case.k @ basis).mT * case.score_scale, case)
    code = KeyStatistics.of(case).code(bits=6 * case.width)
    keys = ((case.keys / code.key_unit - code.mean) @ code.encoder)[..., :rank]
    return top((code.coordinates(case.queries)[..., :rank] @ keys.mT * case.score_scale)[:, 0], case)


def window(case: AttentionProblem) -> np.ndarray:
    position = np.arange(case.n_k)
    distance = position[:, None] - position
    if case.mask != CausalMask():
        distance = np.abs(2 * distance + 1)  # as many keys on either side
    return top(np.broadcast_to(-distance.astype(np.float32), (case.heads, case.n_q, case.n_k)), case)


# scores


def scores(case: AttentionProblem) -> np.ndarray:
    return case.q @ case.k.mT * case.score_scale


def masked(values: np.ndarray, case: AttentionProblem) -> np.ndarray:
    if case.mask != CausalMask():
        return values
    return np.where(np.tri(case.n_q, dtype=bool), values, -np.inf)


def top(values: np.ndarray, case: AttentionProblem) -> np.ndarray:
    """Return flags of the largest values of every row, sinks and own keys among them."""
    values = np.array(masked(values, case))
    values[..., :SINKS] = np.where(values[..., :SINKS] > -np.inf, np.inf, -np.inf)
    if case.mask == CausalMask():
        np.einsum("...ii->...i", values)[...] = np.inf
    flags = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(flags, np.argpartition(-values, KEPT - 1, axis=-1)[..., :KEPT], True, axis=-1)
    return flags


if __name__ == "__main__":
    main()
