"""Kernels in dense form against their definition."""

import numpy as np
import pytest

from tnattn.attention.baseline.exact import Exact
from tnattn.attention.dense_kernels import exact_kernel, unshifted_kernel
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.top_k import TopK
from tnattn.gallery import problems


@pytest.fixture
def problem():
    return problems()["gauss"](12, 8, 4, 2, rng=np.random.default_rng(0))


def test_the_exact_kernel_holds_the_exponentials_of_the_scores(problem):
    keys = np.repeat(problem.k, 2, axis=0)
    np.testing.assert_allclose(exact_kernel(problem), np.exp(problem.q @ keys.mT / 8**0.5), rtol=1e-12)


def test_the_kernel_of_exact_attention_is_exact(problem):
    np.testing.assert_allclose(unshifted_kernel(problem, Exact()(problem)), exact_kernel(problem), rtol=1e-12)


def test_a_kernel_of_few_keys_is_lifted_to_all(problem):
    kernel, exact = unshifted_kernel(problem, TopK(3)(problem)), exact_kernel(problem)
    assert (np.count_nonzero(kernel, axis=-1) == 3).all()
    np.testing.assert_allclose(kernel[kernel != 0], exact[kernel != 0], rtol=1e-12)


def test_single_precision_is_widened(problem):
    single = AttentionProblem(*(x.astype(np.float32) for x in (problem.q, problem.k, problem.v)))
    assert exact_kernel(single).dtype == unshifted_kernel(single, Exact()(single)).dtype == np.float64
