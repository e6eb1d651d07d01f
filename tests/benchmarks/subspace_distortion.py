"""Distortion of a subspace by every sketch: ``python tests/benchmarks/subspace_distortion.py [--quick]``.

For a matrix U with 64 orthonormal columns of length 8192, incoherent (random) and coherent (half of the columns are
unit vectors), and embeddings S into 1024 dimensions: ``||U^T S^T S U - I||`` in the spectral norm (median over draws),
its root mean square in the Frobenius norm beside what the theorem predicts, and what the theorem with a probability
promises in the spectral norm at a failure of one in ten. A dash: no theorem speaks; "vacuous": it promises nothing
below 1.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy loads its BLAS

import argparse  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from paired import markdown  # noqa: E402

from theory.bounds.randnla.embeddings import (  # noqa: E402
    countsketch_embedding,
    embedding_gram_second_moment,
)
from theory.bounds.randnla.hadamard import srht_embedding_explicit  # noqa: E402
from theory.bounds.randnla.leverage import leverage_embedding_chernoff  # noqa: E402
from theory.bounds.randnla.tensor_sketches import tensorsketch_embedding, tensorsketch_moment  # noqa: E402
from theory.statement.bound import Bound, HypothesisViolated  # noqa: E402
from tnattn.randnla.scores.leverage import LeverageSampling  # noqa: E402
from tnattn.randnla.sketches.count_sketch import CountSketch  # noqa: E402
from tnattn.randnla.sketches.embedding import Embedding  # noqa: E402
from tnattn.randnla.sketches.gaussian import Gaussian  # noqa: E402
from tnattn.randnla.sketches.kronecker_sketch import KhatriRaoSketch, KroneckerSketch  # noqa: E402
from tnattn.randnla.sketches.row_sampling import RowSampling  # noqa: E402
from tnattn.randnla.sketches.sparse_sign import SparseSign  # noqa: E402
from tnattn.randnla.sketches.tensor_sketch import TensorSketch  # noqa: E402
from tnattn.randnla.sketches.trigonometric import SubsampledCosine, SubsampledHadamard  # noqa: E402

FAILURE = 0.1
MOMENTS: list[Bound] = [embedding_gram_second_moment, tensorsketch_moment]
TAILS: list[Bound] = [
    countsketch_embedding,
    srht_embedding_explicit,
    tensorsketch_embedding,
    leverage_embedding_chernoff,
]


def subspaces(n: int, k: int) -> dict[str, np.ndarray]:
    """Return orthonormal columns, random ones and ones of which half are unit vectors."""
    rng = np.random.default_rng(0)
    random = np.linalg.qr(rng.standard_normal((n, k)))[0]
    spikes = np.zeros((n, k))
    spikes[np.arange(k // 2) * (n // k), np.arange(k // 2)] = 1.0
    spikes[:, k // 2 :] = rng.standard_normal((n, k - k // 2))
    return {"incoherent": random, "coherent": np.linalg.qr(spikes)[0]}


def embeddings(size: int) -> dict[str, Any]:
    sketches = {
        "Gaussian": Gaussian(),
        "sparse signs, 8 per row": SparseSign(8),
        "sparse signs, 2 per row": SparseSign(2),
        "CountSketch": CountSketch(),
        "subsampled cosine": SubsampledCosine(),
        "subsampled Hadamard": SubsampledHadamard(),
        "uniform rows": RowSampling(),
        "TensorSketch, 2 modes": TensorSketch(2),
        "Kronecker, 2 modes": KroneckerSketch(2),
        "Khatri-Rao, 2 modes": KhatriRaoSketch(2),
    }
    return {"leverage rows": LeverageSampling(size)} | {name: Embedding(size, s) for name, s in sketches.items()}


def measured(method: Any, u: np.ndarray, draws: int) -> tuple[float, float, float]:
    """Return the median spectral and the root mean square Frobenius distortion, and milliseconds per draw."""
    spectral, squares, seconds = [], [], 0.0
    for child in np.random.default_rng(1).spawn(draws):
        start = time.process_time()
        mapped = method(u, rng=child) @ u
        seconds += time.process_time() - start
        difference = mapped.T @ mapped - np.eye(u.shape[1])
        spectral.append(np.linalg.norm(difference, 2))
        squares.append(np.sum(difference**2))
    return float(np.median(spectral)), float(np.mean(squares) ** 0.5), 1e3 * seconds / draws


def moment(method: Any, u: np.ndarray) -> str:
    """Return the predicted root mean square, exact or an upper bound."""
    for theorem in MOMENTS:
        try:
            value = float(theorem(method, u).value) ** 0.5
        except HypothesisViolated:
            continue
        return f"{value:.3f}" if theorem is embedding_gram_second_moment else f"<= {value:.3f}"
    return "-"


def promised(method: Any, u: np.ndarray) -> str:
    """Return the smallest distortion that a theorem promises except with the probability FAILURE."""
    for theorem in TAILS:
        try:
            below = [e for e in np.linspace(0.05, 0.95, 19) if chance(theorem, method, u, e) <= FAILURE]
        except HypothesisViolated:
            continue
        return f"{below[0]:.2f}" if below else "vacuous"
    return "-"


def chance(theorem: Bound, method: Any, u: np.ndarray, epsilon: float) -> float:
    """Return the failure probability that a theorem states."""
    evaluate: Callable[..., Any] = theorem.with_parameters(epsilon=float(epsilon))
    return float(np.max(evaluate(method, u).failure))


def main() -> None:
    """Print one table per subspace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, three draws: does it run?")
    quick = parser.parse_args().quick
    n, k, size, draws = (512, 8, 128, 3) if quick else (8192, 64, 1024, 10)
    header = ["embedding", "spectral", "Frobenius, rms", "predicted rms", f"bound, fails in {FAILURE:.0%}", "CPU ms"]
    for kind, u in subspaces(n, k).items():
        rows = []
        for name, method in embeddings(size).items():
            spectral, rms, cost = measured(method, u, draws)
            rows.append([name, f"{spectral:.3f}", f"{rms:.3f}", moment(method, u), promised(method, u), f"{cost:.1f}"])
        print(f"\n{kind} {n} x {k} subspace in {size} dimensions, {draws} draws\n")
        print(markdown(header, rows))


if __name__ == "__main__":
    main()
