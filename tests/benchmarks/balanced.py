"""Errors on real heads in raw and in balanced coordinates: ``python tests/benchmarks/balanced.py [NAME ...]``.

The three layers of the shipped sample, 12 heads of 512 tokens each, at equal budgets. Arguments restrict the methods.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy loads its BLAS

import sys  # noqa: E402

import numpy as np  # noqa: E402
from paired import markdown  # noqa: E402

from tnattn import AttentionProblem, MeanValue, load_sample  # noqa: E402
from tnattn.arrays.threads import blas_kernels  # noqa: E402
from tnattn.attention.cache.pivoted_coreset import PivotedCoreset  # noqa: E402
from tnattn.attention.low_rank.kernel_cur import KernelCUR  # noqa: E402
from tnattn.attention.low_rank.lifted_nystrom import LiftedNystrom  # noqa: E402
from tnattn.attention.low_rank.nystromformer import Nystromformer  # noqa: E402
from tnattn.attention.method import AttentionMethod  # noqa: E402
from tnattn.attention.random_features.features import Hyperbolic, Independent, Trigonometric  # noqa: E402
from tnattn.attention.random_features.performer import Performer  # noqa: E402
from tnattn.attention.random_features.scatterbrain import Scatterbrain  # noqa: E402
from tnattn.attention.sampling.leverage_key_sampling import LeverageKeySampling  # noqa: E402
from tnattn.attention.sampling.value_sampling import ValueSampling  # noqa: E402
from tnattn.attention.wrappers.balanced import Balanced, balanced  # noqa: E402
from tnattn.models.sample import sample_layers  # noqa: E402

BUDGETS, SEEDS = (64, 256), 3
METHODS: dict[str, AttentionMethod] = {
    "Performer": Performer(),
    "Performer, independent": Performer(directions=Independent()),
    "Performer, hyperbolic": Performer(kind=Hyperbolic()),
    "Performer, trigonometric": Performer(kind=Trigonometric()),
    "Scatterbrain": Scatterbrain(),
    "PivotedCoreset": PivotedCoreset(),
    "Nystromformer": Nystromformer(),
    "LiftedNystrom": LiftedNystrom(),
    "KernelCUR": KernelCUR(),
    "LeverageKeySampling": LeverageKeySampling(),
    "ValueSampling": ValueSampling(),
}


def error(method: AttentionMethod, problem: AttentionProblem, exact: np.ndarray) -> str:
    """Return the median relative error over seeds, bad rows set to zero, with their mean share where there are any."""
    errors, bad = [], []
    for seed in range(SEEDS):
        found = method(problem, rng=np.random.default_rng(seed))
        errors.append(np.linalg.norm(np.nan_to_num(found.output) - exact) / np.linalg.norm(exact))
        bad.append(found.bad_rows.sum() / exact[..., 0].size)
    share = f" ({100 * np.mean(bad):.2g} % bad)" if any(bad) else ""
    return f"{np.median(errors):.3f}{share}"


def rows(problem: AttentionProblem, budget: int, names: list[str]) -> list[list[str]]:
    exact = problem.output
    found = []
    for name in names:
        method = METHODS[name].with_budget(budget)
        variants = (method, Balanced(method, centre=False), Balanced(method))
        found.append([name, *(error(variant, problem, exact) for variant in variants)])
        print(".", end="", file=sys.stderr, flush=True)
    return found


def main(asked: list[str]) -> None:
    names = [name for name in METHODS if not asked or type(METHODS[name]).__name__ in asked]
    kernels = ", ".join(blas_kernels())
    print(f"{kernels}; float32; median of {SEEDS} seeds of the relative Frobenius error of all heads of a layer\n")
    print(
        "T: `Balanced(method, centre=False)`, one map of queries and keys. T and weights: `Balanced(method)`, with the "
        "mean query subtracted and its scores as weights of the keys. Rows with a bad denominator count as zero."
    )
    for layer in sample_layers():
        sample = load_sample(layer)
        problem = AttentionProblem(sample.q, sample.k, sample.v)
        other = balanced(problem)
        changed = np.linalg.norm(other.output - problem.output) / np.linalg.norm(problem.output)
        squares = [np.mean(np.square(x.q).sum(-1)) * x.score_scale for x in (problem, other)]
        mean = error(MeanValue(), problem, problem.output)
        print(
            f"\n## Layer {layer}\n\nExact attention changes by {changed:.1g}. Mean of |x|^2: {squares[0]:.1f} raw, "
            f"{squares[1]:.1f} balanced. Error of the mean value: {mean}."
        )
        for budget in BUDGETS:
            table = markdown(["method", "raw", "T", "T and weights"], rows(problem, budget, names))
            print(f"\nBudget {budget}\n\n{table}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
