"""The state of random-feature attention answers and grows."""

import numpy as np
import pytest
from fixtures.attention import z_score

from tnattn.attention.dense_kernels import exact_kernel
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Hyperbolic, Positive, Trigonometric
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.summary import KeySet

KINDS = [Positive(), Hyperbolic(), Trigonometric()]


def problem(seed=0, *, n_q=6, n_k=9, d=4, size=0.5, heads=2, groups=2, mean=0.0, batch=(), dtype="float64", as_=None):
    """Queries and keys with entries of the given size; keys around a mean."""
    rng = np.random.default_rng(seed)
    q = size * rng.standard_normal((*batch, heads, n_q, d))
    k = size * rng.standard_normal((*batch, groups, n_k, d)) + mean
    v = rng.standard_normal((*batch, groups, n_k, 3))
    move = as_ or np.asarray
    return AttentionProblem(*(move(x.astype(dtype)) for x in (q, k, v)), scale=1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_summary_answers_as_the_method(kind):
    target, method = problem(heads=4), Performer(16, kind)
    summary = method.summarise(KeySet.of(target), rng=np.random.default_rng(3))
    whole = method(target, rng=np.random.default_rng(3))
    np.testing.assert_allclose(summary.attend(target.q).output, whole.output, rtol=1e-12)
    assert summary.nbytes == 8 * sum(x.size for x in (summary.peak, summary.values, summary.mass)) + 8 * (
        summary.map.directions.size + summary.map.origin.size
    )


@pytest.mark.parametrize("kind", KINDS)
def test_extending_equals_summarising_everything(kind):
    target, method = problem(size=1.0), Performer(16, kind, centre=False)
    parts = [KeySet.from_arrays(target.k[:, part], target.v[:, part], scale=1.0) for part in (slice(4), slice(4, 9))]
    grown = method.summarise(parts[0], rng=np.random.default_rng(0)).extend(target.k[:, 4:], target.v[:, 4:])
    whole = method.summarise(KeySet.of(target), rng=np.random.default_rng(0))
    np.testing.assert_allclose(grown.attend(target.q).output, whole.attend(target.q).output, rtol=1e-11)
    assert grown.nbytes == whole.nbytes


@pytest.mark.slow
def test_a_grown_summary_with_an_origin_is_still_unbiased():
    target, method = problem(size=0.3, mean=0.3), Performer(8)
    rng = np.random.default_rng(0)
    first = KeySet.from_arrays(target.k[:, :4], target.v[:, :4], scale=1.0)
    masses = []
    for _ in range(1500):
        piece = method.summarise(first, rng=rng).extend(target.k[:, 4:], target.v[:, 4:]).attend(target.q)
        masses.append(np.exp(piece.shift) * piece.denominators)
    expected = exact_kernel(target).sum(axis=-1)[:, None]
    assert np.abs(z_score(np.stack(masses), expected)).max() < 5.5
