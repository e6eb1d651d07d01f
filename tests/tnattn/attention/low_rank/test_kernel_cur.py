"""The kernel through chosen keys and queries: interpolation, exactness, what it reads, libraries, refusals."""

import numpy as np
import pytest
from fixtures import run

from tnattn.arrays import to_host
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.low_rank.kernel_cur import ChosenColumns, KernelCUR, _pivots
from tnattn.attention.problem import AttentionProblem
from tnattn.linalg import orthonormalise
from tnattn.randnla.columns.deim import deim


def arrays(n_q=24, n_k=30, size=1.0, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((4, n_q, 3), (2, n_k, 3), (2, n_k, 2))
    q, k, v = (rng.standard_normal(shape) for shape in shapes)
    return size * q, k, v


def error(method, target, seed=0):
    found = np.nan_to_num(to_host(run(method, target, seed).output), nan=10.0)
    return np.linalg.norm(found - to_host(target.output)) / np.linalg.norm(to_host(target.output))


def clustered(n=96, seed=1):
    """Queries and keys of eight clusters, so that the kernel has eight kinds of rows and columns."""
    rng = np.random.default_rng(seed)
    centres = 3 * rng.standard_normal((8, 4))
    q, k = (centres[rng.integers(0, 8, n)] + 0.01 * rng.standard_normal((n, 4)) for _ in range(2))
    return AttentionProblem(q[None], k[None], rng.standard_normal((1, n, 3)))


@pytest.mark.parametrize("sweeps", [0, 1, 2])
def test_the_kernel_is_met_in_the_chosen_rows_and_columns(sweeps):
    target = AttentionProblem(*arrays())
    found = run(KernelCUR(5, sweeps=sweeps, ridge=0.0), target)
    assert isinstance(found.kernel, ChosenColumns)
    exact = np.exp(target.scaled_queries @ target.keys.mT - found.shift[..., None])
    residual = np.abs(exact - found.kernel.to_dense() @ found.expand.to_dense())
    rows = np.take_along_axis(residual, found.kernel.queries[..., None], axis=-2)
    columns = np.take_along_axis(residual, found.kernel.keys[..., None, :], axis=-1)
    assert max(rows.max(), columns.max()) < 1e-9
    assert residual.max() > 1e-3


@pytest.mark.parametrize("n_q, n_k", [(24, 24), (30, 24), (24, 30), (1, 9), (9, 1)])
def test_as_many_columns_as_tokens_are_exact(n_q, n_k):
    target = AttentionProblem(*arrays(n_q, n_k))
    assert error(KernelCUR(30, ridge=0.0), target) < 1e-6


def test_clusters_are_found_with_one_column_each():
    target = clustered()
    assert error(KernelCUR(12), target) < 0.1
    assert error(MeanValue(), target) > 0.5


def test_pivots_beat_leverage_scores_alone():
    target = clustered()
    drawn, chosen = (np.median([error(KernelCUR(10, sweeps=s), target, seed) for seed in range(7)]) for s in (0, 1))
    assert chosen < 0.5 * drawn


def test_without_sweeps_queries_and_keys_are_drawn_by_leverage():
    """One query and one key of 50 hold a direction of their own; uniform draws would take each in 6 of 50 runs."""
    rng = np.random.default_rng(0)
    q, k = (np.concatenate([rng.standard_normal((50, 2)), np.zeros((50, 1))], axis=-1) for _ in range(2))
    q[11], k[37] = [0.0, 0.0, 2.0], [0.0, 0.0, 2.0]
    target = AttentionProblem(q[None], k[None], rng.standard_normal((1, 50, 1)))
    chosen = [run(KernelCUR(6, sweeps=0), target, seed).kernel for seed in range(40)]
    for positions, rare, common in (
        ([c.queries for c in chosen], 11, 12),
        ([c.keys for c in chosen], 37, 36),
    ):
        assert all(np.unique(p).size == 6 for p in positions)
        assert np.mean([rare in p for p in positions]) > 0.75
        assert np.mean([common in p for p in positions]) < 0.5


def test_the_ridge_damps_what_an_ill_conditioned_intersection_amplifies():
    target = AttentionProblem(*arrays(120, 120, size=2.0, seed=3))
    bare, damped = (
        np.median([error(KernelCUR(24, sweeps=0, ridge=ridge), target, s) for s in range(7)]) for ridge in (0.0, 0.03)
    )
    assert damped < bare


def test_large_scores_overflow_nowhere():
    q, k, v = arrays()
    found = run(KernelCUR(6), AttentionProblem(60 * q, 60 * k, v))
    assert np.isfinite(found.shift).all()
    assert int(found.bad_rows.sum()) == int(np.isnan(found.output).any(axis=-1).sum())


def test_a_shared_key_head_serves_its_queries_with_pivots_of_their_own():
    found = run(KernelCUR(5), AttentionProblem(*arrays()))
    assert found.kernel.keys.shape == (2, 2, 5)
    assert found.output.shape == (4, 24, 2)


def test_every_library_gives_the_output_of_numpy(xp, assert_close):
    host = [x.astype(xp.dtype) for x in arrays()]
    found = run(KernelCUR(12, ridge=0.1), AttentionProblem(*(xp.asarray(x) for x in host)))
    desired = run(KernelCUR(12, ridge=0.1), AttentionProblem(*host)).output
    assert_close(found.output, desired, rtol=0, atol=3e4 * xp.eps())


def test_memory_and_work_grow_linearly_with_the_tokens():
    small, large = (KernelCUR(16).cost(AttentionProblem(*arrays(n, n))) for n in (2000, 4000))
    assert large.flops < 2.01 * small.flops
    assert large.peak_scalars == pytest.approx(2 * small.peak_scalars, rel=0.01)
    assert KernelCUR(16, sweeps=2).cost(AttentionProblem(*arrays())).flops > small.flops * 24 / 4000


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"columns": 0}, "columns must be"),
        ({"sweeps": -1}, "sweeps must be"),
        ({"ridge": 1.0}, "ridge must lie"),
    ],
)
def test_impossible_parameters_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        KernelCUR(**fields)


