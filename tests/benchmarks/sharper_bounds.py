"""Slack of theorems about the output on real heads: ``python tests/benchmarks/sharper_bounds.py``.

No times, but published forms beside those that are sharper. Errors and bounds per head are root mean squares over the
rows, relative to that of the exact output. The kernels of the three perturbations stand for scores of rank 12, for
scores with normal noise of standard deviation 0.2, and for weights of rank 32 divided by their row sums. The last table
is about a quarter of the keys, exact or drawn: predictions of the mean square in units of the estimated mass beside the
plain errors, root mean squares of several draws.
"""

import argparse
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy loads its BLAS

from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402

from theory.bounds.attention import centred_norms, covariance, heavy_plus_sampled, output, sampling, softmax  # noqa: E402
from theory.bounds.attention.perturbed import PerturbedScores  # noqa: E402
from theory.bounds.attention.rows import denominators_over_mass, exact_output, exact_scores, values_spectral  # noqa: E402
from theory.comparison.heads import part_of  # noqa: E402
from theory.statement import errors  # noqa: E402
from theory.statement.bound import Bound, HypothesisViolated  # noqa: E402
from theory.studies.problems import ProblemSource, load_problem  # noqa: E402
from tnattn.attention.approximation import Approximation  # noqa: E402
from tnattn.attention.method import AttentionMethod  # noqa: E402
from tnattn.attention.problem import AttentionProblem  # noqa: E402
from tnattn.attention.sampling.column_sampling import ColumnSampling  # noqa: E402
from tnattn.attention.sampling.heavy_plus_sampled import OptimalHeavyPlusSampled  # noqa: E402
from tnattn.attention.wrappers.low_rank_weights import LowRankWeights  # noqa: E402
from tnattn.models import sample_layers  # noqa: E402
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD  # noqa: E402

Maker = Callable[[AttentionProblem], AttentionMethod]


def low_rank_scores(problem: AttentionProblem, rank: int = 12) -> AttentionMethod:
    """Return exact attention with the best scores of a rank."""
    u, s, vt = np.linalg.svd(exact_scores(problem), full_matrices=False)
    best = (u[..., :rank] * s[..., None, :rank]) @ vt[..., :rank, :]
    return PerturbedScores(_grouped(problem, best - exact_scores(problem)))


def noisy_scores(problem: AttentionProblem, deviation: float = 0.2) -> AttentionMethod:
    """Return exact attention with independent normal noise on every score."""
    noise = np.random.default_rng(0).standard_normal(exact_scores(problem).shape)
    return PerturbedScores(_grouped(problem, deviation * noise))


def _grouped(problem: AttentionProblem, change: np.ndarray) -> np.ndarray:
    return change.reshape(*problem.batch, problem.n_q, problem.n_k)


def low_rank_weights(problem: AttentionProblem, rank: int = 32) -> AttentionMethod:
    """Return the best weights of a rank, divided by their row sums."""
    return LowRankWeights(TruncatedSVD(rank))


def plain_mixed_norm(problem: AttentionProblem, result: Approximation) -> np.ndarray:
    """Return ||P' - P||_F ||V||, the published bound on the output of approximate weights."""
    return errors.weights_frobenius(problem, result) * values_spectral(problem)


PERTURBATIONS: dict[str, Maker] = {
    "rank-12 scores": low_rank_scores,
    "noise 0.2": noisy_scores,
    "rank-32 weights": low_rank_weights,
}
BY_ROWS = {
    "chi_square_output": covariance.chi_square_output,
    "tanh(rho/4) diam, published": softmax.attention_row_from_logits,
    "row_l2": centred_norms.row_l2,
    "l1 max, published": output.kernel_normalisation_row,
}
PUBLISHED = "Frobenius times spectral, published"
PAIRS = [
    ("chi_square_output", "tanh(rho/4) diam, published"),
    ("row_l2", "l1 max, published"),
    ("centred_frobenius", PUBLISHED),
    ("centred_mixed_norm", PUBLISHED),
]
BY_NORMS = {
    "centred_frobenius": centred_norms.centred_frobenius,
    "centred_mixed_norm": centred_norms.centred_mixed_norm,
}


