"""Tiles of the streamed sweep: their sizes on the host and on a device, those that are visited, and how they join."""

from dataclasses import replace

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.masked_scores import SAFE, Scores
from tnattn.attention.masks import CausalMask, ExplicitMask, FullMask, PaddingMask
from tnattn.attention.problem import AttentionProblem


@pytest.fixture(params=["host", "device"])
def place(request, monkeypatch):
    """Tiles of one head, or of all heads at once; NumPy arrays serve for both."""
    if request.param == "device":
        monkeypatch.setattr("tnattn.attention.score_tiles.runs_on_host", lambda x: False)
    return request.param


def arrays(n_q, n_k, *, batch=(), heads=4, groups=2, size=1.0):
    rng = np.random.default_rng(0)
    shapes = ((heads, n_q, 3), (groups, n_k, 3), (groups, n_k, 2))
    q, k, v = (rng.standard_normal((*batch, *shape)) for shape in shapes)
    return q * size, k, v


def dense(problem):
    """Weights of the grouped layout, written out."""
    repeated = np.repeat(problem.k, problem.heads // problem.groups, axis=-3)
    scores = problem.q @ np.swapaxes(repeated, -1, -2) * problem.score_scale
    i, j = np.arange(problem.n_q)[:, None], np.arange(problem.n_k)
    if isinstance(problem.mask, CausalMask):
        scores = np.where(j <= i + problem.n_k - problem.n_q, scores, -np.inf)
    kernel = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = kernel / kernel.sum(axis=-1, keepdims=True)
    return weights.reshape(*problem.batch, problem.n_q, problem.n_k)


@pytest.fixture
def visited(monkeypatch):
    """Numbers of queries and keys of the tiles that are computed from here on."""
    found, block = [], Scores.block

    def record(self, query, head, rows, columns, spare=None):
        found.append((rows.stop - rows.start, columns.stop - columns.start))
        return block(self, query, head, rows, columns, spare)

    monkeypatch.setattr(Scores, "block", record)
    return found


@pytest.mark.parametrize(
    "stack, tile",
    [(1, (1, 1)), (8, (2, 1)), (36, (3, 3)), (44, (3, 3)), (16 * 9, (6, 6)), (4 * 18 * 11, (18, 11)), (9999, (18, 21))],
)
def test_tiles_on_a_device_have_comparable_sides(monkeypatch, visited, stack, tile):
    monkeypatch.setattr("tnattn.attention.score_tiles.runs_on_host", lambda x: False)
    monkeypatch.setattr("tnattn.attention.score_tiles._DEVICE", stack)
    n_k = 11 if tile[1] == 11 else 21  # few keys leave room for more queries
    problem = AttentionProblem(*arrays(18, n_k))  # four heads of 18 queries
    np.testing.assert_allclose(problem.weights @ problem.values, dense(problem) @ problem.values, rtol=1e-12)
    assert max(visited) == tile
    assert len(visited) == -(-18 // tile[0]) * -(-n_k // tile[1])


def test_a_small_problem_is_one_tile(place, visited):
    _ = AttentionProblem(*arrays(100, 200)).output
    assert visited == [(100, 200)]


@pytest.mark.parametrize(
    "together, heads", [(1, [1] * 8), (2, [2] * 4), (3, [2] * 4), (4, [4] * 2), (8, [8]), (9, [8])]
)
def test_small_heads_share_a_tile_on_the_host(monkeypatch, together, heads):
    monkeypatch.setattr("tnattn.attention.score_tiles._TOGETHER", together * 18 * 21)
    problem = AttentionProblem(*arrays(18, 21, batch=(2,)), mask=CausalMask() & PaddingMask(np.asarray([21, 20])))
    counted, block = [], Scores.block

    def record(self, *given, **options):
        scores = block(self, *given, **options)
        counted.append(scores.size // (18 * 21))
        return scores

    expected = replace(problem, tile=64).output
    monkeypatch.setattr(Scores, "block", record)
    np.testing.assert_allclose(problem.output, expected, rtol=1e-12, atol=1e-13)
    assert counted == heads


def test_tiles_on_the_host_follow_a_mask_more_closely(monkeypatch, visited):
    for name, side in (("_ROWS", 12), ("_COLUMNS", 16), ("_CUT", 8), ("_TOGETHER", 1)):
        monkeypatch.setattr(f"tnattn.attention.score_tiles.{name}", side)
    problem = AttentionProblem(*arrays(32, 32))
    np.testing.assert_allclose(problem.weights @ problem.values, dense(problem) @ problem.values, rtol=1e-12)
    assert visited == [*[(12, 16)] * 4, *[(8, 16)] * 2] * problem.weights.count
    visited.clear()
    problem = replace(problem, mask=CausalMask())
    np.testing.assert_allclose(problem.weights @ problem.values, dense(problem) @ problem.values, rtol=1e-12)
    # below the diagonal, neighbours in one chunk; on it, a tile that is masked entry by entry
    assert visited == [(8, 8), *[(8, 8)] * 2, (8, 16), (8, 8), (8, 16), (8, 8), (8, 8)] * problem.weights.count


def test_a_block_without_keys_visits_one_chunk(place, visited):
    problem = AttentionProblem(*arrays(8, 12), mask=PaddingMask(0), tile=4)
    np.testing.assert_array_equal(problem.output, 0)
    assert visited == [(4, 4)] * 2


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("tile", [2, 5, None])
@pytest.mark.parametrize("mask", [FullMask(), CausalMask()], ids=["full", "causal"])
def test_factors_may_have_more_batch_axes_than_the_problem(place, mask, tile, size):
    problem = AttentionProblem(*arrays(7, 9, size=size), mask=mask, tile=tile)
    rng = np.random.default_rng(1)
    weights = dense(problem)
    for lead in ((), (3,), (2, 3)):
        x, y = (rng.standard_normal((*lead, *problem.batch, n, 2)) for n in (9, 7))
        np.testing.assert_allclose(problem.weights @ x, weights @ x, atol=1e-12)
        np.testing.assert_allclose(problem.weights.mT @ y, np.swapaxes(weights, -1, -2) @ y, atol=1e-12)


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_statistics_of_several_heads_and_tiles_keep_their_order(place, size):
    problem = AttentionProblem(*arrays(7, 9, batch=(2,), size=size), tile=2)
    repeated = np.repeat(problem.k, 2, axis=-3)
    scores = problem.q @ np.swapaxes(repeated, -1, -2) * problem.score_scale
    expected = np.log(np.exp(scores).sum(axis=-1)).reshape(*problem.batch, 7)
    np.testing.assert_allclose(replace(problem).weights.log_mass, expected, rtol=1e-12, atol=1e-12)
    _ = problem.output
    np.testing.assert_allclose(problem.weights.log_mass, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tile", [2, None])
@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (2, 0, 2, 3, 4)])
def test_a_stack_without_problems_has_empty_results(place, shape, tile):
    problem = AttentionProblem(*(np.ones(shape),) * 3, tile=tile)
    assert problem.output.shape == shape
    assert problem.weights.log_mass.shape == (*shape[:-3], 2, 1, 3)
    assert (problem.weights.mT @ problem.queries).shape == (*shape[:-3], 2, 1, 3, 4)


def test_a_result_is_the_callers_own(place):
    problem = AttentionProblem(*arrays(4, 5))
    first = problem.weights @ problem.values
    kept = first.copy()
    first += 1
    np.testing.assert_array_equal(problem.weights @ problem.values, kept)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("exponent", [-128, 127])
def test_sums_of_many_keys_whose_scores_are_near_the_limit_stay_in_range(exponent, sign):
    n_k = 3000  # many keys beside one query: the sums grow with the keys
    q = np.full((1, 1, 1), sign * 0.999 * SAFE, "float32")
    k, v = np.ones((1, n_k, 1), "float32"), np.full((1, n_k, 1), 1.5 * 2.0**exponent, "float32")
    v[:, ::2] /= 2  # the mean is not the largest value, to which an overflow would be set back
    problem = AttentionProblem(q, k, v, scale=1.0)
    assert problem.weights.blocks.bounded
    least = float(np.finfo("float32").smallest_subnormal)
    np.testing.assert_allclose(problem.output[0, 0], 1.125 * 2.0**exponent, rtol=n_k * 2.0**-24, atol=least)


# rows and blocks on their own


@pytest.mark.parametrize("indices", [np.zeros(2), np.zeros((1, 2), "int64"), np.asarray(0), np.zeros((2, 2))], ids=str)
def test_rows_are_named_by_a_vector_of_integers(indices):
    weights = AttentionProblem(*arrays(4, 5)).weights
    with pytest.raises(TypeError, match=r"indices must be a vector of integers; got \w+ of shape \("):
        weights.rows(indices)


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_rows_may_differ_between_the_heads(batch):
    problem = AttentionProblem(*arrays(4, 5, batch=batch))
    indices = np.random.default_rng(1).integers(-4, 4, (*problem.weights.shape[:-2], 2))
    expected = np.take_along_axis(dense(problem), indices[..., None] % 4, axis=-2)
    np.testing.assert_allclose(problem.weights.rows(indices), expected, atol=1e-14)
    with pytest.raises(TypeError, match="indices must be a vector of integers"):
        problem.weights.rows(indices[None])


@pytest.mark.parametrize(
    "mask, lost",
    [
        (ExplicitMask(np.asarray([[True, False, False]])), True),
        (ExplicitMask(np.zeros((1, 3), bool)), False),
        (PaddingMask(0), False),
    ],
    ids=["only the first key", "no key", "no key by length"],
)
def test_a_row_is_lost_if_an_admissible_key_overflows_and_empty_if_none_is_admissible(mask, lost):
    huge = np.full((1, 3, 1), 3e19, "float32")
    problem = AttentionProblem(-huge, huge, np.ones_like(huge), mask=mask, scale=1.0, tile=1)
    expected = np.full((1, 3, 3), np.nan if lost else 0.0)
    np.testing.assert_array_equal(problem.dense_weights(), expected)
    np.testing.assert_array_equal(problem.output, expected[..., :1])


@pytest.mark.parametrize(
    "size, mask", [(1.0, PaddingMask(0)), (1e17, FullMask())], ids=["no key, safe scores", "every key"]
)
def test_the_mask_is_read_again_only_where_a_row_may_have_overflowed(monkeypatch, size, mask):
    def refuse(*given):
        raise AssertionError("the mask of these rows is known")

    monkeypatch.setattr(Scores, "sees", refuse)
    q, k, v = (x.astype("float32") for x in arrays(20, 21))
    problem = AttentionProblem(q * np.float32(size), k * np.float32(size), v, mask=mask)
    assert problem.weights.blocks.unsafe is (size > 1)
    assert np.isfinite(problem.output).all()
    assert np.isfinite(to_host(problem.dense_weights())).all()


@pytest.mark.parametrize(
    "rows, columns", [(slice(1, 3), slice(None)), (slice(-2, None), slice(0, 40)), (slice(2), slice(3, 1))]
)
def test_a_block_of_scores_has_the_limits_of_a_slice(rows, columns):
    problem = AttentionProblem(*arrays(4, 5), mask=CausalMask())
    np.testing.assert_array_equal(
        problem.weights.scores(rows, columns), problem.weights.scores(slice(0, 4), slice(0, 5))[..., rows, columns]
    )


@pytest.mark.parametrize("rows, columns", [(slice(0, 4, 2), slice(0, 5)), (slice(0, 4), slice(None, None, -1))])
def test_a_block_of_scores_with_a_step_is_refused(rows, columns):
    problem = AttentionProblem(*arrays(4, 5))
    with pytest.raises(ValueError, match=r"consecutive queries and keys, with step 1; got slice\("):
        problem.block_scores(rows, columns)
