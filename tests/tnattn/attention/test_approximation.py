"""The merge algebra: pieces of softmax put together are softmax."""

from dataclasses import replace

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.approximation import Approximation, stack_queries
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Dense, Selection

N = 12


def problem(seed=0, *, size=1.0, as_=np.asarray, n_q=5):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal((4 // s, n, d)) for s, n, d in ((1, n_q, 3), (2, N, 3), (2, N, 2)))
    return AttentionProblem(as_(size * q), as_(k), as_(v))


def piece(target, columns):
    return Exact()(target.rectangle(slice(0, target.n_q), columns)).placed(columns, N)


def relative(found, target):
    return np.linalg.norm(to_host(found.output) - to_host(target.output)) / np.linalg.norm(to_host(target.output))


@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_disjoint_pieces_merge_to_softmax(size):
    target = problem(size=size)
    merged = piece(target, slice(0, 5)) + piece(target, slice(5, N))
    np.testing.assert_allclose(merged.output, target.output, atol=1e-12 * max(1.0, size / 10))


def test_pieces_merge_on_every_ring(xp, assert_close):
    target = problem(as_=xp.asarray)
    merged = piece(target, slice(0, 5)) + piece(target, slice(5, N))
    assert_close(merged.output, target.output, rtol=0, atol=50 * xp.eps())


def test_merging_without_masses_would_be_wrong():
    target = problem()
    left, right = piece(target, slice(0, 5)), piece(target, slice(5, N))
    naive = replace(left, shift=0 * left.shift) + replace(right, shift=0 * right.shift)
    assert relative(naive, target) > 0.01


def test_merging_commutes_and_associates():
    target = problem()
    a, b, c = (piece(target, part) for part in (slice(0, 3), slice(3, 7), slice(7, N)))
    np.testing.assert_allclose((a + b).output, (b + a).output, atol=1e-14)
    np.testing.assert_allclose(((a + b) + c).output, (a + (b + c)).output, atol=1e-14)


def test_a_part_can_be_taken_out():
    target = problem()
    rest = piece(target, slice(0, N)) - piece(target, slice(0, 4))
    np.testing.assert_allclose(rest.output, piece(target, slice(4, N)).output, atol=1e-12)


def test_kernels_for_the_same_keys_add():
    target = problem()
    whole = piece(target, slice(0, N))
    np.testing.assert_allclose((whole + whole).output, target.output, atol=1e-13)
    np.testing.assert_allclose((whole + whole).log_mass, whole.log_mass + np.log(2), atol=1e-13)


def test_partial_overlap_is_refused():
    target = problem()
    with pytest.raises(ValueError, match="overlapping"):
        piece(target, slice(0, 7)) + piece(target, slice(5, N))


def test_listed_keys_are_compared_as_sets():
    target = problem()
    left = replace(piece(target, slice(0, 5)), keys=np.array([0, 2, 4]))
    right = replace(piece(target, slice(0, 5)), keys=np.array([1, 3]))
    assert to_host((left + right).keys).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="overlapping"):
        left + replace(right, keys=np.array([1, 2]))


def test_a_piece_that_does_not_estimate_its_mass_is_refused_with_its_reason():
    target = problem()
    projected = Linformer(3)(target, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="does not estimate the sum"):
        projected + piece(target, slice(0, N))


def test_the_mass_of_the_merged_piece_is_the_sum():
    target = problem()
    merged = piece(target, slice(0, 5)) + piece(target, slice(5, N))
    np.testing.assert_allclose(merged.log_mass, target.weights.log_mass, atol=1e-13)


def test_weights_lift_to_the_original_keys():
    target = problem()
    merged = piece(target, slice(0, 5)) + piece(target, slice(5, N))
    np.testing.assert_allclose(merged.weights.to_dense(), target.weights.to_dense(), atol=1e-14)


def test_an_empty_piece_changes_nothing():
    target = problem()
    left = piece(target, slice(0, 5))
    empty = replace(piece(target, slice(5, N)), shift=np.full(left.shift.shape, -np.inf))
    np.testing.assert_allclose((left + empty).output, left.output, atol=1e-15)
    np.testing.assert_array_equal((empty + replace(empty, keys=slice(0, 5))).output, 0)


def test_rows_stack():
    target = problem()
    parts = [Exact()(target.rectangle(rows, slice(0, N))) for rows in (slice(0, 2), slice(2, 5))]
    np.testing.assert_allclose(stack_queries(parts).output, target.output, atol=1e-14)


def test_own_normalisers_merge():
    target = problem()
    left, right = piece(target, slice(0, 5)), piece(target, slice(5, N))
    known = replace(left, normaliser=np.ones(left.shift.shape))
    np.testing.assert_allclose((known + right).output, target.output, atol=1e-13)


@pytest.mark.parametrize("mass", [0.0, -1.0, np.nan])
def test_rows_with_unusable_denominators_are_nan_and_counted(mass):
    kernel = np.ones((2, 2, 3, 1))
    kernel[1, 0, 2] = mass
    found = Approximation(Dense(kernel), np.zeros((2, 2, 3)), values=np.ones((2, 1, 1, 4)))
    assert found.bad_rows.tolist() == [0, 0, 1, 0]
    assert np.isnan(found.output[2, 2]).all()
    assert np.isnan(found.output).sum() == 4


def test_the_weights_of_bad_rows_are_nan_and_those_of_rows_without_keys_zero():
    kernel = np.ones((1, 1, 3, 1))
    kernel[0, 0, 1] = -1.0
    shift = np.array([0.0, 0.0, -np.inf]).reshape(1, 1, 3)
    expand = Dense(np.ones((1, 1, 1, 1)))
    found = Approximation(Dense(kernel), shift, values=np.ones((1, 1, 1, 4)), expand=expand)
    np.testing.assert_array_equal(found.weights.to_dense()[0, 0, :, 0], [1.0, np.nan, 0.0])


@pytest.mark.parametrize(
    "change", [{"values": np.ones((1, 4, 2))}, {"mass": np.ones(4)}, {"shift": np.zeros((2, 2, 4))}]
)
def test_sizes_that_disagree_are_refused(change):
    parts = {"kernel": Dense(np.ones((2, 2, 3, 5))), "shift": np.zeros((2, 2, 3)), "values": np.ones((1, 5, 2))}
    with pytest.raises(ValueError, match="kernel"):
        Approximation(**(parts | change))


def test_an_approximation_without_lift_has_no_weights():
    found = Approximation(Dense(np.ones((1, 1, 3, 5))), np.zeros((1, 1, 3)), values=np.ones((5, 2)))
    with pytest.raises(ValueError, match="no weights over the original keys"):
        found.weights  # noqa: B018


def test_lifting_through_a_selection_places_the_block():
    found = Approximation(
        Dense(np.ones((1, 1, 2, 2))),
        np.zeros((1, 1, 2)),
        np.ones((2, 1)),
        expand=Selection(np.arange(2), 2, np.ones(1)),
    )
    placed = found.placed(slice(3, 5), 6)
    np.testing.assert_allclose(placed.weights.to_dense()[0, 0, 0], [0, 0, 0, 0.5, 0.5, 0])
