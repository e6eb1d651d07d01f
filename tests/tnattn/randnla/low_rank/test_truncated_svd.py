"""The best approximation of implicit matrices, from products alone."""

import dataclasses

import numpy as np
import pytest

from tnattn.attention.problem import AttentionProblem
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.low_rank import truncated_svd
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.structured import conversion
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense
from tnattn.structured.diagonal import Diagonal


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Implicit(Product):
    """A matrix that refuses to be formed."""

    def to_dense(self):
        raise AssertionError("the implicit matrix was made dense")


def implicit(a):
    return Implicit(Diagonal(np.ones(a.shape[-2], a.dtype)), Dense(a))


@pytest.fixture
def no_small_matrix(monkeypatch):
    monkeypatch.setattr(conversion, "_SMALL", 0)


@pytest.mark.parametrize("shape", [(90, 70), (70, 90)])
@pytest.mark.parametrize("rank", [1, 5, 12])
def test_an_implicit_matrix_is_truncated_without_being_formed(no_small_matrix, shape, rank):
    a = matrix_with_spectrum(polynomial_spectrum(70), shape, np.random.default_rng(0))
    result, best = TruncatedSVD(rank)(implicit(a)), TruncatedSVD(rank)(a)
    np.testing.assert_allclose(result.s, best.s, rtol=1e-12)
    np.testing.assert_allclose(result.to_dense(), best.to_dense(), atol=1e-9)


def test_restarts_reach_values_that_hardly_decay(no_small_matrix):
    a = matrix_with_spectrum(np.linspace(2, 1, 200), (210, 200), np.random.default_rng(0))
    np.testing.assert_allclose(TruncatedSVD(2)(implicit(a)).s, np.linspace(2, 1, 200)[:2], rtol=1e-12)


def test_single_precision_and_stacks_converge(no_small_matrix):
    rngs = [np.random.default_rng(i) for i in range(3)]
    stack = np.stack([matrix_with_spectrum(polynomial_spectrum(60), (60, 60), rng) for rng in rngs])
    result = TruncatedSVD(4)(implicit(stack.astype(np.float32)))
    assert result.s.dtype == np.float32
    np.testing.assert_allclose(result.s, np.broadcast_to(polynomial_spectrum(4), (3, 4)), rtol=1e-5)


def test_a_matrix_of_lower_rank_is_reproduced(no_small_matrix):
    a = np.zeros((50, 40))
    a[3, 5] = 2.0
    result = TruncatedSVD(4)(implicit(a))
    np.testing.assert_allclose(result.s, [2, 0, 0, 0], atol=1e-14)
    np.testing.assert_allclose(result.u.T @ result.u, np.eye(4), atol=1e-13)


def test_a_failure_to_converge_is_said(no_small_matrix, monkeypatch):
    monkeypatch.setattr(truncated_svd, "_STEPS", 2)
    a = matrix_with_spectrum(np.linspace(2, 1, 200), (210, 200), np.random.default_rng(0))
    with pytest.raises(ValueError, match="did not converge in 2 steps"):
        TruncatedSVD(2)(implicit(a))


@pytest.mark.slow
def test_the_leading_singular_values_of_a_long_head_come_out_without_its_weights():
    """4096 tokens: the weights would be 134 MB of float64, and their exact decomposition minutes."""
    rng = np.random.default_rng(0)
    q, k = (rng.standard_normal((1, 4096, 16)) for _ in range(2))
    weights = AttentionProblem(q, k, k).weights
    result = TruncatedSVD(6)(weights)
    residual = (weights.mT @ result.u) - result.vt.mT * result.s[..., None, :]
    assert np.abs(residual).max() < 1e-11
    assert np.all(np.diff(result.s) < 0)
    # for a Gaussian head the largest is that of a stochastic matrix, about one
    assert 0.9 < result.s[..., 0].item() < 2