def test_a_softcap_is_refused():
    with pytest.raises(ValueError, match="softcap"):
        run(KernelCUR(4), AttentionProblem(*arrays(), softcap=5.0))


def test_without_a_generator_it_raises():
    with pytest.raises(TypeError, match="pass rng"):
        KernelCUR(4)(AttentionProblem(*arrays()))


def like_real_heads(n=512, d=32, dtype="float32"):
    """Return sequences that drift, with a sink that queries look at more or less, and heavy offsets of the keys."""
    rng = np.random.default_rng(0)

    def tokens():
        walk = np.cumsum(rng.standard_normal((2, n, d)), axis=1)
        return 1.3 * (0.7 * walk / np.sqrt((walk**2).mean()) + 0.7 * rng.standard_normal((2, n, d)))

    q, k, v = tokens(), tokens(), tokens()
    direction = rng.standard_normal((2, 1, d))
    direction *= np.sqrt(4 * np.sqrt(d)) / np.linalg.norm(direction, axis=-1, keepdims=True)
    q += direction * (1 + 0.3 * rng.standard_normal((2, n, 1)))
    k[:, 0] = direction[:, 0]
    return AttentionProblem(*(x.astype(dtype) for x in (q, k + 5 * rng.standard_normal((2, 1, d)), v)))


@pytest.mark.parametrize("sweeps", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sink_leaves_no_bad_row(sweeps, dtype):
    target = like_real_heads(dtype=dtype)
    for seed in range(3):
        found = run(KernelCUR(64, sweeps), target, seed)
        assert found.bad_rows.tolist() == [0, 0]
        assert np.linalg.norm(found.output - target.output) < np.linalg.norm(target.output)


def test_the_ridge_is_raised_where_row_sums_are_surely_wrong():
    target = like_real_heads()
    ridges = np.stack([run(KernelCUR(64), target, seed).kernel.ridge for seed in range(6)])
    ladder = np.array([0.03, 0.09, 0.27, 0.81, 1.0], dtype=ridges.dtype)
    assert np.isin(ridges, ladder).all()
    assert ridges.max() > 0.03
    smooth = run(KernelCUR(20), AttentionProblem(*(0.1 * x for x in arrays()))).kernel.ridge
    np.testing.assert_array_equal(smooth, 0.03)
    np.testing.assert_array_equal(run(KernelCUR(8, ridge=0.0), AttentionProblem(*arrays())).kernel.ridge, 0)
    np.testing.assert_array_equal(run(KernelCUR(8, ridge=0.5), AttentionProblem(*arrays())).kernel.ridge >= 0.5, True)


def test_logits_of_any_size_leave_no_bad_row():
    q, k, v = arrays()
    for size in (1.0, 30.0, 1e3, 1e6):
        assert run(KernelCUR(8), AttentionProblem(size * q, k, v)).bad_rows.sum() == 0


def test_columns_are_evaluated_on_use_and_the_sums_are_theirs():
    target = AttentionProblem(*arrays(60, 80))
    found = run(KernelCUR(6), target)
    assert found.kernel.storage < found.kernel.to_dense().size + target.q.size
    np.testing.assert_allclose(found.kernel @ found.values, found.numerators, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose((found.kernel @ found.mass[..., None])[..., 0], found.denominators, rtol=1e-9)
    np.testing.assert_allclose(found.expand @ target.values, found.values, rtol=1e-8, atol=1e-10)
    exact = np.exp(target.scaled_queries @ target.keys.mT)
    columns = np.take_along_axis(exact, found.kernel.keys[..., None, :], axis=-1) / np.exp(found.shift)[..., None]
    dense = found.kernel.to_dense()
    np.testing.assert_allclose(dense / dense[..., :1, :], columns / columns[..., :1, :], rtol=1e-9)


@pytest.mark.parametrize("smooth", [True, False])
def test_columns_have_the_pivots_of_their_orthonormal_basis(smooth):
    """By elimination a triangular factor on the right changes no row pivot."""
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((2, 300, 16))
    q, k = np.cumsum(tokens, axis=1) / 12 if smooth else tokens
    columns = np.exp(q @ k[::10].T)
    np.testing.assert_array_equal(_pivots(columns), deim(orthonormalise(columns)))
    assert sorted(_pivots(columns)) != list(range(30))


def test_a_head_alone_has_the_output_that_it_has_in_the_stack():
    q, k, v = arrays()
    whole = run(KernelCUR(6), AttentionProblem(q, k, v)).output
    alone = run(KernelCUR(6), AttentionProblem(q[:2], k[:1], v[:1])).output
    np.testing.assert_allclose(alone, whole[:2], rtol=1e-9)
