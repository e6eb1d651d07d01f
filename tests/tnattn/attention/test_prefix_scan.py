"""Runs of leaves cover a sequence, and the sums over the past are in units of the past."""

import numpy as np
import pytest

from tnattn.attention.exact_leaves import Leaves
from tnattn.attention.kernel.elu_features import EluFeatures
from tnattn.attention.prefix_scan import Past, Scan, by_heads, in_common_units, query_features, runs
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.summary import KeySet
from tnattn.attention.workspace import Workspace

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n_k", [1, 2, 7, 12, 40, 41])
@pytest.mark.parametrize("before", [0, 1, 5, 11])
@pytest.mark.parametrize("leaf", [1, 3, 4, 100])
@pytest.mark.parametrize("most", [1, 2, 1000])
def test_runs_cover_every_query_after_all_keys_before_its_leaf(n_k, before, leaf, most):
    n_q = max(1, n_k - before)
    seen, summed = [], 0
    for run in runs(n_q, n_k, leaf=leaf, most=most):
        assert run.leaves <= most
        sizes = {part.stop - part.start for part in (run.added, run.keys)}
        assert all(size % run.leaves == 0 for size in sizes)
        if run.added.stop > run.added.start:
            assert run.added.start == summed
            summed = run.added.stop
        if run.queries.stop > run.queries.start:
            seen += range(run.queries.start, run.queries.stop)
            # the past of the last leaf of the run ends where that leaf begins
            last = run.keys.start + (run.leaves - 1) * min(leaf, run.keys.stop - run.keys.start)
            assert summed == last == last // leaf * leaf
            assert run.keys.stop - (n_k - n_q) == run.queries.stop
    assert seen == list(range(n_q))


def scan(features, q, k, rows, leaf=3):
    return Scan(features, q, k, rows, leaves=Leaves(leaf, 1.0), space=Workspace())


@pytest.mark.parametrize("most", [1, 2, 100])
def test_exact_features_count_the_tokens(most):
    x = np.ones((1, 1, 11, 2))
    parts = scan(EluFeatures(2, scale=1.0), x, x, [x[..., :1]]).parts(most)
    found = np.concatenate([products[0, 0, :, 0].copy() for _, products, _ in parts])
    np.testing.assert_allclose(found, 8 * np.arange(1, 12))  # phi(1) . phi(1) = 2 * 2^2


def test_units_are_the_largest_exponents_of_the_past():
    k = RNG.standard_normal((1, 1, 9, 2))
    features = Performer(4).draw(KeySet(k, k, 1.0), rng=np.random.default_rng(0))
    made = scan(features, k, k, [k])
    past = None
    for run in runs(9, 9, leaf=3, most=2):
        if run.added.stop > run.added.start:
            past = made._grown(past, run, None)
            exponents, _ = features.of_keys(k[..., : run.added.stop, :])
            assert isinstance(past, Past)
            np.testing.assert_allclose(past.peak[0, -1], exponents.max(axis=-2, keepdims=True)[0])
            phi = np.exp(exponents - past.peak[:, -1])
            np.testing.assert_allclose(past.sums[:, -1], phi.mT @ k[..., : run.added.stop, :], rtol=1e-12)


def test_rows_of_query_features_reach_one():
    q = RNG.standard_normal((1, 2, 6, 2)) * 50
    features = Performer(4).draw(KeySet(q[:, :1], q[:, :1], 1.0), rng=np.random.default_rng(0))
    phi, top = query_features(features, q, 2, np.zeros((1, 2, 1, 1, 4)), Workspace())
    assert phi.shape == (1, 2, 2, 3, 4)
    np.testing.assert_array_equal(phi.max(axis=-1), 1)
    assert top.shape == (1, 2, 2, 3)


@pytest.mark.parametrize(("top", "shift"), [(0.0, 3.0), (800.0, -800.0), (-np.inf, 2.0), (2.0, -np.inf)])
def test_both_parts_come_into_the_larger_units(top, shift):
    far, near = np.full((2, 1), 2.0), np.full((2, 1), 5.0)
    (a, b), common = in_common_units([(far.copy(), np.full(2, top)), (near.copy(), np.full(2, shift))])
    assert common.tolist() == [max(top, shift)] * 2
    np.testing.assert_allclose(a, far * np.exp(top - common)[:, None])
    np.testing.assert_allclose(b, near * np.exp(shift - common)[:, None])


def test_batches_of_heads_are_counted_along_one_axis():
    x = RNG.standard_normal((2, 1, 3, 4, 5))  # (..., G, R, a, b)
    found = by_heads(x, (2, 6))
    assert found.shape == (12, 3, 4, 5)
    np.testing.assert_array_equal(found[7], x[1, 0])
    assert by_heads(np.ones((4, 5)), (2, 6)).shape == (12, 1, 4, 5)
