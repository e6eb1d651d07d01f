import numpy as np
import pytest

from theory.bounds.decomposition import quantised as about
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.tensor_train.quantised import QuantisedTT
from tnattn.decomposition.tensor_train.quantised_matrix import QuantisedTTMatrix

EXACT = QuantisedTTMatrix(rank=64, rtol=1e-10)
i = np.arange(64)
SEQUENCES = {
    "exponential": (0.9**i, 1),
    "cosine": (np.cos(0.3 * i + 1), 2),
    "line": (1.0 + i, 2),
    "cubic": ((i / 10) ** 3 - i + 2, 4),
    "two exponentials": (0.9**i + 0.5**i, 2),
    "line times exponential": ((1 + i) * 0.9**i, 2),
}
gap = (i[:, None] - i).astype(float)
MATRICES = {
    "exp(i - j)": (np.exp(-0.1 * gap), 1),
    "exp(i + j)": (np.exp(-0.1 * (i[:, None] + i)), 1),
    "causal mask": ((gap >= 0) * 1.0, 2),
    "causal decay": (np.exp(-0.1 * gap) * (gap >= 0), 2),
    "exp(-|i - j|)": (np.exp(-0.1 * np.abs(gap)), 3),
    "|i - j|": (np.abs(gap), 3),
    "window": (((gap >= 0) & (gap < 11)) * 1.0, 4),
    "(i - j)^2": (gap**2, 3),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_ranks_of_sequences_are_those_of_the_catalogue(name):
    v, rank = SEQUENCES[name]
    method = QuantisedTT(rtol=1e-10, order=2)
    assert max(method(v[None]).largest_ranks) == rank
    assert about.qtt_ranks(method, v[None]).value == rank


@pytest.mark.parametrize("name", MATRICES)
def test_ranks_of_matrices_are_those_of_the_catalogue(name):
    a, rank = MATRICES[name]
    assert max(about.realised(EXACT(a))) == rank


@pytest.mark.parametrize("name", [name for name in MATRICES if "+" not in name])
def test_toeplitz_matrices_have_at_most_twice_the_ranks_of_their_sequence(name):
    (comparison,) = compare(EXACT, MATRICES[name][0], [about.qtt_toeplitz_ranks], rng=np.random.default_rng(0))
    assert comparison.verdict is Verdict.SUPPORTED


def test_worked_examples_of_the_catalogue():
    """n = 8: v_i = 2^-i has ranks (1, 1); its causal matrix (2, 2), that of |i - j| at most (3, 3)."""
    k = np.arange(8)
    assert QuantisedTT(rtol=1e-10, order=2)(2.0 ** -k[None]).largest_ranks == (1, 1)
    np.testing.assert_allclose(2.0**-k, np.kron(np.kron([1, 2**-4], [1, 2**-2]), [1, 2**-1]))
    lag = k[:, None] - k
    assert about.realised(EXACT(2.0**-lag * (lag >= 0))) == (2, 2)
    assert about.realised(EXACT(2.0 ** -np.abs(lag))) == (3, 3)


def test_ranks_add_under_sums_and_multiply_under_products():
    a, b = MATRICES["causal mask"][0], MATRICES["exp(-|i - j|)"][0]
    assert max(about.realised(EXACT(a + b))) <= 5
    assert max(about.realised(EXACT(a * b))) <= 6


def test_a_random_sequence_has_full_ranks():
    """Negative control."""
    v = np.random.default_rng(0).standard_normal(64)
    assert max(QuantisedTT(rtol=1e-10, order=2)(v[None]).largest_ranks) == 8


@pytest.mark.parametrize(
    "bound, method, target",
    [
        (about.qtt_ranks, QuantisedTT(rtol=1e-10, order=2), np.ones((2, 8))),
        (about.qtt_ranks, QuantisedTT(rtol=1e-10, order=2), np.ones((1, 7))),
        (about.qtt_ranks, QuantisedTT(rtol=1e-2, order=2), np.ones((1, 8))),
        (about.qtt_toeplitz_ranks, EXACT, np.diag(np.arange(8.0))),
        (about.qtt_toeplitz_ranks, EXACT, np.ones((7, 7))),
        (about.qtt_toeplitz_ranks, EXACT, np.ones((8, 4))),
        (about.qtt_toeplitz_ranks, QuantisedTTMatrix(2, rtol=1e-10), np.ones((8, 8))),
    ],
    ids=range(7),
)
def test_a_case_outside_the_hypotheses_is_refused(bound, method, target):
    with pytest.raises(HypothesisViolated):
        bound(method, target)
