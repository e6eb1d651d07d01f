"""The plan of exact and drawn keys: norms by their definition, the best number of exact keys, probabilities."""

import numpy as np
import pytest

from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling import centred_columns
from tnattn.attention.sampling.centred_columns import centred_column_norms, key_plan, planned_piece


def problem(*, as_=np.asarray, dtype="f8"):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, n, d)).astype(dtype) for h, n, d in ((4, 5, 3), (2, 12, 3), (2, 12, 2)))
    return AttentionProblem(as_(q), as_(k), as_(v))


def by_definition(target):
    """Return c_j of every head, (H, n_k)."""
    ratio = target.heads // target.groups
    apart = np.repeat(target.v, ratio, axis=0)[:, None] - target.output[:, :, None]  # (H, n_q, n_k, d_v)
    return np.sqrt((target.dense_weights() ** 2 * (apart**2).sum(-1)).sum(-2))


def test_norms_are_those_of_weights_times_centred_values(xp, assert_close):
    target = problem(as_=xp.asarray)
    found = centred_column_norms(target, xp.asarray(np.arange(5)))
    expected = by_definition(problem()) / np.abs(problem().v).max((-2, -1)).repeat(2)[:, None]
    assert_close(found, expected.reshape(2, 2, 12), rtol=0, atol=100 * xp.eps() ** 0.5)


def test_norms_in_double_precision_have_half_its_digits():
    expected = by_definition(problem()) / np.abs(problem().v).max((-2, -1)).repeat(2)[:, None]
    found = centred_column_norms(problem(), np.arange(5)).reshape(4, 12)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


@pytest.mark.parametrize("exponent", [-1000, -600, 600, 1000])
def test_norms_do_not_depend_on_the_size_of_the_values(exponent):
    target = problem()
    scaled = AttentionProblem(target.q, target.k, target.v * 2.0**exponent)
    plain = centred_column_norms(target, np.arange(5))
    np.testing.assert_allclose(centred_column_norms(scaled, np.arange(5)), plain, rtol=1e-12)


def test_equal_values_leave_the_norms_of_the_weights():
    target = problem()
    found = centred_column_norms(AttentionProblem(target.q, target.k, np.full((2, 12, 2), 1 / 3)), np.arange(5))
    columns = np.linalg.norm(target.dense_weights(), axis=-2)
    ratio = found.reshape(4, 12) / columns
    assert ratio.max() < 3 * ratio.min()  # rounding of the values is no more than the weights
    assert ratio.max() < 1e-14


def test_a_query_whose_scores_overflow_has_no_influence():
    target = problem(dtype="f4")
    q = target.q.copy()
    q[:, 2] *= np.float32(1e38)
    with np.errstate(over="ignore"):
        found = centred_column_norms(AttentionProblem(q, target.k * 10, target.v), np.arange(5))
    expected = centred_column_norms(AttentionProblem(target.q, target.k * 10, target.v), np.asarray([0, 1, 3, 4]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_number_of_exact_keys_minimises_the_mean_square():
    norms = np.random.default_rng(1).lognormal(0, 2, (50, 30))
    plan = key_plan(norms, 8)
    falling = -np.sort(-norms, axis=-1)
    squares = np.stack([falling[:, h:].sum(-1) ** 2 / (8 - h) for h in range(8)], axis=-1)
    np.testing.assert_array_equal(plan.exact[:, 0], squares.argmin(-1))
    assert len(set(plan.exact[:, 0].tolist())) > 2  # a constant would be no minimum
    np.testing.assert_array_equal(np.take_along_axis(norms, plan.order, -1), falling)


@pytest.mark.parametrize("exact", [None, 0, 3, 100])
@pytest.mark.parametrize("uniform", [0.0, 0.25])
def test_probabilities_of_keys_that_are_not_exact(exact, uniform):
    norms = np.random.default_rng(1).lognormal(0, 2, (5, 30))
    plan = key_plan(norms, 8, exact=exact, uniform=uniform)
    np.testing.assert_array_equal(plan.samples, 8 - plan.exact)
    if exact is not None:
        np.testing.assert_array_equal(plan.exact, min(exact, 7))
    for row in range(5):
        heavy, light = np.split(plan.order[row], plan.exact[row])
        np.testing.assert_array_equal(plan.probabilities[row, heavy], 0)
        share = norms[row, light] / norms[row, light].sum()
        np.testing.assert_allclose(plan.probabilities[row, light], uniform / len(light) + (1 - uniform) * share)


def test_all_keys_are_exact_where_there_are_no_more():
    plan = key_plan(np.ones((2, 6)), 6, exact=1)
    np.testing.assert_array_equal(plan.exact, 6)
    target = problem()
    plan = key_plan(np.ones((2, 2, 12)), 12)
    piece = planned_piece(target, plan, 12, rng=np.random.default_rng(0))
    np.testing.assert_allclose(piece.output, target.output, rtol=1e-13)


def test_keys_without_weight_are_drawn_evenly():
    plan = key_plan(np.asarray([[0.0, 5.0, 0.0]]), 2)
    np.testing.assert_array_equal(plan.probabilities, [[0.5, 0, 0.5]])


@pytest.fixture
def pieces_by_draw(monkeypatch):
    """Return a function that gives the piece of every possible single draw, with its probability (G, R)."""

    def pieces(target, plan, keys):
        for j in range(target.n_k):
            drawn = np.full((2, 2, keys), j)
            monkeypatch.setattr(centred_columns, "draw_by_weight", lambda *_, drawn=drawn: drawn)
            yield plan.probabilities[..., j], planned_piece(target, plan, keys, rng=np.random.default_rng(0))

    return pieces


@pytest.mark.parametrize("exact", [0, 2])
def test_numerators_and_denominators_are_unbiased(pieces_by_draw, exact):
    target = problem()
    plan = key_plan(centred_column_norms(target, np.arange(5)), exact + 1, exact=exact)
    sums = 0
    for probability, piece in pieces_by_draw(target, plan, exact + 1):
        parts = np.concat([piece.numerators, piece.denominators[..., None]], axis=-1)
        sums = sums + probability[..., None, None] * np.exp(piece.shift)[..., None] * parts
    kernel = np.exp(target.dense_scores())
    expected = kernel @ np.concat([np.repeat(target.v, 2, axis=0), np.ones((4, 12, 1))], axis=-1)
    np.testing.assert_allclose(target.ungroup(sums), expected, rtol=1e-12)


@pytest.mark.parametrize("exact", [0, 2])
def test_the_weighted_mean_squared_error_of_one_draw(pieces_by_draw, exact):
    """E sum_i D_i^2 |O_i - o_i|^2 = (sum c)^2 - sum_i |sum p (v - o)|^2 over keys that are not exact, for one draw."""
    target = problem()
    plan = key_plan(centred_column_norms(target, np.arange(5)), exact + 1, exact=exact)
    found = 0
    for probability, piece in pieces_by_draw(target, plan, exact + 1):
        share = np.exp(piece.log_mass - target.weights.log_mass)
        error = piece.output - target.output
        found = found + probability.ravel() * ((share.reshape(4, 5, 1) * error) ** 2).sum((-1, -2))
    light = np.repeat(plan.probabilities.reshape(4, 1, 12) > 0, 5, axis=1)
    apart = np.repeat(target.v, 2, axis=0)[:, None] - target.output[:, :, None]
    held = ((light * target.dense_weights())[..., None] * apart).sum(-2)
    expected = (by_definition(target) * light[:, 0]).sum(-1) ** 2 - (held**2).sum((-1, -2))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
