"""The state of random features: sums over keys, the same in parts, and of the stated size."""

import numpy as np
import pytest

from tnattn.attention.feature_matrices import KeyFeatures
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.feature_summary import FeatureSummary
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.summary import KeySet

EPS = np.finfo(np.float64).eps


@pytest.fixture
def problem():
    return AttentionProblem(*np.random.default_rng(0).standard_normal((3, 4, 24, 8)))


@pytest.fixture
def summary(problem):
    made = Performer(features=16).summarise(KeySet.of(problem), rng=np.random.default_rng(1))
    assert isinstance(made, FeatureSummary)
    return made


def test_the_sums_are_those_of_the_lifted_features(problem, summary):
    features = summary.lift.to_dense()  # (G, 1, m, n)
    assert isinstance(summary.lift, KeyFeatures)
    np.testing.assert_allclose(features.sum(axis=-1), summary.mass, rtol=1e3 * EPS)
    np.testing.assert_allclose(features @ problem.values, summary.values, rtol=0, atol=1e4 * EPS)


def test_a_state_grows_key_by_key_to_the_state_of_all_keys(problem, summary):
    keys = KeySet.of(problem)
    half = KeySet.of(AttentionProblem(problem.q, problem.k[:, :12], problem.v[:, :12]))
    grown = FeatureSummary.of(summary.map, half).extend(problem.k[:, 12:], problem.v[:, 12:])
    whole = FeatureSummary.of(summary.map, keys)
    ratio = np.exp(grown.peak - whole.peak)[..., 0, :]  # their units differ
    np.testing.assert_allclose(grown.mass * ratio, whole.mass, rtol=1e3 * EPS)
    queries = problem.queries
    np.testing.assert_allclose(grown.approximate(queries).output, whole.approximate(queries).output, rtol=1e-9)


def test_the_bytes_are_those_of_the_arrays_that_stay(summary):
    parts = [summary.peak, summary.values, summary.mass, summary.map.directions]
    parts += [] if summary.map.origin is None else [summary.map.origin]
    assert summary.nbytes == sum(part.nbytes for part in parts)
