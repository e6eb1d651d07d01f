import numpy as np
import pytest
from fixtures import drawn

from tnattn.decomposition.tensor_train.cross_train import CrossTrain, solved
from tnattn.decomposition.tensor_train.tt_cross import TTCross


def fitted(x, rng):
    return TTCross((3, 4, 3), order=4)(x, rng=rng).fit


def test_the_last_core_is_the_fit_to_the_entries_of_the_last_rows(seed):
    x = drawn((4, 5, 6, 7), seed)
    fit = fitted(x, np.random.default_rng(seed))
    entries = x[tuple(fit.rows[-1].T)]  # (s, n)
    np.testing.assert_allclose(fit.train.cores[-1][..., 0], fit.inverses[-1] @ entries, atol=1e-12)


def test_the_train_is_undone_level_by_level(seed):
    """B_k - core_k B_{k+1} over all levels, each multiplied by the cores before it, add up to the error."""
    x = drawn((4, 5, 6, 7), seed)
    fit = fitted(x, np.random.default_rng(seed))
    held, before, total = x.reshape(1, -1), np.ones((1, 1)), np.zeros(x.size)
    for core, rows, inverse in zip(fit.train.cores, fit.rows, fit.inverses, strict=False):
        matrix = core.reshape(-1, core.shape[-1])
        following = inverse @ x[tuple(rows.T)].reshape(len(rows), -1)
        level = held.reshape(len(matrix), -1) - matrix @ following
        total += np.reshape(before @ level.reshape(before.shape[-1], -1), -1)
        before = np.einsum("ab,bnc->anc", before, core).reshape(-1, core.shape[-1])
        held = following
    np.testing.assert_allclose(total, (x - fit.train.to_dense()).ravel(), atol=1e-11)


def test_it_says_whether_it_interpolates():
    plain = TTCross((3, 4, 3), order=4, enrichment=1, oversampling=0, rows_per_column=1)
    x = drawn((4, 5, 6, 7))
    assert plain(x, rng=np.random.default_rng(0)).fit.interpolates
    assert not fitted(x, np.random.default_rng(0)).interpolates


def test_storage_counts_the_ranks_of_each_tensor_and_not_the_padding():
    grid = np.linspace(0, 1, 12)
    flat = np.ones((12, 12, 12))
    curved = 1 / (1 + grid[:, None, None] + grid[:, None] + grid)
    result = TTCross(rtol=1e-3)(np.stack([flat, curved]), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(result.ranks[0], [1, 1])
    assert result.storage == 3 * 12 + TTCross(rtol=1e-3)(curved, rng=np.random.default_rng(0)).storage
    assert result.storage < sum(core.size for core in result.cores)


def test_the_parts_are_read_as_a_train():
    result = TTCross(2)(drawn((4, 5, 6)), rng=np.random.default_rng(0))
    assert [core.shape for core in result] == [(1, 4, 2), (2, 5, 2), (2, 6, 1)]
    with pytest.raises(AttributeError):
        result.cores = ()


def test_the_result_stores_what_its_true_ranks_need():
    found = TTCross((3, 4, 3), order=4)(drawn((4, 5, 6, 7)), rng=np.random.default_rng(0))
    assert isinstance(found, CrossTrain)
    assert found.storage == 4 * 3 + 3 * 5 * 4 + 4 * 6 * 3 + 3 * 7
    assert found.storage == sum(core.size for core in found.cores)


@pytest.mark.parametrize("inverse", [None, np.eye(2), drawn((3, 2), seed=1)], ids=["none", "identity", "fit"])
def test_a_core_is_the_inverse_times_the_rows_of_every_index(inverse):
    matrix = drawn((2 * 4, 5))
    core = solved(inverse, matrix, 4)
    factor = np.eye(2) if inverse is None else inverse
    for index in range(4):
        np.testing.assert_allclose(core[:, index], factor @ matrix.reshape(2, 4, 5)[:, index], atol=1e-12)