def relative(problem: AttentionProblem, values: np.ndarray) -> np.ndarray:
    """Return values (H,) or (H, n_q), root mean squares over the rows where there are rows, over that of the output."""
    size = np.linalg.norm(exact_output(problem), axis=(-2, -1))
    return (values if values.ndim == size.ndim else np.linalg.norm(values, axis=-1)) / size


def bounded(b: Bound, method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> np.ndarray:
    """Return the bound of every head, NaN where a hypothesis fails."""
    try:
        return relative(problem, b(method, problem, result).value)
    except HypothesisViolated:
        return np.full(problem.heads, np.nan)


def columns(maker: Maker, problem: AttentionProblem) -> dict[str, np.ndarray]:
    """Return true error and bounds of a perturbation for every head whose rows all have a positive denominator."""
    method = maker(problem)
    result = method(problem)
    positive = np.all(denominators_over_mass(problem, result) > 0, axis=-1)
    problem, result = part_of(problem, result, [int(h) for h in np.flatnonzero(positive)])
    found = {"true": relative(problem, errors.output_frobenius(problem, result))}
    found |= {name: bounded(b, method, problem, result) for name, b in {**BY_ROWS, **BY_NORMS}.items()}
    found[PUBLISHED] = relative(problem, plain_mixed_norm(problem, result))
    return found


def typical(values: np.ndarray) -> str:
    """Return the median over the heads in three digits, a dash where there is none."""
    known = values[np.isfinite(values)]
    return f"{np.median(known):.3g}" if known.size else "-"


def sampled_columns(problem: AttentionProblem, keys: int = 128, draws: int = 5) -> list[np.ndarray]:
    """Return predicted and measured errors of every head, (H,), of three ways to choose keys."""
    published = sampling.amm_optimal(ColumnSampling(keys), problem).value
    choices = [
        (ColumnSampling(keys, normalise=True), published),
        *(
            (method, heavy_plus_sampled.heavy_plus_sampled(method, problem).value)
            for method in (OptimalHeavyPlusSampled(keys, exact=0), OptimalHeavyPlusSampled(keys))
        ),
    ]
    found = []
    for method, predicted in choices:
        results = (method(problem, rng=np.random.default_rng(seed)) for seed in range(draws))
        squares = np.mean([errors.output_frobenius(problem, result) ** 2 for result in results], axis=0)
        found += [relative(problem, np.sqrt(predicted)), relative(problem, np.sqrt(squares))]
    return found


def header(names: list[str]) -> str:
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    problems = {n: load_problem(ProblemSource.parse(f"sample:{n}", dtype="float64")) for n in sample_layers()}
    found = {(title, n): columns(maker, p) for title, maker in PERTURBATIONS.items() for n, p in problems.items()}
    names = ["true", *BY_ROWS, *BY_NORMS, PUBLISHED]
    print("Relative errors and bounds, medians over the heads whose rows all have a positive denominator.\n")
    print(header(["perturbation", "layer", "heads", *names]))
    for (title, layer), column in found.items():
        print(f"| {title} | {layer} | {column['true'].size} | {' | '.join(typical(column[n]) for n in names)} |")
    print("\nHow much sharper than the published form / how many times the true error, medians over the heads.\n")
    print(header(["perturbation", "layer", *(f"{new} against {old}" for new, old in PAIRS)]))
    for (title, layer), column in found.items():
        ratios = [(column[old] / column[new], column[new] / column["true"]) for new, old in PAIRS]
        print(f"| {title} | {layer} | {' | '.join(f'{typical(a)} / {typical(b)}' for a, b in ratios)} |")
    print("\n128 of 512 keys, predicted / measured.\n")
    print(header(["layer", "drawn, published optimum", "drawn by c_j, none exact", "heavy exact, others drawn by c_j"]))
    for layer, problem in problems.items():
        cells = [typical(column) for column in sampled_columns(problem)]
        print(f"| {layer} | {' | '.join(f'{a} / {b}' for a, b in zip(cells[::2], cells[1::2], strict=True))} |")


if __name__ == "__main__":
    main()
