"""Random projections along the sequence: orientation, variance, and why training is needed."""

import numpy as np
import pytest
from fixtures import run

from tnattn.attention import masks
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.masks import UnsupportedMask
from tnattn.attention.problem import AttentionProblem


def problem(*, n_q=5, n_k=12, size=1.0, dtype="float64", as_=np.asarray, batch=(), **options):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, n, d)).astype(dtype) for h, n, d in ((4, n_q, 3), (2, n_k, 3), (2, n_k, 2)))
    q, k, v = (np.broadcast_to(x, (*batch, *x.shape)) for x in (np.asarray(size, dtype=dtype) * q, k, v))
    return AttentionProblem(as_(q), as_(k), as_(v), **options)


def test_the_projection_has_size_rows_and_a_column_per_key():
    found = run(Linformer(7), problem())
    assert found.expand.to_dense().shape == (7, 12)
    assert found.kernel.shape[-1] == 7


def test_the_output_is_the_formula():
    target = problem()
    found = run(Linformer(7), target)
    e = found.expand.to_dense()
    k, v = (np.repeat(x, 2, axis=0) for x in (target.k, target.v))
    scores = target.q @ np.swapaxes(e @ k, -1, -2) / 3**0.5
    kernel = np.exp(scores)
    expected = kernel / kernel.sum(-1, keepdims=True) @ (e @ v)
    np.testing.assert_allclose(found.output, expected, atol=1e-13)


def test_entries_of_the_projection_have_variance_one_over_size():
    e = run(Linformer(50), problem(n_k=400)).expand.to_dense()
    np.testing.assert_allclose(np.var(e), 1 / 50, rtol=6 * (2 / e.size) ** 0.5)


@pytest.mark.slow
def test_the_mean_squared_error_on_the_weights_is_the_formula():
    target = problem()
    p, v = target.dense_weights(), np.repeat(target.v, 2, axis=0)
    squared = [(x**2).sum((-1, -2)) for x in (p, v, target.output)]
    expected = (squared[0] * squared[1] + squared[2]) / 4
    trials = 1500
    errors = [run(Linformer(4, project_weights=True), target, s).output - target.output for s in range(trials)]
    squares = (np.stack(errors) ** 2).sum((-1, -2))
    assert (np.abs(squares.mean(0) - expected) < 6 * squares.std(0) / trials**0.5).all()


def test_projected_weights_tend_to_the_output_and_projected_keys_do_not():
    target = problem()
    size = np.linalg.norm(target.output)
    weights, keys = (
        np.linalg.norm(run(Linformer(100_000, project_weights=flag), target).output - target.output) / size
        for flag in (True, False)
    )
    assert weights < 0.05 < 0.5 < keys
    assert keys > 0.5 * np.linalg.norm(MeanValue()(target).output - target.output) / size


def test_values_of_one_do_not_give_one():
    target = problem()
    ones = AttentionProblem(target.q, target.k, np.ones_like(target.v))
    assert np.abs(run(Linformer(7), ones).output - 1).max() > 0.1


def test_projected_keys_refuse_to_merge_and_projected_weights_do_merge():
    target = problem()
    rows, parts = slice(0, 5), (slice(0, 6), slice(6, 12))
    first, second = (run(Linformer(5), target.rectangle(rows, p)).placed(p, 12) for p in parts)
    with pytest.raises(ValueError, match="does not estimate"):
        first + second
    method = Linformer(200_000, project_weights=True)
    first, second = (run(method, target.rectangle(rows, p)).placed(p, 12) for p in parts)
    np.testing.assert_allclose((first + second).output, target.output, atol=0.05)


@pytest.mark.parametrize("project_weights", [True, False])
def test_every_ring_gives_the_same(xp, assert_close, project_weights):
    method = Linformer(4, project_weights=project_weights)
    found = run(method, problem(as_=xp.asarray)).output
    if xp.dtype == "float64":  # a float32 draw is another draw
        assert_close(found, xp.asarray(run(method, problem()).output), rtol=0, atol=1e-13)
    assert found.shape == (4, 5, 2)


def test_huge_scores_stay_finite_in_float32():
    found = run(Linformer(4), problem(size=1e5, dtype="float32")).output
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_masks_softcaps_and_missing_generators_are_refused():
    with pytest.raises(UnsupportedMask, match="Linformer does not honour CausalMask"):
        run(Linformer(), problem(mask=masks.CausalMask()))
    with pytest.raises(ValueError, match="softcap"):
        run(Linformer(), problem(softcap=1.0))
    with pytest.raises(TypeError, match="Linformer is randomized"):
        Linformer()(problem())
    with pytest.raises(ValueError, match="size must"):
        Linformer(0)


def test_the_cost_is_linear_in_the_keys():
    build = 2 * 2 * 7 * 12 * (3 + 2)
    assert Linformer(7).cost(problem()).flops == build + 2 * 4 * 5 * 7 * (3 + 2 + 1)
    assert Linformer(7, project_weights=True).cost(problem()).flops > 2 * 4 * 5 * 12 * 5
